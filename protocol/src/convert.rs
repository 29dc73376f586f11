//! Conversion between APIs: what the codecs share.

pub mod client;
mod dropped;
pub mod passthrough;
pub mod upstream;

pub use dropped::Dropped;

use bytes::BytesMut;

use crate::{
    fault::Fault,
    json::wrong_type,
    vocabulary::{StopReason, Usage},
};

/// The client's request cannot be translated: 400 `invalid_request_error`. The message names the JSON path and
/// never repeats the prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub message: String,
}

impl RequestError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The body is not JSON, or not of the shape that its API has.
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

/// One streamed reply on its way from an upstream to a client.
///
/// [`push`](Self::push) every event until it says otherwise, then [`finish`](Self::finish) or
/// [`fail`](Self::fail), once. A fault that `push` returns has written nothing: the caller may still try another
/// upstream if nothing [`started`](Self::started), and else passes the fault to `fail`.
pub trait Bridge {
    /// Takes one upstream event's data (its lines joined) and appends what follows from it to `out`.
    fn push(&mut self, data: &[u8], out: &mut BytesMut) -> Step;

    /// The upstream's body has ended, or its terminator came: closes what is open and ends the reply, or, if the
    /// upstream never finished, appends an error.
    fn finish(&mut self, out: &mut BytesMut) -> Outcome;

    /// The stream broke for an outside reason: appends an error.
    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Outcome;

    /// Whether something went out that a client would see.
    fn started(&self) -> bool;

    /// Whether the upstream said that the reply is over, so that only formalities can follow.
    fn finishing(&self) -> bool;

    /// The tokens that the upstream has told so far, and its tool calls.
    fn counted(&self) -> (Usage, u32);
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

/// A whole reply for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub body: Vec<u8>,
    pub outcome: Outcome,
}
