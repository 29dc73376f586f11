//! The requests that the upstream receives.

use serde_json::{Value, json};

use super::{request, translated, translated_one};
use crate::support::canned::openai;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk";

fn messages(list: Value) -> Value {
    translated_one(json!({"messages": list}))["messages"].clone()
}

fn call(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

/// A conversation in which the assistant called `get_weather` as `call_1` and the user answers with `blocks`.
fn after_a_call(blocks: Value) -> Value {
    messages(json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [call("call_1", "get_weather", json!({"city": "Genève"}))]},
        {"role": "user", "content": blocks},
    ]))
}

#[test]
fn the_request_is_sent_to_chat_completions_with_a_bearer_token() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["configured-key"]).start();
    let call = gateway.call("POST", "/v1/messages?beta=true").json(&prompt(MODEL, "hi"));
    call.header("x-api-key", "client-key").header("anthropic-beta", "x").reply();
    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/v1/chat/completions");
    assert_eq!(seen.head.header("authorization"), Some("Bearer configured-key"));
    assert_eq!(seen.head.header("content-type"), Some("application/json"));
    assert_eq!(seen.head.header("accept-encoding"), Some("identity"));
    assert!(!format!("{:?}", seen.head).contains("client-key"), "{:?}", seen.head);
    assert_eq!(seen.head.header("x-api-key"), None);
    assert_eq!(seen.head.header("anthropic-beta"), None, "a word of the other vendor");
}

/// Complaint of gateway users: the gateway edits the conversation.
#[test]
fn a_minimal_request_becomes_a_minimal_request() {
    let body = translated_one(json!({}));
    let mut expected =
        json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    if body.get("stream").is_some() {
        expected["stream"] = Value::Bool(false);
    }
    assert_eq!(body, expected);
}

/// Requirement: Streaming request has `stream_options.include_usage=true` upstream.
#[test]
fn a_streamed_request_requests_usage() {
    let body = translated_one(json!({"stream": true}));
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    assert!(translated_one(json!({})).get("stream_options").is_none());
}

/// Requirement: `system` string arrives upstream as first message, role system, trimmed.
/// Requirement: `system` blocks are joined by a blank line; blank system adds no message.
#[test]
fn the_system_prompt_comes_first_in_one_message() {
    let blocks = json!([{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}},
                        {"type": "text", "text": "two \"quoted\"\n"}]);
    let bodies = translated([
        request(json!({"system": "  be brief \n"})),
        request(json!({"system": blocks})),
        request(json!({"system": "  "})),
        request(json!({"system": []})),
    ]);
    assert_eq!(bodies[0]["messages"][0], json!({"role": "system", "content": "be brief"}));
    assert_eq!(bodies[1]["messages"][0], json!({"role": "system", "content": "one\n\ntwo \"quoted\""}));
    assert_eq!(bodies[2]["messages"].as_array().unwrap().len(), 1);
    assert_eq!(bodies[3]["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn claude_codes_attribution_block_is_dropped() {
    let system = json!([{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cc_entrypoint=cli;"},
                        {"type": "text", "text": "You are Claude Code."}]);
    let body = translated_one(json!({"system": system}));
    assert_eq!(body["messages"][0]["content"], "You are Claude Code.");
    assert!(!body.to_string().contains("billing"));
}

/// Requirement: Single text block collapses to a string; several stay parts.
/// Requirement: Assistant text blocks are concatenated; tool_use → tool_calls with JSON arguments.
#[test]
fn one_text_block_collapses_to_a_string_and_several_stay_parts() {
    let sent = messages(json!([
        {"role": "user", "content": [{"type": "text", "text": "only", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]));
    let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    let expected = json!([{"role": "user", "content": "only"}, {"role": "assistant", "content": "ab"},
                          {"role": "user", "content": parts}]);
    assert_eq!(sent, expected);
}

/// Requirement: Base64 image → data URI part.
/// Requirement: URL image → `image_url` with the URL.
#[test]
fn images_become_image_urls() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://images.test/cat.png"}},
    ]}]));
    let data = format!("data:image/png;base64,{PIXEL}");
    assert_eq!(sent[0]["content"][1], json!({"type": "image_url", "image_url": {"url": data}}));
    assert_eq!(sent[0]["content"][2]["image_url"]["url"], "https://images.test/cat.png");
}

