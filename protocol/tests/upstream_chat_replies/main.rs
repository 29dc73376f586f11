//! Replies of Chat Completions upstreams as a client of the Messages API receives them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../grammar/stream.rs"]
mod grammar;

mod calls;
mod content;
mod ends;
mod history;
mod random;
mod whole;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        CodecStep, ReplyCodec as _, ReplySummary, Transcoder,
        client::messages::MessagesEncoder,
        upstream::chat::{ChatDecoder, ChatReplyContext, ChatUpstream, Dialect, PLAIN, Replay, request},
    },
    fault::Fault,
    vocabulary::{ErrorKind, StopReason, Usage},
};

const SEED: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const TARGET: ChatUpstream<'_> = ChatUpstream {
    provider: "p",
    model: "up/m",
    requested_model: "p:m",
    dialect: &PLAIN,
    session: None,
    members: None,
};

type ToMessages = Transcoder<ChatDecoder, MessagesEncoder>;

fn transcoder(context: ChatReplyContext) -> ToMessages {
    Transcoder::new(ChatDecoder::new(context, SEED), MessagesEncoder::new())
}

fn context(request_fields: Value) -> ChatReplyContext {
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(request_fields.as_object().unwrap().clone());
    request(body.to_string().as_bytes(), &TARGET).unwrap().reply
}

fn thinking() -> ChatReplyContext {
    context(json!({"thinking": {"type": "adaptive"}}))
}

/// Pushes all data and finishes.
fn stream(context: ChatReplyContext, data: &[String]) -> (Vec<u8>, ReplySummary) {
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    for data in data {
        match machine.push_data(data.as_bytes(), &mut out) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => {
                let outcome = machine.fail(fault, &mut out);
                return (out.to_vec(), outcome);
            }
        }
    }
    let outcome = machine.finish(&mut out);
    (out.to_vec(), outcome)
}

fn delta(delta: Value) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]})
        .to_string()
}

fn finish(reason: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

fn done() -> String {
    "[DONE]".to_owned()
}

/// The message of a stream, which must be complete.
fn message(data: &[String]) -> Value {
    let (wire, outcome) = stream(thinking(), data);
    assert_eq!(outcome.fault, None);
    grammar::check(&wire).message
}

fn tool(fragment: Value) -> String {
    delta(json!({"tool_calls": [fragment]}))
}

/// The joined content of all blocks of a kind.
fn joined(message: &Value, kind: &str) -> String {
    let blocks = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == kind);
    blocks.map(|block| block[kind].as_str().unwrap()).collect()
}
