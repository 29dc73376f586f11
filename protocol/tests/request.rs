//! Edits of unparsed requests, compared with a parser on the same random bodies.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use vandamme_protocol::request::{RequestScanError, Streaming, head, is_complete_json, without_own_thinking};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A member of the request's object, as text.
#[derive(Debug, Clone)]
struct Member {
    key: String,
    value: String,
    space: String,
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,3}"
}

fn quoted() -> impl Strategy<Value = String> {
    let plain = any::<String>().prop_map(|text| Value::from(text).to_string());
    const ODD: &[&str] = &[
        "\"\\\\\"",
        "\"\\\\\\\"\"",
        "\"\\ud83d\\ude00\"",
        "\"{[\"",
        "\"\\\"model\\\":\\\"x\\\"\"",
        "\"\\/\"",
    ];
    prop_oneof![plain, select(ODD).prop_map(str::to_owned)]
}

fn json() -> impl Strategy<Value = String> {
    const SCALARS: &[&str] =
        &["0", "-0.0", "1e-7", "123456789012345678901234567890", "true", "false", "null", "[]", "{ }"];
    let leaf = prop_oneof![select(SCALARS).prop_map(str::to_owned), quoted()];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let keys = prop_oneof![
            quoted(),
            select(&["\"model\"", "\"stream\"", "\"messages\""][..]).prop_map(str::to_owned)
        ];
        prop_oneof![
            (vec(inner.clone(), 0..5), space())
                .prop_map(|(list, space)| format!("[{space}{}{space}]", list.join(&format!("{space},")))),
            (vec((keys, inner), 0..5), space()).prop_map(|(members, space)| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("{key}{space}:{value}")).collect();
                format!("{{{}{space}}}", members.join(&format!(",{space}")))
            }),
        ]
    })
}

const MODEL_KEYS: [&str; 3] = ["\"model\"", "\"mod\\u0065l\"", "\"\\u006dodel\""];

fn member() -> impl Strategy<Value = Member> {
    let model = (select(&MODEL_KEYS[..]).prop_map(str::to_owned), quoted());
    let stream = (select(&["\"stream\"", "\"\\u0073tream\""][..]), select(&["true", "false", "null"][..]));
    let stream = stream.prop_map(|(key, value)| (key.to_owned(), value.to_owned()));
    let other = ("\"[a-z_]{1,12}\"", json())
        .prop_filter("not one of ours", |(key, _)| !["\"model\"", "\"stream\""].contains(&&**key));
    (prop_oneof![1 => model, 1 => stream, 3 => other], space()).prop_map(|((key, value), space)| Member {
        key,
        value,
        space,
    })
}

