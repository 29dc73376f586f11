//! Requests of the Messages API as a Responses upstream receives them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../properties/items.rs"]
mod items;

mod agent;
mod caching;
mod chat_clients;
mod conversation;
mod fields;
mod reasoning;
mod refusals;
mod search;
mod settings;
mod tools;

use items::check_items;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::upstream::{
        chat::{Dialect, HostedSearch, PLAIN, ReasoningModels},
        responses::{ResponsesRequest, ResponsesUpstream, request},
    },
    openai::members::OpenAiMembers,
    signature,
    tool_id::{self, Maker},
    vocabulary::Delivery,
};

const TARGET: ResponsesUpstream<'_> = ResponsesUpstream {
    provider: "p",
    model: "up/m",
    requested_model: "p:m",
    dialect: &PLAIN,
    session: None,
    members: None,
};

fn translate(body: &Value, target: &ResponsesUpstream<'_>) -> ResponsesRequest {
    request(body.to_string().as_bytes(), target).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The upstream's body for a request with one short message and these fields.
fn with(fields: Value) -> Value {
    to(&TARGET, fields)
}

/// The same for another upstream.
fn to(target: &ResponsesUpstream<'_>, fields: Value) -> Value {
    serde_json::from_slice(&translate(&plus(fields), target).body).expect("the upstream's body is JSON")
}

/// The same for another model.
fn model(model: &str, fields: Value) -> Value {
    to(&ResponsesUpstream { model, ..TARGET }, fields)
}

fn plus(fields: Value) -> Value {
    let mut body =
        json!({"model": "p:m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// The same for an upstream with this dialect.
fn through(dialect: &Dialect, fields: Value) -> Value {
    to(&ResponsesUpstream { dialect, ..TARGET }, fields)
}

fn input(messages: Value) -> Value {
    with(json!({"messages": messages}))["input"].take()
}

/// The value of `x-vdm-dropped`.
fn dropped(target: &ResponsesUpstream<'_>, fields: Value) -> String {
    translate(&plus(fields), target).dropped.header().unwrap_or_default()
}

fn refusal(fields: Value) -> String {
    request(plus(fields).to_string().as_bytes(), &TARGET).unwrap_err().message
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

fn developer(text: &str) -> Value {
    json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]})
}

fn said(text: &str) -> Value {
    json!({"type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
}

fn output(id: &str, output: Value) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}
