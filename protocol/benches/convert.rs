//! Measures the cost of one event from a Chat Completions upstream to a client: `cargo bench -p vandamme-protocol`.
//!
//! Every number is per event (items per second are events per second).

use bytes::{Bytes, BytesMut};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use vandamme_protocol::compat::{Fixup, apply};
use vandamme_protocol::convert::client::{chat::ChatEncoder, messages::MessagesEncoder};
use vandamme_protocol::convert::passthrough::{ChatTap, MessagesTap};
use vandamme_protocol::convert::upstream::chat::{
    ChatDecoder, ChatReplyContext, ChatUpstream, PLAIN, request,
};
use vandamme_protocol::convert::upstream::messages::MessagesDecoder;
use vandamme_protocol::convert::{Transcoder, client};
use vandamme_protocol::gemini::{Gemini, Signatures};
use vandamme_protocol::middleware::{Memory, Middleware as _};
use vandamme_protocol::request::{UsageAsked, head};
use vandamme_protocol::sse::{Splitter, events};
use vandamme_protocol::tokens;

fn main() {
    divan::main();
}

const EVENTS: usize = 1000;
const ARGUMENT: &str = "\"some words of an argument, ";

/// The content of a stream.
#[derive(Clone, Copy, Debug)]
enum Content {
    Text,
    Thinking,
    Arguments,
}

const KINDS: [Content; 3] = [Content::Text, Content::Thinking, Content::Arguments];

fn chunk(delta: &Value) -> Vec<u8> {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_767_312_000, "model": "gpt-5.1",
        "system_fingerprint": null, "choices": [{"index": 0, "delta": delta, "finish_reason": null}], "usage": null})
    .to_string()
    .into_bytes()
}

fn data(content: Content) -> Vec<Vec<u8>> {
    let delta = |number: usize| match content {
        Content::Text => json!({"content": " a few words\n"}),
        Content::Thinking => json!({"reasoning_content": " a few words\n"}),
        Content::Arguments if number == 0 => {
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "write_file", "arguments": "{"}}]})
        }
        Content::Arguments => json!({"tool_calls": [{"index": 0, "function": {"arguments": ARGUMENT}}]}),
    };
    (0..EVENTS).map(|number| chunk(&delta(number))).collect()
}

/// Returns the stream as received: server-sent events, a few in each segment.
fn segments(content: Content) -> Vec<Bytes> {
    let events: Vec<Vec<u8>> =
        data(content).iter().map(|data| [b"data: ", &data[..], b"\n\n"].concat()).collect();
    events.chunks(4).map(|events| Bytes::from(events.concat())).collect()
}

fn context() -> ChatReplyContext {
    let body = json!({"max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "x"}]});
    let target = ChatUpstream {
        provider: "p",
        model: "m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    request(body.to_string().as_bytes(), &target).expect("a request").reply
}

fn transcoder(context: ChatReplyContext) -> Transcoder<ChatDecoder, MessagesEncoder> {
    Transcoder::new(ChatDecoder::new(context, 1), MessagesEncoder::new())
}

#[divan::bench(args = KINDS)]
fn translated(bencher: Bencher<'_, '_>, content: Content) {
    let (segments, context) = (segments(content), context());
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let (mut splitter, mut transcoder) = (Splitter::new(1 << 20), transcoder(context.clone()));
        let mut out = BytesMut::with_capacity(1 << 18);
        for segment in &segments {
            let Some(block) = splitter.pass(segment.clone()) else { continue };
            for event in events(&block) {
                let data = event.data().expect("data");
                black_box(transcoder.push_data(&data, &mut out));
            }
        }
        out
    });
}

#[divan::bench(args = KINDS)]
fn passed_through_to_a_chat_client(bencher: Bencher<'_, '_>, content: Content) {
    let segments = segments(content);
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let (mut splitter, mut tap) = (Splitter::new(1 << 20), ChatTap::new(UsageAsked::ByGateway));
        for segment in &segments {
            black_box(splitter.pass(segment.clone()).map(|block| tap.pass(block)));
        }
        tap.done()
    });
}

#[divan::bench]
fn passed_through_to_a_messages_client(bencher: Bencher<'_, '_>) {
    const EVENT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" a few words\\n\"}}\n\n";
    let segment = Bytes::from(EVENT.repeat(4));
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let (mut splitter, mut tap) = (Splitter::new(1 << 20), MessagesTap::new());
        for _ in 0..EVENTS / 4 {
            if let Some(block) = splitter.pass(segment.clone()) {
                tap.observe(&block);
            }
        }
        tap.ended()
    });
}