#[test]
fn any_text_is_translated_unchanged() {
    let text = "é\u{1F600}\u{0} \u{7f}\u{2028} \\u0041 \"}\n\t</s> data: [DONE]";
    assert_eq!(messages(json!([{"role": "user", "content": text}]))[0]["content"], text);
}

#[test]
fn json_can_be_escaped_in_any_way() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = "{\"model\":\"test-model\",\"max_tokens\":9,\"messages\":[{\"r\\u006fle\":\"us\\u0065r\",\"content\":\
                [{\"type\":\"te\\u0078t\",\"text\":\"\\ud83d\\ude00 \\/ \\u00e9\"}]}]}";
    let reply = gateway.call("POST", "/v1/messages").body(body).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    let sent = upstream.only_request().json()["messages"][0].clone();
    assert_eq!(sent, json!({"role": "user", "content": "\u{1F600} / é"}));
}

/// Requirement: Assistant text blocks are concatenated; tool_use → tool_calls with JSON arguments.
/// Requirement: tool_result string → tool message with `tool_call_id`.
#[test]
fn tool_calls_and_their_results_become_tool_messages() {
    let sent = after_a_call(json!([{"type": "tool_result", "tool_use_id": "call_1", "content": "rain\n"}]));
    let assistant = &sent[1];
    assert_eq!(assistant["role"], "assistant");
    assert!(assistant["content"].is_null() || assistant["content"] == "", "{assistant}");
    let call = &assistant["tool_calls"][0];
    assert_eq!((&call["id"], &call["type"]), (&json!("call_1"), &json!("function")));
    assert_eq!(call["function"]["name"], "get_weather");
    let arguments = call["function"]["arguments"].as_str().expect("arguments are a string");
    assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), json!({"city": "Genève"}));
    assert_eq!(sent[2], json!({"role": "tool", "tool_call_id": "call_1", "content": "rain\n"}));
}

/// Requirement: Assistant text blocks are concatenated; tool_use → tool_calls with JSON arguments.
#[test]
fn text_before_a_call_stays_in_the_same_message() {
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, call("a", "f", json!({})),
                                          call("b", "g", json!({"n": [1, null]}))]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"},
                                     {"type": "tool_result", "tool_use_id": "b", "content": "2"}]},
    ]));
    assert_eq!(sent[1]["content"], "Let me see.");
    assert_eq!(sent[1]["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!((&sent[2]["tool_call_id"], &sent[3]["tool_call_id"]), (&json!("a"), &json!("b")));
}

/// Requirement: tool_result array of texts → joined with newline, trimmed.
#[test]
fn a_results_texts_are_joined_and_trimmed() {
    let texts = json!([{"type": "text", "text": " one"}, {"type": "text", "text": "two \n"}]);
    let sent = after_a_call(json!([{"type": "tool_result", "tool_use_id": "call_1", "content": texts}]));
    assert_eq!(sent[2]["content"], "one\ntwo");
}

/// Requirement: tool_result without `content` → 200 and `No content provided` upstream.
#[test]
fn a_result_without_content_has_a_placeholder() {
    for result in [
        json!({"type": "tool_result", "tool_use_id": "call_1"}),
        json!({"type": "tool_result", "tool_use_id": "call_1", "content": null}),
    ] {
        assert_eq!(after_a_call(json!([result]))[2]["content"], "No content provided");
    }
}

/// Requirement: `is_error:true` is visible in the tool message.
#[test]
fn a_failed_result_is_marked_as_an_error() {
    let failed = |content: &str| json!([{"type": "tool_result", "tool_use_id": "call_1", "is_error": true, "content": content}]);
    assert_eq!(after_a_call(failed("no such city"))[2]["content"], "Error: no such city");
    assert_eq!(after_a_call(failed("Error: once"))[2]["content"], "Error: once");
}

/// Requirement: tool_result plus text → tool message(s), then a user message with the text.
#[test]
fn text_next_to_results_follows_them() {
    let sent = after_a_call(json!([
        {"type": "text", "text": "before"},
        {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
        {"type": "text", "text": "after"},
    ]));
    assert_eq!(sent[2]["role"], "tool");
    assert_eq!(sent[3]["role"], "user");
    let parts = json!([{"type": "text", "text": "before"}, {"type": "text", "text": "after"}]);
    assert_eq!(sent[3]["content"], parts);
}

#[test]
fn results_in_several_turns_are_joined() {
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": id});
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [call("a", "f", json!({})), call("b", "f", json!({}))]},
        {"role": "user", "content": [result("a")]},
        {"role": "user", "content": [result("b"), {"type": "text", "text": "go on"}]},
    ]));
    let roles: Vec<&str> = sent.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    assert_eq!((&sent[2]["content"], &sent[3]["content"]), (&json!("a"), &json!("b")));
}

