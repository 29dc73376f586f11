//! Properties of every Chat Completions stream as a client of the Messages API receives it, with any content.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use vandamme_protocol::convert::client::messages::MessagesEncoder;
use vandamme_protocol::convert::upstream::chat::{
    ChatDecoder, ChatReplyContext, ChatUpstream, Dialect, request,
};
use vandamme_protocol::convert::{CodecStep, ReplyCodec as _, ReplySummary, Transcoder, WholeReply};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::is_complete_json;
use vandamme_protocol::sse::{self, Splitter};

use crate::grammar;

pub(crate) const SEED: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

pub(crate) type ToMessages = Transcoder<ChatDecoder, MessagesEncoder>;

pub(crate) fn transcoder(context: ChatReplyContext) -> ToMessages {
    Transcoder::new(ChatDecoder::new(context, SEED), MessagesEncoder::new())
}

/// The client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    ForThinking,
    ForTheAnswerAlone,
}

/// The request's data that a reply needs, with the stop sequence `</answer>`. A provider that searches the web is asked to.
pub(crate) fn context(asked: Asked, dialect: &Dialect) -> ChatReplyContext {
    let thinking = match asked {
        Asked::ForThinking => json!({"type": "adaptive"}),
        Asked::ForTheAnswerAlone => json!({"type": "disabled"}),
    };
    let mut body = json!({"max_tokens": 9, "thinking": thinking, "stop_sequences": ["</answer>"],
        "messages": [{"role": "user", "content": "hi"}]});
    if dialect.web_search.is_some() {
        body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    }
    let target = ChatUpstream {
        provider: "p",
        model: "up/m",
        requested_model: "p:m",
        dialect,
        session: None,
        members: None,
    };
    request(body.to_string().as_bytes(), &target).expect("a request").reply
}

/// The client's bytes for an upstream's bytes in these pieces. Like the gateway, reads an event that only
/// lacks its blank line when the body has ended.
pub(crate) fn streamed(pieces: &[&[u8]], context: &ChatReplyContext) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut machine = transcoder(context.clone());
    let mut out = BytesMut::new();
    for piece in pieces {
        let Some(block) = splitter.pass(Bytes::copy_from_slice(piece)) else { continue };
        match pushed(&block, |data| machine.push_data(data, &mut out)) {
            CodecStep::More => {}
            CodecStep::End => return ended(machine, out),
            CodecStep::Fault(fault) => return failed(machine, out, fault),
        }
    }
    let rest = splitter.rest();
    if is_whole(&rest)
        && let CodecStep::Fault(fault) = pushed(&rest, |data| machine.push_data(data, &mut out))
    {
        return failed(machine, out, fault);
    }
    ended(machine, out)
}

fn ended(mut machine: ToMessages, mut out: BytesMut) -> (Vec<u8>, ReplySummary) {
    let outcome = machine.finish(&mut out);
    (out.to_vec(), outcome)
}

fn failed(mut machine: ToMessages, mut out: BytesMut, fault: Fault) -> (Vec<u8>, ReplySummary) {
    let outcome = machine.fail(fault, &mut out);
    (out.to_vec(), outcome)
}

/// The same for a client that requests a whole reply.
pub(crate) fn collected(bytes: &[u8], context: &ChatReplyContext) -> Result<WholeReply, Fault> {
    let mut collector = transcoder(context.clone()).collector();
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(bytes);
    let complete = splitter.complete().unwrap_or_default();
    let rest = Some(splitter.rest()).filter(|rest| is_whole(rest)).unwrap_or_default();
    for block in [complete, rest] {
        match pushed(&block, |data| collector.push(data)) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => return Err(fault),
        }
    }
    collector.finish()
}

pub(crate) fn pushed(block: &[u8], mut push: impl FnMut(&[u8]) -> CodecStep) -> CodecStep {
    for event in sse::events(block) {
        let Some(data) = event.data() else { continue };
        match push(&data) {
            CodecStep::More => {}
            last @ (CodecStep::End | CodecStep::Fault(_)) => return last,
        }
    }
    CodecStep::More
}

