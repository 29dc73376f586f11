//! Requests of Chat Completions as an Anthropic-format upstream gets them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "properties/turns.rs"]
mod turns;

use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::client::chat::{MessagesRequest, Target, request},
    vocabulary::Delivery,
};

use turns::check_turns;

const MODEL: &str = "claude-sonnet-4-5";
const PNG: &str = "data:image/png;base64,AA==";

fn translate(body: &Value, model: &str) -> MessagesRequest {
    let target = Target { provider: "p", model, requested_model: "p:m" };
    request(body.to_string().as_bytes(), &target).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The upstream body of a request with one short message and these fields, for this model.
fn with_for(model: &str, fields: Value) -> Value {
    serde_json::from_slice(&translate(&plus(fields), model).body).expect("the upstream's body is JSON")
}

fn with(fields: Value) -> Value {
    with_for(MODEL, fields)
}

fn plus(fields: Value) -> Value {
    let mut body = json!({"model": "p:m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn messages(messages: Value) -> Value {
    with(json!({"messages": messages}))["messages"].take()
}

/// The blocks that a user's content becomes.
fn blocks(content: Value) -> Value {
    messages(json!([{"role": "user", "content": content}]))[0]["content"].take()
}

fn refusal(fields: Value) -> String {
    let target = Target { provider: "p", model: MODEL, requested_model: "p:m" };
    request(plus(fields).to_string().as_bytes(), &target).unwrap_err().message
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn tool_use(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": input})
}

fn result(id: &str, content: Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn the_smallest_request_says_nothing_that_was_not_asked() {
    assert_eq!(
        with(json!({})),
        json!({"model": MODEL, "max_tokens": 32000, "stream": false,
               "messages": [{"role": "user", "content": [text("hi")]}]})
    );
}

#[test]
fn a_limit_is_always_there() {
    for (model, fields, expected) in [
        (MODEL, json!({"max_tokens": 5}), 5),
        (MODEL, json!({"max_completion_tokens": 7, "max_tokens": 5}), 7),
        (MODEL, json!({"max_completion_tokens": null, "max_tokens": 5}), 5),
        (MODEL, json!({"max_completion_tokens": null, "max_tokens": null}), 32000),
        ("claude-3-7-sonnet-latest", json!({}), 32000),
        ("claude-3-5-haiku-latest", json!({}), 8192),
        ("claude-3-haiku-20240307", json!({}), 4096),
        ("kimi-k2", json!({}), 4096),
    ] {
        assert_eq!(with_for(model, fields)["max_tokens"], expected, "{model}");
    }
}

#[test]
fn settings_are_carried_over() {
    let body = plus(
        json!({"stream": true, "temperature": 0.70, "stop": ["a\n", " ", "b"], "user": "u1", "top_k": 5,
        "seed": 1, "logit_bias": {}, "logprobs": true, "presence_penalty": 1, "frequency_penalty": 1, "store": true,
        "metadata": {"a": "b"}, "service_tier": "auto", "n": 1, "extra_headers": {"x": "y"}}),
    );
    let translated = translate(&body, MODEL);
    assert_eq!(translated.delivery, Delivery::Streamed);
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let expected = json!({"model": MODEL, "max_tokens": 32000, "stream": true, "temperature": 0.7, "top_k": 5,
        "stop_sequences": ["a\n", "b"], "metadata": {"user_id": "u1"},
        "messages": [{"role": "user", "content": [text("hi")]}]});
    assert_eq!(sent, expected, "and nothing else");
}

#[test]
fn samplers_are_those_that_the_model_takes() {
    for (model, fields, temperature, top_p) in [
        (MODEL, json!({"temperature": 1.5}), json!(1), json!(null)),
        (MODEL, json!({"temperature": 1.0}), json!(1.0), json!(null)),
        (MODEL, json!({"temperature": null, "top_p": 0.5}), json!(null), json!(0.5)),
        (MODEL, json!({"temperature": 0, "top_p": 0.5}), json!(0), json!(null)),
        (MODEL, json!({"temperature": 0, "reasoning_effort": "low"}), json!(null), json!(null)),
        (MODEL, json!({"temperature": 0, "reasoning_effort": "none"}), json!(0), json!(null)),
        ("claude-opus-4-6", json!({"temperature": 0.5}), json!(0.5), json!(null)),
        ("claude-opus-4-7", json!({"temperature": 0.5}), json!(null), json!(null)),
        ("claude-opus-5", json!({"top_p": 0.5}), json!(null), json!(null)),
        ("glm-5", json!({"temperature": 0.5}), json!(0.5), json!(null)),
    ] {
        let sent = with_for(model, fields.clone());
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&temperature, &top_p), "{model} {fields}");
    }
}

#[test]
fn one_stop_or_none_is_understood_too() {
    assert_eq!(with(json!({"stop": "END"}))["stop_sequences"], json!(["END"]));
    for none in [json!(null), json!([]), json!(""), json!(["\n"])] {
        assert_eq!(with(json!({"stop": none})).get("stop_sequences"), None);
    }
}

#[test]
fn the_newer_word_for_the_user_is_preferred() {
    for fields in [
        json!({"user": "old", "safety_identifier": "new"}),
        json!({"safety_identifier": "new"}),
        json!({"user": "new", "safety_identifier": ""}),
    ] {
        assert_eq!(with(fields)["metadata"], json!({"user_id": "new"}));
    }
}

#[test]
fn a_user_that_anthropic_refuses_is_hashed() {
    let user_id = |fields: Value| with(fields)["metadata"]["user_id"].as_str().unwrap().to_owned();
    for user in ["me@example.com", "+1 (555) 123-4567", "Jo <jo@mail.example>", &"u".repeat(257)] {
        let hashed = user_id(json!({"user": user}));
        assert!(
            hashed.len() == 64 && hashed.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{user}: {hashed}"
        );
        assert_eq!(user_id(json!({"safety_identifier": user, "user": "u1"})), hashed, "always the same");
        assert!(!with(json!({"safety_identifier": user, "user": user})).to_string().contains(user));
    }
    assert_ne!(user_id(json!({"user": "a@b.example"})), user_id(json!({"user": "c@b.example"})));
    let escaped = r#"{"user":"me\u0040example.com","messages":[{"role":"user","content":"hi"}]}"#;
    let target = Target { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent: Value = serde_json::from_slice(&request(escaped.as_bytes(), &target).unwrap().body).unwrap();
    assert_eq!(sent["metadata"]["user_id"], user_id(json!({"user": "me@example.com"})));
    assert_eq!(
        user_id(json!({"user": "550e8400-e29b-41d4-a716-446655440000"})),
        "550e8400-e29b-41d4-a716-446655440000"
    );
}

#[test]
fn reasoning_is_asked_for_in_the_models_own_words() {
    let budget = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let effort = |effort: &str| json!({"effort": effort});
    let (adaptive, disabled) = (json!({"type": "adaptive"}), json!({"type": "disabled"}));
    let nothing = || json!(null);
    for (model, word, thinking, output_config) in [
        (MODEL, "minimal", budget(1024), nothing()),
        (MODEL, "low", budget(1024), nothing()),
        (MODEL, "medium", budget(8000), nothing()),
        (MODEL, "high", budget(24000), nothing()),
        (MODEL, "xhigh", budget(24000), nothing()),
        (MODEL, "none", disabled.clone(), nothing()),
        ("kimi-k2", "high", budget(3072), nothing()),
        ("kimi-k2", "none", disabled.clone(), nothing()),
        ("claude-3-5-sonnet-latest", "high", nothing(), nothing()),
        ("claude-3-5-sonnet-latest", "none", nothing(), nothing()),
        ("claude-opus-4-6", "minimal", adaptive.clone(), effort("low")),
        ("claude-opus-4-6", "xhigh", adaptive.clone(), effort("high")),
        ("claude-opus-4-6", "none", disabled, nothing()),
        ("claude-opus-4-7", "xhigh", adaptive.clone(), effort("xhigh")),
        ("claude-opus-5-5", "max", adaptive.clone(), effort("max")),
        ("claude-opus-5-5", "none", nothing(), effort("low")),
        ("claude-mythos-preview", "medium", adaptive, effort("medium")),
    ] {
        let sent = with_for(model, json!({"reasoning_effort": word}));
        assert_eq!(
            (&sent["thinking"], &sent["output_config"]),
            (&thinking, &output_config),
            "{model} {word}"
        );
    }
}

#[test]
fn an_effort_that_is_left_to_the_model_is_not_mentioned() {
    let said = |model: &str, fields: Value| {
        let sent = with_for(model, fields);
        [sent["thinking"].clone(), sent["output_config"].clone(), sent["temperature"].clone()]
    };
    for model in [MODEL, "claude-opus-4-6", "claude-opus-5-5", "kimi-k2", "claude-3-5-sonnet-latest"] {
        let unsaid = said(model, json!({"temperature": 0.5}));
        for word in ["default", "auto", "Default", "adaptive", ""] {
            let fields = json!({"reasoning_effort": word, "temperature": 0.5});
            assert_eq!(said(model, fields), unsaid, "{model} {word}");
        }
        for (word, same) in [("off", "none"), ("disabled", "none"), ("HIGH", "high"), ("Minimal", "low")] {
            let [told, expected] = [word, same].map(|word| said(model, json!({"reasoning_effort": word})));
            assert_eq!(told, expected, "{model} {word}");
        }
    }
}

#[test]
fn a_budget_leaves_room_for_an_answer_or_is_none() {
    for (max_tokens, expected) in [
        (30_000, json!(24_000)),
        (4000, json!(2976)),
        (2048, json!(1024)),
        (2047, json!(null)),
        (1, json!(null)),
    ] {
        let sent = with(json!({"reasoning_effort": "high", "max_tokens": max_tokens}));
        assert_eq!(sent["thinking"]["budget_tokens"], expected, "{max_tokens}");
    }
}

#[test]
fn a_model_that_must_call_a_tool_is_not_told_to_think() {
    let forced = json!({"type": "function", "function": {"name": "f"}});
    for choice in [json!("required"), forced] {
        let fields = json!({"tools": [tool("f")], "tool_choice": choice, "reasoning_effort": "high"});
        assert_eq!(with(fields.clone()).get("thinking"), None);
        let newer = with_for("claude-opus-4-6", fields);
        assert_eq!((newer.get("thinking"), &newer["output_config"]), (None, &json!({"effort": "high"})));
    }
}

#[test]
fn a_model_that_wants_its_thoughts_back_is_not_told_to_think_about_results() {
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]);
    let mut later = history.clone();
    later.as_array_mut().unwrap().push(json!({"role": "user", "content": "go on"}));
    let kind = |model: &str, history: &Value| {
        let fields = json!({"reasoning_effort": "high", "tools": [tool("f")], "messages": history});
        with_for(model, fields)["thinking"]["type"].clone()
    };
    assert_eq!(kind(MODEL, &history), json!(null));
    assert_eq!(kind(MODEL, &later), "enabled");
    assert_eq!(kind("claude-opus-4-6", &history), "adaptive");
}

#[test]
fn thinking_in_anthropics_own_words_is_left_as_it_is() {
    let own = json!({"type": "enabled", "budget_tokens": 2000, "display": "summarized"});
    let sent = with(json!({"thinking": own, "reasoning_effort": "high", "temperature": 0.5}));
    assert_eq!((&sent["thinking"], sent.get("output_config"), sent.get("temperature")), (&own, None, None));
    let sent = with(json!({"thinking": {"type": "disabled"}, "temperature": 0.5}));
    assert_eq!((&sent["thinking"]["type"], &sent["temperature"]), (&json!("disabled"), &json!(0.5)));
}

#[test]
fn a_schema_for_the_answer_is_reduced_to_what_anthropic_supports() {
    let list = json!({"type": "array", "items": {"type": "string", "pattern": "^a$"}, "minItems": 2});
    let schema = json!({"type": "object", "properties": {"a": list}, "additionalProperties": true});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let item = json!({"type": "string", "description": "{pattern: ^a$}"});
    let list = json!({"type": "array", "items": item, "description": "{minItems: 2}"});
    assert_eq!(
        with(json!({"response_format": format}))["output_config"]["format"]["schema"],
        json!({"type": "object", "properties": {"a": list}, "additionalProperties": false})
    );
}

#[test]
fn a_schema_for_the_answer_is_carried_over() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    let expected = json!({"format": {"type": "json_schema", "schema": schema}});
    assert_eq!(with(json!({"response_format": format}))["output_config"], expected);
    let both = with_for("claude-opus-4-6", json!({"response_format": format, "reasoning_effort": "low"}));
    assert_eq!(both["output_config"], json!({"effort": "low", "format": expected["format"]}));
    for format in
        [json!({"type": "text"}), json!({"type": "json_object"}), json!({"type": "json_schema"}), json!(null)]
    {
        assert_eq!(with(json!({"response_format": format})).get("output_config"), None);
    }
}

#[test]
fn what_the_system_says_stands_in_one_place() {
    let sent = with(json!({"messages": [
        {"role": "system", "content": "You are \"me\".\n"},
        {"role": "user", "content": "a"},
        {"role": "developer", "content": [text("b"), text(" \n"), text("c")]},
        {"role": "system", "content": ""},
        {"role": "system", "content": null},
        {"role": "user", "content": "d"},
    ]}));
    assert_eq!(sent["system"], "You are \"me\".\n\n\nb\n\nc");
    assert_eq!(sent["messages"], json!([{"role": "user", "content": [text("a"), text("d")]}]));
    assert_eq!(with(json!({})).get("system"), None);
}

#[test]
fn what_is_to_be_cached_keeps_its_mark() {
    let mark = json!({"type": "ephemeral"});
    let marked = |said: &str| json!({"type": "text", "text": said, "cache_control": mark});
    let mut function = tool("f");
    function["cache_control"] = mark.clone();
    let sent = with(json!({"tools": [function], "messages": [
        {"role": "system", "content": [text("a"), marked("b")]},
        {"role": "user", "content": [marked("c")]},
    ]}));
    assert_eq!(sent["system"], json!([text("a"), marked("b")]));
    assert_eq!(sent["messages"][0]["content"], json!([marked("c")]));
    assert_eq!(sent["tools"][0]["cache_control"], mark);
}

#[test]
fn a_text_goes_out_as_the_very_literal_that_came_in() {
    let body =
        r#"{"messages":[{"role":"user","content":[{"type":"\u0074ext","text":"\u00e9 \/ \ud83d lone"}]}]}"#;
    let target = Target { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent = request(body.as_bytes(), &target).unwrap().body;
    assert!(String::from_utf8(sent).unwrap().contains(r#""text":"\u00e9 \/ \ud83d lone""#));
}

#[test]
fn images_become_blocks() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "high"}});
    let base64 = |media_type: &str| json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": "AA=="}});
    assert_eq!(
        blocks(json!([
            text("look"),
            image(PNG),
            image("data:image/jpg;charset=x;base64,AA=="),
            image("https://x/y.png"),
            {"type": "image_url", "image_url": "HTTP://x/z"},
            image("data:application/pdf;base64,AA=="),
        ])),
        json!([
            text("look"),
            base64("image/png"),
            base64("image/jpeg"),
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "image", "source": {"type": "url", "url": "HTTP://x/z"}},
            {"type": "document",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
        ])
    );
    let escaped = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,a\/b="}}]}]}"#;
    let target = Target { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent: Value = serde_json::from_slice(&request(escaped.as_bytes(), &target).unwrap().body).unwrap();
    let source = &sent["messages"][0]["content"][0]["source"];
    assert_eq!((&source["media_type"], &source["data"]), (&json!("image/png"), &json!("a/b=")));
}

#[test]
fn files_become_documents() {
    let file = |data: &str| json!({"type": "file", "file": {"filename": "a \"b\".pdf", "file_data": data}});
    let document = |data: &str| {
        json!({"type": "document", "title": "a \"b\".pdf",
               "source": {"type": "base64", "media_type": "application/pdf", "data": data}})
    };
    assert_eq!(
        blocks(json!([file("data:application/pdf;base64,JVBERi0x"), file("JVBERi0y"), file(PNG)])),
        json!([
            document("JVBERi0x"),
            document("JVBERi0y"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        ])
    );
}

#[test]
fn calls_and_results_become_blocks_in_turns() {
    let sent = messages(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("a", "{\"x\": 1}"), call("b", "")]},
        {"role": "tool", "tool_call_id": "b", "content": "rb"},
        {"role": "tool", "tool_call_id": "a", "content": [text("r1"), text(" "), text("r2"),
            {"type": "image_url", "image_url": {"url": PNG}}, {"type": "input_audio", "input_audio": {}}]},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": null, "tool_calls": [call("c", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": null},
    ]));
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let left_out = text("[input_audio left out: this provider cannot read it]");
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content":
                [text("Let me see."), tool_use("a", json!({"x": 1})), tool_use("b", json!({}))]},
            {"role": "user", "content": [
                result("a", json!([text("r1"), text("r2"), image, left_out])), result("b", json!("rb")), text("go on")]},
            {"role": "assistant", "content": [tool_use("c", json!({}))]},
            {"role": "user", "content": [result("c", json!(""))]},
        ])
    );
}

