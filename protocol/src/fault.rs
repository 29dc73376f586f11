//! Upstream faults: the status, kind and message that a client receives.

use crate::vocabulary::ErrorKind;

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

    /// An error inside a reply of status 200: the status of its kind, or 502 if the kind has none.
    pub fn said(kind: ErrorKind, message: String) -> Self {
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
