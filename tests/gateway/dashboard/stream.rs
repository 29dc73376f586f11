//! `GET /api/ui/stream`.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::support::client::{connect, prompt};
use crate::support::upstream::Answer;

/// Checklist 32: every request is sent within a second, with everything that a row shows.
#[test]
fn a_request_is_sent_when_it_starts_and_when_it_ends() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut stream = gateway.call("GET", "/api/ui/stream").send();
    assert_eq!(stream.head().header("content-type"), Some("text/event-stream; charset=utf-8"));
    // After a restart, the browser reaches the new process, and keeps no connection to the old one.
    assert_eq!(stream.head().header("connection"), Some("close"));
    drop(stream.event_named("tick"));
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let ended = stream.event_named("end").data;
    for (field, expected) in [
        ("outcome", Value::from("succeeded")),
        ("status", 200.into()),
        ("requested_model", MODEL.into()),
        ("provider", "anthropic".into()),
        ("stream", false.into()),
        ("api", "messages".into()),
        ("upstream_calls", 1.into()),
    ] {
        assert_eq!(ended[field], expected, "{field}: {ended}");
    }
    assert!(ended["id"].as_str().is_some_and(|id| id.starts_with("req_")), "{ended}");
    assert!(ended["key"].is_string() && ended["input_tokens"].as_u64() > Some(0), "{ended}");
    assert!(!ended.to_string().contains("sk-test"), "{ended}");

    upstream.then(Answer::silence());
    let running = gateway.messages(&prompt(MODEL, "hi")).send();
    let started = stream.event_named("start").data;
    assert_eq!((&started["outcome"], &started["ended"]), (&"running".into(), &Value::Null), "{started}");
    running.hang_up();
    let cancelled = stream.event_named("end").data;
    assert_eq!(
        (&cancelled["outcome"], &cancelled["id"]),
        (&"cancelled".into(), &started["id"]),
        "{cancelled}"
    );
}

/// Requirement: a page that reconnects receives the events that it missed, or an event that they are no longer available.
#[test]
fn a_stream_resumes_after_the_last_event() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut stream = gateway.call("GET", "/api/ui/stream").send();
    let first = stream.event_named("tick");
    let id = first.raw.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    stream.hang_up();
    for _ in 0..3 {
        assert_eq!(gateway.ask_whole("hi").status(), 200);
    }
    crate::support::await_that("the requests are counted", || {
        gateway.get("/api/ui/snapshot").json()["providers"][0]["requests"] == 3
    });
    let mut resumed = gateway.call("GET", "/api/ui/stream").header("last-event-id", &id).send();
    let names: Vec<String> = (0..4).filter_map(|_| resumed.event()).map(|event| event.name).collect();
    assert_eq!(names, ["end", "end", "end", "tick"]);
    let mut foreign = gateway.call("GET", "/api/ui/stream").header("last-event-id", "1-1").send();
    assert_eq!(foreign.event().map(|event| event.name), Some("gap".to_owned()));
}

/// Checklist 26: with a constant set of requests in flight, the stream sends at most one message and 1 kB in a second.
#[test]
fn an_unchanged_gateway_sends_nearly_nothing() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..10 {
        upstream.then(Answer::silence());
    }
    let running: Vec<_> = (0..10).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    crate::support::await_that("all are in flight", || {
        gateway.get("/api/ui/snapshot").json()["in_flight"] == 10
    });
    let mut socket = connect(gateway.address);
    let request = format!("GET /api/ui/stream HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.address);
    std::io::Write::write_all(&mut socket, request.as_bytes()).expect("it is open");
    let read_for = |socket: &mut std::net::TcpStream, time: Duration| {
        let (until, mut bytes) = (Instant::now() + time, vec![]);
        let mut buffer = [0; 4096];
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("a timeout");
            match socket.read(&mut buffer) {
                Ok(0) => panic!("the stream ended"),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(_) => break,
            }
        }
        String::from_utf8(bytes).expect("text")
    };
    let first = read_for(&mut socket, Duration::from_secs(2));
    assert_eq!(first.matches("event: start").count(), 10, "{first}");
    let idle = read_for(&mut socket, Duration::from_secs(4));
    assert!(idle.matches("event: ").count() <= 4 && idle.len() <= 4000, "{idle}");
    drop(running);
}

/// Requirement: the number of open streams is bounded, and a drain ends them at once. Checklist 53: ten of them do not delay the end.
#[test]
fn a_stop_ends_all_streams_at_once() {
    let upstream = Upstream::anthropic();
    let mut gateway = Gateway::before(&upstream).start();
    let mut streams: Vec<_> = (0..10).map(|_| gateway.call("GET", "/api/ui/stream").send()).collect();
    for stream in &mut streams {
        drop(stream.event_named("tick"));
    }
    let mut more: Vec<_> = (0..10).map(|_| gateway.call("GET", "/api/ui/stream").send()).collect();
    let more: Vec<u16> = more.iter_mut().map(|stream| stream.status()).collect();
    assert!(more.contains(&503), "{more:?}");
    let began = Instant::now();
    gateway.run.signal("TERM");
    let ended = gateway.run.wait();
    assert!(ended.success(), "{ended}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
