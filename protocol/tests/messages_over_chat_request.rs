//! Requests of the Messages API as a Chat Completions upstream gets them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "properties/order.rs"]
mod order;

use order::check_order;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::upstream::chat::{ChatRequest, Dialect, PLAIN, Reasoning, Target, request},
    signature,
    tool_id::{self, Maker},
    vocabulary::Delivery,
};

const TARGET: Target<'_> =
    Target { provider: "p", model: "up/m", requested_model: "p:m", dialect: &PLAIN, session: None };

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

/// The same through an upstream of these ways.
fn through(dialect: &Dialect, fields: Value) -> Value {
    let translated = request(plus(fields).to_string().as_bytes(), &Target { dialect, ..TARGET });
    serde_json::from_slice(&translated.unwrap().body).unwrap()
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
fn a_system_turn_stays_at_its_place_and_is_told_by_the_user_where_only_the_first_may_be_one() {
    let turns = json!([
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "note", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "other"},
        {"role": "user", "content": "c"},
    ]);
    let roles = |sent: &Value| -> Vec<String> {
        let sent = sent.as_array().unwrap().iter();
        sent.map(|message| message["role"].as_str().unwrap().to_owned()).collect()
    };
    let anywhere = Dialect { system_anywhere: true, ..Dialect::default() };
    let sent = through(&anywhere, json!({"messages": turns}))["messages"].take();
    assert_eq!(roles(&sent), ["user", "system", "assistant", "system", "user"]);
    assert_eq!(sent[1]["content"], "note");
    let sent = messages(turns);
    assert_eq!(roles(&sent), ["user", "user", "assistant", "user", "user"]);
    assert_eq!(sent[1]["content"], "<system-reminder>\nnote\n</system-reminder>");
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
            {"role": "user", "content": "<system-reminder>\nnote\n</system-reminder>"},
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
fn calls_that_share_an_id_in_one_turn_are_told_apart_and_answered_in_order() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |text: &str| json!({"type": "tool_result", "tool_use_id": "c", "content": text});
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [call("c"), call("c"), call("c_2"), call("c")]},
        {"role": "user", "content": [result("one"), result("two"), result("three"), result("four")]},
    ]));
    check_order(&sent);
    let told: Vec<_> = (2..6).map(|at| json!([sent[at]["tool_call_id"], sent[at]["content"]])).collect();
    let nothing = &sent[4]["content"];
    assert_eq!(
        told,
        [json!(["c", "one"]), json!(["c_3", "two"]), json!(["c_2", nothing]), json!(["c_4", "three"])]
    );
    assert_eq!(sent[6]["content"], "[tool result c] four");
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
    let sent =
        messages(json!([{"role": "user", "content": "x"}, call, {"role": "system", "content": "note"}]));
    check_order(&sent);
    assert_eq!(sent[2]["role"], "tool");
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
fn blocks_of_anthropics_own_tools_are_text_in_a_history() {
    let sent = messages(json!([
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "found"},
        ]},
        {"role": "user", "content": "ok"},
    ]));
    let text = "[Used web_search: {}]\n\n[Result of web_search]\nnothing\n\nfound";
    assert_eq!(sent[0], json!({"role": "assistant", "content": text}));
}

