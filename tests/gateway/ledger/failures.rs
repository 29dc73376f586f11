//! Requests that fail, or that the client leaves.

use super::*;
use crate::support::client::prompt;
use crate::support::gateway::whole_prompt;
use crate::support::upstream::{Ending, Piece, Upstream};

/// One way to fail: the upstream's answer, the client's status, the error's type, the upstream's status and the outcome of
/// the last call.
struct Failing {
    name: &'static str,
    answer: Answer,
    status: u64,
    error_type: &'static str,
    upstream_status: Value,
    outcome: &'static str,
}

fn error_body(way: Way, status: u64) -> String {
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        _ => "api_error",
    };
    match way.provider {
        Dialect::Anthropic => anthropic::error(kind, "no"),
        Dialect::OpenAi => openai::error("no", "x", "y"),
    }
}

fn before_the_reply(way: Way) -> Vec<Failing> {
    let refused = |status: u64, error_type, outcome| Failing {
        name: "an error status",
        answer: Answer::json(u16::try_from(status).expect("a status"), error_body(way, status)),
        status,
        error_type,
        upstream_status: json!(status),
        outcome,
    };
    let mut failing = vec![
        refused(500, "upstream_http_error", "server error"),
        refused(429, "rate_limit", "rate limited"),
        refused(401, "auth_error", "key rejected"),
    ];
    failing.push(Failing {
        name: "a broken connection",
        answer: Answer::hang_up(),
        status: 502,
        error_type: "upstream_http_error",
        upstream_status: Value::Null,
        outcome: "broken reply",
    });
    failing.push(Failing {
        name: "a timeout",
        answer: Answer::silence(),
        status: 504,
        error_type: "upstream_timeout",
        upstream_status: Value::Null,
        outcome: "silent",
    });
    failing
}

/// Failures after the head of a stream.
fn inside_a_stream(way: Way) -> Vec<Failing> {
    let whole = match way.provider {
        Dialect::Anthropic => Answer::events(anthropic::text(&["Hello"])),
        Dialect::OpenAi => Answer::events(openai::text(&["Hello"])),
    };
    let half = whole.body().len() / 2;
    let failed = |name, answer, error_type| Failing {
        name,
        answer,
        status: 200,
        error_type,
        upstream_status: json!(200),
        outcome: "broken reply",
    };
    vec![
        failed("a cut stream", whole.broken_after(half, Ending::Cut), "streaming_error"),
        failed("a silent stream", way.stalling(), "upstream_timeout"),
    ]
}

fn totals(gateway: &Gateway) -> (u64, u64) {
    let totals = gateway.get("/metrics/running-totals?format=json").json();
    let number = |name: &str| totals["summary"][name].as_u64().unwrap_or_else(|| panic!("{totals:#}"));
    (number("active_requests"), number("total_errors"))
}

/// Checklist 15: after any failing request the number of active requests returns to 0 within 1 s.
/// Checklist 16: each of those failures raises the error count by exactly 1, with class and upstream status.
/// Checklist 17: an upstream's refusal before the first byte of a stream reaches the client as that status.
#[test]
fn every_failure_counts_once_with_its_class_and_the_upstreams_status() {
    for way in ways() {
        let mut failing = before_the_reply(way);
        if way.stream {
            failing.extend(inside_a_stream(way));
        }
        for Failing { name, answer, status, error_type, upstream_status, outcome } in failing {
            let upstream = way.upstream().always(answer);
            let setup = Gateway::before(&upstream).env("MAX_RETRIES", "0").limit("idle-timeout", 0.4);
            let setup = setup.limit("first-byte-timeout", 0.4).limit("whole-timeout", 0.4);
            let gateway = setup.start();

            let reply = way.ask(&gateway).reply();

            let ended = Instant::now();
            while totals(&gateway).0 > 0 {
                assert!(ended.elapsed() < Duration::from_secs(1), "{way:?} {name}: still active");
                thread::sleep(Duration::from_millis(20));
            }
            assert_eq!(u64::from(reply.status()), status, "{way:?} {name} {reply}");
            assert_eq!(totals(&gateway), (0, 1), "{way:?} {name}");
            let rows = settled(&gateway, 1);
            let row = &rows[0];
            assert_eq!(row["error_type"], error_type, "{way:?} {name} {row:#}");
            assert_eq!(row["http_status"], status, "{way:?} {name} {row:#}");
            assert_eq!(row["upstream_status"], upstream_status, "{way:?} {name} {row:#}");
            let calls = row["calls"].as_array().expect("a list");
            assert_eq!(calls.len(), 1, "{way:?} {name} {row:#}");
            assert_eq!(calls[0]["outcome"], outcome, "{way:?} {name} {row:#}");
            assert_eq!(row["reply_size"], reply.body.len(), "{way:?} {name} {row:#}");
            assert_eq!(row["first_event_ms"].is_null(), status != 200, "{way:?} {name} {row:#}");
        }
    }
}

