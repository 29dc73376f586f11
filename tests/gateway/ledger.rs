//! What is recorded of a request equals what the scripted upstream sent and what the client got, on every path and with
//! every end.

mod failures;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running_totals::{Way, ways};
use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect};

const LOGS: &str = "/metrics/logs?limit_traces=200";
const ACTIVE: &str = "/metrics/active-requests";

/// The requests that have ended, newest first, once there are this many.
fn settled(gateway: &Gateway, requests: usize) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let logs = gateway.get(LOGS).json();
        let rows = logs["traces"].as_array().expect("a list");
        if rows.len() == requests {
            return rows.clone();
        }
        assert!(Instant::now() < until, "not {requests} requests: {logs:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A reply with every count that its API has.
fn counted(way: Way) -> Answer {
    let messages = |output: u64| {
        json!({"input_tokens": 1001, "output_tokens": output, "cache_read_input_tokens": 2003,
            "cache_creation_input_tokens": 307,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 107}})
    };
    let last = json!({"output_tokens": 509, "output_tokens_details": {"thinking_tokens": 211}});
    let chat = json!({"prompt_tokens": 3311, "completion_tokens": 509, "total_tokens": 3820,
        "prompt_tokens_details": {"cached_tokens": 2003, "cache_write_tokens": 307},
        "completion_tokens_details": {"reasoning_tokens": 211}});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "max_tokens", "stop_sequence": null});
    match (way.provider, way.stream) {
        (Dialect::Anthropic, true) => {
            let mut start = message;
            start["content"] = json!([]);
            start["stop_reason"] = Value::Null;
            start["usage"] = messages(1);
            let event = anthropic::event;
            Answer::events(vec![
                event(&json!({"type": "message_start", "message": start})),
                anthropic::block_start(0, &json!({"type": "text", "text": ""})),
                anthropic::text_delta("Hello"),
                anthropic::block_stop(0),
                event(
                    &json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": last}),
                ),
                event(&json!({"type": "message_stop"})),
            ])
        }
        (Dialect::Anthropic, false) => {
            let mut whole = message;
            whole["usage"] = messages(509);
            whole["usage"]["output_tokens_details"] = last["output_tokens_details"].clone();
            Answer::json(200, whole.to_string())
        }
        // The usage comes after the finish reason.
        (Dialect::OpenAi, true) => Answer::events(vec![
            openai::role(),
            openai::content("Hello"),
            openai::finish("length"),
            openai::data(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
                "choices": [], "usage": chat})),
            openai::done(),
        ]),
        (Dialect::OpenAi, false) => {
            let choice = json!({"index": 0, "finish_reason": "length",
                "message": {"role": "assistant", "content": "Hello"}});
            let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": MODEL,
                "choices": [choice], "usage": chat});
            Answer::json(200, whole.to_string())
        }
    }
}

/// The number under each of these names.
fn numbers<const N: usize>(row: &Value, names: [&str; N]) -> [f64; N] {
    names.map(|name| row[name].as_f64().unwrap_or_else(|| panic!("no {name}: {row:#}")))
}

/// Checklist 13: recorded input, output and cache tokens equal the upstream's, for both endpoints, streamed and whole, with
/// both kinds of upstream.
/// Checklist 14: a usage chunk after `finish_reason` is counted.
/// Checklist 19: the first event lies between 0 and the duration.
#[test]
fn the_record_has_the_upstreams_numbers_on_every_path() {
    for way in ways() {
        let upstream = way.upstream().always(counted(way));
        let gateway = Gateway::before(&upstream).start();
        let reply = way.ask(&gateway).header("x-claude-code-session-id", "session-1").reply();
        assert_eq!(reply.status(), 200, "{way:?} {reply}");

        let rows = settled(&gateway, 1);
        let row = &rows[0];

        let cache_1h = if way.provider == Dialect::Anthropic { 107 } else { 0 };
        let tokens = [
            ("input_tokens", 1001),
            ("output_tokens", 509),
            ("cache_read_tokens", 2003),
            ("cache_creation_tokens", 307),
            ("cache_creation_1h_tokens", cache_1h),
            ("reasoning_tokens", 211),
        ];
        for (name, expected) in tokens {
            assert_eq!(row[name], expected, "{way:?} {name} {row:#}");
        }
        let api = if way.endpoint == "/v1/messages" { "messages" } else { "chat-completions" };
        let upstream_api = if way.name() == "anthropic" { "messages" } else { "chat-completions" };
        let texts = [
            ("status", "ok"),
            ("requested_model", MODEL),
            ("stop_reason", "max_tokens"),
            ("session", "session-1"),
            ("api", api),
            ("upstream_api", upstream_api),
        ];
        for (name, expected) in texts {
            assert_eq!(row[name], expected, "{way:?} {name} {row:#}");
        }
        assert_eq!((&row["http_status"], &row["upstream_status"]), (&json!(200), &json!(200)), "{row:#}");
        assert_eq!(row["reply_size"], reply.body.len(), "{way:?} {row:#}");
        let [first, duration] = numbers(row, ["first_event_ms", "duration_ms"]);
        assert!(0.0 < first && first <= duration, "{way:?} {row:#}");
        let calls = row["calls"].as_array().expect("a list");
        assert_eq!(calls.len(), 1, "{way:?} {row:#}");
        assert_eq!((&calls[0]["status"], &calls[0]["outcome"]), (&json!(200), &json!("answered")), "{row:#}");
        assert_eq!((&calls[0]["key"], &calls[0]["model"]), (&row["key"], &json!(MODEL)), "{row:#}");
        assert!(row["key"].as_str().is_some_and(|key| key.len() == 8 && !key.contains("sk-")), "{row:#}");
        let [start, took] = numbers(&calls[0], ["start_ms", "duration_ms"]);
        assert!(0.0 <= start && start + took <= first + 1.0, "{way:?} {row:#}");
    }
}

