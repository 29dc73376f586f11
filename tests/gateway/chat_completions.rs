//! The Chat Completions endpoint: the same guarantees as the Messages endpoint, in this API's format. Upstreams are
//! OpenAI-format ones, unless a file says otherwise.

mod disconnects;
mod errors;
mod keys;
mod over_anthropic;
mod replies;
mod requests;
mod split_replies;
mod streams;
mod usage;
mod waiting;

use serde_json::Value;

use crate::support::canned::openai;
use crate::support::chat;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Call {
    gateway.call("POST", "/v1/chat/completions").header("content-type", "application/json").body(body)
}

fn call(gateway: &Gateway, body: &Value) -> Call {
    post(gateway, body.to_string())
}

/// Sends a streamed request with usage, and reads the whole reply.
fn ask(gateway: &Gateway) -> Reply {
    call(gateway, &chat::prompt_with_usage(MODEL, "hi")).reply()
}

fn ask_whole(gateway: &Gateway) -> Reply {
    call(gateway, &chat::whole_prompt(MODEL, "hi")).reply()
}

/// Streamed and whole.
const BOTH: [fn(&Gateway) -> Reply; 2] = [ask, ask_whole];

/// A gateway without retries.
fn impatient(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}

fn streamed_before(answer: Answer) -> Reply {
    let upstream = Upstream::openai().always(answer);
    ask(&impatient(&upstream).start())
}

fn whole_before(answer: Answer) -> Reply {
    let upstream = Upstream::openai().always(answer);
    ask_whole(&impatient(&upstream).start())
}

/// Sends nothing after the first of two words.
fn silent_after_the_first_word() -> Upstream {
    let events = openai::text(&["first", "second"]);
    let begun = events[..2].concat().len();
    Upstream::openai().always(Answer::events(events).silent_after(begun))
}

fn refusal(status: u16) -> Answer {
    Answer::json(status, openai::error(&format!("refused with {status}"), "a_type", "a_code"))
}

fn limited(retry_after: &str) -> Answer {
    refusal(429).header("retry-after", retry_after)
}
