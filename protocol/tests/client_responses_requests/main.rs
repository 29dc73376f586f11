//! Responses requests as upstreams of Messages and of Chat Completions receive them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../properties/order.rs"]
mod order;
#[path = "../properties/turns.rs"]
mod turns;

mod caching;
mod codex;
mod conversation;
mod over_chat;
mod random;
mod reasoning;
mod refusals;
mod settings;
mod tools;

use serde_json::{Value, json};
use vandamme_protocol::{
    convert::client::responses::{MessagesOfResponses, MessagesTarget, UpstreamKind, request},
    signature::SealedReasoning,
    vocabulary::Delivery,
};

use turns::check_turns;

const MODEL: &str = "claude-sonnet-4-5";
const PNG: &str = "data:image/png;base64,AA==";
const TARGET: MessagesTarget<'_> =
    MessagesTarget { provider: "p", model: MODEL, requested_model: "p:m", upstream: UpstreamKind::Messages };

fn translate(body: &Value, target: &MessagesTarget<'_>) -> MessagesOfResponses {
    let translated =
        request(body.to_string().as_bytes(), target).unwrap_or_else(|error| panic!("{error}: {body}"));
    if target.upstream == UpstreamKind::Messages {
        check_turns(&body_of(&translated)["messages"]);
    }
    translated
}

fn body_of(translated: &MessagesOfResponses) -> Value {
    serde_json::from_slice(&translated.body).expect("the body is JSON")
}

/// A request with one short text and these fields.
fn plus(fields: Value) -> Value {
    let mut body = json!({"model": "p:m", "input": "hi"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

fn with_for(model: &str, fields: Value) -> Value {
    body_of(&translate(&plus(fields), &MessagesTarget { model, ..TARGET }))
}

fn with(fields: Value) -> Value {
    with_for(MODEL, fields)
}

/// The messages for this input, without marks for the cache.
fn messages(input: Value) -> Value {
    with(unmarked(json!({"input": input})))["messages"].take()
}

/// These fields, of a client that marks by itself what is to be cached.
fn unmarked(mut fields: Value) -> Value {
    fields["prompt_cache_options"] = json!({"mode": "explicit"});
    fields
}

/// The names of what was left out.
fn dropped(fields: Value) -> String {
    translate(&plus(fields), &TARGET).dropped.header().unwrap_or_default()
}

fn refusal(fields: Value) -> String {
    request(plus(fields).to_string().as_bytes(), &TARGET).unwrap_err().message
}

/// What the reply knows of the request, as text.
fn reply_of(fields: Value) -> String {
    format!("{:?}", translate(&plus(fields), &TARGET).reply)
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn said(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn called(id: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": arguments})
}

fn output(id: &str, output: Value) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}

fn tool_use(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

fn result(id: &str, content: Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "parameters": {"type": "object"}})
}

fn sealed(provider: &str, model: &str, signature: &str) -> String {
    let (provider, model, signature) = (provider.to_owned(), model.to_owned(), signature.to_owned());
    SealedReasoning { provider, model, signature, is_redacted: false }.seal()
}

fn thought(summary: &[&str], encrypted: &str) -> Value {
    let summary: Vec<_> = summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "id": "rs_1", "summary": summary, "content": null, "encrypted_content": encrypted})
}