pub(crate) fn is_whole(rest: &[u8]) -> bool {
    let whole = |data: &[u8]| data.trim_ascii() == b"[DONE]" || is_complete_json(data);
    sse::events(rest).filter_map(|event| event.data()).all(|data| whole(&data))
}

/// The message of these events, which must be a valid stream. `None` if it ends with an error.
pub(crate) fn message(wire: &[u8]) -> Option<Value> {
    let reply = grammar::check(&readable(wire));
    assert_eq!(reply.has_stopped, reply.error.is_none(), "a stream stops or fails");
    let mut message = reply.error.is_none().then_some(reply.message)?;
    for block in message["content"].as_array_mut().expect("checked") {
        if block["type"] == "tool_use" {
            block["input"] = input(block["input"].as_str().expect("checked"));
        }
    }
    Some(message)
}

/// An accumulated input in the form of a whole reply.
fn input(arguments: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
    parsed.unwrap_or_else(|| json!({"raw_arguments": arguments}))
}

/// JSON with question marks for halves of surrogate pairs, which clients read and `serde_json` does not.
pub(crate) fn readable(json: &[u8]) -> Vec<u8> {
    let mut readable = json.to_vec();
    let mut at = 0;
    while at + 6 <= readable.len() {
        if readable[at] != b'\\' {
            at += 1;
            continue;
        }
        match (half(&readable[at..]), half(readable.get(at + 6..).unwrap_or_default())) {
            (Some(Half::High), Some(Half::Low)) => at += 12,
            (Some(_), _) => {
                readable[at..at + 6].copy_from_slice(b"\\u003f");
                at += 6;
            }
            (None, _) => at += 2,
        }
    }
    readable
}

#[derive(Clone, Copy)]
enum Half {
    High,
    Low,
}

/// The half of a surrogate pair that the escape at the start encodes.
fn half(json: &[u8]) -> Option<Half> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    match code {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

/// Checks everything for a stream in one piece, in two, and (if it is short) byte by byte.
pub(crate) fn check(stream: &[u8], cut: usize, dialect: &Dialect) {
    let context = context(Asked::ForThinking, dialect);
    let (wire, outcome) = streamed(&[stream], &context);
    let message = message(&wire);
    assert_eq!(message.is_none(), outcome.fault.is_some(), "the ledger knows what the client sees");

    let (front, back) = stream.split_at(cut.min(stream.len()));
    assert_eq!(streamed(&[front, back], &context), (wire.clone(), outcome.clone()), "cut at {cut}");
    if stream.len() < 512 {
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(streamed(&bytes, &context).0, wire, "byte by byte");
    }
    check_whole(collected(stream, &context), message, &outcome);
    check_answer_alone(stream, dialect);
}

pub(crate) fn check_whole(whole: Result<WholeReply, Fault>, streamed: Option<Value>, outcome: &ReplySummary) {
    match (whole, streamed) {
        (Ok(whole), Some(streamed)) => {
            assert_eq!(&whole.summary, outcome);
            // This parser cannot read numbers beyond a double, which is not the codec's fault.
            if let Ok(whole) = serde_json::from_slice::<Value>(&readable(&whole.body)) {
                assert_eq!(whole, streamed, "whole is the collected stream");
            }
        }
        (Err(fault), None) => assert_eq!(Some(fault), outcome.fault),
        (whole, streamed) => panic!("whole {whole:?}, streamed {streamed:?}"),
    }
}

fn check_answer_alone(stream: &[u8], dialect: &Dialect) {
    let (wire, _) = streamed(&[stream], &context(Asked::ForTheAnswerAlone, dialect));
    let Some(message) = message(&wire) else { return };
    let mut blocks = message["content"].as_array().expect("checked").iter();
    assert!(blocks.all(|block| block["type"] != "thinking"), "nobody asked for thinking");
}
