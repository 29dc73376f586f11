//! Properties of every Responses reply as a client of the Messages API receives it, with any content.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use vandamme_protocol::convert::client::messages::MessagesEncoder;
use vandamme_protocol::convert::upstream::responses::{ResponsesDecoder, ResponsesReplyContext};
use vandamme_protocol::convert::{CodecStep, ReplyCodec as _, ReplySummary, Transcoder, WholeReply};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::sse::Splitter;

use crate::reply::{SEED, check_whole, is_whole, message, pushed};

type ToMessages = Transcoder<ResponsesDecoder, MessagesEncoder>;

pub(crate) fn transcoder(context: ResponsesReplyContext) -> ToMessages {
    Transcoder::new(ResponsesDecoder::new(context, SEED), MessagesEncoder::new())
}

/// For a client that asked for the answer alone, with the stop sequence `</answer>`.
pub(crate) fn plain() -> ResponsesReplyContext {
    ResponsesReplyContext::new("p", "up/m", "p:m").with_stop_sequences(vec!["</answer>".to_owned()])
}

/// For a client that asked for thinking.
pub(crate) fn thinking() -> ResponsesReplyContext {
    plain().with_thinking("p", "up/m")
}

/// The client's bytes for an upstream's bytes in these pieces. Like the gateway, reads an event that only lacks its blank line
/// when the body has ended.
pub(crate) fn streamed(pieces: &[&[u8]], context: &ResponsesReplyContext) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut codec = transcoder(context.clone());
    let mut out = BytesMut::new();
    let mut blocks: Vec<Bytes> =
        pieces.iter().filter_map(|piece| splitter.pass(Bytes::copy_from_slice(piece))).collect();
    blocks.extend(Some(splitter.rest()).filter(|rest| is_whole(rest)));
    let mut summary = None;
    for block in blocks {
        match pushed(&block, |data| codec.push_data(data, &mut out)) {
            CodecStep::More => continue,
            CodecStep::End => {}
            CodecStep::Fault(fault) => summary = Some(codec.fail(fault, &mut out)),
        }
        break;
    }
    let summary = summary.unwrap_or_else(|| codec.finish(&mut out));
    (out.to_vec(), summary)
}

/// The same for a client that requests a whole reply.
fn collected(bytes: &[u8], context: &ResponsesReplyContext) -> Result<WholeReply, Fault> {
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

/// Checks everything for a stream in one piece, in two, and (if it is short) byte by byte.
pub(crate) fn check(stream: &[u8], cut: usize) {
    for context in [thinking(), plain().with_search()] {
        let (wire, summary) = streamed(&[stream], &context);
        let message = message(&wire);
        assert_eq!(message.is_none(), summary.fault.is_some(), "the ledger knows what the client sees");

        let (front, back) = stream.split_at(cut.min(stream.len()));
        assert_eq!(streamed(&[front, back], &context), (wire.clone(), summary.clone()), "cut at {cut}");
        if stream.len() < 512 {
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(streamed(&bytes, &context).0, wire, "byte by byte");
        }
        check_whole(collected(stream, &context), message, &summary);
    }
    let (wire, _) = streamed(&[stream], &plain());
    let Some(message) = message(&wire) else { return };
    let mut blocks = message["content"].as_array().expect("checked").iter();
    assert!(blocks.all(|block| block["type"] != "thinking"), "nobody asked for thinking");
}

/// Checks a whole reply: it is the same as events.
pub(crate) fn check_body(body: &[u8]) {
    for context in [thinking(), plain().with_search()] {
        let mut events = BytesMut::new();
        let streamed = transcoder(context.clone()).whole_as_stream(body, &mut events);
        match (transcoder(context).whole(body), streamed) {
            (Ok(whole), Ok(summary)) => check_whole(Ok(whole), message(&events), &summary),
            (Err(whole), Err(streamed)) => assert_eq!(whole, streamed),
            both => panic!("{both:?}"),
        }
    }
}

/// The message of a whole reply.
pub(crate) fn message_of(body: &[u8]) -> Result<Value, Fault> {
    let whole = transcoder(thinking()).whole(body)?;
    Ok(serde_json::from_slice(&whole.body).expect("JSON"))
}