fn render(members: &[Member]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|Member { key, value, space }| format!("{space}{key}{space}:{space}{value}{space}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn is_model(member: &Member) -> bool {
    MODEL_KEYS.contains(&&*member.key)
}

proptest! {
    #![proptest_config(cases(600))]

    /// Complaint of gateway users: signatures break because the body was rewritten.
    #[test]
    fn an_edited_body_parses_as_expected_and_no_other_byte_changes(
        members in vec(member(), 0..8), model in any::<String>(),
    ) {
        let body = Bytes::from(render(&members));
        let parsed: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        prop_assert!(is_complete_json(&body));

        let Some(was) = parsed.get("model") else {
            prop_assert_eq!(head(&body).unwrap_err(), RequestScanError::NoModel);
            return Ok(());
        };
        let head = head(&body).unwrap();
        prop_assert_eq!(&*head.model, was.as_str().unwrap());
        prop_assert_eq!(head.delivery == Streaming::Yes, parsed.get("stream") == Some(&Value::Bool(true)));

        let edited = head.with_model(&body, &model).joined();
        let value = Value::from(&*model).to_string();
        let replaced: Vec<Member> = members
            .iter()
            .map(|member| if is_model(member) { Member { value: value.clone(), ..member.clone() } } else { member.clone() })
            .collect();
        let untouched = members.iter().filter(|member| is_model(member)).count() == 1 && *was == model;
        prop_assert_eq!(&edited, if untouched { &body[..] } else { render(&replaced).leak().as_bytes() });
        let mut expected = parsed;
        expected.insert("model".to_owned(), Value::from(model));
        prop_assert_eq!(serde_json::from_slice::<Map<String, Value>>(&edited).unwrap(), expected);
    }

    #[test]
    fn a_damaged_body_that_a_parser_reads_is_read_the_same(
        members in vec(member(), 0..5), at in any::<prop::sample::Index>(), byte in select(&b"\"\\{}[],: 1e\n\x00\xC3"[..]),
    ) {
        let mut body = render(&members).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let ours = head(&body);
        if let Ok(parsed) = serde_json::from_slice::<Map<String, Value>>(&body) {
            prop_assert!(is_complete_json(&body));
            let model = parsed.get("model").and_then(Value::as_str);
            match &ours {
                Ok(head) => prop_assert_eq!(Some(&*head.model), model),
                Err(RequestScanError::StreamNotABoolean) => {}
                Err(RequestScanError::NoModel | RequestScanError::ModelNotAString) => prop_assert_eq!(model, None),
                Err(error) => prop_assert!(false, "{error} in {parsed:?}"),
            }
        }
    }

    #[test]
    fn a_truncated_body_is_not_complete(members in vec(member(), 0..5), end in any::<prop::sample::Index>()) {
        let body = render(&members);
        let body = body.trim_end().as_bytes();
        let cut = &body[..end.index(body.len())];
        prop_assert!(!is_complete_json(cut));
        prop_assert!(head(cut).is_err());
    }
}

#[test]
fn ten_thousand_levels_need_no_stack() {
    let deep = format!("{}1{}", "[{\"model\":".repeat(5_000), "}]".repeat(5_000));
    let body = Bytes::from(format!(
        "{{\"a\":{deep},\"model\":\"m\",\"b\":{deep},\"messages\":{deep},\"c\":\"vdm1.\"}}"
    ));
    let edited = head(&body).unwrap().with_model(&body, "n").joined();
    assert_eq!(edited, String::from_utf8_lossy(&body).replace("\"model\":\"m\"", "\"model\":\"n\""));
    assert!(is_complete_json(&body));
    assert_eq!(without_own_thinking(&body), body);
}

// ---- the gateway's own thinking blocks ----

fn block() -> impl Strategy<Value = String> {
    const BLOCKS: &[&str] = &[
        r#"{"type":"text","text":"{\"type\":\"thinking\",\"signature\":\"vdm1.x\"}"}"#,
        r#"{"type":"text","text":"vdm1.","signature":"vdm1."}"#,
        r#"{"type":"thinking","thinking":"ours","signature":"vdm1.p:m"}"#,
        r#"{ "signature" : "vdm1.", "thinking":"]},", "type" : "thinking" }"#,
        r#"{"type":"redacted_thinking","data":"vdm1.data"}"#,
        r#"{"type":"redacted_thinking","data":"theirs","signature":"vdm1."}"#,
        r#"{"type":"thinking","thinking":"vdm1.","signature":"EqQBCgIYAhIM"}"#,
        r#"{"type":"thinking","signature":" vdm1.","thinking":""}"#,
        r#"{"type":"tool_result","content":[{"type":"thinking","signature":"vdm1.nested"}]}"#,
        r#""vdm1.""#,
    ];
    select(BLOCKS).prop_map(str::to_owned)
}

fn message() -> impl Strategy<Value = String> {
    let list = (vec(block(), 0..6), space())
        .prop_map(|(blocks, space)| format!("[{space}{}{space}]", blocks.join(&format!("{space},{space}"))));
    let content = prop_oneof![4 => list, 1 => Just("\"vdm1.\"".to_owned())];
    (content, space())
        .prop_map(|(content, space)| format!("{{\"role\":{space}\"user\",\"content\":{content}{space}}}"))
}

fn is_ours(block: &Value) -> bool {
    let starts = |field: &str| block[field].as_str().is_some_and(|text| text.starts_with("vdm1."));
    match block["type"].as_str() {
        Some("thinking") => starts("signature"),
        Some("redacted_thinking") => starts("data"),
        _ => false,
    }
}

#[derive(serde::Deserialize)]
struct History<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

/// The text of every block, by message. Content that is not a list counts as one block.
fn blocks_of(body: &[u8]) -> Vec<Vec<String>> {
    let history: History<'_> = serde_json::from_slice(body).expect("a history");
    let turn = |message: &&RawValue| -> Vec<String> {
        let turn: Turn<'_> = serde_json::from_str(message.get()).expect("a message");
        match serde_json::from_str::<Vec<&RawValue>>(turn.content.get()) {
            Ok(blocks) => blocks.iter().map(|block| block.get().to_owned()).collect(),
            Err(_) => vec![turn.content.get().to_owned()],
        }
    };
    history.messages.iter().map(turn).collect()
}

fn without_ours(messages: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    for blocks in messages {
        let is_theirs = |block: &&String| !is_ours(&serde_json::from_str(block).expect("a block"));
        let theirs: Vec<String> = blocks.iter().filter(is_theirs).cloned().collect();
        if blocks.is_empty() || !theirs.is_empty() {
            kept.push(theirs);
        }
    }
    kept
}

proptest! {
    #![proptest_config(cases(1000))]

    /// Complaint of gateway users: another provider gets a foreign signature.
    /// Complaint of gateway users: replayed thinking changes its order.
    #[test]
    fn exactly_the_gateways_own_thinking_is_removed_from_a_history(
        messages in vec(message(), 0..5), space in space(), front in json(), back in json(),
    ) {
        let front = format!("{{\"system\":{front},{space}\"messages\"{space}:{space}[");
        let back = format!("{space}],\"tools\":{back}}}");
        let body = Bytes::from(format!("{front}{}{back}", messages.join(&format!("{space},"))));
        let pruned = without_own_thinking(&body);

        let expected = without_ours(blocks_of(&body));
        prop_assert!(pruned.starts_with(front.as_bytes()) && pruned.ends_with(back.as_bytes()));
        prop_assert_eq!(blocks_of(&pruned), expected.clone());
        if expected == blocks_of(&body) {
            prop_assert_eq!(&pruned, &body);
        }
        prop_assert_eq!(without_own_thinking(&pruned), pruned);
    }
}
