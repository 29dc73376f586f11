//! Random Messages requests of every kind of content, against the properties of both upstream codecs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use vandamme_protocol::signature;

fn text() -> impl Strategy<Value = String> {
    select(vec!["", " ", "\n", "a", "Error: no", "é\"\\", "\u{1F600}", "x-anthropic-billing-header: x"])
        .prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = String> {
    let long = "x".repeat(80);
    select(vec![
        "c0".to_owned(),
        "c1".into(),
        "c1_2".into(),
        "functions.f:1".into(),
        String::new(),
        "é".into(),
        long,
    ])
}

fn name() -> impl Strategy<Value = String> {
    let long = format!("mcp__{}", "y".repeat(80));
    select(vec!["f".to_owned(), "g".into(), "a b".into(), "a.b".into(), long])
}

fn mark() -> impl Strategy<Value = Value> {
    select(vec![json!(null), json!({"type": "ephemeral"}), json!({"type": "ephemeral", "ttl": "1h"})])
}

/// A picture, a document, or a search result.
fn media() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
        json!({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}),
        json!({"type": "document", "title": "t", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}),
        json!({"type": "document", "context": "c", "source": {"type": "text", "data": "d"}}),
        json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "d"}]}}),
        json!({"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]}),
        json!({"type": "odd_block"}),
    ])
}

fn of_user() -> impl Strategy<Value = Value> {
    let text_block = || text().prop_map(|text| json!({"type": "text", "text": text}));
    let content = prop_oneof![
        text().prop_map(Value::from),
        vec(prop_oneof![text_block(), media()], 0..3).prop_map(Value::from),
        Just(json!(null)),
    ];
    let result = (id(), content, any::<bool>(), mark()).prop_map(|(id, content, is_error, mark)| {
        json!({"type": "tool_result", "tool_use_id": id, "content": content, "is_error": is_error, "cache_control": mark})
    });
    prop_oneof![3 => result, 2 => (text(), mark()).prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark})),
        1 => media()]
}

fn of_assistant() -> impl Strategy<Value = Value> {
    let thought = (0..3, text(), any::<bool>()).prop_map(|(number, thinking, is_own)| {
        let mut sealed = signature::mint("p", if is_own { "up/m" } else { "gpt-6.1-sol" });
        let load = json!({"id": format!("rs_{number}"), "encrypted_content": "e"}).to_string();
        signature::carry(&mut sealed, load.as_bytes());
        json!({"type": "thinking", "thinking": thinking, "signature": sealed})
    });
    let server = select(vec![
        json!({"type": "compaction", "content": "sum"}),
        json!({"type": "redacted_thinking", "data": "x"}),
        json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}),
        json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
    ]);
    prop_oneof![
        3 => (id(), name()).prop_map(|(id, name)| json!({"type": "tool_use", "id": id, "name": name, "input": {"a": 1}})),
        3 => text().prop_map(|text| json!({"type": "text", "text": text})),
        3 => thought,
        1 => server,
        1 => media(),
    ]
}

fn turn() -> impl Strategy<Value = Value> {
    let say = |role: &'static str, text: String| json!({"role": role, "content": text});
    let change = prop_oneof![
        name().prop_map(
            |name| json!({"type": "tool_addition", "tool": {"type": "tool_reference", "name": name}})
        ),
        name().prop_map(
            |name| json!({"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}})
        ),
        (text(), mark())
            .prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark})),
    ];
    prop_oneof![
        4 => vec(of_user(), 0..4).prop_map(|blocks| json!({"role": "user", "content": blocks})),
        4 => vec(of_assistant(), 0..6).prop_map(|blocks| json!({"role": "assistant", "content": blocks})),
        1 => text().prop_map(move |text| say("user", text)),
        1 => text().prop_map(move |text| say("assistant", text)),
        1 => vec(change, 0..3).prop_map(|blocks| json!({"role": "system", "content": blocks})),
    ]
}

fn tool() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (name(), any::<bool>(), any::<bool>()).prop_map(|(name, strict, deferred)| {
            json!({"name": name, "input_schema": {"type": "object"}, "strict": strict, "defer_loading": deferred})
        }),
        1 => select(vec![
            json!({"type": "bash_20250124", "name": "bash"}),
            json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "blocked_domains": ["b.c"]}),
            json!({"type": "web_fetch_20250910", "name": "web_fetch"}),
            json!({"type": "code_execution_20250825", "name": "code_execution"}),
        ]),
    ]
}

fn settings() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        json!({"thinking": {"type": "disabled"}, "temperature": 0.5, "top_k": 3}),
        json!({"tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
        json!({"tool_choice": {"type": "tool", "name": "f"}}),
        json!({"tool_choice": {"type": "tool", "name": "web_search"}}),
        json!({"tool_choice": {"type": "none"}}),
        json!({"output_format": {"type": "json_schema", "schema": {"type": "object"}}, "stream": true}),
        json!({"metadata": {"user_id": "u_session_0b4a"}, "seed": 1, "response_format": {"type": "json_object"}}),
    ])
}

fn request() -> impl Strategy<Value = Value> {
    let system = prop_oneof![
        text().prop_map(Value::from),
        vec((text(), mark()), 0..3).prop_map(|blocks| {
            let blocks = blocks.into_iter();
            blocks.map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark})).collect()
        })
    ];
    (vec(turn(), 1..8), vec(tool(), 0..4), system, settings()).prop_map(|(turns, tools, system, settings)| {
        let mut body = json!({"max_tokens": 9, "messages": turns, "tools": tools, "system": system});
        if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), settings) {
            body.extend(settings);
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement: whatever a client sends, the translated request is one that the upstream's API accepts, and no text is lost.
    #[test]
    fn any_request_is_translated_by_the_rules_of_its_upstream(request in request()) {
        let body = request.to_string();
        crate::responses_request::check(body.as_bytes());
        crate::request::check(body.as_bytes());
    }
}
