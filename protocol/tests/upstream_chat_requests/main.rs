//! Requests of the Messages API as a Chat Completions upstream receives them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../properties/order.rs"]
mod order;

mod conversation;
mod media;
mod refusals;
mod settings;
mod tools;

use order::check_order;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::upstream::chat::{
        ChatRequest, ChatUpstream, Dialect, HostedSearch, PLAIN, ReasoningModels, ReasoningParameter, request,
    },
    signature,
    tool_id::{self, Maker},
    vocabulary::Delivery,
};

const TARGET: ChatUpstream<'_> = ChatUpstream {
    provider: "p",
    model: "up/m",
    requested_model: "p:m",
    dialect: &PLAIN,
    session: None,
    members: None,
};

fn translate(body: &Value) -> ChatRequest {
    request(body.to_string().as_bytes(), &TARGET).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn chat(body: &Value) -> Value {
    serde_json::from_slice(&translate(body).body).expect("the upstream's body is JSON")
}

/// The upstream's body for a request with one short message and these fields.
fn with(fields: Value) -> Value {
    chat(&plus(fields))
}

fn plus(fields: Value) -> Value {
    let mut body =
        json!({"model": "p:m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// The same for an upstream with this dialect.
fn through(dialect: &Dialect, fields: Value) -> Value {
    let translated = request(plus(fields).to_string().as_bytes(), &ChatUpstream { dialect, ..TARGET });
    serde_json::from_slice(&translated.unwrap().body).unwrap()
}

fn messages(messages: Value) -> Value {
    with(json!({"messages": messages}))["messages"].take()
}

fn refusal(fields: Value) -> String {
    request(plus(fields).to_string().as_bytes(), &TARGET).unwrap_err().message
}