/// Checklist 14: a usage chunk after `finish_reason` reaches the client.
#[test]
fn a_usage_chunk_after_the_finish_reason_is_forwarded() {
    for endpoint in ["/v1/messages", "/v1/chat/completions"] {
        let way = Way { endpoint, provider: Dialect::OpenAi, stream: true };
        let upstream = way.upstream().always(counted(way));
        let gateway = Gateway::before(&upstream).start();
        let body = json!({"model": MODEL, "max_tokens": 64, "stream": true,
            "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}]});
        let raw = gateway.call("POST", endpoint).json(&body).reply().raw();
        let counts = if endpoint == "/v1/messages" {
            "\"cache_read_input_tokens\":2003"
        } else {
            "\"cached_tokens\":2003"
        };
        assert!(raw.contains(counts), "{endpoint} {raw}");
    }
}

/// The tokens of every run of a model for one reply are summed.
#[test]
fn the_runs_of_a_reply_are_summed() {
    let way = Way { endpoint: "/v1/messages", provider: Dialect::Anthropic, stream: false };
    let run = |input: u64, output: u64, hour: u64| {
        json!({"type": "message", "input_tokens": input, "output_tokens": output,
            "cache_creation_input_tokens": hour, "cache_creation": {"ephemeral_1h_input_tokens": hour}})
    };
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn", "usage": {
            "input_tokens": 5, "output_tokens": 7, "iterations": [run(900, 30, 4), run(5, 7, 2)]}});
    let upstream = way.upstream().always(Answer::json(200, whole.to_string()));
    let gateway = Gateway::before(&upstream).start();
    way.ask(&gateway).reply();
    let row = &settled(&gateway, 1)[0];
    let names = ["input_tokens", "output_tokens", "cache_creation_tokens", "cache_creation_1h_tokens"];
    assert_eq!(numbers(row, names), [905.0, 37.0, 6.0, 6.0], "{row:#}");
}

/// Requirement: the session is Claude Code's header, else the one in `metadata.user_id`; the agent is its header. What is
/// too long, or contains a key, is not recorded.
#[test]
fn session_and_agent_are_those_that_the_client_names() {
    let way = Way { endpoint: "/v1/messages", provider: Dialect::Anthropic, stream: false };
    let upstream = way.upstream();
    let gateway = Gateway::before(&upstream).start();
    let user = json!({"device_id": "d", "session_id": "from-the-body"}).to_string();
    let body = json!({"model": MODEL, "max_tokens": 9, "metadata": {"user_id": user},
        "messages": [{"role": "user", "content": "hi"}]});
    let call = || gateway.messages(&body);
    let long = "x".repeat(129);
    call().header("x-claude-code-session-id", "from-the-header").reply();
    call().header("x-claude-code-agent-id", "agent-7").reply();
    call().header("x-claude-code-session-id", &long).header("x-claude-code-agent-id", &long).reply();
    call().header("x-claude-code-session-id", "sk-test").header("x-claude-code-agent-id", "sk-test").reply();

    let rows = settled(&gateway, 4);

    let named: Vec<_> = rows.iter().rev().map(|row| (&row["session"], &row["agent"])).collect();
    let (null, agent) = (&Value::Null, &json!("agent-7"));
    let (header, inside) = (&json!("from-the-header"), &json!("from-the-body"));
    assert_eq!(named, [(header, null), (inside, agent), (null, null), (null, null)], "{rows:#?}");
}
