//! Requests of Chat Completions as a Messages upstream gets them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../properties/turns.rs"]
mod turns;

mod conversation;
mod media;
mod reasoning;
mod refusals;
mod settings;
mod tools;

use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::client::chat::{MessagesRequest, MessagesUpstream, request},
    vocabulary::Delivery,
};

use turns::check_turns;

const MODEL: &str = "claude-sonnet-4-5";
const PNG: &str = "data:image/png;base64,AA==";

fn translate(body: &Value, model: &str) -> MessagesRequest {
    let target = MessagesUpstream { provider: "p", model, requested_model: "p:m" };
    request(body.to_string().as_bytes(), &target).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The upstream body of a request with one short message and these fields, for this model.
fn with_for(model: &str, fields: Value) -> Value {
    serde_json::from_slice(&translate(&plus(fields), model).body).expect("the upstream's body is JSON")
}

fn with(fields: Value) -> Value {
    with_for(MODEL, fields)
}

fn plus(fields: Value) -> Value {
    let mut body = json!({"model": "p:m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn messages(messages: Value) -> Value {
    with(json!({"messages": messages}))["messages"].take()
}

/// The blocks that a user's content becomes.
fn blocks(content: Value) -> Value {
    messages(json!([{"role": "user", "content": content}]))[0]["content"].take()
}

fn refusal(fields: Value) -> String {
    let target = MessagesUpstream { provider: "p", model: MODEL, requested_model: "p:m" };
    request(plus(fields).to_string().as_bytes(), &target).unwrap_err().message
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn tool_use(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": input})
}

fn result(id: &str, content: Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}