/// Complaint of gateway users: results do not stand behind their calls.
#[test]
fn a_result_of_an_unknown_call_is_kept() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "call_0", "content": "orphaned words"}]}]));
    assert_eq!(sent[0]["role"], "user");
    assert!(sent.to_string().contains("orphaned words"), "{sent}");
}

/// Requirement: Image in a tool_result never appears as base64 text; it arrives as an image part.
/// Complaint of gateway users: images in results are dropped.
#[test]
fn an_image_in_a_result_is_sent_as_an_image() {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let sent = after_a_call(json!([{"type": "tool_result", "tool_use_id": "call_1",
                                    "content": [{"type": "text", "text": "a screenshot"}, image]}]));
    assert_eq!(sent[2]["role"], "tool");
    let told = sent[2]["content"].as_str().expect("text");
    assert!(told.contains("a screenshot") && !told.contains(PIXEL), "{told}");
    assert_eq!(sent[3]["role"], "user");
    assert!(
        sent[3]["content"][0]["text"].as_str().is_some_and(|label| label.contains("get_weather")),
        "{sent}"
    );
    assert_eq!(sent[3]["content"][1]["image_url"]["url"], format!("data:image/png;base64,{PIXEL}"));
}

/// Complaint of gateway users: images in results are dropped.
#[test]
fn unsupported_content_of_a_result_is_named_instead() {
    let document =
        json!({"type": "hologram", "source": {"type": "base64", "media_type": "x/y", "data": PIXEL}});
    let sent = after_a_call(json!([{"type": "tool_result", "tool_use_id": "call_1",
                                    "content": [{"type": "text", "text": "a file"}, document]}]));
    assert_eq!(sent[2]["content"], "a file\n[hologram left out: this provider cannot read it]");
}

/// Complaint of gateway users: system messages in the conversation are refused.
#[test]
fn a_system_message_in_the_conversation_stays_in_its_place() {
    for content in [json!("a reminder"), json!([{"type": "text", "text": "a reminder"}])] {
        let sent =
            messages(json!([{"role": "user", "content": "one"}, {"role": "system", "content": content},
                                   {"role": "user", "content": "two"}]));
        assert_eq!(sent[1], json!({"role": "system", "content": "a reminder"}));
        assert_eq!(sent.as_array().unwrap().len(), 3);
    }
}

/// Requirement: Thinking and redacted_thinking in history → 200, not sent as text.
#[test]
fn thinking_of_other_models_is_not_sent_as_text() {
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "canary thought", "signature": "EqQBCgIYAhIM"},
            {"type": "redacted_thinking", "data": "canary"},
            {"type": "thinking", "thinking": "canary of another model", "signature": "vdm1.nobody.nothing"},
            {"type": "text", "text": "answer"}]},
        {"role": "user", "content": "y"},
    ]));
    assert_eq!(sent[1], json!({"role": "assistant", "content": "answer"}));
}

