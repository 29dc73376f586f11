//! Two codecs in a row: a Chat Completions client with a Chat Completions upstream, connected by typed events. The
//! result equals that of both conversions with Messages bytes between them.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use vandamme_protocol::convert::client::chat::ChatEncoder;
use vandamme_protocol::convert::upstream::chat::ChatDecoder;
use vandamme_protocol::convert::{CodecStep, Pushed, ReplyCodec, Transcoder, WholeReply};
use vandamme_protocol::fault::Fault;

use crate::fixtures::{Fixture, of_kind};
use crate::{chat, reply};

fn messages_client(fixture: &Fixture) -> reply::ToMessages {
    reply::transcoder(reply::context(reply::Asked::ForThinking, &fixture.dialect()))
}

fn chat_client(fields: &Value) -> chat::ToChat {
    chat::transcoder(chat::context(fields.clone()))
}

fn in_a_row(fixture: &Fixture, fields: &Value) -> Transcoder<ChatDecoder, ChatEncoder> {
    let context = reply::context(reply::Asked::ForThinking, &fixture.dialect());
    let encoder = ChatEncoder::new(chat::context(fields.clone()), chat::IDENTITY);
    Transcoder::new(ChatDecoder::new(context, reply::SEED), encoder)
}

/// Clients that read every kind of event, or write calls in another form.
fn clients() -> [Value; 3] {
    let custom = json!({"type": "custom", "custom": {"name": "get_weather"}});
    [
        json!({"reasoning_effort": "low", "stream_options": {"include_usage": true}}),
        json!({"functions": [{"name": "f"}]}),
        json!({"tools": [custom]}),
    ]
}

/// A stream after one codec.
fn streamed(mut codec: impl ReplyCodec, stream: &[u8]) -> String {
    let mut out = BytesMut::new();
    match codec.push(Bytes::copy_from_slice(stream), &mut out) {
        Pushed::Converted(CodecStep::Fault(fault)) => codec.fail(fault, &mut out),
        Pushed::Converted(CodecStep::More | CodecStep::End) => codec.finish(&mut out),
        Pushed::Passed(passed) => panic!("{passed:?} is not converted"),
    };
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

#[test]
fn a_stream_through_two_codecs_is_the_same_by_events_and_by_bytes() {
    for fixture in of_kind("stream") {
        for fields in clients() {
            let between = streamed(messages_client(&fixture), &fixture.body);
            let through_bytes = streamed(chat_client(&fields), between.as_bytes());
            let typed = streamed(in_a_row(&fixture, &fields), &fixture.body);
            if !is_refusal(&typed, &through_bytes) {
                assert_eq!(typed, through_bytes, "{} for {fields}", fixture.name);
            }
        }
    }
}

/// Messages has a refusal as a text, too, so that bytes bring it twice.
fn is_refusal(typed: &str, through_bytes: &str) -> bool {
    let refusal = typed.split_once("\"refusal\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let Some((refusal, _)) = refusal else { return false };
    for reply in [typed, through_bytes] {
        assert!(reply.contains(refusal) && reply.contains("\"finish_reason\":\"stop\""), "{reply}");
    }
    true
}

#[test]
fn a_whole_reply_through_two_codecs_is_the_same_by_events_and_by_bytes() {
    for fixture in of_kind("whole") {
        for fields in clients() {
            let between = messages_client(&fixture).whole(&fixture.body);
            let through_bytes = between.and_then(|between| chat_client(&fields).whole(&between.body));
            let typed = in_a_row(&fixture, &fields).whole(&fixture.body);
            let body = |reply: Result<WholeReply, Fault>| reply.map(|reply| comparable(&reply.body));
            let (typed, through_bytes) = (body(typed), body(through_bytes));
            let text =
                |reply: &Result<Value, Fault>| reply.as_ref().map(Value::to_string).unwrap_or_default();
            if !is_refusal(&text(&typed), &text(&through_bytes)) {
                assert_eq!(typed, through_bytes, "{} for {fields}", fixture.name);
            }
        }
    }
}

/// A completion with parsed arguments: a whole Messages reply carries them as JSON, and those that are no object in a
/// separate member.
fn comparable(body: &[u8]) -> Value {
    let mut completion: Value = serde_json::from_slice(body).expect("JSON");
    let message = &mut completion["choices"][0]["message"];
    let called = message["tool_calls"].as_array_mut().into_iter().flatten();
    let functions: Vec<&mut Value> = called.filter_map(|call| call.get_mut("function")).collect();
    for function in functions {
        let arguments = function["arguments"].as_str().expect("arguments are text").to_owned();
        let parsed = serde_json::from_str::<Value>(&arguments).ok().filter(Value::is_object);
        function["arguments"] = parsed.unwrap_or_else(|| json!({"raw_arguments": arguments}));
    }
    completion
}
