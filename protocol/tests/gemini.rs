//! What Gemini gets of a request, and what is remembered of its replies.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "properties/schema.rs"]
mod schema;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::gemini::{Gemini, Signatures};
use vandamme_protocol::middleware::{Chain, Memory, Middleware, MiddlewareScope};

use schema::{GEMINI, applied, check, depth, parameters, property};

/// Complaint of gateway users: Gemini refuses schemas for a keyword.
#[test]
fn the_schemas_of_real_tools_come_out_clean_and_stay_as_they_are_then() {
    let tools: Value = serde_json::from_str(include_str!("fixtures/gemini/tools.json")).unwrap();
    for (name, schema) in tools.as_object().unwrap() {
        let Some(clean) = parameters(schema) else {
            assert_eq!(name, "ExitPlanMode", "only this one takes nothing");
            continue;
        };
        check(&clean);
        assert_eq!(clean["type"], "object", "{name}");
        assert_eq!(parameters(&clean).as_ref(), Some(&clean), "{name}");
    }
}

/// Complaint of gateway users: Gemini refuses schemas for a keyword.
#[test]
fn what_a_schema_says_in_words_that_gemini_lacks_is_said_in_others() {
    for (schema, expected) in [
        (json!({"const": "a"}), json!({"type": "string", "enum": ["a"]})),
        (json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
        (json!({"type": "STRING", "format": "uri"}), json!({"type": "string"})),
        (json!({"type": "string", "format": "date-time"}), json!({"type": "string", "format": "date-time"})),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!({"type": "integer", "nullable": true}),
        ),
        (
            json!({"description": "d", "oneOf": [{"type": "string"}, {"type": "number"}]}),
            json!({"anyOf": [{"type": "string", "description": "d"}, {"type": "number"}]}),
        ),
        (
            json!({"type": ["string", "integer"], "minLength": 1, "minimum": 2}),
            json!({"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 2}]}),
        ),
        (
            json!({"oneOf": [{"const": "a"}, {"const": "b"}, {"const": "a"}]}),
            json!({"type": "string", "enum": ["a", "b"]}),
        ),
        (json!({"type": "number", "oneOf": [{"minimum": 1}]}), json!({"type": "number", "minimum": 1})),
        (
            json!({"type": "integer", "enum": [1, 2, null], "description": "How many."}),
            json!({"type": "integer", "nullable": true, "description": "How many. One of: 1, 2."}),
        ),
        (json!({"enum": ["", "a", 1]}), json!({"type": "string", "enum": ["a", "1"]})),
        (
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                             {"properties": {"b": true}, "required": ["b", "c"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                   "required": ["a", "b"]}),
        ),
        (json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}})),
        (
            json!({"type": "array", "items": [{"type": "integer"}, {"type": "integer"}], "minItems": 2.0}),
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
        ),
        (json!({"type": "object", "additionalProperties": {"type": "string"}}), json!({"type": "object"})),
        (json!({"exclusiveMinimum": 1, "type": "number", "multipleOf": 2}), json!({"type": "number"})),
        (
            json!({"properties": {"a": false, "b": {}}}),
            json!({"type": "object", "properties": {"b": {"type": "string"}}}),
        ),
        (json!(true), json!({"type": "string"})),
        (json!({"type": "null"}), json!({"type": "string", "nullable": true})),
    ] {
        assert_eq!(property(schema.clone()).unwrap(), expected, "{schema}");
        assert_eq!(property(expected.clone()).unwrap(), expected);
    }
}

/// Complaint of gateway users: Gemini refuses schemas for a keyword.
#[test]
fn references_are_resolved_and_those_that_lead_back_end_in_an_object() {
    let schema = json!({"type": "object", "properties": {"root": {"$ref": "#/$defs/no~1de", "description": "here"}},
        "$defs": {"no/de": {"type": "object", "properties": {"name": {"type": "string"},
                  "children": {"type": "array", "items": {"$ref": "#/$defs/no~1de"}}}}}});
    let root = &parameters(&schema).unwrap()["properties"]["root"];
    assert_eq!(root["description"], "here");
    assert_eq!(root["properties"]["name"], json!({"type": "string"}));
    assert_eq!(root["properties"]["children"]["items"], json!({"type": "object"}));
    for nowhere in ["#/$defs/gone", "https://example.com/schema.json", "", "#"] {
        assert_eq!(property(json!({"$ref": nowhere})).unwrap()["type"], "object", "{nowhere}");
    }
}

