//! `GET /v1/responses` as a WebSocket.

mod bounds;
mod conversation;
mod ends;
mod errors;
mod hostile_frames;
mod restart;
mod upgrades;

use serde_json::{Value, json};

use crate::support::canned::responses;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::upstream::{Answer, Piece, Upstream};

/// A gateway whose provider speaks the Responses API.
fn before(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("OPENAI_API_FORMAT", "responses")
}

/// A frame that asks for a response to these items.
fn create(input: &Value) -> Value {
    json!({"type": "response.create", "model": MODEL, "store": false, "input": input, "tools": []})
}

/// The same as a continuation.
fn create_after(previous: &str, input: &Value) -> Value {
    let mut frame = create(input);
    frame["previous_response_id"] = previous.into();
    frame
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

/// The events of a reply with these items, as the response of this id.
fn events(id: &str, output: &[Value]) -> Vec<Vec<u8>> {
    let renamed = |event: Vec<u8>| String::from_utf8_lossy(&event).replace("resp_upstream", id).into_bytes();
    responses::stream(output).into_iter().map(renamed).collect()
}

/// The data of events.
fn data(events: &[Vec<u8>]) -> Vec<String> {
    let data = |event: &Vec<u8>| {
        let text = String::from_utf8_lossy(event).into_owned();
        text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default().to_owned()
    };
    events.iter().map(data).collect()
}

/// An upstream whose reply stops after its first event until the test permits the rest, and that reply.
fn paused(id: &str) -> (Upstream, Vec<Vec<u8>>) {
    let events = events(id, &[responses::message("Hello")]);
    let mut pieces = vec![Piece::Bytes(events[0].clone()), Piece::Permit];
    pieces.extend(events[1..].iter().cloned().map(Piece::Bytes));
    (Upstream::openai().always(Answer::pieces(pieces)), events)
}