/// Complaint of gateway users: reasoning is not passed back, or contradicts itself.
#[test]
fn thinking_of_the_same_model_is_returned_to_its_provider() {
    let upstream = Upstream::openai().answering(Answer::events(openai::reasoning()));
    let gateway = Gateway::before(&upstream).start();
    let mut body = request(super::thinking());
    body["stream"] = json!(true);
    let content = gateway.messages(&body).reply().content();
    assert!(
        content[0]["signature"].as_str().is_some_and(|signature| signature.starts_with("vdm1.")),
        "{content:?}"
    );
    body["messages"] = json!([{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": content},
                              {"role": "user", "content": "sure?"}]);
    gateway.messages(&body).reply();
    let sent = upstream.request(1).json()["messages"][1].clone();
    assert_eq!(sent["reasoning_content"], "Two and two.");
    assert_eq!(sent["content"], "Four.");
}

/// Requirement: Tools → functions with `description` "" by default and unchanged schema; blank names skipped.
#[test]
fn tools_become_functions_with_their_schema_unchanged() {
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                        "properties": {"city": {"type": "string", "format": "x"}}, "additionalProperties": false});
    let body = translated_one(json!({"tools": [
        {"name": "get_weather", "description": "The \"weather\"", "input_schema": schema,
         "cache_control": {"type": "ephemeral"}, "eager_input_streaming": true},
        {"name": "bare", "input_schema": {"type": "object"}, "type": "custom", "eager_input_streaming": true},
        {"name": "  ", "input_schema": {"type": "object"}},
    ]}));
    let function = |name: &str, description: &str, schema: Value| json!({"type": "function", "function": {"name": name, "description": description, "parameters": schema}});
    let expected = [
        function("get_weather", "The \"weather\"", schema),
        function("bare", "", json!({"type": "object", "properties": {}})),
    ];
    assert_eq!(body["tools"], json!(expected));
    assert_eq!(body.get("tool_choice"), None);
}

#[test]
fn empty_tools_and_their_choice_are_dropped() {
    let body = translated_one(
        json!({"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
    );
    for key in ["tools", "tool_choice", "parallel_tool_calls"] {
        assert_eq!(body.get(key), None, "{key}");
    }
}

/// Requirement: Server tool next to a custom tool → 200, only the custom tool upstream.
/// Complaint of gateway users: server tools break the request.
#[test]
fn server_tools_are_dropped_next_to_custom_ones() {
    let body = translated_one(json!({"tools": [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"name": "mine", "input_schema": {"type": "object"}}]}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["function"]["name"], "mine");
}

/// Requirement: tool_choice auto→"auto", tool→named function.
/// Requirement: Any→"required", none→"none".
/// Requirement: `disable_parallel_tool_use` → `parallel_tool_calls:false`.
#[test]
fn every_form_of_tool_choice_is_translated() {
    let with = |choice: Value| {
        request(json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": choice}))
    };
    let bodies = translated([
        with(json!({"type": "auto"})),
        with(json!({"type": "any"})),
        with(json!({"type": "none"})),
        with(json!({"type": "tool", "name": "f"})),
        with(json!({"type": "auto", "disable_parallel_tool_use": true})),
    ]);
    assert_eq!(bodies[0]["tool_choice"], "auto");
    assert_eq!(bodies[1]["tool_choice"], "required");
    assert_eq!(bodies[2]["tool_choice"], "none");
    assert_eq!(bodies[3]["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(bodies[4]["parallel_tool_calls"], false);
    assert_eq!(bodies[0].get("parallel_tool_calls"), None);
}

#[test]
fn a_tool_choice_that_means_nothing_is_a_400() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for choice in [json!({"type": "tool"}), json!({"type": "whatever"})] {
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let reply = gateway.messages(&request(json!({"tools": tools, "tool_choice": choice}))).reply();
        assert_eq!(reply.status(), 400, "{reply}");
        assert!(reply.error_message().contains("tool_choice"), "{reply}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_deferred_tool_and_the_reference_to_it_become_text() {
    let body = translated_one(json!({
        "tools": [{"name": "WebFetch", "input_schema": {"type": "object"}, "defer_loading": true}],
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [call("s", "ToolSearch", json!({"query": "fetch"}))]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "s",
                "content": [{"type": "tool_reference", "tool_name": "WebFetch"}]}]}]}));
    assert_eq!(body["tools"][0]["function"]["name"], "WebFetch");
    assert!(body["messages"][2]["content"].as_str().is_some_and(|told| told.contains("WebFetch")), "{body}");
}

/// Requirement: Absent temperature is absent upstream; null too.
/// Requirement: Stop_sequences→stop, top_p passes, top_k and metadata do not.
#[test]
fn sampling_fields_are_sent_only_if_the_client_sent_them() {
    let body =
        translated_one(json!({"temperature": 0.25, "top_p": 0.5, "top_k": 5, "stop_sequences": ["a", "b"],
        "metadata": {"user_id": "canary"}, "service_tier": "auto", "context_management": {"edits": []}}));
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(0.25), &json!(0.5)));
    assert_eq!(body["stop"], json!(["a", "b"]));
    for key in
        ["top_k", "metadata", "service_tier", "context_management", "stop_sequences", "thinking", "system"]
    {
        assert_eq!(body.get(key), None, "{key}");
    }
    let absent = translated([
        request(json!({})),
        request(json!({"temperature": null})),
        request(json!({"stop_sequences": []})),
    ]);
    assert!(
        absent.iter().all(|body| body.get("temperature").is_none() && body.get("stop").is_none()),
        "{absent:?}"
    );
}

