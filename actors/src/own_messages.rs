//! Builds the gateway's own messages to a client in the format of the client's API.

use bytes::BytesMut;
use vandamme_protocol::openai::error::ErrorNames;
use vandamme_protocol::vocabulary::ErrorKind;
use vandamme_protocol::{anthropic, openai};

use crate::settings::Api;

impl Api {
    /// The bytes that keep a silent stream alive.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Self::Messages => anthropic::error::PING,
            Self::ChatCompletions | Self::Responses => openai::error::KEEP_ALIVE,
        }
    }

    /// Appends the error event that ends a stream which has started and cannot continue.
    pub fn error_event(self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        match self {
            Self::Messages => anthropic::error::event(kind, message, out),
            Self::ChatCompletions => openai::error::event(kind, message, out),
            Self::Responses => openai::error::response_failed(kind, message, out),
        }
    }

    /// The body of an error reply. OpenAI's APIs have no field for the request's id, and the Messages API none for names.
    pub fn error_body(self, kind: ErrorKind, message: &str, names: &ErrorNames, request_id: &str) -> Vec<u8> {
        match self {
            Self::Messages => anthropic::error::body(kind, message, request_id),
            Self::ChatCompletions => openai::error::body(kind, message, names),
            Self::Responses => openai::error::responses_body(kind, message, names),
        }
    }

    /// Maps a status to one that this API defines: only Anthropic uses 529.
    pub fn status(self, status: u16) -> u16 {
        match (self, status) {
            (Self::ChatCompletions | Self::Responses, 529) => 503,
            (Self::Messages | Self::ChatCompletions | Self::Responses, _) => status,
        }
    }
}
