//! The token estimate, compared with the real tokenizer, and properties for any input.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tiktoken_rs::{CoreBPE, o200k_base};
use vandamme_protocol::tokens::{EstimateError, messages, text};

/// One line of the table.
struct Measured {
    name: String,
    estimated: u64,
    real: u64,
}

impl Measured {
    fn error(&self) -> f64 {
        (self.estimated as f64 / self.real as f64 - 1.0) * 100.0
    }
}

/// The texts of a directory, by name, each of at least 2 KB.
fn texts(directory: &str) -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens").join(directory);
    let mut texts: Vec<(String, String)> = fs::read_dir(directory)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("UTF-8"))
        })
        .collect();
    texts.sort();
    for (name, text) in &texts {
        assert!(text.len() >= 2_000, "{name} has only {} bytes", text.len());
    }
    texts
}

fn measure(directory: &str, bpe: &CoreBPE) -> Vec<Measured> {
    let real = |text: &str| bpe.encode_ordinary(text).len() as u64;
    texts(directory)
        .into_iter()
        .map(|(name, body)| Measured { name, estimated: text(&body), real: real(&body) })
        .collect()
}

fn mean(measured: &[Measured]) -> f64 {
    measured.iter().map(Measured::error).sum::<f64>() / measured.len() as f64
}

/// Prints the table, and then checks it.
fn judge(title: &str, measured: &[Measured]) {
    println!("{title:20} estimated   real   error");
    for line in measured {
        println!("{:20} {:9} {:6} {:+6.1} %", line.name, line.estimated, line.real, line.error());
    }
    println!("{:20} {:>16} {:+6.1} %", "mean", "", mean(measured));
    for line in measured {
        assert!((-5.0..=15.0).contains(&line.error()), "{}: {:+.1} %", line.name, line.error());
    }
    assert!((0.0..=10.0).contains(&mean(measured)), "mean {:+.1} %", mean(measured));
}

/// Complaint of gateway users: token counts are missing or too low.
#[test]
fn texts_of_every_kind_are_estimated_closely_and_rather_too_high() {
    let measured = measure("", &o200k_base().unwrap());
    assert!(measured.len() >= 12);
    judge("text", &measured);
}

/// The estimate was not fitted to these. Russian tests another alphabet.
#[test]
fn texts_outside_of_the_training_set_are_estimated_as_closely() {
    judge("text held out", &measure("held_out", &o200k_base().unwrap()));
}

/// The real count is that of the text of every part in JSON, with names of members and escapes.
///
/// Deviates from the original ("Count_tokens with only text never returns less than max(1, chars/4); tools and
/// tool results raise it; no completion call is made"): the issue's accuracy instead of a floor; everything
/// counts, and no completion is made.
#[test]
fn whole_requests_are_estimated_closely() {
    let bpe = o200k_base().unwrap();
    let fixtures = texts("");
    let fixture = |wanted: &str| &fixtures.iter().find(|(name, _)| name == wanted).unwrap().1;
    let tools: Value = serde_json::from_str(fixture("tools")).unwrap();
    let only_tools = json!({"model": "m", "messages": [], "tools": tools});
    let conversation = json!({"model": "m", "system": [{"type": "text", "text": fixture("markdown")}],
        "tools": tools, "messages": [
            {"role": "user", "content": fixture("english")},
            {"role": "assistant", "content": [{"type": "text", "text": fixture("german")},
                {"type": "tool_use", "id": "toolu_1", "name": "Write",
                    "input": {"file_path": "/src/cache.rs", "content": fixture("rust")}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                "content": [{"type": "text", "text": fixture("shell")}]}]}]});
    let measured: Vec<Measured> = [("tools", only_tools), ("conversation", conversation)]
        .into_iter()
        .map(|(name, body)| {
            let body = body.to_string();
            let real = bpe.encode_ordinary(&body).len() as u64;
            Measured { name: name.to_owned(), estimated: messages(body.as_bytes()).unwrap(), real }
        })
        .collect();
    judge("request", &measured);
}