#[test]
fn only_the_first_four_stop_sequences_are_sent() {
    let body = translated_one(json!({"stop_sequences": ["1", "2", "3", "4", "5"]}));
    assert_eq!(body["stop"], json!(["1", "2", "3", "4"]));
}

/// Requirement: With limits set: below minimum raised, above maximum lowered; unset limits do not clamp.
/// Complaint of gateway users: the wrong limit parameter, and a 400 told as a 500.
#[test]
fn max_tokens_is_unchanged_and_has_the_name_that_the_model_requires() {
    let named = |model: &str| request(json!({"model": model, "max_tokens": 128_000}));
    let bodies =
        translated([named("gpt-4o"), named("openai:o3-mini"), named("gpt-5.1-codex"), named("vendor/gpt-5")]);
    assert_eq!(bodies[0]["max_tokens"], 128_000);
    for body in &bodies[1..] {
        assert_eq!(
            (&body["max_completion_tokens"], body.get("max_tokens")),
            (&json!(128_000), None),
            "{body}"
        );
    }
    assert_eq!(bodies[3]["model"], "vendor/gpt-5");
}

#[test]
fn an_untranslatable_member_is_a_400_with_its_path() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let refused = [
        json!({"type": "document", "source": {"type": "url", "url": "https://canary"}}),
        json!({"type": "image", "source": {"type": "file", "file_id": "canary"}}),
    ];
    for block in refused {
        let content = json!([{"type": "text", "text": "see"}, block]);
        let reply =
            gateway.messages(&request(json!({"messages": [{"role": "user", "content": content}]}))).reply();
        assert_eq!(reply.status(), 400, "{reply}");
        let (kind, message) = reply.error();
        assert_eq!(kind, "invalid_request_error");
        assert!(message.contains("messages.0.content.1") && !message.contains("canary"), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn blocks_of_anthropics_server_tools_become_text() {
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
            {"type": "text", "text": "found"}]},
        {"role": "user", "content": "y"}]));
    let text = "[Used web_search: {\"query\":\"q\"}]\n\n[Result of web_search]\nnothing\n\nfound";
    assert_eq!(sent[1], json!({"role": "assistant", "content": text}));
}
