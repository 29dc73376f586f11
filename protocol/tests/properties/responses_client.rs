//! Properties of every reply for a client of the Responses API, from upstreams of Messages and of Chat Completions. The same
//! bytes are used for each of them.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use vandamme_protocol::convert::client::chat::ReplyIdentity;
use vandamme_protocol::convert::client::responses::{ResponsesClientContext, ResponsesEncoder};
use vandamme_protocol::convert::upstream::chat::{ChatDecoder, Dialect, PLAIN};
use vandamme_protocol::convert::upstream::messages::MessagesDecoder;
use vandamme_protocol::convert::{CodecStep, ReplyCodec as _, ReplyDecoder, ReplySummary, Transcoder};
use vandamme_protocol::sse::{self, Splitter};

use crate::reply::{Asked, SEED, context, readable};
use crate::responses_grammar::{Reply, check as check_grammar};

const IDENTITY: ReplyIdentity = ReplyIdentity { seed: SEED, created: 1_760_000_000 };

/// The client's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tools {
    Functions,
    /// Tools of these names take plain text.
    Custom,
}

fn encoder(tools: Tools) -> ResponsesEncoder {
    let context = ResponsesClientContext::without_tools("p:m", "p", "m");
    let context = match tools {
        Tools::Functions => context,
        Tools::Custom => context.with_custom_tools(&["f", "get_weather", "Write", "tool_0"]),
    };
    ResponsesEncoder::new(context, IDENTITY)
}

pub(crate) fn of_messages(tools: Tools) -> Transcoder<MessagesDecoder, ResponsesEncoder> {
    Transcoder::new(MessagesDecoder::new(), encoder(tools))
}

pub(crate) fn of_chat(tools: Tools, dialect: &Dialect) -> Transcoder<ChatDecoder, ResponsesEncoder> {
    let context = context(Asked::ForThinking, dialect);
    Transcoder::new(ChatDecoder::new(context, SEED), encoder(tools))
}

/// Checks these bytes as replies of both upstreams, split at this position.
pub(crate) fn check(bytes: &[u8], cut: usize) {
    for tools in [Tools::Functions, Tools::Custom] {
        check_reply(|| of_messages(tools), bytes, cut);
        check_reply(|| of_chat(tools, &PLAIN), bytes, cut);
    }
    let searching = Dialect {
        web_search: Some(vandamme_protocol::convert::upstream::chat::HostedSearch::Perplexity),
        think_tags: true,
        ..Dialect::default()
    };
    check_reply(|| of_chat(Tools::Functions, &searching), bytes, cut);
}

/// Checks one pair of APIs: the grammar, any slicing, and that a whole reply is the response of its stream.
pub(crate) fn check_reply<D: ReplyDecoder>(
    transcoder: impl Fn() -> Transcoder<D, ResponsesEncoder>,
    bytes: &[u8],
    cut: usize,
) {
    let (wire, outcome) = streamed(transcoder(), &[bytes]);
    check_wire(&wire, &outcome);
    let (front, back) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(streamed(transcoder(), &[front, back]), (wire.clone(), outcome.clone()), "cut at {cut}");

    match (collected(transcoder(), bytes), &outcome.fault) {
        (Ok(body), None) => assert_eq!(body, last_response(&wire), "whole is the collected stream"),
        (Err(()), Some(_)) => {}
        (whole, fault) => panic!("whole {whole:?}, streamed {fault:?}"),
    }
    let mut events = BytesMut::new();
    match (transcoder().whole(bytes), transcoder().whole_as_stream(bytes, &mut events)) {
        (Ok(whole), Ok(outcome)) => {
            assert_eq!(whole.summary, outcome);
            check_wire(&events, &outcome);
            assert_eq!(text_of(&whole.body), last_response(&events), "a whole reply is its events");
        }
        (Err(whole), Err(streamed)) => assert_eq!((whole, events.len()), (streamed, 0)),
        (whole, streamed) => panic!("whole {whole:?}, streamed {streamed:?}"),
    }
}

/// The content of a stream; `None` if the checker cannot read it: halves of surrogate pairs that an upstream splits.
pub(crate) fn check_wire(wire: &[u8], outcome: &ReplySummary) -> Option<Reply> {
    if readable(wire) != wire {
        let last = text_of(wire).contains("\"status\":\"failed\"");
        assert_eq!(last, outcome.fault.is_some());
        return None;
    }
    let reply = check_grammar(wire);
    assert_eq!(reply.status() == "failed", outcome.fault.is_some(), "the ledger knows what the client sees");
    assert_eq!(reply.error().is_some(), outcome.fault.is_some());
    Some(reply)
}

/// The response object of the last event.
fn last_response(wire: &[u8]) -> String {
    let wire = text_of(wire);
    let (_, last) = wire.rsplit_once("\"response\":").expect("a response");
    last.trim_end().strip_suffix('}').expect("the event's bracket").to_owned()
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The client's bytes for an upstream's bytes in these pieces.
pub(crate) fn streamed<D: ReplyDecoder>(
    mut machine: Transcoder<D, ResponsesEncoder>,
    pieces: &[&[u8]],
) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut out = BytesMut::new();
    let mut step = CodecStep::More;
    for piece in pieces {
        let block = splitter.pass(Bytes::copy_from_slice(piece)).unwrap_or_default();
        step = pushed(&block, step, |data| machine.push_data(data, &mut out));
    }
    let outcome = match step {
        CodecStep::More | CodecStep::End => machine.finish(&mut out),
        CodecStep::Fault(fault) => machine.fail(fault, &mut out),
    };
    (out.to_vec(), outcome)
}

fn collected<D: ReplyDecoder>(
    transcoder: Transcoder<D, ResponsesEncoder>,
    stream: &[u8],
) -> Result<String, ()> {
    let mut collector = transcoder.collector();
    let mut splitter = Splitter::new(1 << 20);
    let block = splitter.pass(Bytes::copy_from_slice(stream)).unwrap_or_default();
    match pushed(&block, CodecStep::More, |data| collector.push(data)) {
        CodecStep::Fault(_) => Err(()),
        CodecStep::More | CodecStep::End => match collector.finish() {
            Ok(whole) => {
                let parsed: Result<Value, _> = serde_json::from_slice(&readable(&whole.body));
                assert!(parsed.is_ok(), "a whole reply is JSON");
                Ok(text_of(&whole.body))
            }
            Err(_) => Err(()),
        },
    }
}

/// Pushes a block, unless the step before was the last one.
fn pushed(block: &[u8], step: CodecStep, mut push: impl FnMut(&[u8]) -> CodecStep) -> CodecStep {
    let mut step = step;
    for event in sse::events(block) {
        if step != CodecStep::More {
            break;
        }
        if let Some(data) = event.data() {
            step = push(&data);
        }
    }
    step
}