fn count(body: &Value) -> u64 {
    messages(body.to_string().as_bytes()).expect("a request")
}

fn content(block: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [block]}]})
}

/// Complaint of gateway users: token counts are missing or too low.
#[test]
fn every_kind_of_block_counts() {
    let nothing = count(&json!({"messages": [{"role": "user", "content": []}]}));
    let prose = "The quick brown fox jumps over the lazy dog, again and again.";
    for block in [
        json!({"type": "text", "text": prose}),
        json!({"type": "thinking", "thinking": prose, "signature": "c2ln"}),
        json!({"type": "redacted_thinking", "data": "Q".repeat(100)}),
        json!({"type": "tool_use", "id": "t", "name": "Read", "input": {"note": prose}}),
        json!({"type": "tool_result", "tool_use_id": "t", "content": prose}),
        json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": prose}]}),
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": prose}}),
        json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": prose}]}}),
        json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": prose}]}),
        json!({"type": "mcp_tool_use", "id": "t", "name": "n", "server_name": "s", "input": {"a": [prose]}}),
        json!({"type": "server_tool_use", "id": "t", "name": "web_search", "input": {"query": prose}}),
        json!({"type": "not_invented_yet", "words": [prose, {"more": 1}]}),
    ] {
        let counted = count(&content(block.clone())) - nothing;
        assert!((12..=45).contains(&counted), "{block}: {counted}");
    }
}

#[test]
fn the_order_and_the_escapes_of_members_do_not_matter() {
    let usual = br#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"a b\nc"}}]}],"system":"s t"}"#;
    let odd = br#" {"system" :"s \u0074" , "mess\u0061ges":[ {"content":[{"source":{"data":"a\u0020b\u000Ac","type":"text"},"t\u0079pe":"document"}],"role":"user"} ]}"#;
    assert_eq!(messages(usual), messages(odd));
}

#[test]
fn parts_that_no_model_receives_cost_nothing() {
    let plain = content(json!({"type": "tool_result", "content": "done"}));
    let mut dressed =
        content(json!({"type": "tool_result", "content": "done", "tool_use_id": "toolu_01ABCDEF",
        "cache_control": {"type": "ephemeral"}, "is_error": false}));
    dressed["metadata"] = json!({"user_id": "somebody with a long name"});
    dressed["stop_sequences"] = json!(["a", "b", "c"]);
    assert_eq!(count(&plain), count(&dressed));
}

#[test]
fn images_cost_by_their_size_at_any_position() {
    const WIDE: &str = "iVBORw0KGgoAAAANSUhEUgAAAyAAAAJY"; // a PNG's first bytes: 800 × 600
    let image = |source: Value| json!({"type": "image", "source": source});
    let known = image(json!({"data": WIDE, "media_type": "image/png", "type": "base64"}));
    let nothing = count(&content(json!({"type": "text", "text": ""})));
    assert_eq!(count(&content(known.clone())) - nothing, 640);
    let elsewhere = image(json!({"type": "url", "url": "https://example.com/a.png"}));
    assert_eq!(count(&content(elsewhere)) - nothing, 1_600);
    let unreadable = image(json!({"type": "base64", "media_type": "image/png", "data": "AAAA"}));
    assert_eq!(count(&content(unreadable)) - nothing, 1_600);
    let in_result = json!({"type": "tool_result", "content": [known]});
    let empty_result = json!({"type": "tool_result", "content": []});
    assert_eq!(count(&content(in_result)) - count(&content(empty_result)), 640);
}

#[test]
fn documents_cost_by_their_size() {
    let pdf = |kilobytes: usize| {
        let data = "A".repeat(kilobytes * 1_000);
        count(&content(
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}),
        ))
    };
    assert!(pdf(1) >= 1_500);
    assert!(pdf(400) > 3 * pdf(100));
    let elsewhere =
        json!({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}});
    assert!(count(&content(elsewhere)) >= 3_000);
}