#[test]
fn arguments_become_an_object_whatever_they_are() {
    let input = |arguments: Value| {
        let called = json!({"id": "a", "function": {"name": "f", "arguments": arguments}});
        let sent =
            messages(json!([{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [called]},
                                   {"role": "tool", "tool_call_id": "a", "content": "r"}]));
        sent[1]["content"][0]["input"].clone()
    };
    for (arguments, expected) in [
        (json!("{\n \"a\": \"\\u00e9\" }"), json!({"a": "é"})),
        (json!(""), json!({})),
        (json!(" \n"), json!({})),
        (json!(null), json!({})),
        (json!({"a": 1}), json!({"a": 1})),
        (json!("12"), json!({"raw_arguments": "12"})),
        (json!("[1]"), json!({"raw_arguments": "[1]"})),
        (json!("{\"cut"), json!({"raw_arguments": "{\"cut"})),
    ] {
        assert_eq!(input(arguments.clone()), expected, "{arguments}");
    }
}

#[test]
fn results_move_behind_their_calls_and_missing_ones_are_made_up() {
    let sent = messages(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "user", "content": "meanwhile"},
        {"role": "assistant", "tool_calls": [call("c", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": "rc"},
        {"role": "tool", "tool_call_id": "a", "content": "ra"},
        {"role": "tool", "tool_call_id": "a", "content": "again"},
        {"role": "tool", "tool_call_id": "z", "content": [text("lost")]},
    ]));
    let missing = json!({"type": "tool_result", "tool_use_id": "b", "is_error": true,
                         "content": "no result was provided for this tool call"});
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content": [tool_use("a", json!({})), tool_use("b", json!({}))]},
            {"role": "user", "content": [result("a", json!("ra")), missing, text("meanwhile")]},
            {"role": "assistant", "content": [tool_use("c", json!({}))]},
            {"role": "user", "content": [result("c", json!("rc")), text("[tool result a] again"),
                text("[tool result z]"), text("lost")]},
        ])
    );
}

