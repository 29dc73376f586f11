//! Reads the frames of a Bedrock upstream as server-sent events of the Messages API.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, BytesMut};
use serde::Deserialize;

use super::frame::{EventStreamError, Frame};
use crate::cloud::error::{self, CloudFault};
use crate::json::JsonWord;

/// Turns the frames of an upstream into server-sent events of the Messages API. Exceptions become `event: error`.
#[derive(Debug)]
pub struct EventStreamDecoder {
    largest: usize,
    /// The beginning of a frame.
    held: BytesMut,
    /// The JSON of the current event.
    json: Vec<u8>,
}

/// The payload of a chunk. Its member `p` is padding.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
}

/// An event of the Messages API, but for its content.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: JsonWord<'a>,
}

impl EventStreamDecoder {
    /// Frames of more than `largest` bytes are refused.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self { largest, held: BytesMut::new(), json: Vec::new() }
    }

    /// Reads more bytes of the stream, and appends the events that are complete to `events`.
    ///
    /// # Errors
    /// The bytes are no frames. Nothing more can be read.
    pub fn push(&mut self, chunk: &[u8], events: &mut BytesMut) -> Result<(), EventStreamError> {
        if self.held.is_empty() {
            let read = read_frames(chunk, self.largest, &mut self.json, events)?;
            self.held.extend_from_slice(&chunk[read..]);
            return Ok(());
        }
        self.held.extend_from_slice(chunk);
        let read = read_frames(&self.held, self.largest, &mut self.json, events)?;
        drop(self.held.split_to(read));
        Ok(())
    }

    /// Whether the stream may end here, between two frames.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.held.is_empty()
    }
}

/// Appends the events of all frames that are complete, and returns how many bytes they have.
fn read_frames(
    bytes: &[u8],
    largest: usize,
    json: &mut Vec<u8>,
    events: &mut BytesMut,
) -> Result<usize, EventStreamError> {
    let mut read = 0;
    while let Some((frame, length)) = Frame::parse(&bytes[read..], largest)? {
        append(&frame, json, events)?;
        read += length;
    }
    Ok(read)
}

fn append(frame: &Frame<'_>, json: &mut Vec<u8>, events: &mut BytesMut) -> Result<(), EventStreamError> {
    match (frame.message_type, frame.kind) {
        ("event", "chunk") => {
            let chunk: Chunk<'_> =
                serde_json::from_slice(frame.payload).map_err(|_| EventStreamError::Malformed)?;
            json.clear();
            let decoded = STANDARD.decode_vec(chunk.bytes.as_bytes(), json);
            decoded.map_err(|_| EventStreamError::Malformed)?;
            // A chunk without content has no event.
            if json.is_empty() { Ok(()) } else { append_event(json, events) }
        }
        ("exception" | "error", kind) => {
            let CloudFault { kind, message, .. } = error::of_frame(kind, frame.payload, frame.error_message);
            let error =
                serde_json::json!({"type": "error", "error": {"type": kind.anthropic(), "message": message}});
            append_lines("error", error.to_string().as_bytes(), events);
            Ok(())
        }
        // An event of a later version of the API has nothing that a client of Messages could use.
        _ => Ok(()),
    }
}

fn append_event(json: &[u8], events: &mut BytesMut) -> Result<(), EventStreamError> {
    let event: Event<'_> = serde_json::from_slice(json).map_err(|_| EventStreamError::Malformed)?;
    let kind = event.kind.as_str();
    if kind.contains(['\r', '\n']) {
        return Err(EventStreamError::Malformed);
    }
    append_lines(kind, json, events);
    Ok(())
}

fn append_lines(kind: &str, json: &[u8], events: &mut BytesMut) {
    events.reserve(json.len() + kind.len() + 17);
    events.put_slice(b"event: ");
    events.put_slice(kind.as_bytes());
    // JSON may contain line ends between its members only, where any white space will do.
    for line in json.split(|byte| matches!(byte, b'\r' | b'\n')) {
        events.put_slice(b"\ndata: ");
        events.put_slice(line);
    }
    events.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::super::frame::write;
    use super::*;

    const CHUNK: [(&str, &str); 3] =
        [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];

    fn chunk(json: &str) -> BytesMut {
        let mut frame = BytesMut::new();
        let payload = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(json));
        write(&CHUNK, &[payload.as_bytes()], &mut frame);
        frame
    }

    fn decoded(pieces: &[&[u8]]) -> Result<String, EventStreamError> {
        let (mut decoder, mut events) = (EventStreamDecoder::new(1 << 16), BytesMut::new());
        for piece in pieces {
            decoder.push(piece, &mut events)?;
        }
        assert!(decoder.is_between_frames());
        Ok(String::from_utf8_lossy(&events).into_owned())
    }

    /// Requirement: frames are read the same wherever they are cut, and each bit of them counts.
    #[test]
    fn frames_become_events_wherever_they_are_cut() {
        let mut stream = chunk(r#"{"type":"message_start","message":{}}"#);
        write(&[(":event-type", "later"), (":message-type", "event")], &[b"?"], &mut stream);
        stream.extend_from_slice(&chunk(""));
        stream.extend_from_slice(&chunk("{\"type\":\"ping\",\n\"x\":1}"));
        let expected = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n\
                        event: ping\ndata: {\"type\":\"ping\",\ndata: \"x\":1}\n\n";
        for at in 0..stream.len() {
            assert_eq!(decoded(&[&stream[..at], &stream[at..]]).unwrap(), expected, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decoded(&bytes).unwrap(), expected);
        for at in 0..stream.len() {
            let mut damaged = stream.clone();
            damaged[at] ^= 4;
            assert!(
                EventStreamDecoder::new(1 << 16).push(&damaged, &mut BytesMut::new()).is_err(),
                "at {at}"
            );
        }
    }

    #[test]
    fn an_exception_is_an_error_event() {
        let mut stream = BytesMut::new();
        let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
        write(&headers, &[br#"{"message":"slow \"down\""}"#], &mut stream);
        write(
            &[(":error-code", "InternalFailure"), (":error-message", "oops"), (":message-type", "error")],
            &[],
            &mut stream,
        );
        assert_eq!(
            decoded(&[&stream]).unwrap(),
            "event: error\ndata: {\"error\":{\"message\":\"slow \\\"down\\\"\",\"type\":\"rate_limit_error\"},\"type\":\"error\"}\n\n\
             event: error\ndata: {\"error\":{\"message\":\"oops\",\"type\":\"api_error\"},\"type\":\"error\"}\n\n"
        );
    }

    #[test]
    fn what_is_no_stream_of_frames_is_refused() {
        for (bytes, error) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], EventStreamError::Checksum),
            (b"event: message_start\ndata: {}\n\n", EventStreamError::Checksum),
        ] {
            assert_eq!(EventStreamDecoder::new(1 << 16).push(bytes, &mut BytesMut::new()), Err(error));
        }
        let large = chunk(&format!(r#"{{"type":"{}"}}"#, "x".repeat(200)));
        assert_eq!(
            EventStreamDecoder::new(100).push(&large, &mut BytesMut::new()),
            Err(EventStreamError::TooLarge(100))
        );
        assert_eq!(
            EventStreamDecoder::new(1 << 16).push(&chunk("[]"), &mut BytesMut::new()),
            Err(EventStreamError::Malformed)
        );
    }
}
