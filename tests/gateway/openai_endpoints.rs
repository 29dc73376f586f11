//! OpenAI's endpoints beside those for conversations: embeddings, images, audio and others, passed through by the model.

mod codex_models;
mod compact;
mod forms;
mod input_tokens;
mod replies;
mod requests;
mod state;

use serde_json::{Value, json};

use crate::support::await_that;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;

/// Every endpoint that takes JSON, behind the base URL.
const JSON: [&str; 6] =
    ["embeddings", "completions", "moderations", "images/generations", "audio/speech", "rerank"];
/// Every endpoint that takes a form.
const FORMS: [&str; 4] = ["images/edits", "images/variations", "audio/transcriptions", "audio/translations"];
const EMBEDDED: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}"#;

fn post(gateway: &Gateway, path: &str) -> Call {
    gateway.call("POST", &format!("/v1/{path}"))
}

fn embed(gateway: &Gateway, model: &str) -> Reply {
    post(gateway, "embeddings").json(&json!({"model": model, "input": "hi"})).reply()
}

/// The trace of the last request to this endpoint. It is written in the background.
fn trace(gateway: &Gateway, api: &str) -> Value {
    let mut found = None;
    await_that("the request has a trace", || {
        let traces = gateway.get("/metrics/logs").json();
        let traces = traces["traces"].as_array().cloned().unwrap_or_default();
        found = traces.into_iter().find(|trace| trace["api"] == api);
        found.is_some()
    });
    found.unwrap_or_default()
}
