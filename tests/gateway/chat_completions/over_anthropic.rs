//! Chat Completions with Anthropic-format upstreams: the requests that they receive, and the replies that clients
//! receive.

mod errors;
mod replies;
mod requests;
mod streams;

use serde_json::{Value, json};

use super::{call, impatient};
use crate::support::canned::anthropic;
use crate::support::chat;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// A request with these members in addition to model and one user message.
fn request(members: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in members.as_object().expect("members") {
        body[key] = value.clone();
    }
    body
}

/// The request that the upstream receives for this request of a client.
fn translated(members: Value) -> Value {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let reply = call(&gateway, &request(members)).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    upstream.only_request().json()
}

/// The reply to this body if the upstream gives this answer.
fn answered(body: &Value, answer: Answer) -> Reply {
    let upstream = Upstream::anthropic().always(answer);
    call(&impatient(&upstream).start(), body).reply()
}

/// The reply to a streamed request with usage.
fn streamed(answer: Answer) -> Reply {
    answered(&chat::prompt_with_usage(MODEL, "hi"), answer)
}

fn whole(answer: Answer) -> Reply {
    answered(&chat::whole_prompt(MODEL, "hi"), answer)
}

/// Streamed and whole.
const BOTH: [fn(Answer) -> Reply; 2] = [streamed, whole];
