//! Writes server-sent events of the Messages API as frames, for clients in Bedrock's mode.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::frame;
use crate::cloud::error;
use crate::sse::{self, Splitter};

/// Turns server-sent events of the Messages API into frames for a client in Bedrock's mode. `event: error` becomes an exception.
#[derive(Debug)]
pub struct EventStreamEncoder {
    splitter: Splitter,
    base64: String,
}

impl Default for EventStreamEncoder {
    fn default() -> Self {
        // The gateway's own events, whose size is bounded where they are read.
        Self { splitter: Splitter::new(usize::MAX), base64: String::new() }
    }
}

impl EventStreamEncoder {
    /// Reads more server-sent events, cut at any byte, and appends the frames of those that are complete.
    pub fn push(&mut self, events: &[u8], frames: &mut BytesMut) {
        self.splitter.push(events);
        let Some(block) = self.splitter.complete() else { return };
        for event in sse::events(&block) {
            let Some(data) = event.data() else { continue };
            if event.name() == Some(b"error") {
                append_exception(&data, frames);
            } else {
                self.append_chunk(&data, frames);
            }
        }
    }

    fn append_chunk(&mut self, data: &[u8], frames: &mut BytesMut) {
        let headers =
            [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
        self.base64.clear();
        STANDARD.encode_string(data, &mut self.base64);
        frame::write(&headers, &[b"{\"bytes\":\"", self.base64.as_bytes(), b"\"}"], frames);
    }
}

/// The exceptions that the model of Bedrock's streams has. botocore reads no message from another one.
const STREAM_EXCEPTIONS: [&str; 5] = [
    "internalServerException",
    "modelTimeoutException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
];

/// An error in the middle of a stream. botocore and Anthropic's SDKs raise it.
fn append_exception(data: &[u8], frames: &mut BytesMut) {
    let exception = error::exception(data);
    let body = exception.body.as_bytes();
    if STREAM_EXCEPTIONS.contains(&exception.name) {
        let headers = [
            (":exception-type", exception.name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        frame::write(&headers, &[body], frames);
    } else {
        let headers = [
            (":error-code", exception.name),
            (":error-message", exception.message.as_str()),
            (":content-type", "application/json"),
            (":message-type", "error"),
        ];
        frame::write(&headers, &[body], frames);
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventStreamDecoder;
    use super::*;

    const EVENTS: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: comment\n\n\
                          event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"é\":1}\n\n";

    /// Requirement: what the encoder writes, the decoder reads, wherever the events are cut.
    #[test]
    fn frames_are_the_same_wherever_the_events_are_cut() {
        for at in 0..EVENTS.len() {
            let (mut encoder, mut frames) = (EventStreamEncoder::default(), BytesMut::new());
            encoder.push(&EVENTS.as_bytes()[..at], &mut frames);
            encoder.push(&EVENTS.as_bytes()[at..], &mut frames);
            let mut events = BytesMut::new();
            EventStreamDecoder::new(1 << 16).push(&frames, &mut events).unwrap();
            assert_eq!(events, EVENTS.replace(": comment\n\n", ""), "cut at {at}");
        }
    }

    #[test]
    fn an_error_event_is_an_exception() {
        let (mut encoder, mut frames) = (EventStreamEncoder::default(), BytesMut::new());
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        encoder.push(error.as_bytes(), &mut frames);
        let text = String::from_utf8_lossy(&frames);
        assert!(
            text.contains("serviceUnavailableException") && text.contains("\"message\":\"busy\""),
            "{text}"
        );
    }

    /// Requirement: the message of every kind of error arrives. Fails if the headers of a frame are wrong for its kind.
    #[test]
    fn an_error_without_an_exception_of_its_own_has_its_message_in_the_headers() {
        let (mut encoder, mut frames) = (EventStreamEncoder::default(), BytesMut::new());
        let message = "no access ".repeat(2000);
        let error = format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"permission_error\",\"message\":\"{message}\"}}}}\n\n"
        );
        encoder.push(error.as_bytes(), &mut frames);
        let text = String::from_utf8_lossy(&frames);
        assert!(
            text.contains(":error-code")
                && text.contains(":error-message")
                && !text.contains(":exception-type"),
            "{text}"
        );
        let mut events = BytesMut::new();
        EventStreamDecoder::new(1 << 16).push(&frames, &mut events).unwrap();
        let events = String::from_utf8_lossy(&events);
        assert!(events.contains("permission_error") && events.contains("no access no access"), "{events}");
    }
}
