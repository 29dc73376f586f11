//! The Messages API with Chat Completions upstreams: the requests that they receive, and the replies that clients receive.

mod current_clients;
mod replies;
mod requests;
mod streams;

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// Whether the client requests a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Streamed,
    Whole,
}

/// A Messages request with these members in addition to model, limit and one user message.
fn request(members: Value) -> Value {
    let mut body = json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in members.as_object().expect("members") {
        body[key] = value.clone();
    }
    body
}

/// The requests that the upstream receives for these requests of a client.
fn translated<const N: usize>(bodies: [Value; N]) -> [Value; N] {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let mut number = 0;
    bodies.map(|body| {
        let reply = gateway.messages(&body).reply();
        assert_eq!(reply.status(), 200, "{body}\n{reply}");
        number += 1;
        upstream.request(number - 1).json()
    })
}

/// The same for one request.
fn translated_one(members: Value) -> Value {
    let [body] = translated([request(members)]);
    body
}

/// The reply to a streamed request if the upstream streams this.
fn streamed(members: Value, events: Vec<Vec<u8>>) -> Reply {
    answered(members, Answer::events(events), Delivery::Streamed)
}

fn answered(members: Value, answer: Answer, delivery: Delivery) -> Reply {
    let upstream = Upstream::openai().always(answer);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let mut body = request(members);
    body["stream"] = Value::Bool(delivery == Delivery::Streamed);
    gateway.messages(&body).reply()
}

fn thinking() -> Value {
    json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})
}