#[test]
fn properties_keep_their_order_and_duplicates_their_last_word() {
    let body = br#"{"tools":[{"function":{"parameters":{"properties":{"z":{},"a":{"type":"string"},"z":{"type":"integer"}}}}}]}"#;
    let applied = GEMINI.apply(Bytes::from_static(body), &Memory::new());
    let expected = br#"{"tools":[{"function":{"parameters":{"type":"object","properties":{"a":{"type":"string"},"z":{"type":"integer"}}}}}]}"#;
    assert_eq!(applied, &expected[..]);
}

#[test]
fn a_request_that_needs_nothing_is_passed_on_itself() {
    for body in [
        r#"{"model":"gemini-2.5-pro","messages":[{"role":"user","content":"hi"}], "x" : 1.50}"#,
        r#"{"tools":[{"function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]}"#,
        r#"{"messages":7,"tools":null}"#,
        "[]",
        "not json",
    ] {
        let body = Bytes::from_static(body.as_bytes());
        assert_eq!(GEMINI.apply(body.clone(), &Memory::new()).as_ptr(), body.as_ptr(), "{body:?}");
    }
}

fn called(ids: &[&str]) -> Value {
    let call =
        |id: &&str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()})
}

fn conversation(model: &str, turns: &[Value]) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    messages.extend(turns.iter().cloned());
    json!({"model": model, "messages": messages})
}

fn signature(text: &str) -> Value {
    json!({"google": {"thought_signature": text}})
}

/// What is learnt of a reply to `request`: streamed as these chunks, or whole.
fn take_facts(request: &Value, replies: &[Value]) -> Memory {
    let chain = Chain::new(vec![std::sync::Arc::new(GEMINI)], MiddlewareScope::Always);
    let mut listeners = chain.for_model("m").unwrap().reply_listener(request.to_string().as_bytes()).unwrap();
    for reply in replies {
        let body = Bytes::from(reply.to_string());
        assert_eq!(listeners.whole(body.clone()), body);
    }
    listeners.take_facts().into_iter().collect()
}

/// Requirement: Gemini: signature of call A is injected on call A in the next request; parallel call B without
/// one gets none.
/// Complaint of gateway users: Gemini loses its thought signatures.
#[test]
fn a_signature_comes_back_on_the_very_call_it_came_with() {
    let first = conversation("google/gemini-2.5-pro", &[]);
    let call = |id: &str, extra: Value| json!({"id": id, "function": {"name": "f", "arguments": "{}"}, "extra_content": extra});
    let whole = json!({"choices": [{"message": {"role": "assistant", "tool_calls": [
        call("call_a", signature("SIG-A")), call("call_b", Value::Null), call("call_c", json!({"google": {}}))]}, "finish_reason": "tool_calls"}]});
    let mut pieces: Vec<Value> = whole["choices"][0]["message"]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            // Gemini gives all of its calls the same index.
            let mut call = call.clone();
            call["index"] = json!(0);
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
        })
        .collect();
    pieces.push(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));

    for replies in [vec![whole], pieces] {
        let known = take_facts(&first, &replies);
        let next = conversation("google/gemini-2.5-pro", &[called(&["call_a", "call_b", "call_c"])]);
        assert_eq!(GEMINI.memory_keys(next.to_string().as_bytes()).len(), 3);
        let calls = applied(&next, &known)["messages"][1]["tool_calls"].clone();
        assert_eq!(calls[0]["extra_content"], signature("SIG-A"));
        assert!(
            calls[1].get("extra_content").is_none() && calls[2].get("extra_content").is_none(),
            "{calls}"
        );
        // It is not asked for again, nor set anew.
        let again = applied(&next, &known);
        assert_eq!(GEMINI.memory_keys(again.to_string().as_bytes()).len(), 2);
        assert_eq!(applied(&again, &known), again);
    }
}

