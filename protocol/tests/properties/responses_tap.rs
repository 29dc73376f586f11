//! Properties of a Responses reply that passes through, and of its other forms, with any content.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use vandamme_protocol::convert::ReplyCodec as _;
use vandamme_protocol::convert::passthrough::{
    ResponsesTap, events_as_response, parsed_response, response_as_events,
};
use vandamme_protocol::sse::Splitter;

/// Checks a stream in pieces of this size.
pub(crate) fn check(stream: &[u8], size: usize) {
    let (whole, tap) = passed(&[stream]);
    assert!(stream.starts_with(&whole), "every byte passes");
    let pieces: Vec<&[u8]> = stream.chunks(size.max(1)).collect();
    let (sliced, other) = passed(&pieces);
    assert_eq!((sliced, other.summary(), other.ended()), (whole, tap.summary(), tap.ended()));
    let mut tap = tap;
    let (has_ended, is_broken) = (tap.ended(), tap.passed_error().is_some());
    let summary = tap.finish(&mut BytesMut::new());
    assert_eq!(summary.fault.is_some(), is_broken || !has_ended, "a reply without its end is cut");
    if let Ok(response) = events_as_response(stream) {
        assert!(parsed_response(&response).is_some());
    }
}

/// The bytes that pass, and the tap behind them.
fn passed(pieces: &[&[u8]]) -> (Vec<u8>, ResponsesTap) {
    let mut splitter = Splitter::new(1 << 20);
    let mut tap = ResponsesTap::new();
    let mut out = Vec::new();
    for piece in pieces {
        let Some(block) = splitter.pass(Bytes::copy_from_slice(piece)) else { continue };
        let passed = tap.pass(block);
        assert_eq!(passed.end.is_some(), tap.ended());
        out.extend_from_slice(&passed.block);
        if tap.ended() {
            break;
        }
    }
    // A line end may be split from the event before it.
    while out.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        out.pop();
    }
    (out, tap)
}

/// Checks a whole reply: its events say the same.
pub(crate) fn check_body(body: &[u8]) {
    let parsed = parsed_response(body);
    let Ok(events) = response_as_events(body) else { return };
    let again = events_as_response(&events).expect("a response");
    assert_eq!(parsed_response(&again).map(|summary| summary.usage), parsed.map(|summary| summary.usage));
    let (Ok(mut body), Ok(again)) =
        (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Value>(&again))
    else {
        return;
    };
    if let Some(body) = body.as_object_mut() {
        body.entry("status").or_insert("completed".into());
    }
    assert_eq!(again, body);
    let (_, tap) = passed(&[&events]);
    assert!(tap.ended() && tap.summary().fault.is_none());
}
