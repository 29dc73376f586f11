//! What the upstream did wrong, in the words of the gateway.

use crate::vocabulary::ErrorKind;

/// Something the upstream did wrong or refused, in the gateway's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: ErrorKind,
    /// What the client gets if nothing went out to it yet.
    pub status: u16,
    /// One line, without keys.
    pub message: String,
}

impl Fault {
    /// An upstream that broke the protocol: 502 `api_error`.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Api, status: 502, message: message.into() }
    }

    /// An error that came with status 200: the status of its kind, or 502 for `api_error`.
    pub fn reported(kind: ErrorKind, message: String) -> Self {
        let status = if kind == ErrorKind::Api { 502 } else { kind.status() };
        Self { kind, status, message }
    }

    /// A stream that ended before its end: 502 `api_error`.
    pub fn cut() -> Self {
        Self::bad_gateway("the upstream closed the stream early")
    }

    /// An upstream that took too long: 504 `timeout_error`.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Timeout, status: 504, message: message.into() }
    }
}
