//! Replies of Responses upstreams as a client of the Messages API receives them.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../grammar/stream.rs"]
mod grammar;

mod calls;
mod content;
mod ends;
mod random;
mod search;

use bytes::BytesMut;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        CodecStep, ReplyCodec as _, ReplySummary, Transcoder, WholeReply,
        client::messages::MessagesEncoder,
        upstream::responses::{ResponsesDecoder, ResponsesReplyContext},
    },
    fault::Fault,
    signature,
    vocabulary::{ErrorKind, StopReason, Usage},
};

const SEED: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
type ToMessages = Transcoder<ResponsesDecoder, MessagesEncoder>;

fn transcoder(context: ResponsesReplyContext) -> ToMessages {
    Transcoder::new(ResponsesDecoder::new(context, SEED), MessagesEncoder::new())
}

fn plain() -> ResponsesReplyContext {
    ResponsesReplyContext::new("p", "up/m", "p:m")
}

fn thinking() -> ResponsesReplyContext {
    plain().with_thinking("p", "up/m")
}

/// Pushes all events and finishes.
fn stream(context: ResponsesReplyContext, events: &[Value]) -> (Vec<u8>, ReplySummary) {
    let mut codec = transcoder(context);
    let mut out = BytesMut::new();
    for event in events {
        match codec.push_data(event.to_string().as_bytes(), &mut out) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => {
                let summary = codec.fail(fault, &mut out);
                return (out.to_vec(), summary);
            }
        }
    }
    let summary = codec.finish(&mut out);
    (out.to_vec(), summary)
}

fn whole(context: ResponsesReplyContext, response: &Value) -> Result<WholeReply, Fault> {
    transcoder(context).whole(response.to_string().as_bytes())
}

/// The message of a stream, which must be complete, and its end.
fn ended(context: ResponsesReplyContext, events: &[Value]) -> (Value, ReplySummary) {
    let (wire, summary) = stream(context, events);
    assert_eq!(summary.fault, None);
    (grammar::check(&wire).message, summary)
}

fn message(events: &[Value]) -> Value {
    ended(thinking(), events).0
}

/// The content of a whole reply with these items.
fn content_of(context: ResponsesReplyContext, items: Value) -> Value {
    let reply = whole(context, &response("completed", items)).unwrap();
    serde_json::from_slice::<Value>(&reply.body).unwrap()["content"].clone()
}

fn response(status: &str, output: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "status": status, "model": "up/m", "error": null,
        "incomplete_details": null, "output": output, "usage": {"input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15}})
}

fn created() -> Value {
    json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([]))})
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "sequence_number": 9, "response": response("completed", output)})
}

fn added(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn text_delta(index: u64, part: u64, delta: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": index, "content_index": part,
        "item_id": format!("msg_{index}"), "delta": delta, "logprobs": []})
}

fn summary_delta(index: u64, part: u64, delta: &str) -> Value {
    json!({"type": "response.reasoning_summary_text.delta", "output_index": index, "summary_index": part,
        "item_id": format!("rs_{index}"), "delta": delta})
}

fn arguments_delta(index: u64, delta: &str) -> Value {
    json!({"type": "response.function_call_arguments.delta", "output_index": index,
        "item_id": format!("fc_{index}"), "delta": delta})
}

/// A message with these parts.
fn said(index: u64, texts: &[&str]) -> Value {
    let parts: Vec<Value> =
        texts.iter().map(|text| json!({"type": "output_text", "text": text, "annotations": []})).collect();
    json!({"type": "message", "id": format!("msg_{index}"), "role": "assistant", "status": "completed", "content": parts})
}

fn thought(index: u64, summary: &[&str], encrypted: Option<&str>) -> Value {
    let summary: Vec<Value> =
        summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "id": format!("rs_{index}"), "summary": summary, "encrypted_content": encrypted})
}

fn call(index: u64, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"), "name": name,
        "arguments": arguments, "status": "completed"})
}

fn custom_call(index: u64, name: &str, input: &str) -> Value {
    json!({"type": "custom_tool_call", "id": format!("ctc_{index}"), "call_id": format!("call_{index}"), "name": name,
        "input": input})
}

/// The signature of a thinking block that carries this reasoning.
fn signed(id: &str, encrypted: &str) -> String {
    let mut signed = signature::mint("p", "up/m");
    let carried = json!({"id": id, "encrypted_content": encrypted});
    signature::carry(
        &mut signed,
        format!(r#"{{"id":{},"encrypted_content":{}}}"#, carried["id"], carried["encrypted_content"])
            .as_bytes(),
    );
    signed
}
