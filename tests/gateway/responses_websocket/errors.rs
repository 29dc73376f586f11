//! Errors become frames with the status and the error object of the HTTP endpoint.

use serde_json::{Value, json};

use super::{before, create, events, user};
use crate::support::canned::{openai, responses};
use crate::support::upstream::{Answer, Ending, Piece, Upstream};
use crate::support::websocket::Socket;

/// Requirement: an upstream's error is an `error` frame with its status, its object and the headers that clients read; the
/// connection goes on, and the conversation is as before.
#[test]
fn an_upstream_error_is_a_frame_and_the_connection_goes_on() {
    let body = openai::error("The model is odd", "invalid_request_error", "odd_model");
    let upstream = Upstream::openai()
        .answering(Answer::events(events("resp_1", &[responses::message("Hi")])))
        .answering(Answer::json(400, body.clone()).header("x-request-id", "req_upstream"));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    socket.response();

    socket.send(&super::create_after("resp_1", &json!([user("odd")])));

    let error = socket.json();
    let sent: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&error["type"], &error["status"], &error["error"]),
        (&json!("error"), &json!(400), &sent["error"])
    );
    assert_eq!(error["headers"]["x-request-id"], "req_upstream");
    socket.send(&super::create_after("resp_1", &json!([user("even")])));
    socket.response();
    assert_eq!(upstream.request(2).json()["input"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_rate_limit_names_its_wait() {
    let body = openai::error("Rate limit reached", "rate_limit_error", "rate_limit_exceeded");
    let upstream = Upstream::openai().always(Answer::json(429, body).header("retry-after", "30"));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    let error = socket.json();
    assert_eq!((&error["status"], &error["error"]["code"]), (&json!(429), &json!("rate_limit_exceeded")));
    let wait: u64 =
        error["headers"]["retry-after"].as_str().and_then(|wait| wait.parse().ok()).expect("a wait");
    assert!((20..=60).contains(&wait), "{error}");
}

/// Requirement: what is wrong with a frame is said with its place, and the connection goes on.
#[test]
fn a_wrong_frame_is_refused_and_the_connection_goes_on() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    for (frame, param, words) in [
        (json!([]), Value::Null, "not a JSON object"),
        (json!({"type": "response.cancel"}), json!("type"), "close the connection"),
        (json!({"type": "response.create", "input": 5}), json!("input"), "a string or a list"),
        (
            json!({"type": "response.create", "input": "x", "stream_id": "a"}),
            json!("stream_id"),
            "one response",
        ),
        (json!({"type": "response.create", "input": "x"}), Value::Null, "model: field required"),
        (json!({"type": "response.create", "model": "no:such", "input": "x"}), Value::Null, "no"),
    ] {
        socket.send(&frame);
        let error = socket.json();
        let text = error["error"]["message"].as_str().unwrap_or_default();
        assert!(error["type"] == "error" && text.contains(words), "{frame}: {error}");
        assert_eq!(error["error"]["param"], param, "{frame}: {error}");
    }
    socket.send(&create(&json!([user("hi")])));
    socket.response();
}

/// Requirement: a reply that breaks off ends with an error frame, and cannot be continued.
#[test]
fn a_reply_that_breaks_off_ends_with_an_error() {
    let whole = events("resp_1", &[responses::message("Hello")]);
    for ending in [Ending::Cut, Ending::Reset] {
        let pieces = whole[..3].iter().cloned().map(Piece::Bytes).collect();
        let upstream = Upstream::openai().answering(Answer::pieces(pieces).ending(ending));
        let gateway = before(&upstream).start();
        let mut socket = Socket::open(gateway.address);
        socket.send(&create(&json!([user("hi")])));
        let last: Value =
            socket.response().last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
        assert!(last["type"] == "error" || last["type"] == "response.failed", "{last}");
        socket.send(&super::create_after("resp_1", &json!([user("more")])));
        assert_eq!(socket.json()["error"]["code"], "previous_response_not_found");
    }
}

/// Requirement: a reply that fails has one last frame, which clients know, and the next response begins with its own events.
#[test]
fn a_reply_that_fails_has_one_last_frame() {
    let whole = events("resp_1", &[responses::message("Hello")]);
    let error = json!({"code": "server_error", "message": "oops"});
    for (last, kind, status) in [
        (
            json!({"type": "error", "code": "server_error", "message": "oops", "param": null, "sequence_number": 3}),
            "error",
            502,
        ),
        (
            json!({"type": "error", "error": {"type": "too_many_requests", "code": "rate_limit_exceeded", "message": "oops"}}),
            "error",
            429,
        ),
        (json!({"error": {"message": "oops", "code": 503}}), "error", 503),
        (
            json!({"type": "response.cancelled", "response": {"id": "resp_1", "status": "cancelled", "error": error}}),
            "error",
            502,
        ),
        (
            json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": error}}),
            "response.failed",
            0,
        ),
    ] {
        let mut failing = whole[..3].to_vec();
        failing.push(format!("data: {last}\n\n").into_bytes());
        let upstream = Upstream::openai()
            .answering(Answer::events(failing))
            .answering(Answer::events(events("resp_2", &[responses::message("Hi")])));
        let gateway = before(&upstream).start();
        let mut socket = Socket::open(gateway.address);
        socket.send(&create(&json!([user("hi")])));
        let frames = socket.response();
        let frame: Value = frames.last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
        assert_eq!(frame["type"], kind, "{frame}");
        let message = frame["error"]["message"].as_str().or(frame["response"]["error"]["message"].as_str());
        assert_eq!(
            (message, frame["status"].as_u64().unwrap_or_default()),
            (Some("oops"), status),
            "{frame}"
        );
        assert_eq!(frames.len(), 4, "{frames:?}");
        socket.send(&create(&json!([user("again")])));
        assert_eq!(socket.response(), super::data(&events("resp_2", &[responses::message("Hi")])));
    }
}

/// Requirement: bounds on requests in flight apply to each response.
#[test]
fn too_many_requests_in_flight_are_refused_with_a_frame() {
    let (upstream, _) = super::paused("resp_1");
    let gateway = before(&upstream).limit("in-flight", 1).start();
    let (mut one, mut two) = (Socket::open(gateway.address), Socket::open(gateway.address));
    one.send(&create(&json!([user("hi")])));
    one.text();
    two.send(&create(&json!([user("hi")])));
    let error = two.json();
    assert_eq!(error["status"], 503, "{error}");
    assert!(error["headers"]["retry-after"].is_string(), "{error}");
    upstream.permit();
    one.response();
    two.send(&create(&json!([user("hi")])));
    two.text();
}
