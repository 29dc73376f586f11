//! Exposes the properties that the stable tests check on seeds and fixtures to a fuzzer.

#[path = "../../tests/properties/calls.rs"]
mod calls;
#[path = "../../tests/properties/cases.rs"]
mod cases;
#[path = "../../tests/properties/chat.rs"]
mod chat;
#[path = "../../tests/properties/cloud.rs"]
mod cloud;
#[path = "../../tests/properties/coding.rs"]
mod coding;
#[path = "../../tests/properties/error.rs"]
mod error;
#[path = "../../tests/properties/form.rs"]
mod form;
#[path = "../../tests/properties/framing.rs"]
mod framing;
#[path = "../../tests/grammar/stream.rs"]
mod grammar;
#[path = "../../tests/properties/compat.rs"]
mod compat;
#[path = "../../tests/properties/http1.rs"]
mod http1;
#[path = "../../tests/properties/items.rs"]
mod items;
#[path = "../../tests/properties/order.rs"]
mod order;
#[path = "../../tests/properties/plain.rs"]
mod plain;
#[path = "../../tests/properties/reply.rs"]
mod reply;
#[path = "../../tests/properties/request.rs"]
mod request;
#[path = "../../tests/properties/responses_client_request.rs"]
mod responses_client_request;
#[path = "../../tests/properties/responses_client.rs"]
mod responses_client;
#[path = "../../tests/grammar/responses.rs"]
mod responses_grammar;
#[path = "../../tests/properties/responses_request.rs"]
mod responses_request;
#[path = "../../tests/properties/responses_reply.rs"]
mod responses_reply;
#[path = "../../tests/properties/responses_tap.rs"]
mod responses_tap;
#[path = "../../tests/properties/schema.rs"]
mod schema;
#[path = "../../tests/properties/scan.rs"]
mod scan;
#[path = "../../tests/properties/turns.rs"]
mod turns;
#[path = "../../tests/properties/websocket.rs"]
mod websocket;

/// Checks these bytes with the target of this name.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, check) = cases::TARGETS.into_iter().find(|(name, _)| *name == target).expect("unknown fuzz target");
    check(bytes);
}
