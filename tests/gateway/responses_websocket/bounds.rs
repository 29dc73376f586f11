//! The bounds of connections and of what is kept for them.

use std::thread;

use serde_json::{Value, json};

use super::{before, create, create_after, events, user};
use crate::support::canned::responses;
use crate::support::upstream::{Answer, Piece, Upstream};
use crate::support::websocket::Socket;

/// Requirement: the items that are kept have a bound for each conversation and one for all; beyond it the client sends all items
/// again.
#[test]
fn items_beyond_the_bounds_are_sent_again() {
    let upstream = Upstream::openai()
        .ruled_by(|_| Some(Answer::events(events("resp_1", &[responses::message(&"x".repeat(1500))]))));
    for setup in [
        before(&upstream).limit("websocket-items", 1000),
        before(&upstream).limit("websocket-items", 1),
        before(&upstream).limit("request-body", 1500),
    ] {
        let gateway = setup.start();
        let mut socket = Socket::open(gateway.address);
        for _ in 0..2 {
            socket.send(&create(&json!([user("hi")])));
            socket.response();
            socket.send(&create_after("resp_1", &json!([user("more")])));
            assert_eq!(socket.json()["error"]["code"], "previous_response_not_found");
        }
    }
}

/// Requirement: a request with the kept items is bounded as a request body is.
#[test]
fn a_request_with_its_items_is_bounded_as_a_body() {
    let upstream = Upstream::openai().always(Answer::events(events("resp_1", &[])));
    let gateway = before(&upstream).limit("request-body", 3000).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user(&"x".repeat(2000))])));
    socket.response();
    socket.send(&create_after("resp_1", &json!([user(&"y".repeat(2000))])));
    let error = socket.json();
    assert_eq!((&error["status"], &error["error"]["code"]), (&json!(413), &json!("request_too_large")));
    assert_eq!(upstream.count(), 1);
}

/// Requirement: the memory for items is free again when a connection ends.
#[test]
fn a_closed_connection_frees_its_items() {
    let upstream = Upstream::openai().always(Answer::events(events("resp_1", &[])));
    let gateway = before(&upstream).limit("websocket-items", 1500).start();
    let text = "x".repeat(1000);
    let fits = |socket: &mut Socket| {
        socket.send(&create(&json!([user(&text)])));
        socket.response();
        socket.send(&create_after("resp_1", &json!([user("more")])));
        let last: Value =
            socket.response().last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
        last["type"] == "response.completed"
    };
    let mut one = Socket::open(gateway.address);
    assert!(fits(&mut one));
    let mut two = Socket::open(gateway.address);
    assert!(!fits(&mut two));
    one.hang_up();
    crate::support::await_that("the items of the other connection are gone", || fits(&mut two));
}

/// Requirement: a client that does not read its reply stops the upstream, and gets every frame later.
#[test]
fn a_slow_client_slows_the_upstream() {
    const DELTAS: usize = 4000;
    let mut reply = events("resp_1", &[responses::message("Hello")]);
    let last = reply.split_off(reply.len() - 1);
    let delta = json!({"type": "response.output_text.delta", "delta": "x".repeat(4000)});
    let delta = format!("event: response.output_text.delta\ndata: {delta}\n\n").into_bytes();
    let mut pieces: Vec<Piece> = reply.iter().cloned().map(Piece::Bytes).collect();
    pieces.extend((0..DELTAS).map(|_| Piece::Bytes(delta.clone())));
    pieces.extend(last.into_iter().map(Piece::Bytes));
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    upstream.request(0);
    let written = upstream.written_until_it_rests(0);
    assert!(written < 12 << 20, "{written} bytes were read for a client that reads none");
    assert_eq!(socket.response().len(), reply.len() + DELTAS + 1);
}

/// Requirement: many connections at once, each with its own conversation.
#[test]
fn many_connections_have_their_own_conversations() {
    const CONNECTIONS: usize = 100;
    let upstream = Upstream::openai().ruled_by(|seen| {
        let input = seen.json()["input"].clone();
        let name = input[0]["content"][0]["text"].as_str()?.to_owned();
        let turn = input.as_array()?.len();
        Some(Answer::events(events(
            &format!("resp_{turn}"),
            &[responses::message(&format!("{name} {turn}"))],
        )))
    });
    let gateway = before(&upstream).start();
    let address = gateway.address;
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            thread::spawn(move || {
                let mut socket = Socket::open(address);
                socket.send(&create(&json!([user(&format!("client {number}"))])));
                let mut replies = vec![socket.response()];
                for turn in [1, 3] {
                    socket.send(&create_after(&format!("resp_{turn}"), &json!([user("more")])));
                    replies.push(socket.response());
                }
                let last = replies.iter().map(|reply| reply.last().cloned().unwrap_or_default());
                let expected = [1, 3, 5].map(|turn| format!("client {number} {turn}\""));
                last.zip(expected).all(|(reply, expected)| reply.contains(&expected))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
    assert_eq!(upstream.count(), CONNECTIONS * 3);
}
