//! Requests of clients of November 2026 as a Chat Completions upstream receives them, and the replies that these

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "../grammar/stream.rs"]
mod grammar;
#[path = "../properties/order.rs"]
mod order;

mod auto_mode;
mod random_searches;
mod search;
mod tools;
mod turns;

use bytes::BytesMut;
use order::check_order;
use serde_json::{Value, json};
use vandamme_protocol::convert::{
    CodecStep, ReplyCodec as _, Transcoder, client,
    client::messages::MessagesEncoder,
    upstream::chat::{
        ChatDecoder, ChatReplyContext, ChatRequest, ChatUpstream, Dialect, HostedSearch, PLAIN,
        ReasoningModels, ReasoningParameter, Replay, request,
    },
};

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
    Transcoder::new(ChatDecoder::new(context, 7), MessagesEncoder::new())
}

fn body(fields: Value) -> String {
    let mut body =
        json!({"model": "p:m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body.to_string()
}

fn translated(target: &ChatUpstream<'_>, fields: Value) -> ChatRequest {
    request(body(fields).as_bytes(), target).unwrap_or_else(|error| panic!("{error}"))
}

fn sent(target: &ChatUpstream<'_>, fields: Value) -> Value {
    serde_json::from_slice(&translated(target, fields).body).unwrap()
}

fn dropped(fields: Value) -> String {
    translated(&TARGET, fields).dropped.header().unwrap_or_default()
}

fn refusal(target: &ChatUpstream<'_>, fields: Value) -> String {
    request(body(fields).as_bytes(), target).unwrap_err().message
}

fn names(sent: &Value) -> Vec<&str> {
    let tools = sent["tools"].as_array().into_iter().flatten();
    tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

// Replies.

fn reply(target: &ChatUpstream<'_>, fields: Value) -> ChatReplyContext {
    translated(target, fields).reply
}

fn chunk(delta: Value) -> String {
    json!({"choices": [{"index": 0, "delta": delta}]}).to_string()
}

/// The message of a stream, and the number of its chunks that were read.
fn streamed(context: ChatReplyContext, chunks: &[String]) -> (Value, usize) {
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    let mut taken = 0;
    for chunk in chunks {
        taken += 1;
        match machine.push_data(chunk.as_bytes(), &mut out) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => panic!("{fault:?}"),
        }
    }
    assert_eq!(machine.finish(&mut out).fault, None);
    (grammar::check(&out).message, taken)
}

/// The same reply for a client that requests it whole, collected from a stream, and as events.
fn in_every_form(context: &ChatReplyContext, message: Value, finish: &str) -> [Value; 3] {
    let completion = json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
    .to_string();
    let wholly: Value =
        serde_json::from_slice(&transcoder(context.clone()).whole(completion.as_bytes()).unwrap().body)
            .unwrap();
    let mut events = BytesMut::new();
    transcoder(context.clone()).whole_as_stream(completion.as_bytes(), &mut events).unwrap();
    let as_events = grammar::check(&events).message;
    let mut collector = transcoder(context.clone()).collector();
    let chunks = [
        chunk(message),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).to_string(),
        "[DONE]".into(),
    ];
    for chunk in chunks {
        if collector.push(chunk.as_bytes()) == CodecStep::End {
            break;
        }
    }
    let collected: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
    [wholly, as_events, collected]
}
