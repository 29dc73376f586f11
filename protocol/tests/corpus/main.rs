//! Traffic of vendors, one fact in each file, and the snapshots of what clients receive.
//!
//! `UPDATE_SNAPSHOTS=1` writes the snapshots. Review every changed line.

#![expect(clippy::unwrap_used, reason = "a broken grammar fails its test, which is what it is for")]

#[path = "../properties/calls.rs"]
mod calls;
#[path = "../properties/cases.rs"]
mod cases;
#[path = "../properties/chat.rs"]
mod chat;
#[path = "../properties/cloud.rs"]
mod cloud;
#[path = "../properties/coding.rs"]
mod coding;
#[path = "../properties/compat.rs"]
mod compat;
#[path = "../properties/error.rs"]
mod error;
#[path = "../properties/form.rs"]
mod form;
#[path = "../properties/framing.rs"]
mod framing;
#[path = "../grammar/stream.rs"]
mod grammar;
#[path = "../properties/http1.rs"]
mod http1;
#[path = "../properties/items.rs"]
mod items;
#[path = "../properties/order.rs"]
mod order;
#[path = "../properties/plain.rs"]
mod plain;
#[path = "../properties/reply.rs"]
mod reply;
#[path = "../properties/request.rs"]
mod request;
#[path = "../properties/responses_client.rs"]
mod responses_client;
#[path = "../properties/responses_client_request.rs"]
mod responses_client_request;
#[path = "../grammar/responses.rs"]
mod responses_grammar;
#[path = "../properties/responses_reply.rs"]
mod responses_reply;
#[path = "../properties/responses_request.rs"]
mod responses_request;
#[path = "../properties/responses_tap.rs"]
mod responses_tap;
#[path = "../properties/scan.rs"]
mod scan;
#[path = "../properties/schema.rs"]
mod schema;
#[path = "../properties/turns.rs"]
mod turns;
#[path = "../properties/websocket.rs"]
mod websocket;

mod chat_clients;
mod complaints;
mod composition;
mod errors;
mod fixtures;
mod random_requests;
mod responses;
mod responses_clients;
mod seeds;
mod streams;
mod whole_replies;