#[test]
fn tools_become_functions_with_their_schema_unchanged() {
    let schema = json!({"$schema": "x", "type": "object", "properties": {"p": {"type": "string"}}});
    let chat = with(json!({"tools": [
        {"name": "Read", "description": "reads", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "name": "Web", "input_schema": {}, "eager_input_streaming": true, "strict": true},
        {"name": " ", "input_schema": {}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]}));
    assert_eq!(
        chat["tools"],
        json!([
            {"type": "function", "function": {"name": "Read", "description": "reads", "parameters": schema}},
            {"type": "function", "function": {"name": "Web", "description": "", "parameters": {}, "strict": false}},
        ])
    );
    assert!(chat["tool_choice"].is_null());
}

#[test]
fn schemas_of_tools_get_what_openai_requires_and_nothing_else() {
    let schema =
        json!({"type": "object", "properties": {"list": {"type": "array"}, "map": {"type": "object"}}});
    let chat = with(json!({"tools": [
        {"name": "a", "input_schema": {"type": "object"}},
        {"name": "b", "input_schema": schema},
    ]}));
    let schemas: Vec<_> = (0..2).map(|at| &chat["tools"][at]["function"]["parameters"]).collect();
    assert_eq!(schemas[0], &json!({"type": "object", "properties": {}}));
    let inside = json!({"list": {"type": "array", "items": {}}, "map": {"type": "object", "properties": {}}});
    assert_eq!(schemas[1], &json!({"type": "object", "properties": inside}));
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
        (json!([f, search]), json!({"type": "auto"}), json!("auto")),
        (json!([search]), json!({"type": "none", "disable_parallel_tool_use": true}), json!(null)),
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
            json!({"messages": [{"role": "user", "content": [{"type": "no word"}]}]}),
            "messages.0.content.0.type: no content block has this type",
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

#[test]
fn documents_become_files_or_text() {
    let sent = messages(json!([{"role": "user", "content": [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a.pdf"},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain\ntext"}, "title": "T", "context": "C"},
        {"type": "document", "source": {"type": "content", "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]}},
        {"type": "search_result", "source": "https://x", "title": "R", "content": [{"type": "text", "text": "found"}]},
    ]}]));
    assert_eq!(
        sent[0]["content"],
        json!([
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "text", "text": "<title>T</title>\n<context>C</context>\nplain\ntext"},
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "text", "text": "<title>R</title>\n<source>https://x</source>\nfound"},
        ])
    );
}

#[test]
fn documents_that_a_tool_returned_follow_its_message() {
    let sent = messages(json!([
        {"role": "user", "content": "read"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "Read", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            {"type": "search_result", "source": "s", "title": "R", "content": [{"type": "text", "text": "found"}]}]},
            {"type": "text", "text": "and?"}]},
    ]));
    let told = "[document attached below]\n<title>R</title>\n<source>s</source>\nfound";
    assert_eq!(sent[2], json!({"role": "tool", "tool_call_id": "c", "content": told}));
    assert_eq!(sent[3]["content"][0]["text"], "Document returned by tool Read (c)");
    assert_eq!(sent[3]["content"][1]["type"], "file");
    assert_eq!(sent[4], json!({"role": "user", "content": "and?"}));
}

#[test]
fn documents_that_cannot_be_shown_are_refused_by_their_path() {
    for (source, part) in [
        (json!({"type": "url", "url": "https://x/a.pdf"}), "messages.0.content.0.source.type"),
        (json!({"type": "file", "file_id": "f"}), "messages.0.content.0.source.type"),
        (json!({"type": "base64", "media_type": "text/csv", "data": "x"}), "source.media_type"),
        (json!({"type": "base64"}), "source.data"),
        (json!({"type": "content", "content": [{"type": "video"}]}), "source.content.0.type"),
        (json!({"type": "odd"}), "source.type"),
        (json!(null), "source"),
    ] {
        let message = refusal(
            json!({"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}),
        );
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn tool_names_are_the_same_wherever_they_stand() {
    let long = format!("mcp__server__{}", "x".repeat(70));
    let sent = with(json!({
        "tools": [{"name": long, "input_schema": {}}, {"name": "a.b", "input_schema": {}}, {"name": "a_b", "input_schema": {}}],
        "tool_choice": {"type": "tool", "name": long},
        "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": long, "input": {}},
                {"type": "tool_use", "id": "d", "name": "gone tool", "input": {}}]},
            {"role": "user", "content": "go on"}]}));
    let name = |value: &Value| value["function"]["name"].as_str().unwrap().to_owned();
    let short = name(&sent["tools"][0]);
    assert!(short.len() == 64 && short.starts_with("mcp__server__xxx"), "{short}");
    assert_eq!(name(&sent["tool_choice"]), short);
    assert_eq!(name(&sent["messages"][1]["tool_calls"][0]), short);
    assert_eq!(name(&sent["messages"][1]["tool_calls"][1]), "gone_tool");
    assert_eq!(name(&sent["tools"][2]), "a_b");
    assert!(name(&sent["tools"][1]).starts_with("a_b_"));
    let plain = Dialect { plain_tool_names: true, ..Dialect::default() };
    let sent = through(&plain, json!({"tools": [{"name": "get-weather", "input_schema": {}}]}));
    assert_eq!(name(&sent["tools"][0]), "get_weather");
}

