//! Requests that the gateway fixes: an upstream refuses what it does not know, and the client receives no error.

mod adjusted;
mod configured;
mod learned;
mod not_learned;
mod unfixable;

use serde_json::{Value, json};

use crate::support::canned::anthropic;
use crate::support::chat;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Seen, Upstream};

/// OpenAI's error for a parameter that a model does not have.
fn unsupported(param: &str) -> Answer {
    let message = format!("Unsupported parameter: '{param}' is not supported with this model.");
    let code = "unsupported_parameter";
    let error = json!({"message": message, "type": "invalid_request_error", "param": param, "code": code});
    Answer::json(400, json!({"error": error}).to_string())
}

/// Anthropic's error for an unknown member.
fn extra(path: &str) -> Answer {
    let message = format!("{path}: Extra inputs are not permitted");
    Answer::json(400, anthropic::error("invalid_request_error", &message))
}

/// A Chat Completions upstream that refuses requests with this member.
fn without(param: &'static str) -> Upstream {
    Upstream::openai().ruled_by(move |seen| seen.json().get(param).map(|_| unsupported(param)))
}

fn has_beta(seen: &Seen, flag: &str) -> bool {
    seen.head.header("anthropic-beta").is_some_and(|flags| flags.split(',').any(|known| known.trim() == flag))
}

fn chat(gateway: &Gateway, body: &Value) -> Reply {
    gateway.call("POST", "/v1/chat/completions").json(body).reply()
}

/// A Chat Completions request with these additional members.
fn chat_with(members: Value) -> Value {
    with(chat::whole_prompt(crate::support::gateway::MODEL, "hi"), members)
}

fn with(mut body: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

/// The rules that `/health` suggests for the provider, by model.
fn suggested(gateway: &Gateway, provider: &str) -> Vec<(String, String)> {
    let health = gateway.get("/health?format=json").json();
    let healed = health["providers"][provider]["healed"].as_array().cloned().expect("a list");
    let word = |lesson: &Value, name: &str| lesson[name].as_str().unwrap_or_default().to_owned();
    healed.iter().map(|lesson| (word(lesson, "model"), word(lesson, "rule"))).collect()
}