#[test]
fn what_the_client_sends_beside_a_signature_is_kept() {
    let mut turn = called(&["call_a"]);
    turn["tool_calls"][0]["extra_content"] = json!({"google": {"other": 1}, "x": 2});
    let known = Memory::from([("gemini:call:call_a".to_owned(), signature("S").to_string())]);
    let call =
        applied(&conversation("gemini-2.5-flash", &[turn]), &known)["messages"][1]["tool_calls"][0].clone();
    assert_eq!(call["extra_content"], json!({"google": {"other": 1, "thought_signature": "S"}, "x": 2}));
}

#[test]
fn the_signature_of_a_text_comes_back_on_that_text() {
    let first = conversation("gemini-3-flash", &[]);
    let delta = |delta: Value, finish: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let early = [
        delta(json!({"role": "assistant", "content": "Hel\n", "extra_content": signature("T")}), Value::Null),
        delta(json!({"content": "lo"}), json!("stop")),
    ];
    let late = [
        delta(json!({"content": "Hel\nlo"}), Value::Null),
        delta(json!({"content": "", "extra_content": signature("T")}), json!("stop")),
    ];
    for replies in [early, late] {
        let known = take_facts(&first, &replies);
        for content in
            [json!("Hel\nlo"), json!([{"type": "text", "text": "Hel\n"}, {"type": "text", "text": "lo"}])]
        {
            let turn = json!({"role": "assistant", "content": content});
            let message = applied(&conversation("gemini-3-flash", &[turn]), &known)["messages"][1].clone();
            assert_eq!(message["extra_content"], signature("T"), "{message}");
        }
        let other = json!({"role": "assistant", "content": "Hello"});
        assert!(
            applied(&conversation("gemini-3-flash", &[other]), &known)["messages"][1]
                .get("extra_content")
                .is_none()
        );
        // The same words elsewhere are other words.
        let moved =
            [json!({"role": "user", "content": "more"}), json!({"role": "assistant", "content": "Hel\nlo"})];
        assert!(
            applied(&conversation("gemini-3-flash", &moved), &known)["messages"][2]
                .get("extra_content")
                .is_none()
        );
    }
}

#[test]
fn a_call_of_another_model_gets_googles_word_for_it_where_none_is_refused() {
    for (model, stands_in) in [
        ("google/Gemini-3.5-flash", true),
        ("gemini-12-pro", true),
        ("gemini-2.5-pro", false),
        ("gemini-flash-latest", false),
    ] {
        let turn = called(&["call_a", "call_b"]);
        let calls = applied(&conversation(model, std::slice::from_ref(&turn)), &Memory::new())["messages"][1]
            ["tool_calls"]
            .clone();
        let expected = stands_in.then(|| signature("skip_thought_signature_validator"));
        assert_eq!(calls[0].get("extra_content").cloned(), expected, "{model}");
        assert!(calls[1].get("extra_content").is_none());
        let known = Memory::from([("gemini:call:call_b".to_owned(), signature("B").to_string())]);
        let calls = applied(&conversation(model, &[turn]), &known)["messages"][1]["tool_calls"].clone();
        assert!(calls[0].get("extra_content").is_none(), "one of them is signed: {calls}");
    }
}

#[test]
fn signatures_can_be_left_alone_while_schemas_are_cleaned() {
    let left = Gemini { signatures: Signatures::Left };
    let mut request = conversation("gemini-3-pro", &[called(&["call_a"])]);
    let body = Bytes::from(request.to_string());
    assert!(left.memory_keys(&body).is_empty() && left.reply_listener(&body).is_none());
    assert_eq!(left.apply(body.clone(), &Memory::new()), body);
    request["tools"] =
        json!([{"function": {"name": "f", "parameters": {"properties": {"a": {"const": 1}}}}}]);
    let applied = left.apply(Bytes::from(request.to_string()), &Memory::new());
    assert!(!applied.windows(7).any(|window| window == b"\"const\""));
}

