//! What the upstream or the client did wrong, in the words of the gateway.

use crate::{json::wrong_type, vocabulary::ErrorKind};

/// A failure or refusal of an upstream, in the gateway's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The error type that the client receives.
    pub kind: ErrorKind,
    /// The HTTP status for a client that has received nothing yet.
    pub status: u16,
    /// One line, without keys.
    pub message: String,
}

impl Fault {
    /// The upstream violated the protocol: 502 `api_error`.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Api, status: 502, message: message.into() }
    }

    /// An error that came with status 200: the status of its kind, or 502 for `api_error`.
    pub fn reported(kind: ErrorKind, message: String) -> Self {
        let status = if kind == ErrorKind::Api { 502 } else { kind.status() };
        Self { kind, status, message }
    }

    /// A stream that ended without its final event: 502 `api_error`.
    pub fn cut() -> Self {
        Self::bad_gateway("the upstream closed the stream early")
    }

    /// The upstream took too long: 504 `timeout_error`.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Timeout, status: 504, message: message.into() }
    }
}

/// The client's request cannot be converted: 400 `invalid_request_error`. The message names the JSON path and never
/// repeats the prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub message: String,
}

impl RequestError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The body is not JSON, or does not have the shape of its API.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::new(match error.classify() {
            serde_json::error::Category::Data => {
                format!("request body, line {line} column {column}: {}", wrong_type(error))
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => {
                format!("the request body is not valid JSON (line {line} column {column})")
            }
        })
    }
}
