//! The `application/vnd.amazon.eventstream` of Bedrock: frames whose payload has one event of the Messages API in base64.

use bytes::BytesMut;
use thiserror::Error;

/// Turns the frames of an upstream into server-sent events of the Messages API. Exceptions become `event: error`.
#[derive(Debug)]
pub struct EventStreamDecoder {
    _largest: usize,
}

/// Why frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EventStreamError {
    #[error("a frame has a wrong checksum")]
    Checksum,
    #[error("a frame has more than {0} bytes")]
    TooLarge(usize),
    #[error("a frame is malformed")]
    Malformed,
}

impl EventStreamDecoder {
    /// Frames of more than `largest` bytes are refused.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self { _largest: largest }
    }

    /// Reads more bytes of the stream, and appends the events that are complete to `events`.
    ///
    /// # Errors
    /// The bytes are no frames. Nothing more can be read.
    pub fn push(&mut self, chunk: &[u8], events: &mut BytesMut) -> Result<(), EventStreamError> {
        // SLICE
        events.extend_from_slice(chunk);
        Ok(())
    }

    /// Whether the stream may end here, between two frames.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        true
    }
}

/// Turns server-sent events of the Messages API into frames for a client in Bedrock's mode. `event: error` becomes an exception.
#[derive(Debug, Default)]
pub struct EventStreamEncoder {}

impl EventStreamEncoder {
    /// Reads more server-sent events, cut at any byte, and appends the frames of those that are complete.
    pub fn push(&mut self, events: &[u8], frames: &mut BytesMut) {
        // SLICE
        frames.extend_from_slice(events);
    }
}