#[test]
fn tools_that_anthropic_defined_and_the_client_runs_get_a_schema() {
    let sent = with(json!({"tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "memory_20250818", "name": "memory"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600},
        {"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "bash"}}));
    let tools = sent["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bash", "str_replace_based_edit_tool", "memory", "computer"]);
    assert!(tools.iter().all(|tool| tool["function"]["parameters"]["type"] == "object"));
    assert!(tools[3]["function"]["description"].as_str().unwrap().contains("800 x 600"));
    assert_eq!(sent["tool_choice"]["function"]["name"], "bash");
}

#[test]
fn a_deferred_tool_is_there_once_it_was_found_called_or_forced() {
    let tools = json!([
        {"name": "Search", "input_schema": {}},
        {"name": "found", "input_schema": {}, "defer_loading": true},
        {"name": "called", "input_schema": {}, "defer_loading": true},
        {"name": "hidden", "input_schema": {}, "defer_loading": true}]);
    let turns = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "s", "name": "Search", "input": {}},
            {"type": "tool_use", "id": "c", "name": "called", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "s",
            "content": [{"type": "tool_reference", "tool_name": "found"}]},
            {"type": "tool_result", "tool_use_id": "c", "content": "ok"}]}]);
    let names = |sent: &Value| -> Vec<String> {
        let tools = sent["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&with(json!({"tools": tools, "messages": turns}))), ["Search", "found", "called"]);
    assert_eq!(names(&with(json!({"tools": tools}))), ["Search"]);
    let forced = json!({"tools": tools, "tool_choice": {"type": "tool", "name": "hidden"}});
    assert_eq!(names(&with(forced)), ["Search", "hidden"]);
    let mut searched = tools.as_array().unwrap().clone();
    searched.push(json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}));
    assert_eq!(names(&with(json!({"tools": searched}))).len(), 4, "nobody else could find them");
}

#[test]
fn calls_of_tools_that_are_not_listed_get_stubs_that_must_not_be_called() {
    let turns = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "T", "input": {}},
            {"type": "tool_use", "id": "b", "name": "T", "input": {}}]},
        {"role": "user", "content": "sum up"}]);
    for tools in
        [json!(null), json!([]), json!([{"type": "code_execution_20250825", "name": "code_execution"}])]
    {
        let sent = with(json!({"messages": turns, "tools": tools}));
        assert_eq!(sent["tools"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&sent["tools"][0]["function"]["name"], &sent["tool_choice"]),
            (&json!("T"), &json!("none"))
        );
    }
}

#[test]
fn the_form_of_the_answer_is_carried_over() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    let expected =
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": schema, "strict": true}});
    for fields in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        assert_eq!(with(fields)["response_format"], expected);
    }
    assert!(refusal(json!({"output_format": {"type": "grammar"}})).contains("output_config.format.type"));
    assert!(
        refusal(json!({"output_format": {"type": "json_schema"}})).contains("output_config.format.schema")
    );
}

#[test]
fn only_models_that_reason_are_told_how_much() {
    let fields = json!({"thinking": {"type": "enabled", "budget_tokens": 20000}, "output_config": {"effort": "xhigh"}});
    let of = |reasoning, models: &[&str]| Dialect {
        reasoning,
        reasoning_models: models.iter().map(|&model| model.to_owned()).collect(),
        ..Dialect::default()
    };
    assert!(with(fields.clone()).get("reasoning_effort").is_none());
    assert!(through(&of(Reasoning::Effort, &["gpt-5*"]), fields.clone()).get("reasoning_effort").is_none());
    let effort = through(&of(Reasoning::Effort, &["m"]), fields.clone());
    assert_eq!(effort["reasoning_effort"], "high");
    assert!(effort.get("thinking").is_none() && effort.get("reasoning").is_none());
    assert_eq!(
        through(&of(Reasoning::Nested, &["up/*"]), fields.clone())["reasoning"],
        json!({"effort": "high"})
    );
    assert_eq!(through(&of(Reasoning::Switch, &["*"]), fields)["thinking"], json!({"type": "enabled"}));
    let off = json!({"thinking": {"type": "disabled"}});
    assert_eq!(through(&of(Reasoning::Switch, &["*"]), off.clone())["thinking"], json!({"type": "disabled"}));
    assert!(through(&of(Reasoning::Effort, &["*"]), off).get("reasoning_effort").is_none());
}