/// Requirement: the calls of failed targets are recorded, too, each with its own provider, status and outcome.
#[test]
fn every_call_of_a_fallback_chain_is_recorded() {
    for stream in [true, false] {
        let busy = Answer::json(503, openai::error("busy", "x", "y")).header("x-request-id", "up-one");
        let one = Upstream::openai().always(busy);
        let two = Upstream::anthropic();
        let setup = Gateway::bare().env("MAX_RETRIES", "0").toml("[one]\nfallbacks = [\"two:b\"]");
        let gateway = setup.provider("one", &one).provider("two", &two).start();
        let body = if stream { prompt("one:a", "hi") } else { whole_prompt("one:a", "hi") };
        assert_eq!(gateway.messages(&body).reply().status(), 200);

        let row = settled(&gateway, 1).remove(0);

        let calls = row["calls"].as_array().expect("a list");
        let seen: Vec<_> = calls
            .iter()
            .map(|call| ["provider", "model", "outcome"].map(|name| call[name].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(seen, [["one", "a", "server error"], ["two", "b", "answered"]], "{row:#}");
        assert_eq!((&calls[0]["status"], &calls[1]["status"]), (&json!(503), &json!(200)), "{row:#}");
        assert_eq!((&row["provider"], &row["upstream_api"]), (&json!("two"), &json!("messages")), "{row:#}");
        assert_eq!(calls[0]["upstream_request_id"], "up-one", "{row:#}");
        let stored = || gateway.get("/api/ui/requests").json()["requests"][0].clone();
        crate::support::await_that("the history has the provider's id", || {
            stored()["calls"][0]["upstream_request_id"] == "up-one"
        });
        let stored = stored();
        let id = stored["request_id"].as_str().expect("an id");
        let page = gateway.get(&format!("/dashboard/requests?id={id}")).raw();
        assert!(page.contains(">up-one</code>"), "{page}");
        let [first, second] = [0, 1].map(|at| numbers(&calls[at], ["start_ms", "duration_ms"]));
        assert!(first[0] + first[1] <= second[0] + 1.0, "{row:#}");
    }
}

/// Checklist 15: a client that leaves, before the reply or inside it, is no longer active within 1 s. It is no error; the
/// tokens so far are recorded.
#[test]
fn a_client_that_leaves_is_recorded_with_what_it_got() {
    for way in ways() {
        let begun = if way.stream { way.stalling() } else { Answer::silence() };
        let upstream = way.upstream().always(begun);
        let gateway = Gateway::before(&upstream).start();
        let call = way.ask(&gateway);
        if way.stream {
            let mut call = call.open();
            call.event();
            call.hang_up();
        } else {
            let call = call.send();
            upstream.request(0);
            call.hang_up();
        }

        let row = settled(&gateway, 1).remove(0);

        assert_eq!(totals(&gateway), (0, 0), "{way:?}");
        assert_eq!(row["error_type"], "client_disconnect", "{way:?} {row:#}");
        let expected = if way.stream { json!(200) } else { Value::Null };
        assert_eq!((&row["http_status"], &row["upstream_status"]), (&expected, &expected), "{way:?} {row:#}");
        assert_eq!(row["calls"][0]["outcome"], "cancelled", "{way:?} {row:#}");
        assert_eq!(row["first_event_ms"].is_null(), !way.stream, "{way:?} {row:#}");
        let reads_input = way.stream && way.provider == Dialect::Anthropic;
        assert_eq!(row["input_tokens"], if reads_input { 11 } else { 0 }, "{way:?} {row:#}");
    }
}

/// Requirement: a client that got status 200 and pings before its request failed is recorded with that status, and with the
/// size of what it got.
#[test]
fn an_early_head_is_the_recorded_status() {
    let refusal = Answer::json(400, openai::error("no", "x", "y")).head_after(Duration::from_millis(600));
    let upstream = Upstream::openai().always(refusal);
    let gateway = Gateway::before(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let reply = gateway.ask("hi");
    assert_eq!((reply.status(), reply.pings() > 1), (200, true), "{reply}");

    let row = settled(&gateway, 1).remove(0);

    assert_eq!((&row["http_status"], &row["upstream_status"]), (&json!(200), &json!(400)), "{row:#}");
    assert_eq!(row["reply_size"], reply.body.len(), "{row:#}");
    assert_eq!(row["first_event_ms"], Value::Null, "{row:#}");
}

/// Requirement: a request that is refused at the endpoint reaches no upstream, and counts as one error.
#[test]
fn a_refusal_at_the_door_is_one_error_without_a_call() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.call("POST", "/v1/messages").json(&json!({"messages": []})).reply();
    assert_eq!(reply.status(), 400);

    let row = settled(&gateway, 1).remove(0);

    assert_eq!(totals(&gateway), (0, 1));
    assert_eq!((&row["http_status"], &row["calls"]), (&json!(400), &json!([])), "{row:#}");
    assert_eq!(row["reply_size"], reply.body.len(), "{row:#}");
    assert_eq!(upstream.count(), 0);
}

/// Requirement: a request in flight shows its calls, its key, its session and what it has sent so far.
#[test]
fn a_request_in_flight_shows_its_calls_and_its_first_event() {
    let start = Piece::Bytes(anthropic::start());
    let upstream = Upstream::anthropic().always(Answer::pieces(vec![start, Piece::Silence]));
    let gateway = Gateway::before(&upstream).start();
    let mut call = gateway
        .messages(&prompt(MODEL, "hi"))
        .header("x-claude-code-session-id", "s-1")
        .header("x-claude-code-agent-id", "a-1")
        .open();
    let event = call.event_named("message_start");

    let active = gateway.get(ACTIVE).json();

    let row = &active["active_requests"][0];
    assert_eq!(
        (&row["session"], &row["agent"], &row["api"]),
        (&json!("s-1"), &json!("a-1"), &json!("messages"))
    );
    assert_eq!(row["reply_size"], event.raw.len(), "{row:#}");
    assert!(row["first_event_ms"].as_f64().is_some_and(|first| first > 0.0), "{row:#}");
    let running = &row["calls"][0];
    assert_eq!((&running["status"], &running["outcome"]), (&json!(200), &Value::Null), "{row:#}");
    assert!(running["key"].as_str().is_some_and(|key| key.len() == 8), "{row:#}");
    call.hang_up();
}
