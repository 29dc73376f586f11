//! Anthropic-format upstreams behind the door of Chat Completions: what they are asked, and what becomes of their
//! answers.

mod streams;

use serde_json::Value;

use super::{call, impatient};
use crate::support::canned::anthropic;
use crate::support::chat;
use crate::support::gateway::MODEL;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// The reply to this body before an upstream that gives this answer.
fn answered(body: &Value, answer: Answer) -> Reply {
    let upstream = Upstream::anthropic().always(answer);
    call(&impatient(&upstream).start(), body).reply()
}

fn streamed(events: Vec<Vec<u8>>) -> Reply {
    answered(&chat::prompt(MODEL, "hi"), Answer::events(events))
}

fn whole(message: impl Into<Vec<u8>>) -> Reply {
    answered(&chat::whole_prompt(MODEL, "hi"), Answer::json(200, message))
}