#[test]
fn ids_are_such_that_the_upstream_takes_them_and_unique() {
    let turn = |id: Value| {
        [
            json!({"role": "assistant", "tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"role": "tool", "tool_call_id": id, "content": "r"}),
        ]
    };
    let mut history = vec![json!({"role": "user", "content": "q"})];
    for id in [json!("call_0"), json!("call_0"), json!("functions.f:0"), json!(""), json!(null)] {
        history.extend(turn(id));
    }
    let sent = messages(json!(history));
    check_turns(&sent);
    let ids: Vec<_> = sent.as_array().unwrap().iter().map(|turn| turn["content"][0]["id"].clone()).collect();
    assert_eq!(ids[1], "call_0");
    assert_eq!(ids[5], "vdm1_00_functions-df-c0", "readable, and the same wherever it stands");
    for made_up in [3, 7, 9] {
        assert!(ids[made_up].as_str().unwrap().starts_with("toolu_"), "{ids:?}");
    }
    assert_eq!(sent, messages(json!(history)), "the same every time, for the upstream's cache");
}

#[test]
fn neighbours_merge_and_what_is_empty_disappears() {
    let sent = messages(json!([
        {"role": "user", "content": "a", "name": "Bob"},
        {"role": "user", "content": [text(""), text("b")]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": null},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": [text("d"), {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": null, "refusal": "never", "reasoning_content": "hm", "audio": null},
        {"role": "user", "content": " "},
        {"role": "user", "content": "e"},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("a"), text("b"), text("c")]},
            {"role": "assistant", "content": [text("d"), text("no"), text("never")]},
            {"role": "user", "content": [text("e")]},
        ])
    );
}

#[test]
fn a_conversation_begins_with_the_user() {
    let nobody = json!({"role": "user", "content": [text("(no user message)")]});
    let sent = messages(json!([{"role": "assistant", "content": "hello \n"}]));
    assert_eq!(sent, json!([nobody, {"role": "assistant", "content": [text("hello")]}]));
    for empty in [json!([{"role": "system", "content": "s"}]), json!([{"role": "user", "content": ""}])] {
        assert_eq!(messages(empty), json!([nobody]));
    }
}

#[test]
fn a_reply_is_not_begun_with_white_space_at_its_end() {
    let user = json!({"role": "user", "content": "q"});
    let last = |turns: &[Value]| {
        let sent = messages(json!([std::slice::from_ref(&user), turns].concat()));
        sent.as_array().unwrap().last().unwrap()["content"].clone()
    };
    let assistant = |content: Value| json!({"role": "assistant", "content": content});
    let mark = json!({"type": "ephemeral"});
    let marked = |said: &str| json!({"type": "text", "text": said, "cache_control": mark});
    for (turns, expected) in [
        (vec![assistant(json!("a \n"))], json!([text("a")])),
        (vec![assistant(json!([text("a \n")]))], json!([text("a")])),
        (vec![assistant(json!([text("a "), text("b\t\u{a0}\u{3000}")]))], json!([text("a "), text("b")])),
        (vec![assistant(json!([text("a "), text(" \n"), text("")]))], json!([text("a")])),
        (vec![assistant(json!([marked("a\u{c}")]))], json!([marked("a")])),
        (vec![assistant(json!("a ")), assistant(json!(null))], json!([text("a")])),
        (vec![assistant(json!("a ")), assistant(json!([text("b ")]))], json!([text("a "), text("b")])),
        (
            vec![json!({"role": "assistant", "content": "a ", "refusal": "no "})],
            json!([text("a "), text("no")]),
        ),
        (vec![assistant(json!("a\\ ")), json!({"role": "system", "content": "s"})], json!([text("a\\")])),
    ] {
        assert_eq!(last(&turns), expected, "{turns:?}");
    }
    let inside = [assistant(json!("a ")), json!({"role": "user", "content": "go on "})];
    let sent = messages(json!([std::slice::from_ref(&user), &inside[..]].concat()));
    assert_eq!((&sent[1]["content"], &sent[2]["content"]), (&json!([text("a ")]), &json!([text("go on ")])));
}

#[test]
fn what_only_a_user_may_show_moves_out_of_the_assistants_message() {
    let image = json!({"type": "image_url", "image_url": {"url": PNG}});
    let file = json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x"}});
    let source = |kind: &str, data: &str| json!({"type": "base64", "media_type": kind, "data": data});
    let (shown, document) = (
        json!({"type": "image", "source": source("image/png", "AA==")}),
        json!({"type": "document", "source": source("application/pdf", "JVBERi0x")}),
    );
    let sent = messages(json!([
        {"role": "user", "content": "draw"},
        {"role": "assistant", "content": [text("Here:"), image, file], "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "assistant", "content": [file]},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("draw"), shown, document]},
            {"role": "assistant", "content": [text("Here:"), tool_use("a", json!({}))]},
            {"role": "user", "content": [result("a", json!("r")), document]},
        ])
    );
}

fn custom_tool(name: &str, format: Value) -> Value {
    json!({"type": "custom", "custom": {"name": name, "description": "d", "format": format}})
}

#[test]
fn a_custom_tool_becomes_a_function_with_one_string() {
    let grammar = |syntax: &str, definition: &str| json!({"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}});
    let expected = |description: &str| {
        json!({"name": "patch", "description": "d", "input_schema": {"type": "object",
            "properties": {"input": {"type": "string", "description": description}},
            "required": ["input"], "additionalProperties": false}})
    };
    for (format, description) in [
        (json!(null), "The tool's input as plain text."),
        (json!({"type": "text"}), "The tool's input as plain text."),
        (
            grammar("lark", "start: \"a\"\n"),
            "The tool's input as plain text. It must match this Lark grammar:\n\nstart: \"a\"\n",
        ),
        (
            grammar("regex", "^\\d+$"),
            "The tool's input as plain text. It must match this regular expression:\n\n^\\d+$",
        ),
    ] {
        let sent = with(json!({"tools": [custom_tool("patch", format), tool("f")]}));
        assert_eq!(sent["tools"][0], expected(description));
        assert_eq!(sent["tools"][1]["name"], "f");
    }
    for (tool, message) in [
        (json!({"type": "custom"}), "tools.0.custom: field required"),
        (json!({"type": "custom", "custom": {}}), "tools.0.custom.name: field required"),
        (custom_tool("p", json!({"type": "json"})), "tools.0.custom.format.type: must be text or grammar"),
        (custom_tool("p", json!({"type": "grammar"})), "tools.0.custom.format.grammar: field required"),
        (
            custom_tool("p", grammar("ebnf", "a")),
            "tools.0.custom.format.grammar.syntax: must be lark or regex",
        ),
        (custom_tool("p", grammar("lark", " ")), "tools.0.custom.format.grammar.definition: field required"),
    ] {
        assert_eq!(refusal(json!({"tools": [tool]})), message);
    }
}

#[test]
fn custom_calls_and_the_choice_of_a_custom_tool_are_carried_over() {
    let input = "*** Begin \"Patch\"\n\\ é 🌹";
    let called = |id: &str, input: Value| json!({"id": id, "type": "custom", "custom": {"name": "patch", "input": input}});
    let used = |id: &str, input: &str| json!({"type": "tool_use", "id": id, "name": "patch", "input": {"input": input}});
    let named = json!({"type": "custom", "custom": {"name": "patch"}});
    let sent = with(json!({"tools": [custom_tool("patch", json!(null)), tool("f")], "tool_choice": named,
    "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls":
            [called("a", json!(input)), call("b", "{}"), called("c", json!(null)), called("d", json!({"x": 1}))]},
        {"role": "tool", "tool_call_id": "a", "content": "ra"},
        {"role": "tool", "tool_call_id": "b", "content": "rb"},
        {"role": "tool", "tool_call_id": "c", "content": "rc"},
        {"role": "tool", "tool_call_id": "d", "content": "rd"},
    ]}));
    assert_eq!(
        sent["messages"][1]["content"],
        json!([used("a", input), tool_use("b", json!({})), used("c", ""), used("d", "{\"x\":1}")])
    );
    assert_eq!(sent["messages"][2]["content"][0], result("a", json!("ra")));
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "patch"}));

    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}});
    let sent = with(json!({"tools": [tool("f"), custom_tool("patch", json!(null))], "tool_choice": allowed}));
    assert_eq!((sent["tools"].as_array().unwrap().len(), &sent["tools"][0]["name"]), (1, &json!("patch")));
    assert_eq!(sent["tool_choice"], json!({"type": "any"}));

    for (fields, message) in [
        (json!({"tool_choice": {"type": "custom"}}), "tool_choice.custom.name: field required"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"input": "x"}}]}]}),
            "messages.0.tool_calls.0.custom.name: field required",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn tools_keep_their_schemas() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]});
    let sent = with(json!({"tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": false}},
        {"type": "function", "function": {"name": "g", "description": "", "parameters": null, "strict": null}},
        {"function": {"name": "h", "parameters": {}}},
        {"type": "function", "function": {"name": "i", "parameters": {"properties": {}}}},
        {"type": "web_search"},
    ]}));
    let empty = json!({"type": "object", "properties": {}});
    assert_eq!(
        sent["tools"],
        json!([
            {"name": "f", "description": "d", "input_schema": schema, "strict": false},
            {"name": "g", "input_schema": empty},
            {"name": "h", "input_schema": empty},
            {"name": "i", "input_schema": empty},
        ])
    );
    assert_eq!(sent.get("tool_choice"), None);
}

