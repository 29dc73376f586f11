//! Edits that heal, held against what a parser says of the same random requests: only what was named goes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};
use vandamme_protocol::compat::{Filler, Fixup, FixupRule, TokenLimitName, apply, recognise};
use vandamme_protocol::request::is_complete_json;

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

/// A value whose text no serializer would write so.
fn value() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "1E+2",
        "-0.0",
        "123456789012345678901234567890",
        "null",
        "\"\\u0048i \\/ \\ud83d\\ude00\"",
        "\"}],\"",
        "{ }",
        "[]",
        "\"\\\"strict\\\":1\"",
    ];
    let leaf = select(ODD).prop_map(str::to_owned);
    leaf.prop_recursive(3, 16, 4, |inner| {
        let named = (select(&NAMES[..]), inner.clone(), space());
        prop_oneof![
            vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(" , "))),
            vec(named, 0..4).prop_map(|members| object(&members)),
        ]
    })
}

const NAMES: [&str; 8] =
    ["strict", "effort", "format", "scope", "function", "cache_control", "properties", "parameters"];

/// What a request may hold at its top.
const TOP: [&str; 9] = [
    "model",
    "messages",
    "tools",
    "system",
    "output_config",
    "temperature",
    "t\\u0065mperature",
    "max_tokens",
    "response_format",
];