#[test]
fn a_limit_is_raised_and_lowered_where_the_configuration_says_so() {
    let bounded = Dialect { fewest_tokens: Some(100), most_tokens: Some(4096), ..Dialect::default() };
    for (asked, bounded_to) in [(1, 100), (100, 100), (500, 500), (4096, 4096), (32_000, 4096)] {
        let fields = json!({"max_tokens": asked});
        assert_eq!(through(&bounded, fields.clone())["max_tokens"], bounded_to, "{asked}");
        assert_eq!(with(fields)["max_tokens"], asked, "nobody asked for bounds");
    }
}

#[test]
fn what_a_provider_is_declared_to_take_it_gets() {
    let fields = json!({"top_k": 7, "metadata": {"user_id": "u".repeat(65)}, "max_tokens": 5,
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "T", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "cache_control": {"type": "ephemeral"}}]}]});
    let dialect = Dialect {
        cache_control: true,
        top_k: true,
        user_fields: vec!["user".into(), "prompt_cache_key".into()],
        web_search: Some("\"web_search_options\":{}".into()),
        fewest_tokens: Some(16),
        most_tokens: Some(4096),
        ..Dialect::default()
    };
    let sent = through(&dialect, fields.clone());
    assert_eq!(
        (&sent["top_k"], &sent["max_tokens"], &sent["web_search_options"]),
        (&json!(7), &json!(16), &json!({}))
    );
    let user = sent["user"].as_str().unwrap();
    assert!(user.len() == 64 && user != "u".repeat(64) && sent["prompt_cache_key"] == user, "{user}");
    let marked = |text: &str, mark: Value| json!([{"type": "text", "text": text, "cache_control": mark}]);
    assert_eq!(sent["messages"][0]["content"], marked("s", json!({"type": "ephemeral"})));
    assert_eq!(sent["messages"][1]["content"], marked("a", json!({"type": "ephemeral", "ttl": "1h"})));
    assert_eq!(sent["messages"][3]["content"], marked("r", json!({"type": "ephemeral"})));
    let mut unsearched = fields;
    unsearched["tools"] = json!([]);
    let plain = with(unsearched);
    assert!(
        !plain.to_string().contains("cache_control") && plain["user"].is_null() && plain["top_k"].is_null()
    );
    assert_eq!(plain["max_tokens"], 5);
    let large = through(&dialect, json!({"max_tokens": 32000, "metadata": {"user_id": "short"}}));
    assert_eq!((&large["max_tokens"], &large["user"]), (&json!(4096), &json!("short")));
}

#[test]
fn a_turn_in_which_the_assistant_says_nothing_is_left_out() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"});
    let text = |text: &str| json!({"type": "text", "text": text});
    for nothing in [json!(""), json!(" \n"), json!([]), json!([text("")]), json!([text("\n\n"), text("\t")])]
    {
        let sent =
            messages(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": nothing},
            {"role": "user", "content": "b"}]));
        assert_eq!(
            sent,
            json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
            "{nothing}"
        );
    }
    let sent = messages(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [text("\n\n"), call]}, {"role": "user", "content": [result]}]));
    assert_eq!(sent[1]["content"], json!(null), "blank text before a call");
    assert_eq!(sent[1]["tool_calls"][0]["id"], "toolu_1");
    let sent = messages(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [text("\n"), text("b ")]}, {"role": "user", "content": "c"}]));
    assert_eq!(sent[1]["content"], "\nb ", "blank text before a text stays");
}

#[test]
fn an_id_goes_back_to_whoever_made_it_and_stays_marked_for_others() {
    const OWN: &str = "functions.f:0 \"\u{e9}\"";
    let given = tool_id::portable(OWN, Maker::new("p", "up/m")).into_owned();
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": given, "name": "f", "input": {}},
            {"type": "tool_use", "id": given, "name": "f", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": given, "content": "r"},
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"},
            {"type": "tool_result", "tool_use_id": given, "content": "r"}]}]);
    let ids = |target: &Target<'_>| {
        let body = plus(json!({"messages": history}));
        let sent: Value =
            serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap();
        check_order(&sent["messages"]);
        let calls = sent["messages"][1]["tool_calls"].as_array().unwrap();
        calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&TARGET), [OWN.to_owned(), format!("{OWN}_2"), "toolu_1".to_owned()]);
    assert_eq!(ids(&Target { model: "up/other", ..TARGET })[0], OWN, "another model of the same vendor");
    for other in [Target { provider: "q", ..TARGET }, Target { model: "anthropic/claude-opus-4.5", ..TARGET }]
    {
        assert_eq!(ids(&other), [given.clone(), format!("{given}_2"), "toolu_1".to_owned()]);
    }
}