#[test]
fn schemas_of_strict_tools_have_what_anthropic_supports() {
    let limited = json!({"type": "integer", "minimum": 1});
    let whole = json!({"type": "object", "properties": {"a": limited}});
    let reduced = json!({"type": "object",
        "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}}, "additionalProperties": false});
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let referring = json!({"$ref": "#/$defs/w", "$defs": {"w": whole}});
    let mut referred = reduced.clone();
    referred["$defs"] = json!({"w": reduced});
    for (parameters, expected) in [
        (whole.clone(), reduced.clone()),
        (json!({"properties": {"a": limited}}), reduced.clone()),
        (json!({}), closed.clone()),
        (json!(null), closed),
        // The top stays an object.
        (json!({"anyOf": [whole]}), reduced),
        (referring, referred),
    ] {
        let function = json!({"name": "f", "parameters": parameters, "strict": true});
        let sent = with(json!({"tools": [{"type": "function", "function": function}]}));
        let expected = json!([{"name": "f", "input_schema": expected, "strict": true}]);
        assert_eq!(sent["tools"], expected, "{parameters}");
        assert_eq!(with(json!({"functions": [function]}))["tools"], expected, "{parameters}");
    }
    let open = json!({"name": "f", "parameters": whole, "strict": false});
    let sent = with(json!({"tools": [{"type": "function", "function": open}]}));
    assert_eq!(sent["tools"][0]["input_schema"], whole, "without strict nothing is refused");
}

#[test]
fn the_choice_among_tools_is_carried_over() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, parallel, expected) in [
        (json!("auto"), json!(null), json!({"type": "auto"})),
        (json!("none"), json!(false), json!({"type": "none"})),
        (json!("required"), json!(true), json!({"type": "any"})),
        (json!("required"), json!(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (named.clone(), json!(null), json!({"type": "tool", "name": "f"})),
        (named, json!(false), json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true})),
        (json!(null), json!(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (json!(null), json!(true), json!(null)),
    ] {
        let mut fields =
            json!({"tool_choice": choice, "parallel_tool_calls": parallel, "tools": [tool("f")]});
        assert_eq!(with(fields.clone())["tool_choice"], expected);
        if choice.is_string() {
            fields["tools"] = json!([]);
            assert_eq!(with(fields).get("tool_choice"), None, "there is nothing to choose from");
        }
    }
}

#[test]
fn of_allowed_tools_the_upstream_is_told_alone() {
    let allowed = |mode: &str, names: &[&str]| {
        let tools: Vec<_> =
            names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        json!({"tools": [tool("a"), tool("b"), tool("c")],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}})
    };
    for (mode, kind) in [("auto", "auto"), ("required", "any")] {
        let sent = with(allowed(mode, &["c", "a"]));
        let names: Vec<_> =
            sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
        assert_eq!((names, &sent["tool_choice"]), (vec![json!("a"), json!("c")], &json!({"type": kind})));
    }
    for (fields, message) in [
        (allowed("auto", &["z"]), "tool_choice.allowed_tools.tools: no function in tools has this name"),
        (allowed("auto", &[]), "tool_choice.allowed_tools.tools: at least one tool is required"),
        (allowed("never", &["a"]), "tool_choice.allowed_tools.mode: must be auto or required"),
        (
            json!({"tools": [tool("a")], "tool_choice": {"type": "allowed_tools"}}),
            "tool_choice.allowed_tools: field required",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn json_of_any_shape_is_left_to_the_prompt() {
    let sent = with(json!({"response_format": {"type": "json_object"}}));
    assert_eq!(sent.get("output_config"), None);
}

#[test]
fn a_history_with_calls_has_tools_even_if_the_client_has_none_left() {
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
    ]);
    let sent = with(json!({"messages": history}));
    assert_eq!(sent["tools"], json!([{"name": "f", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "none"}));
}

#[test]
fn functions_from_before_there_were_tools_are_tools() {
    let sent = with(json!({
        "functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": {"name": "f"},
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"x\":1}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
    }));
    assert_eq!(sent["tools"], json!([{"name": "f", "input_schema": {"type": "object"}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}));
    let id = sent["messages"][1]["content"][0]["id"].clone();
    assert_eq!(sent["messages"][1]["content"], json!([tool_use(id.as_str().unwrap(), json!({"x": 1}))]));
    assert_eq!(sent["messages"][2]["content"], json!([result(id.as_str().unwrap(), json!("r"))]));
}

#[test]
fn what_cannot_be_translated_is_refused_by_its_path() {
    for (fields, message) in [
        (json!({"n": 2}), "n: an Anthropic-format provider gives one answer, so it must be 1"),
        (json!({"max_tokens": 0}), "max_tokens: must be at least 1"),
        (json!({"max_completion_tokens": -1}), "max_completion_tokens: must be at least 1"),
        (json!({"max_tokens": "9"}), "max_tokens: must be an integer"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (json!({"stop": [1]}), "stop: must be a string or an array of strings"),
        (
            json!({"reasoning_effort": "extreme"}),
            "reasoning_effort: must be default, none, minimal, low, medium, high, xhigh or max",
        ),
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": [{"content": "x"}]}), "messages.0.role: field required"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages.0.role: must be system, developer, user, assistant or tool",
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages.0.content: must be a string or an array of content parts",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}),
            "messages.0.content.0: only text parts are supported here",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}]}),
            "messages.0.tool_calls.0.function.name: field required",
        ),
        (json!({"tools": [{"type": "function"}]}), "tools.0.function: field required"),
        (json!({"tools": [{"function": {}}]}), "tools.0.function.name: field required"),
        (
            json!({"tools": [{"function": {"name": "f", "parameters": []}}]}),
            "tools.0.function.parameters: must be an object",
        ),
        (
            json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name: no function in tools has this name",
        ),
        (json!({"tool_choice": "maybe"}), "tool_choice: must be none, auto, required or name a function"),
        (json!({"tool_choice": 1}), "tool_choice: must be none, auto, required or name a function"),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn a_part_that_cannot_be_translated_is_refused_by_its_path() {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (fields, message) in [
        (user(json!({"text": "x"})), "messages.0.content.0.type: field required"),
        (
            user(json!({"type": "input_audio", "input_audio": {}})),
            "messages.0.content.0: an input_audio part is not supported by an Anthropic-format provider",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "ftp://x"}})),
            "messages.0.content.0.image_url.url: must be an http(s) URL or a base64 data URL",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:image/png,raw"}})),
            "messages.0.content.0.image_url.url: must be an http(s) URL or a base64 data URL",
        ),
        (
            user(json!({"type": "file", "file": {"file_id": "file-1"}})),
            "messages.0.content.0.file.file_data: field required; a file_id means nothing here",
        ),
        (
            user(json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}})),
            "messages.0.content.0.file.file_data: only PDF files and images are supported by this provider",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn a_refusal_never_repeats_the_prompt() {
    const SECRET: &str = "s3cret, expected nothing";
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for fields in [
        json!({"messages": SECRET}),
        json!({"messages": [SECRET]}),
        json!({"messages": [{"role": SECRET}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [SECRET]}]}),
        json!({"stream": SECRET}),
        json!({"stream_options": SECRET}),
        json!({"reasoning_effort": SECRET}),
        json!({"response_format": SECRET}),
        json!({"tools": [SECRET]}),
        json!({"tool_choice": SECRET}),
        json!({"n": SECRET}),
        user(json!(SECRET)),
        user(json!({"type": SECRET})),
        user(json!({"type": "image_url", "image_url": SECRET})),
        user(json!({"type": "file", "file": SECRET})),
    ] {
        let message = refusal(fields);
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn deep_nesting_is_carried_without_recursion() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"tools":[{{"function":{{"name":"f","parameters":{{"x":{deep}}}}}}}],"messages":[{{"role":"assistant",
        "tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{\"y\":{deep}}}"}}}}]}}]}}"#
    );
    let target = Target { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent = request(body.as_bytes(), &target).unwrap().body;
    assert!(sent.len() > 400_000);
}