fn object(members: &[(&str, String, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn request() -> impl Strategy<Value = String> {
    vec((select(&TOP[..]), value(), space()), 0..8).prop_map(|members| object(&members))
}

/// A value in which the path leads somewhere: through lists, and past a tool's `function`.
fn along(path: &'static [&'static str], parent: &str) -> BoxedStrategy<String> {
    let Some((name, rest)) = path.split_first() else { return value().boxed() };
    let noise = || vec((select(&NAMES[..]), value(), space()), 0..3);
    let inside = (noise(), along(rest, name), noise(), space());
    let object = inside
        .prop_map(|(mut members, value, noise, space)| {
            members.push((name, value, space));
            members.extend(noise);
            object(&members)
        })
        .boxed();
    let listed = vec(object.clone(), 1..3).prop_map(|list| format!("[ {}]", list.join(" , ")));
    let tool = object.clone().prop_map(|object| format!("[{{\"name\":1 ,\"function\":{object}}}]"));
    if parent == "tools" {
        prop_oneof![object, listed, tool].boxed()
    } else {
        prop_oneof![object, listed].boxed()
    }
}

/// A path, and a request that has it.
fn request_with_path() -> impl Strategy<Value = (String, &'static str)> {
    select(&PATHS[..]).prop_flat_map(|path| {
        let names: &'static [&'static str] = path.split('.').collect::<Vec<_>>().leak();
        let others = || vec((select(&TOP[..]), value(), space()), 0..4);
        let inside = (others(), along(&names[1..], names[0]), others(), space());
        inside.prop_map(move |(mut members, value, others, space)| {
            members.push((names[0], value, space));
            members.extend(others);
            (object(&members), path)
        })
    })
}

const PATHS: [&str; 7] = [
    "temperature",
    "tools.strict",
    "output_config.effort",
    "output_config",
    "system.cache_control.scope",
    "tools.cache_control",
    "response_format.format.strict",
];

/// What taking `path` out means, to somebody who has parsed the request.
fn remove(value: &mut Value, path: &[&str], way: &[&str]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| remove(value, path, way)),
        Value::Object(fields) => {
            if let [last] = path {
                fields.remove(*last);
            }
            for (name, value) in fields.iter_mut() {
                let way = [way, &[name.as_str()]].concat();
                if path.len() > 1 && path[0] == name {
                    remove(value, &path[1..], &way);
                }
                if way == ["tools", "function"] {
                    remove(value, path, &way);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether `text` is what is left of `whole` when parts are cut out.
fn is_left_of(text: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    text.iter().all(|byte| rest.any(|other| other == byte))
}

fn parsed(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).expect("a fixup leaves JSON")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Complaint of gateway users: extra inputs are not permitted.
    #[test]
    fn an_edit_takes_out_the_named_member_and_changes_no_other_byte((request, path) in request_with_path()) {
        let body = Bytes::from(request);
        let fixup = Fixup::param(path).expect("it may go");

        let edited = apply([&fixup], &body, "a,b");

        prop_assert!(is_complete_json(&edited.body));
        prop_assert!(is_left_of(&edited.body, &body));
        prop_assert_eq!(edited.betas, "a,b");
        let mut expected = Value::Object(parsed(&body));
        remove(&mut expected, &path.split('.').collect::<Vec<_>>(), &[]);
        // Of duplicates a parser sees the last alone, so that what goes may uncover nothing.
        prop_assert_eq!(Value::Object(parsed(&edited.body)), expected);
        prop_assert_eq!(apply([&fixup], &edited.body, "").body.as_ptr(), edited.body.as_ptr());
    }

    #[test]
    fn a_keyword_goes_from_schemas_and_the_conversation_stays(
        request in request(), tool in along(&["parameters", "items", "format"], "tools"),
    ) {
        let body = Bytes::from(request.replacen('{', &format!("{{\"tools\":{tool},\"x\":1,"), 1).replace(",}", "}"));
        let fixup = Fixup::param("schema.format").expect("it may go");

        let edited = apply([&fixup], &body, "");

        prop_assert!(is_complete_json(&edited.body));
        prop_assert!(is_left_of(&edited.body, &body));
        prop_assert_ne!(&edited.body, &body);
        let (before, after) = (parsed(&body), parsed(&edited.body));
        for name in ["model", "messages", "system", "temperature", "max_tokens"] {
            prop_assert_eq!(before.get(name), after.get(name));
        }
    }

    #[test]
    fn a_limit_is_renamed_and_its_value_stays(request in request()) {
        let body = Bytes::from(request);

        let there = apply([&Fixup::Limit(TokenLimitName::MaxCompletionTokens)], &body, "").body;
        let back = apply([&Fixup::Limit(TokenLimitName::MaxTokens)], &there, "").body;

        let (before, after) = (parsed(&body), parsed(&there));
        prop_assert_eq!(before.get("max_tokens"), after.get("max_completion_tokens"));
        prop_assert!(!after.contains_key("max_tokens"));
        prop_assert_eq!(back, body);
    }

    #[test]
    fn no_refusal_makes_a_request_lose_what_it_needs(
        before in "[a-zA-Z ':\\[(]{0,12}", name in "[a-z_.\\[\\]0-9#/$]{0,24}|messages(\\.[a-z0-9]{1,8}){0,3}|tools|model|stream",
        wording in select(&WORDINGS[..]), request in request(),
    ) {
        let text = format!("{before}{}", wording.replace("{}", &name));
        let body = Bytes::from(request);
        let fixups = recognise(400, &serde_json::to_vec(&serde_json::json!({"error": {"message": text}})).unwrap());

        let edited = apply(&fixups, &body, "").body;

        let (before, after) = (parsed(&body), parsed(&edited));
        for name in ["model", "messages"] {
            prop_assert_eq!(before.get(name), after.get(name), "{}", text);
        }
        for name in ["tools", "system", "max_tokens"] {
            prop_assert_eq!(before.contains_key(name), after.contains_key(name), "{}", text);
        }
    }
}

/// A number or a word, as they stand in refusals.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "max_tokens",
        "'max_tokens'",
        "must be",
        "at most",
        "<=",
        ">=",
        "[1,",
        "8192]",
        "between",
        "and",
        "64000",
        "0",
        "schema",
        "properties",
        "property",
        "is not supported",
        "For 'array' type,",
        "set",
        "to",
        "'none'",
        "use",
        "reasoning_effort",
        "reasoning_effort='low'",
        "Supported values are:",
        "'high'.",
        "tools",
        "messages",
        "model",
        "missing",
        "reasoning_content",
        "tool_choice",
        "thinking",
        "disabled",
        "when",
        "top level",
        "anyOf",
        "regex",
        "temperature",
        "not supported",
        "context length",
        "exceeds",
        "\u{e9}",
        "\u{2019}",
        ".",
        "\"",
        "\\",
        "(",
        ")",
        "Invalid",
        "above maximum",
        "input should be less than",
        ":",
        "only",
        "1",
        "is allowed",
        "system",
        "stream",
    ];
    select(WORDS).prop_map(str::to_owned)
}

/// A conversation of both APIs, of which some turns lack their reasoning.
fn conversation() -> impl Strategy<Value = String> {
    const TURNS: &[&str] = &[
        r#"{"role":"user","content":"a"}"#,
        r#"{"role":"assistant","content":"b"}"#,
        r#"{"role" : "assistant","tool_calls":[{"id":"1"}]}"#,
        r#"{"role":"assistant","tool_calls":[ ],"reasoning_content":null}"#,
        r#"{ "reasoning_content":"","role":"assistant","tool_calls":[{}]}"#,
        r#"{"role":"assistant","content":[{"type":"tool_use","input":{}}]}"#,
        r#"{"content":[{"type":"thinking","thinking":"t"},{"type":"tool_use"}],"role":"assistant"}"#,
        r#"{"role":"tool","content":[]}"#,
        "7",
        "{}",
    ];
    vec(select(TURNS), 0..6).prop_map(|turns| format!("[{}]", turns.join(" , ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_words_make_an_edit_that_a_request_cannot_do_without(
        words in vec(piece(), 0..14), body in request(), turns in conversation(),
    ) {
        let text = words.join(" ");
        let body = Bytes::from(body.replacen('{', &format!("{{\"messages\":{turns},\"x\":1,"), 1).replace(",}", "}"));
        let refusal = serde_json::to_vec(&serde_json::json!({"error": {"message": text}})).unwrap();
        let fixups: Vec<_> = recognise(400, &refusal).into_iter().map(|fixup| fixup.completed_by(&body)).collect();

        let edited = apply(&fixups, &body, "").body;

        prop_assert!(is_complete_json(&edited), "{}", text);
        let (before, after) = (parsed(&body), parsed(&edited));
        prop_assert_eq!(before.get("model"), after.get("model"), "{}", text);
        for name in ["tools", "system", "messages", "stream", "max_tokens"] {
            prop_assert_eq!(before.contains_key(name), after.contains_key(name), "{} {}", name, text);
        }
        let count = |body: &Map<String, Value>| body.get("messages").and_then(Value::as_array).map(Vec::len);
        prop_assert_eq!(count(&before), count(&after), "{}", text);
        prop_assert_eq!(apply(&fixups, &edited, "").body, edited, "{}", text);
    }

    #[test]
    fn what_is_set_or_limited_stands_there_and_nothing_else_changes(
        body in request(), path in select(&["temperature", "output_config.effort", "a.b.c", "max_tokens"][..]),
        number in 0_u32..9, turns in conversation(),
    ) {
        let body = Bytes::from(body.replacen('{', &format!("{{\"messages\":{turns},\"x\":1,"), 1).replace(",}", "}"));
        let mut fixups = vec![Fixup::Reasoning(Filler::Empty), Fixup::Reasoning(Filler::ThinkingBlock), Fixup::ToolSchemas];
        fixups.extend(FixupRule::set(&format!("{path}={number}")).map(|rule| rule.fixup));
        fixups.extend(FixupRule::limit(&format!("{path}<={number}")).map(|rule| rule.fixup));

        let edited = apply(&fixups, &body, "").body;

        prop_assert!(is_complete_json(&edited));
        let (before, after) = (parsed(&body), parsed(&edited));
        if path != "max_tokens" {
            let found = path.split('.').try_fold(&Value::Object(after.clone()), |value, name| value.get(name)).cloned();
            prop_assert_eq!(found, Some(Value::from(number)));
        }
        let first = path.split('.').next().unwrap();
        for name in TOP.iter().filter(|name| ![first, "tools", "messages", "t\\u0065mperature"].contains(*name)) {
            prop_assert_eq!(before.get(*name), after.get(*name), "{}", name);
        }
        prop_assert_eq!(apply(&fixups, &edited, "").body, edited);
    }
}

const WORDINGS: [&str; 6] = [
    "{}: Extra inputs are not permitted",
    "Unknown parameter: '{}'.",
    "property '{}' is unsupported",
    "Unknown name \"{}\" at '{}': Cannot find field.",
    "Unrecognized request arguments supplied: {}, {}",
    "#/{}: extraneous key [{}] is not permitted",
];