#[test]
fn it_is_for_models_with_its_name_in_them() {
    for (model, is) in [("gemini-3-pro", true), ("google/Gemini-2.5", true), ("gemin", false), ("", false)] {
        assert_eq!(GEMINI.is_for(model), is, "{model}");
    }
}

/// Members without schemas inside.
fn leaves() -> impl Strategy<Value = Vec<(&'static str, Value)>> + Clone {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    let kind =
        prop::sample::select(vec!["string", "number", "integer", "boolean", "array", "object", "null", "x"]);
    let kinds = prop_oneof![
        kind.clone().prop_map(Value::from),
        prop::collection::vec(kind, 0..4).prop_map(Value::from)
    ];
    let names = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3).prop_map(Value::from);
    let reference =
        prop::sample::select(vec!["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "#/gone/0", "x"]);
    let word = prop::sample::select(vec![
        "const",
        "default",
        "example",
        "examples",
        "minimum",
        "maximum",
        "minLength",
        "maxItems",
        "minProperties",
        "pattern",
        "description",
        "title",
        "format",
        "nullable",
        "exclusiveMinimum",
        "uniqueItems",
        "$schema",
        "readOnly",
    ]);
    let leaf = prop_oneof![
        (word, scalar.clone()).prop_map(|(word, value)| (word, value)),
        kinds.prop_map(|kinds| ("type", kinds)),
        names.clone().prop_map(|names| ("required", names)),
        names.prop_map(|names| ("propertyOrdering", names)),
        prop::collection::vec(scalar, 0..4).prop_map(|values| ("enum", Value::from(values))),
        reference.prop_map(|reference| ("$ref", Value::from(reference))),
    ];
    prop::collection::vec(leaf, 0..4)
}

/// Schemas with everything in them that a schema may have, sensible or not.
fn schemas() -> impl Strategy<Value = Value> {
    let object = |members: Vec<(&'static str, Value)>| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
    };
    leaves().prop_map(object).prop_recursive(6, 64, 6, move |inner| {
        let one = prop::sample::select(vec!["items", "not", "additionalProperties", "if", "contains"]);
        let list = prop::sample::select(vec!["anyOf", "oneOf", "allOf", "prefixItems", "items"]);
        let map = prop::sample::select(vec!["properties", "$defs", "patternProperties"]);
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let branch = prop_oneof![
            (one, inner.clone()),
            (list, prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(word, schemas)| (word, Value::from(schemas))),
            (map, prop::collection::vec((name, inner), 0..4))
                .prop_map(move |(word, members)| (word, object(members))),
        ];
        (leaves(), prop::collection::vec(branch, 0..4))
            .prop_map(move |(leaves, branches)| object(leaves.into_iter().chain(branches).collect()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Complaint of gateway users: Gemini refuses schemas for a keyword.
    #[test]
    fn whatever_a_schema_says_gemini_takes_the_rest_and_it_stays_so(schema in schemas()) {
        schema::check_any(schema.to_string().as_bytes());
    }
}

/// Complaint of gateway users: Gemini refuses schemas for a keyword.
#[test]
fn depth_and_growth_are_bounded() {
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "object", "properties": {"p": deep}});
    }
    assert!(depth(&parameters(&deep).unwrap()) < 3 * 34);

    // Each of these refers to the next one twice: 2 to the power of 30 strings, were it not for the bound.
    let mut definitions = json!({"d30": {"type": "string", "description": "x".repeat(100)}});
    for at in 0..30 {
        let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        definitions[format!("d{at}")] = json!({"type": "object", "properties": {"l": next, "r": next}});
    }
    let schema = json!({"type": "object", "properties": {"p": {"$ref": "#/$defs/d0"}}, "$defs": definitions});
    let clean = parameters(&schema).unwrap();
    check(&clean);
    assert!(clean.to_string().len() < 1 << 20);
}