fn history() -> impl Strategy<Value = Vec<Value>> {
    let content = prop_oneof![Just(json!("t")), Just(json!("")), Just(json!(null)), Just(json!([text("t")]))];
    let user = content.clone().prop_map(|content| json!({"role": "user", "content": content}));
    let id =
        prop_oneof![(0..4).prop_map(|id| json!(format!("c{id}"))), Just(json!("c.0")), Just(json!(null))];
    let calls = prop::collection::vec(id.clone(), 0..4).prop_map(|ids| {
        let call = |id| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        ids.into_iter().map(call).collect::<Vec<_>>()
    });
    let assistant = (content.clone(), calls)
        .prop_map(|(content, calls)| json!({"role": "assistant", "content": content, "tool_calls": calls}));
    let tool = id.prop_map(|id| json!({"role": "tool", "tool_call_id": id, "content": "r"}));
    let system = Just(json!({"role": "system", "content": "s"}));
    let turn = prop_oneof![2 => user, 3 => assistant, 4 => tool, 1 => system];
    prop::collection::vec(turn, 1..12).prop_map(|mut turns| {
        turns.push(json!({"role": "user", "content": "last"}));
        turns
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_comes_out_in_an_order_that_anthropic_accepts_and_complete(history in history()) {
        let sent = messages(json!(history));
        check_turns(&sent);
        let sent = sent.to_string();
        let count = |text: &str| history.iter().map(|turn| turn.to_string().matches(text).count()).sum::<usize>();
        // A result stands in a block of its own or, as an orphan, in a text.
        let results = sent.matches(r#""content":"r""#).count() + sent.matches("[tool result ").count();
        prop_assert_eq!(results, count(r#""role":"tool""#));
        prop_assert_eq!(sent.matches(r#""type":"tool_use""#).count(), count(r#""name":"f""#));
    }
}
