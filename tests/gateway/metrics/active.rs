//! `/metrics/active-requests` and its stream: the requests that run.

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

/// The start of a message, which tells its input, and then nothing any more.
fn begun() -> Answer {
    Answer::pieces(vec![Piece::Bytes(anthropic::start()), Piece::Silence])
}

/// So many running requests.
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

/// The next update with so many rows.
fn update(watcher: &mut Exchange, requests: usize) -> Event {
    loop {
        let event = watcher.event_named("update");
        if event.data["active_requests"].as_array().expect("a list").len() == requests {
            return event;
        }
    }
}

#[test]
fn a_running_request_is_told_with_what_is_known_of_it() {
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

/// What the scripted upstream tells at the start of a message.
fn anthropic_usage() -> Value {
    let text = String::from_utf8(anthropic::start()).expect("text");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let start: Value = serde_json::from_str(data).expect("JSON");
    start["message"]["usage"].clone()
}

/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn watchers_are_told_at_once_when_a_request_begins_and_ends() {
    let upstream = Upstream::anthropic().always(begun());
    // Nothing but a begin or an end is told within the test.
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
    // It may have been seen before its body was there.
    while update(&mut watcher, 1).data["active_requests"][0]["requested_model"] != MODEL {}

    call.hang_up();
    update(&mut watcher, 0);
    watcher.hang_up();
}

/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn numbers_are_told_at_the_interval_and_time_alone_is_not() {
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

/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn watchers_get_signs_of_life() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT", "0.1").start();
    let mut watcher = gateway.call("GET", STREAM).open();
    watcher.event_named("update");
    for _ in 0..2 {
        assert_eq!(watcher.event().expect("a sign of life").raw, ": heartbeat\n\n");
    }
}

#[test]
fn watchers_have_a_bound_and_their_places_are_free_again() {
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
fn the_stream_ends_when_the_gateway_stops_and_does_not_hold_it_up() {
    let upstream = Upstream::anthropic();
    let mut gateway = Gateway::before(&upstream).limit("drain", 3600).start();
    let mut watcher = gateway.call("GET", STREAM).open();
    watcher.event_named("update");
    gateway.run.signal("TERM");
    assert!(watcher.finish().complete, "cut instead of ended");
    assert!(gateway.run.wait().success());
}