/// The same content from an Anthropic upstream, converted for a Chat Completions client.
#[divan::bench(args = KINDS)]
fn translated_for_a_chat_client(bencher: Bencher<'_, '_>, content: Content) {
    let (block, delta) = match content {
        Content::Text => {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": " a few words\n"}))
        }
        Content::Thinking => (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            json!({"type": "thinking_delta", "thinking": " a few words\n"}),
        ),
        Content::Arguments => (
            json!({"type": "tool_use", "id": "toolu_1", "name": "write_file", "input": {}}),
            json!({"type": "input_json_delta", "partial_json": ARGUMENT}),
        ),
    };
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": delta}).to_string();
    let begun = [
        json!({"type": "message_start", "message": message}).to_string(),
        json!({"type": "content_block_start", "index": 0, "content_block": block}).to_string(),
    ];
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let target = client::chat::MessagesUpstream { provider: "p", model: "m", requested_model: "p:m" };
    let context = client::chat::request(body.as_bytes(), &target).expect("a request").reply;
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let identity = client::chat::ReplyIdentity { seed: 1, created: 1 };
        let encoder = ChatEncoder::new(context.clone(), identity);
        let mut transcoder = Transcoder::new(MessagesDecoder::new(), encoder);
        let mut out = BytesMut::with_capacity(1 << 18);
        for data in begun.iter().chain(std::iter::repeat_n(&delta, EVENTS)) {
            black_box(transcoder.push_data(data.as_bytes(), &mut out));
        }
        out
    });
}

/// Measures one whole reply with reasoning, a text and a call.
#[divan::bench]
fn a_buffered_reply(bencher: Bencher<'_, '_>) {
    let body = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "reasoning_content": "words ".repeat(200), "content": "words ".repeat(200),
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{\"a\":[1,2,3]}"}}]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
    .to_string();
    let context = context();
    bencher.bench(|| transcoder(context.clone()).whole(black_box(body.as_bytes())));
}

/// A request of Claude Code's size: some turns of work, with a schema for each tool.
fn claude_code() -> String {
    let turns: Vec<Value> = (0..30)
        .flat_map(|turn| {
            let id = format!("toolu_{turn:024}");
            [
                json!({"role": "assistant", "content": [{"type": "text", "text": "words ".repeat(25)},
                    {"type": "tool_use", "id": id, "name": "tool_1", "input": {"path": "src/main.rs", "offset": 40}}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id,
                    "content": "   120→\tlet field = parser.next(\"name\\n\")?; // reads on\n".repeat(40)}]}),
            ]
        })
        .collect();
    let text = |length: usize| "a few words on what it is for. ".repeat(length / 31);
    let tools: Vec<Value> = (0..24)
        .map(|tool| {
            json!({"name": format!("tool_{tool}"), "description": text(900), "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {
                    "path": {"type": "string", "description": text(90)},
                    "offset": {"type": "integer", "minimum": 0, "description": text(90)},
                    "mode": {"type": "string", "enum": ["content", "files", "count"], "default": "content"},
                    "edits": {"type": "array", "minItems": 1, "items": {"type": "object",
                        "properties": {"old": {"type": "string"}, "new": {"type": "string"}},
                        "required": ["old", "new"], "additionalProperties": false}}},
                "required": ["path"], "additionalProperties": false}})
        })
        .collect();
    let system = json!([{"type": "text", "text": text(12_000), "cache_control": {"type": "ephemeral"}}]);
    format!(
        "{{\"model\":\"claude-opus-4-8\",\"messages\":{},\"system\":{system},\"tools\":{},\"max_tokens\":32000,\"stream\":true}}",
        Value::Array(turns),
        Value::Array(tools)
    )
}

#[divan::bench]
fn the_request_translated(bencher: Bencher<'_, '_>) {
    let body = claude_code();
    let target = ChatUpstream {
        provider: "p",
        model: "m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    bencher.counter(BytesCount::new(body.len())).bench(|| request(black_box(body.as_bytes()), &target));
}

/// Measures the scan of a request that is passed through.
#[divan::bench]
fn the_request_looked_at(bencher: Bencher<'_, '_>) {
    let body = claude_code().into_bytes();
    bencher.counter(BytesCount::new(body.len())).bench(|| head(black_box(&body)).map(|head| head.delivery));
}

/// Measures the estimate of a request's tokens.
#[divan::bench]
fn the_tokens_of_the_request(bencher: Bencher<'_, '_>) {
    let body = claude_code().into_bytes();
    bencher.counter(BytesCount::new(body.len())).bench(|| tokens::messages(black_box(&body)));
}

/// Measures the schemas of a request, reduced for an upstream that refuses a part of JSON Schema.
#[divan::bench]
fn the_schemas_reduced(bencher: Bencher<'_, '_>) {
    let body = Bytes::from(claude_code());
    let fixups = [Fixup::ToolSchemas];
    bencher.counter(BytesCount::new(body.len())).bench(|| apply(&fixups, black_box(&body), "").body);
}

/// Measures the schemas of a request, translated for Gemini.
#[divan::bench]
fn the_schemas_for_gemini(bencher: Bencher<'_, '_>) {
    let target = ChatUpstream {
        provider: "p",
        model: "m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    let body = request(claude_code().as_bytes(), &target).expect("a request");
    let body = Bytes::from(body.body);
    let bencher = bencher.counter(BytesCount::new(body.len()));
    let gemini = Gemini { signatures: Signatures::Remembered };
    bencher.bench(|| gemini.apply(black_box(body.clone()), &Memory::default()));
}
