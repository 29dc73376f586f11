//! Errors of the Messages API: written for clients, read from upstreams.

use bytes::BytesMut;
use serde::Deserialize;

use crate::{fault::Fault, json::Write, openai, vocabulary::ErrorKind};

/// The longest message that is taken over from an upstream, bytes.
const LONGEST_TEXT: usize = 2 << 10;

/// The event that keeps a silent stream alive.
pub const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// The body of an error reply.
pub fn body(kind: ErrorKind, message: &str, request_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + request_id.len() + 96);
    open(kind, message, &mut out);
    out.put(b",\"request_id\":");
    out.string(request_id);
    out.put(b"}");
    out
}

/// Appends the event that ends a stream which already began.
pub fn event(kind: ErrorKind, message: &str, out: &mut BytesMut) {
    out.put(b"event: error\ndata: ");
    open(kind, message, out);
    out.put(b"}\n\n");
}

fn open(kind: ErrorKind, message: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"error\",\"error\":{\"type\":\"");
    out.raw(kind.anthropic());
    out.put(b"\",\"message\":");
    out.string(message);
    out.put(b"}");
}

/// The kind and message of a body that is Anthropic's error object; `None` for every other body. An `error.type`
/// that is not known here counts as `api_error`.
pub fn read(body: &[u8]) -> Option<(ErrorKind, String)> {
    #[derive(Deserialize)]
    struct Envelope {
        r#type: String,
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        r#type: String,
        message: String,
    }

    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let kind = ErrorKind::from_anthropic(&envelope.error.r#type).unwrap_or(ErrorKind::Api);
    (envelope.r#type == "error").then(|| (kind, bounded_message(envelope.error.message)))
}

/// The fault that an upstream of the Messages API reports, inside a stream or with status 200.
pub(crate) fn reported(data: &[u8]) -> Fault {
    match read(data) {
        Some((kind, message)) => Fault::reported(kind, message),
        None => openai::error::read_inside(data),
    }
}

/// A text of an upstream's, cut where it is longer than logs and error messages should be.
pub(crate) fn bounded_message(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let longest = LONGEST_TEXT - '…'.len_utf8();
        let end = (0..=longest).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_body_is_read_back() {
        let message = "bad \"quote\"\nand line";
        let body = body(ErrorKind::TooLarge, message, "req_1");
        assert_eq!(read(&body), Some((ErrorKind::TooLarge, message.to_owned())));
        assert!(String::from_utf8(body).unwrap().ends_with(r#","request_id":"req_1"}"#));
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let body = body(ErrorKind::Api, &"é".repeat(100_000), "req_1");
        let (_, message) = read(&body).unwrap();
        assert!((2040..=2048).contains(&message.len()), "{}", message.len());
        assert!(message.ends_with("é…"));
        assert_eq!(bounded_message("x".repeat(2048)).len(), 2048);
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let mut out = BytesMut::new();
        event(ErrorKind::Overloaded, "a\nb", &mut out);
        assert_eq!(
            &out[..],
            b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"a\\nb\"}}\n\n"
        );
    }

    #[test]
    fn other_bodies_are_not_anthropic_errors() {
        for body in
            ["", "{}", r#"{"error":{"type":"x","message":"y"}}"#, r#"{"type":"message","error":null}"#]
        {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
