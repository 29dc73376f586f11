//! Requests of the Messages API as a Chat Completions upstream gets them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    bridge::messages_over_chat::{ChatRequest, Target, request},
    signature,
    vocabulary::Delivery,
};

const TARGET: Target<'_> = Target { provider: "p", model: "up/m", requested_model: "p:m" };

fn translate(body: &Value) -> ChatRequest {
    request(body.to_string().as_bytes(), &TARGET).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn chat(body: &Value) -> Value {
    serde_json::from_slice(&translate(body).body).expect("the upstream's body is JSON")
}

/// The upstream body of a request with one short message and these fields.
fn with(fields: Value) -> Value {
    chat(&plus(fields))
}

fn plus(fields: Value) -> Value {
    let mut body =
        json!({"model": "p:m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn messages(messages: Value) -> Value {
    with(json!({"messages": messages}))["messages"].take()
}

fn refusal(fields: Value) -> String {
    request(plus(fields).to_string().as_bytes(), &TARGET).unwrap_err().message
}

#[test]
fn the_smallest_request_says_nothing_that_was_not_asked() {
    assert_eq!(
        with(json!({})),
        json!({"model": "up/m", "max_tokens": 100, "stream": false, "messages": [{"role": "user", "content": "hi"}]})
    );
}

#[test]
fn settings_are_carried_over() {
    let body = plus(
        json!({"stream": true, "temperature": 0.70, "top_p": 1, "top_k": 5, "metadata": {"user_id": "x"},
        "stop_sequences": ["a\n", "b", "c", "d", "e"]}),
    );
    let translated = translate(&body);
    assert_eq!(translated.delivery, Delivery::Streamed);
    let chat = chat(&body);
    assert_eq!((&chat["stream"], &chat["stream_options"]), (&json!(true), &json!({"include_usage": true})));
    assert_eq!((&chat["temperature"], &chat["top_p"]), (&json!(0.7), &json!(1)));
    assert_eq!(chat["stop"], json!(["a\n", "b", "c", "d"]));
    assert!(chat["top_k"].is_null() && chat["metadata"].is_null());
}

#[test]
fn newer_models_get_max_completion_tokens() {
    let body = plus(json!({})).to_string();
    let target = Target { model: "openai/gpt-5.1", ..TARGET };
    let chat: Value = serde_json::from_slice(&request(body.as_bytes(), &target).unwrap().body).unwrap();
    assert_eq!((&chat["max_completion_tokens"], &chat["max_tokens"]), (&json!(100), &Value::Null));
}

#[test]
fn the_system_prompt_comes_first_without_the_attribution() {
    let blocks = json!([
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=sdk-cli;"},
        {"type": "text", "text": "\n You are. ", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": " Be good.\n"},
    ]);
    assert_eq!(
        with(json!({"system": blocks}))["messages"][0],
        json!({"role": "system", "content": "You are. \n\n Be good."})
    );
    assert_eq!(with(json!({"system": " s "}))["messages"][0], json!({"role": "system", "content": "s"}));
    for blank in [json!(""), json!(" \n\t"), json!([]), json!([{"type": "text", "text": " "}]), json!(null)] {
        assert_eq!(with(json!({"system": blank}))["messages"][0]["role"], "user");
    }
}

#[test]
fn a_system_turn_stays_at_its_place() {
    let sent = messages(json!([
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "note", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "other"},
        {"role": "user", "content": "c"},
    ]));
    let roles: Vec<_> =
        sent.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "system", "assistant", "system", "user"]);
    assert_eq!(sent[1]["content"], "note");
}

#[test]
fn a_text_goes_out_as_the_very_literal_that_came_in() {
    let body = r#"{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"\u00e9 \/ \ud83d lone"}]}]}"#;
    let sent = request(body.as_bytes(), &TARGET).unwrap().body;
    assert!(String::from_utf8(sent).unwrap().contains(r#""content":"\u00e9 \/ \ud83d lone""#));
}

#[test]
fn images_become_parts() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
    ]}]));
    assert_eq!(
        sent,
        json!([{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        ]}])
    );
}

#[test]
fn results_stand_right_behind_their_calls_whatever_came_between() {
    let sent = messages(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I "}, {"type": "text", "text": "will"},
            {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": "ü\n"}},
            {"type": "tool_use", "id": "b", "name": "Bash", "input": {}},
        ]},
        {"role": "system", "content": "note"},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "b", "content": "boom", "is_error": true},
            {"type": "text", "text": "and this"},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "text", "text": " seen "},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "tool_reference", "tool_name": "WebFetch"},
            ]},
            {"type": "tool_result", "tool_use_id": "zzz", "content": "lost"},
        ]},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "I will", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "Read", "arguments": "{\"p\":\"ü\\n\"}"}},
                {"id": "b", "type": "function", "function": {"name": "Bash", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a",
                "content": "seen \n[image attached below]\nTool WebFetch is now available."},
            {"role": "tool", "tool_call_id": "b", "content": "Error: boom"},
            {"role": "user", "content": [
                {"type": "text", "text": "Image returned by tool Read (a)"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ]},
            {"role": "system", "content": "note"},
            {"role": "user", "content": "and this"},
            {"role": "user", "content": "[tool result zzz] lost"},
        ])
    );
}

