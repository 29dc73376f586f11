//! `/metrics/logs`: the last requests and the last errors.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LOGS;
use crate::running_totals::ways;
use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Ending, Upstream};

/// The report once this many requests have ended.
fn settled(gateway: &Gateway, requests: u64) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let logs = gateway.get(LOGS).json();
        if logs["traces"][0]["seq"] == requests {
            return logs;
        }
        assert!(Instant::now() < until, "not {requests} requests: {logs:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

const OWN_FIELDS: [&str; 16] = [
    "requested_model",
    "http_status",
    "upstream_status",
    "first_event_ms",
    "session",
    "agent",
    "role",
    "api",
    "upstream_api",
    "key",
    "calls",
    "stop_reason",
    "reasoning_tokens",
    "cache_creation_1h_tokens",
    "request_size",
    "reply_size",
];

fn each(list: &Value, key: &str) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|row| row[key].clone()).collect()
}

/// Checklist 24: `/metrics/logs` keeps its JSON fields.
/// Requirement: `/metrics/logs` keys and limits; newest first; failed streams have `status:"error"` and a
/// specific `error_type`.
#[test]
fn a_trace_has_the_data_of_the_upstream_and_the_client() {
    for way in ways() {
        let upstream = way.upstream().always(way.tool_call());
        let gateway = Gateway::before(&upstream).start();
        let reply = way.ask(&gateway).reply();
        assert_eq!(reply.status(), 200, "{way:?}");

        let logs = settled(&gateway, 1);

        assert_eq!(logs["errors"], json!([]), "{way:?}");
        assert_eq!(logs["systemd"], json!({"requested": false, "effective": false, "handler": "console"}));
        let mut trace = logs["traces"][0].clone();
        let row = trace.as_object_mut().expect("a row");
        let number = |value: Option<Value>| value.and_then(|value| value.as_f64()).expect("a number");
        assert!(number(row.remove("ts")) > 1.7e9, "{logs:#}");
        assert!(number(row.remove("duration_ms")) > 0.0, "{logs:#}");
        assert!(
            row.remove("request_id").is_some_and(|id| id.as_str().is_some_and(|id| id.starts_with("req_")))
        );
        // These are not the original's; the tests of the ledger read them.
        for name in OWN_FIELDS {
            assert!(row.remove(name).is_some(), "{name}");
        }
        let [input, output, cache_read, cache_creation] = way.tokens();
        let expected = json!({"seq": 1, "provider": way.name(), "model": MODEL, "is_streaming": way.stream,
            "input_tokens": input, "output_tokens": output, "cache_read_tokens": cache_read,
            "cache_creation_tokens": cache_creation, "tool_use_count": 1, "tool_result_count": 1,
            "tool_call_count": 1, "status": "ok", "error": null, "error_type": null});
        assert_eq!(trace, expected, "{way:?}");
    }
}

/// Requirement: `/metrics/logs` keys and limits; newest first; failed streams have `status:"error"` and a
/// specific `error_type`.
#[test]
fn a_failed_stream_is_an_error_with_its_reason() {
    for way in ways().into_iter().filter(|way| way.stream) {
        let whole = match way.name() {
            "anthropic" => Answer::events(anthropic::text(&["Hello"])),
            _ => Answer::events(openai::text(&["Hello"])),
        };
        let broken = whole.clone().broken_after(whole.body().len() / 2, Ending::Cut);
        let upstream = way.upstream().answering(way.stalling()).answering(broken).answering(way.error());
        let gateway = Gateway::before(&upstream).limit("idle-timeout", 0.3).start();
        for number in 1..=3 {
            way.ask(&gateway).open().finish();
            settled(&gateway, number);
        }

        let logs = settled(&gateway, 3);

        for list in [&logs["errors"], &logs["traces"]] {
            assert_eq!(each(list, "seq"), [3, 2, 1], "{way:?} {logs:#}");
            assert_eq!(each(list, "status"), ["error"; 3], "{way:?} {logs:#}");
            let kinds = ["bad_request", "streaming_error", "upstream_timeout"];
            assert_eq!(each(list, "error_type"), kinds, "{way:?} {logs:#}");
            assert_eq!(list[0]["error"], "no", "{way:?} {logs:#}");
            assert!(list[1]["error"].as_str().is_some_and(|text| !text.is_empty()), "{way:?} {logs:#}");
        }
    }
}

#[test]
fn a_disconnect_is_in_the_traces_only() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let call = gateway.messages(&json!({"model": MODEL, "stream": true, "messages": []})).send();
    upstream.request(0);
    call.hang_up();

    let logs = settled(&gateway, 1);

    assert_eq!(logs["errors"], json!([]));
    let trace = &logs["traces"][0];
    assert_eq!((&trace["status"], &trace["error_type"]), (&json!("error"), &json!("client_disconnect")));
}

#[test]
fn models_keep_their_whole_name_and_keys_and_prompts_are_not_reported() {
    // The second has a key in place of a model, and reaches no provider.
    let refusal = Answer::json(400, openai::error("key sk-test is bad", "invalid_request_error", "x"));
    let upstream = Upstream::openai().always(refusal);
    let setup = Gateway::bare().provider("two", &upstream).toml("[two.aliases]\nfast = \"vendor/m:free\"");
    let gateway = setup.start();
    for model in ["two:fast", "two:sk-test", "nobody:m"] {
        let messages = json!([{"role": "user", "content": "the prompt"}]);
        gateway.messages(&json!({"model": model, "max_tokens": 9, "messages": messages})).reply();
    }

    let logs = settled(&gateway, 3);

    assert_eq!(each(&logs["traces"], "model"), ["unknown", "unknown", "vendor/m:free"], "{logs:#}");
    assert_eq!(each(&logs["traces"], "provider"), ["unknown", "unknown", "two"], "{logs:#}");
    assert_eq!(logs["errors"][2]["error"], "key [key] is bad", "{logs:#}");
    for secret in ["sk-test", "the prompt"] {
        assert!(!logs.to_string().contains(secret), "{logs:#}");
    }
}

/// Requirement: `/metrics/logs` keys and limits; newest first; failed streams have `status:"error"` and a
/// specific `error_type`.
#[test]
fn the_limit_applies_to_traces_and_errors() {
    let upstream = Upstream::openai().always(Answer::json(400, openai::error("no", "x", "y")));
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..3 {
        assert_eq!(gateway.ask_whole("hi").status(), 400);
    }
    settled(&gateway, 3);
    let logs = gateway.get("/metrics/logs?limit_errors=1&limit_traces=2").json();
    assert_eq!(
        (each(&logs["errors"], "seq"), each(&logs["traces"], "seq")),
        (vec![json!(3)], vec![json!(3), json!(2)])
    );
    for (query, told) in [
        ("limit_errors=0", "limit_errors: expected a number from 1 to 1000"),
        ("limit_errors=1001", "limit_errors: expected a number from 1 to 1000"),
        ("limit_traces=2001", "limit_traces: expected a number from 1 to 2000"),
        ("limit_traces=many", "limit_traces: expected a number from 1 to 2000"),
    ] {
        let refused = gateway.get(&format!("{LOGS}?{query}"));
        assert_eq!((refused.status(), refused.error_message().as_str()), (400, told), "{query}");
    }
}