#[test]
fn every_defect_has_its_error_message() {
    for (body, words) in [
        ("", "the body is not valid JSON (at byte 0)"),
        ("hello", "the body is not valid JSON (at byte 0)"),
        ("[{\"messages\":[]}]", "the body must be a JSON object"),
        ("{}", "messages: field required"),
        ("{\"messages\":\"hi\"}", "messages: must be an array"),
        ("{\"messages\":[],}", "the body is not valid JSON (at byte 15)"),
        ("{\"messages\":[1 2]}", "the body is not valid JSON (at byte 15)"),
        ("{\"messages\":[}]", "the body is not valid JSON (at byte 13)"),
        ("{\"messages\":[]} x", "the body is not valid JSON (at byte 16)"),
        ("{\"messages\":[],\"system\":\"a\nb\"}", "the body is not valid JSON (at byte 26)"),
        ("{\"messages\":[],\"system\":\"\\x\"}", "the body is not valid JSON (at byte 25)"),
        ("{\"messages\":[],\"system\":\"\\ud8\"}", "the body is not valid JSON (at byte 25)"),
        ("{\"messages\":[],\"system\":tru}", "the body is not valid JSON (at byte 24)"),
    ] {
        assert_eq!(messages(body.as_bytes()).unwrap_err().to_string(), words, "{body}");
    }
    assert_eq!(messages(b"{\"a\":\"\xFF\"}"), Err(EstimateError::NotUtf8 { offset: 6 }));
}

#[test]
fn a_truncated_body_is_never_counted() {
    let body =
        content(json!({"type": "tool_use", "name": "né\n", "input": {"a": [1, true, null, "\u{1F600}"]}}));
    let body = body.to_string();
    assert!(messages(body.as_bytes()).is_ok());
    for cut in 0..body.len() {
        assert!(messages(&body.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn any_depth_is_accepted() {
    const DEPTH: usize = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"content\":", "}"), ("{\"source\":", "}"), ("{\"input\":[", "]}")] {
        let body = format!(
            "{{\"messages\":[{{\"content\":{}1{}}}]}}",
            open.repeat(DEPTH / open.len()),
            close.repeat(DEPTH / open.len())
        );
        assert!(messages(body.as_bytes()).unwrap() >= 1, "{open}");
    }
    assert!(messages("{\"messages\":[".repeat(DEPTH / 13).as_bytes()).is_err());
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Any JSON, with the names of request members at any position.
fn any_json_at_any_position_is_counted() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "messages",
        "content",
        "type",
        "text",
        "source",
        "data",
        "input",
        "tools",
        "system",
        "image",
        "document",
        "input_schema",
        "encrypted_content",
        "tool_use",
        "thinking",
    ];
    let name = || prop_oneof![3 => select(NAMES).prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        name().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name(), inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_counted_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(messages(&bytes).map_or(true, |tokens| tokens >= 1));
    }

    #[test]
    fn any_json_in_any_place_is_counted(
        list in vec(any_json_at_any_position_is_counted(), 0..4), system in any_json_at_any_position_is_counted(), tools in any_json_at_any_position_is_counted(), pretty in any::<bool>(),
    ) {
        let body = json!({"messages": list, "system": system, "tools": tools});
        let body = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        prop_assert!(messages(body.unwrap().as_bytes()).unwrap() >= 1);
    }

    #[test]
    fn escapes_do_not_change_the_cost_of_a_text(words in any::<String>()) {
        let units = words.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        let plain = json!({"messages": [], "system": words}).to_string();
        let escaped = format!("{{\"messages\":[],\"system\":\"{units}\"}}");
        prop_assert_eq!(messages(plain.as_bytes()), messages(escaped.as_bytes()));
    }

    /// Blanks at the end are a token until a line end joins them, which the safety margin can round to two.
    #[test]
    fn more_text_never_costs_less(
        words in "([a-zA-ZäéÉßя中あ한0-9 \t\n.,(){}\"'─—😀]|\\PC){0,60}", more in "[ a-zA-Zé0-9\n.,\"]{1,20}",
    ) {
        let (short, long) = (text(&words), text(&format!("{words}{more}")));
        prop_assert!(short <= long + 2, "{} then {}", short, long);
        prop_assert!(long >= 1);
    }
}