#[test]
fn an_id_that_comes_again_in_a_later_turn_is_another_call() {
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}]});
    let result = |text: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0", "content": text}]});
    let sent = messages(json!([{"role": "user", "content": "x"}, call, result("one"), call, result("two")]));
    assert_eq!((&sent[2]["content"], &sent[4]["content"]), (&json!("one"), &json!("two")));
    assert_eq!(sent[1]["content"], Value::Null);
}

#[test]
fn results_in_every_form_have_a_text() {
    for (result, expected) in [
        (json!({}), "No content provided"),
        (json!({"content": null}), "No content provided"),
        (json!({"content": []}), "No content provided"),
        (json!({"content": " as is\n"}), " as is\n"),
        (json!({"content": [{"type": "text", "text": "\na"}, {"type": "text", "text": "b\n"}]}), "a\nb"),
        (json!({"content": "Error: already", "is_error": true}), "Error: already"),
        (json!({"content": "fine", "is_error": false}), "fine"),
        (json!({"is_error": true}), "Error: No content provided"),
    ] {
        let mut block = json!({"type": "tool_result", "tool_use_id": "a"});
        block.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        let sent = messages(json!([
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]},
            {"role": "user", "content": [block]},
        ]));
        assert_eq!(sent[1]["content"], expected);
        assert_eq!(sent.as_array().unwrap().len(), 2, "no empty user message");
    }
}

#[test]
fn a_call_that_nobody_answered_is_answered_unless_it_is_the_last_word() {
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]});
    let sent = messages(json!([{"role": "user", "content": "x"}, call, {"role": "user", "content": "stop"}]));
    assert_eq!((&sent[2]["role"], &sent[2]["tool_call_id"]), (&json!("tool"), &json!("a")));
    let sent = messages(json!([{"role": "user", "content": "x"}, call]));
    assert_eq!(sent.as_array().unwrap().len(), 2);
}

#[test]
fn thoughts_go_back_only_to_the_model_that_had_them() {
    let thought = |signature: &str| json!({"type": "thinking", "thinking": "hm\n", "signature": signature});
    let own = signature::mint("p", "up/m");
    let foreign = signature::mint("p", "other");
    let sent = messages(json!([
        {"role": "assistant", "content": [thought(&own), {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [thought(&foreign), thought("EqQBCk"), {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
        {"role": "user", "content": "c"},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "assistant", "content": "a", "reasoning_content": "hm\n"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ])
    );
}

#[test]
fn blocks_of_anthropics_own_tools_are_dropped_from_history() {
    let sent = messages(json!([
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "found"},
        ]},
        {"role": "user", "content": "ok"},
    ]));
    assert_eq!(sent[0], json!({"role": "assistant", "content": "found"}));
}

#[test]
fn tools_become_functions_with_their_schema_unchanged() {
    let schema = json!({"$schema": "x", "type": "object", "properties": {"p": {"type": "string"}}});
    let chat = with(json!({"tools": [
        {"name": "Read", "description": "reads", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "name": "Web", "input_schema": {}, "defer_loading": true, "strict": true},
        {"name": " ", "input_schema": {}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]}));
    assert_eq!(
        chat["tools"],
        json!([
            {"type": "function", "function": {"name": "Read", "description": "reads", "parameters": schema}},
            {"type": "function", "function": {"name": "Web", "description": "", "parameters": {}, "strict": true}},
        ])
    );
    assert!(chat["tool_choice"].is_null());
}

#[test]
fn a_choice_goes_with_its_tools() {
    let f = json!({"name": "f", "input_schema": {}});
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    for (tools, choice, expected) in [
        (json!([f]), json!({"type": "auto"}), json!("auto")),
        (json!([f]), json!({"type": "any"}), json!("required")),
        (json!([f]), json!({"type": "none"}), json!("none")),
        (json!([f]), json!({}), json!(null)),
        (
            json!([f]),
            json!({"type": "tool", "name": "f"}),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        (json!([f, search]), json!({"type": "tool", "name": "web_search"}), json!(null)),
        (json!([search]), json!({"type": "any", "disable_parallel_tool_use": true}), json!(null)),
        (json!([]), json!({"type": "auto"}), json!(null)),
    ] {
        let chat = with(json!({"tools": tools, "tool_choice": choice}));
        assert_eq!(chat["tool_choice"], expected);
        let has_tools = tools.as_array().unwrap().contains(&f);
        assert_eq!(chat.get("tools").is_some(), has_tools, "an empty list is refused by OpenAI");
        assert!(has_tools || chat.get("parallel_tool_calls").is_none());
    }
    let chat =
        with(json!({"tools": [f], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(chat["parallel_tool_calls"], false);
}

#[test]
fn what_cannot_be_translated_is_refused_by_its_path() {
    let user = |block: Value| {
        json!({"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "a", "name": "f", "input": {}}]}, {"role": "user", "content": ["", block]}]})
    };
    for (fields, message) in [
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": null}), "messages: at least one message is required"),
        (json!({"max_tokens": null}), "max_tokens: field required"),
        (json!({"max_tokens": 0}), "max_tokens: must be at least 1"),
        (json!({"max_tokens": -5}), "max_tokens: must be at least 1"),
        (json!({"max_tokens": 1.5}), "max_tokens: must be an integer"),
        (json!({"mcp_servers": [{"url": "x"}]}), "mcp_servers: not supported by a Chat Completions upstream"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages.0.role: must be user, assistant or system",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages.0.content: field required"),
        (
            json!({"messages": [{"role": "user", "content": 3}]}),
            "messages.0.content: must be a string or an array of content blocks",
        ),
        (user(json!({})), "messages.1.content: expected a content block object"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}),
            "messages.0.content.0: a document block is not supported by a Chat Completions upstream yet",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}),
            "messages.0.content.0.source.type: file sources are not supported by this provider",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]}),
            "messages.0.content.0.tool_use_id: field required",
        ),
        (json!({"system": [{"type": "image"}]}), "system.0: only text blocks are supported here"),
        (json!({"tools": [{"name": "f"}]}), "tools.0.input_schema: field required"),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "g"}}),
            "tool_choice.name: no tool in tools has this name",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn a_refusal_never_repeats_the_prompt() {
    const SECRET: &str = "s3cret, expected nothing";
    for fields in [
        json!({"messages": SECRET}),
        json!({"messages": [SECRET]}),
        json!({"stream": SECRET}),
        json!({"thinking": SECRET}),
        json!({"tools": [{"name": "f", "input_schema": {}, "strict": SECRET}]}),
        json!({"messages": [{"role": SECRET, "content": SECRET}]}),
        json!({"messages": [{"role": "user", "content": [SECRET]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": SECRET}]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": SECRET}]}]}),
    ] {
        let message = refusal(fields);
        assert!(!message.contains("s3cret"), "{message}");
    }
    let broken = request(br#"{"messages":"s3cret"#, &TARGET).unwrap_err().message;
    assert_eq!(broken, "the request body is not valid JSON (line 1 column 19)");
    assert_eq!(
        request(b"[]", &TARGET).unwrap_err().message,
        "request body, line 1 column 2: expected a JSON object"
    );
}

