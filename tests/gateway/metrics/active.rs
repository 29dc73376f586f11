//! `/metrics/active-requests` and its stream: the requests in flight.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ACTIVE, STREAM};
use crate::support::PATIENCE;
use crate::support::canned::anthropic;
use crate::support::client::{Exchange, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Event;
use crate::support::upstream::{Answer, Piece, Upstream};

/// The start of a message with its input tokens, and then nothing.
fn begun() -> Answer {
    Answer::pieces(vec![Piece::Bytes(anthropic::start()), Piece::Silence])
}

/// The report with this many requests in flight.
fn running(gateway: &Gateway, requests: usize) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = gateway.get(ACTIVE).json();
        assert_eq!(told["disabled"], false);
        let rows = told["active_requests"].as_array().expect("a list");
        if rows.len() == requests {
            return rows.clone();
        }
        assert!(Instant::now() < until, "not {requests}: {told:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The next update with this many rows.
fn update(watcher: &mut Exchange, requests: usize) -> Event {
    loop {
        let event = watcher.event_named("update");
        if event.data["active_requests"].as_array().expect("a list").len() == requests {
            return event;
        }
    }
}

/// Checklist 24: `/metrics/active-requests` keeps its JSON fields.
#[test]
fn a_request_in_flight_is_reported_with_all_that_is_known() {
    let upstream = Upstream::anthropic().answering(begun()).answering(Answer::silence());
    let gateway = Gateway::before(&upstream).toml("[anthropic.aliases]\nfast = \"claude-x\"").start();
    let first = json!({"model": "fast", "max_tokens": 9, "stream": true, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}]});
    let mut one = gateway.messages(&first).open();
    one.event_named("message_start");
    let second = json!({"model": "anthropic:claude-y", "max_tokens": 9, "messages": []});
    let other = gateway.messages(&second).send();
    upstream.request(1);

    let reply = gateway.get(ACTIVE);

    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    let rows = reply.json()["active_requests"].clone();
    let named = |row: &Value| {
        ["provider", "model", "requested_model", "resolved_model", "qualified_model"]
            .map(|key| row[key].as_str().expect("a text").to_owned())
    };
    assert_eq!(
        named(&rows[0]),
        ["anthropic", "claude-y", "anthropic:claude-y", "claude-y", "anthropic:claude-y"]
    );
    assert_eq!(named(&rows[1]), ["anthropic", "fast", "fast", "claude-x", "anthropic:fast"]);
    let mut old = rows[1].clone();
    let row = old.as_object_mut().expect("a row");
    for name in ["provider", "model", "requested_model", "resolved_model", "qualified_model"] {
        row.remove(name);
    }
    // These are not the original's; the tests of the ledger read them.
    for name in ["api", "session", "agent", "role", "first_event_ms", "reply_size", "calls"] {
        assert!(row.remove(name).is_some(), "{name}");
    }
    assert!(row.remove("request_id").is_some_and(|id| id.as_str().is_some_and(|id| id.starts_with("req_"))));
    assert!(row.remove("start_time").is_some_and(|time| time.as_f64().is_some_and(|time| time > 1.7e9)));
    assert!(row.remove("duration_ms").is_some_and(|time| time.is_u64()));
    let usage = &anthropic_usage();
    let expected = json!({"is_streaming": true, "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"], "cache_read_tokens": usage["cache_read_input_tokens"],
        "cache_creation_tokens": usage["cache_creation_input_tokens"], "tool_uses": 0, "tool_results": 0,
        "tool_calls": 0, "request_size": first.to_string().len(), "message_count": 3});
    assert_eq!(old, expected);
    assert_eq!((&rows[0]["is_streaming"], &rows[0]["input_tokens"]), (&json!(false), &json!(0)));
    let later = running(&gateway, 2);
    assert!(later[1]["duration_ms"].as_u64() >= rows[1]["duration_ms"].as_u64(), "{later:#?}");
    one.hang_up();
    other.hang_up();
    running(&gateway, 0);
}

/// The input tokens that the scripted upstream sends at the start of a message.
fn anthropic_usage() -> Value {
    let text = String::from_utf8(anthropic::start()).expect("text");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let start: Value = serde_json::from_str(data).expect("JSON");
    start["message"]["usage"].clone()
}

