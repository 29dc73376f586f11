//! What the gateway itself says to a client, in the words of the API that the client came by.

use bytes::BytesMut;
use vandamme_protocol::vocabulary::ErrorKind;
use vandamme_protocol::{anthropic, openai};

use crate::settings::Api;

impl Api {
    /// What keeps a silent stream alive.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Self::Messages => anthropic::error::PING,
            Self::ChatCompletions => openai::error::KEEP_ALIVE,
        }
    }

    /// Appends what ends a stream that has begun and cannot go on.
    pub fn error_event(self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        match self {
            Self::Messages => anthropic::error::event(kind, message, out),
            Self::ChatCompletions => openai::error::event(kind, message, out),
        }
    }

    /// The body of an error reply. Chat Completions has no place for the request's id in it.
    pub fn error_body(self, kind: ErrorKind, message: &str, request_id: &str) -> Vec<u8> {
        match self {
            Self::Messages => anthropic::error::body(kind, message, request_id),
            Self::ChatCompletions => openai::error::body(kind, message),
        }
    }

    /// A status as this API has it: 529 is Anthropic's own.
    pub fn status(self, status: u16) -> u16 {
        match (self, status) {
            (Self::ChatCompletions, 529) => 503,
            (Self::Messages | Self::ChatCompletions, _) => status,
        }
    }
}
