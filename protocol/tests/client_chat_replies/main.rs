//! Replies of Messages upstreams as a client of Chat Completions gets them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../grammar/chunks.rs"]
mod grammar;

mod calls;
mod content;
mod ends;
mod random;
mod whole;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        CodecStep, ReplyCodec as _, ReplySummary, Transcoder,
        client::chat::{ChatEncoder, MessagesReplyContext, MessagesUpstream, ReplyIdentity, request},
        upstream::messages::MessagesDecoder,
    },
    fault::Fault,
    sse::{self, Splitter},
    vocabulary::{ErrorKind, StopReason, Usage},
};

const IDENTITY: ReplyIdentity =
    ReplyIdentity { seed: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, created: 1_760_000_000 };
const TARGET: MessagesUpstream<'_> =
    MessagesUpstream { provider: "p", model: "claude-sonnet-4-5", requested_model: "p:m" };

type ToChat = Transcoder<MessagesDecoder, ChatEncoder>;

fn transcoder(context: MessagesReplyContext) -> ToChat {
    Transcoder::new(MessagesDecoder::new(), ChatEncoder::new(context, IDENTITY))
}

fn context(request_fields: Value) -> MessagesReplyContext {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(request_fields.as_object().unwrap().clone());
    request(body.to_string().as_bytes(), &TARGET).unwrap().reply
}

/// Of a client that wants to see all there is.
fn curious() -> MessagesReplyContext {
    context(json!({"reasoning_effort": "low", "stream_options": {"include_usage": true}}))
}

/// Pushes all data and finishes.
fn stream(context: MessagesReplyContext, data: &[String]) -> (Vec<u8>, ReplySummary) {
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

/// A stream that must be complete.
fn complete(data: &[String]) -> grammar::Reply {
    let (wire, outcome) = stream(curious(), data);
    assert_eq!(outcome.fault, None);
    grammar::check(&wire)
}

fn start() -> String {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                  "output_tokens": 1}}})
    .to_string()
}

fn block_start(index: i64, block: Value) -> String {
    json!({"type": "content_block_start", "index": index, "content_block": block}).to_string()
}

fn delta(index: i64, delta: Value) -> String {
    json!({"type": "content_block_delta", "index": index, "delta": delta}).to_string()
}

fn block_stop(index: i64) -> String {
    json!({"type": "content_block_stop", "index": index}).to_string()
}

fn text(index: i64, parts: &[&str]) -> Vec<String> {
    let mut data = vec![block_start(index, json!({"type": "text", "text": ""}))];
    data.extend(parts.iter().map(|part| delta(index, json!({"type": "text_delta", "text": part}))));
    data.push(block_stop(index));
    data
}

fn thinking(index: i64, thought: &str) -> Vec<String> {
    vec![
        block_start(index, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(index, json!({"type": "thinking_delta", "thinking": thought})),
        delta(index, json!({"type": "signature_delta", "signature": "EqQB"})),
        block_stop(index),
    ]
}

fn tool(index: i64, [id, name]: [&str; 2], fragments: &[&str]) -> Vec<String> {
    let mut data = vec![block_start(index, json!({"type": "tool_use", "id": id, "name": name, "input": {}}))];
    let fragment = |fragment| delta(index, json!({"type": "input_json_delta", "partial_json": fragment}));
    data.extend(fragments.iter().map(fragment));
    data.push(block_stop(index));
    data
}

fn end(stop_reason: &str) -> Vec<String> {
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null},
               "usage": {"output_tokens": 9}})
        .to_string(),
        json!({"type": "message_stop"}).to_string(),
    ]
}

fn reply(blocks: &[Vec<String>], stop_reason: &str) -> Vec<String> {
    let mut data = vec![start()];
    data.extend(blocks.concat());
    data.extend(end(stop_reason));
    data
}
