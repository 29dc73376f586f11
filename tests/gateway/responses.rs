//! The Responses API: as an endpoint over upstreams of each API, and as an upstream of clients of each API.

mod disconnects;
mod errors;
mod features;
mod other_api;
mod pairs;
mod passthrough;
mod retries;
mod sessions;
mod streams;

use serde_json::Value;

use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::reply::Reply;
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Call {
    gateway.call("POST", "/v1/responses").header("content-type", "application/json").body(body)
}

fn call(gateway: &Gateway, body: &Value) -> Call {
    post(gateway, body.to_string())
}

/// A gateway whose provider `openai` has the Responses API only.
fn over_responses(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("OPENAI_API_FORMAT", "responses")
}

/// The same without retries.
fn impatient(upstream: &Upstream) -> Setup {
    over_responses(upstream).env("MAX_RETRIES", "0")
}

fn ask(gateway: &Gateway) -> Reply {
    call(gateway, &responses::prompt(MODEL, "hi")).reply()
}

fn ask_whole(gateway: &Gateway) -> Reply {
    call(gateway, &responses::whole_prompt(MODEL, "hi")).reply()
}

/// Streamed and whole.
const BOTH: [fn(&Gateway) -> Reply; 2] = [ask, ask_whole];

/// The reply of a Responses client whose Responses upstream gives this answer.
fn streamed_before(answer: Answer) -> Reply {
    ask(&impatient(&Upstream::openai().always(answer)).start())
}

fn whole_before(answer: Answer) -> Reply {
    ask_whole(&impatient(&Upstream::openai().always(answer)).start())
}

/// An error as OpenAI writes it. The spaces prove that the body was not serialised again.
fn error_body(message: &str, code: &str) -> String {
    format!(
        "{{ \"error\" : {{\"message\": {}, \"type\":\"t\",\"param\":null, \"code\":{}}} }}",
        serde_json::json!(message),
        serde_json::json!(code)
    )
}