/// Checklist 25: the stream sends `update` at once on connect, and on each start and end.
/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn the_start_and_the_end_of_a_request_are_events_at_once() {
    let upstream = Upstream::anthropic().always(begun());
    // The interval is so long that within the test only starts and ends cause events.
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_INTERVAL", "3600").start();
    let mut watcher = gateway.call("GET", STREAM).open();
    let head = watcher.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    let first = watcher.event().expect("the first update");
    assert_eq!((first.name.as_str(), &first.data["active_requests"]), ("update", &json!([])));
    assert_eq!(first.data["disabled"], false);
    assert!(first.data["timestamp"].as_f64().is_some_and(|time| time > 1.7e9));
    watcher.assert_silent();

    let mut call = gateway.messages(&prompt(MODEL, "hi")).open();
    call.event_named("message_start");
    // The first event may be older than its body.
    while update(&mut watcher, 1).data["active_requests"][0]["requested_model"] != MODEL {}

    call.hang_up();
    update(&mut watcher, 0);
    watcher.hang_up();
}

/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn numbers_are_sent_at_the_interval_and_passing_time_alone_is_not() {
    let events = anthropic::text(&["Hello"]);
    let (start, rest) = events.split_at(1);
    let upstream = Upstream::anthropic().always(Answer::pieces(vec![
        Piece::Permit,
        Piece::Bytes(start.concat()),
        Piece::Permit,
        Piece::Bytes(rest.concat()),
    ]));
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_INTERVAL", "0.05").start();
    let mut watcher = gateway.call("GET", STREAM).open();
    let mut call = gateway.messages(&prompt(MODEL, "hi")).send();
    while update(&mut watcher, 1).data["active_requests"][0]["provider"] != "anthropic" {}
    watcher.assert_silent();
    upstream.permit();
    call.event_named("message_start");
    let numbers = update(&mut watcher, 1);
    assert_eq!(numbers.data["active_requests"][0]["input_tokens"], anthropic_usage()["input_tokens"]);
    watcher.assert_silent();
    upstream.permit();
    assert_eq!(call.finish().text(), "Hello");
    update(&mut watcher, 0);
}

/// Checklist 26: with a constant set of ten requests whose numbers change all the time, the stream sends at most one message and 1 kB a
/// second.
#[test]
fn changing_numbers_of_ten_requests_are_paced() {
    let tokens = |count: u32| {
        Piece::Bytes(anthropic::event(
            &json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": count}}),
        ))
    };
    let mut pieces = vec![Piece::Bytes(anthropic::start())];
    for count in 0..200 {
        pieces.extend([tokens(count), Piece::Pause(Duration::from_millis(50))]);
    }
    pieces.push(Piece::Silence);
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_INTERVAL", "0.05").start();
    let mut calls: Vec<_> = (0..10).map(|_| gateway.messages(&prompt(MODEL, "hi")).open()).collect();
    calls.iter_mut().for_each(|call| drop(call.event_named("message_start")));
    running(&gateway, 10);
    let mut watcher = gateway.call("GET", STREAM).open();
    let first = update(&mut watcher, 10);
    let start = Instant::now();
    let next = watcher.event_named("update");
    let waited = start.elapsed().as_secs_f64();
    assert!(
        waited >= 1.0 && waited >= 0.8 * first.raw.len() as f64 / 1000.0,
        "{waited} s for {} bytes",
        first.raw.len()
    );
    assert_ne!(first.data["active_requests"], next.data["active_requests"]);
    calls.into_iter().for_each(Exchange::hang_up);
}

/// Checklist 25: heartbeats.
/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn watchers_receive_heartbeats() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT", "0.1").start();
    let mut watcher = gateway.call("GET", STREAM).open();
    watcher.event_named("update");
    for _ in 0..2 {
        assert_eq!(watcher.event().expect("a sign of life").raw, ": heartbeat\n\n");
    }
}

#[test]
fn the_number_of_watchers_is_limited_and_closed_ones_make_room() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let watch = || gateway.call("GET", STREAM).open();
    let mut watchers: Vec<_> = (0..16).map(|_| watch()).collect();
    watchers.iter_mut().for_each(|watcher| assert_eq!(watcher.status(), 200));
    let refused = watch().finish();
    assert_eq!((refused.status(), refused.error_type().as_str()), (529, "overloaded_error"));
    assert!(refused.integer("retry-after") > 0);
    watchers.pop().expect("one of them").hang_up();
    let until = Instant::now() + PATIENCE;
    while watch().status() != 200 {
        assert!(Instant::now() < until, "the place of one who has left is not given to the next");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_stream_ends_when_the_gateway_stops_and_does_not_delay_it() {
    let upstream = Upstream::anthropic();
    let mut gateway = Gateway::before(&upstream).limit("drain", 3600).start();
    let mut watcher = gateway.call("GET", STREAM).open();
    watcher.event_named("update");
    gateway.run.signal("TERM");
    assert!(watcher.finish().complete, "cut instead of ended");
    assert!(gateway.run.wait().success());
}