#[test]
fn deep_nesting_is_carried_without_recursion() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"max_tokens":1,"tools":[{{"name":"f","input_schema":{{"x":{deep}}}}}],"messages":[{{"role":"assistant",
        "content":[{{"type":"tool_use","id":"a","name":"f","input":{{"y":{deep}}}}}]}}]}}"#
    );
    let sent = request(body.as_bytes(), &TARGET).unwrap().body;
    assert!(sent.len() > 400_000);
}

/// What OpenAI checks: every call is answered right behind its message, and nothing else is a tool message.
fn check_order(messages: &Value) {
    let mut open = HashSet::new();
    for message in messages.as_array().unwrap() {
        match message["role"].as_str().unwrap() {
            "tool" => assert!(
                open.remove(message["tool_call_id"].as_str().unwrap()),
                "a result answers an open call"
            ),
            role => {
                assert!(open.is_empty(), "a {role} message came before all results");
                let calls = message["tool_calls"].as_array();
                open = calls.into_iter().flatten().map(|call| call["id"].as_str().unwrap()).collect();
            }
        }
        assert!(message["content"] != json!([]), "no message is empty");
    }
}

fn history() -> impl Strategy<Value = Vec<Value>> {
    let block = prop_oneof![
        (0..4).prop_map(|id| json!({"type": "tool_result", "tool_use_id": format!("c{id}"), "content": "r"})),
        Just(json!({"type": "text", "text": "t"})),
    ];
    let user =
        prop::collection::vec(block, 0..4).prop_map(|blocks| json!({"role": "user", "content": blocks}));
    let assistant = prop::collection::hash_set(0..4, 0..4).prop_map(|ids| {
        let calls = ids
            .into_iter()
            .map(|id| json!({"type": "tool_use", "id": format!("c{id}"), "name": "f", "input": {}}));
        json!({"role": "assistant", "content": calls.collect::<Vec<_>>()})
    });
    let system = Just(json!({"role": "system", "content": "s"}));
    prop::collection::vec(prop_oneof![3 => user, 3 => assistant, 1 => system], 1..10).prop_map(|mut turns| {
        turns.push(json!({"role": "user", "content": "last"}));
        turns
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_comes_out_in_an_order_that_openai_accepts_and_complete(history in history()) {
        let sent = messages(json!(history));
        check_order(&sent);
        let count = |text: &str| history.iter().map(|turn| turn.to_string().matches(text).count()).sum::<usize>();
        let sent = sent.to_string();
        // A result stands in a tool message or, as an orphan, in a text.
        let results = sent.matches(r#""content":"r""#).count() + sent.matches("[tool result ").count();
        prop_assert_eq!(results, count("tool_result"));
        prop_assert_eq!(sent.matches(r#""type":"function""#).count(), count("tool_use\""));
    }
}
