//! What all bridges share: one API served over an upstream that speaks another.

pub mod messages_over_chat;

use crate::vocabulary::{ErrorKind, StopReason, Usage};

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

    /// An error that came with status 200: its kind's own status, and 502 where the kind says nothing.
    pub fn said(kind: ErrorKind, message: String) -> Self {
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

/// What a machine wants after one upstream event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next event.
    More,
    /// Nothing more: the upstream's own terminator was seen.
    End,
    /// Nothing more: the upstream reported or made an error.
    Fault(Fault),
}

/// How a reply ended, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub stop_reason: Option<StopReason>,
    /// Absent if the upstream never said.
    pub usage: Option<Usage>,
    /// Tool calls that went out to the client.
    pub tool_calls: u32,
    /// Why the reply is not complete.
    pub fault: Option<Fault>,
}
