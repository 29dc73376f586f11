//! The tap of the Responses API: it reads a forwarded reply.

use bytes::{Bytes, BytesMut};

use crate::convert::{CodecForm, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use crate::fault::Fault;
use crate::vocabulary::Usage;

/// Reads one streamed reply.
#[derive(Debug, Default)]
pub struct ResponsesTap {
    summary: ReplySummary,
}

impl ResponsesTap {
    /// For one reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl ReplyCodec for ResponsesTap {
    fn push(&mut self, block: Bytes, _out: &mut BytesMut) -> Pushed {
        Pushed::Passed(PassedBlock { block, end: None, is_cut: false })
    }

    fn finish(&mut self, _out: &mut BytesMut) -> ReplySummary {
        self.summary.clone()
    }

    fn fail(&mut self, fault: Fault, _out: &mut BytesMut) -> ReplySummary {
        ReplySummary { fault: Some(fault), ..self.summary.clone() }
    }

    fn started(&self) -> bool {
        true
    }

    fn finishing(&self) -> bool {
        false
    }

    fn passed_error(&self) -> Option<Fault> {
        None
    }

    fn counted(&self) -> (Usage, u32) {
        (Usage::default(), 0)
    }

    fn form(&self) -> CodecForm {
        CodecForm::Passthrough
    }
}

/// The summary of a whole response object; `None` if it cannot be parsed. What can be parsed is complete JSON.
#[must_use]
pub fn parsed_response(_body: &[u8]) -> Option<ReplySummary> {
    None
}

/// A whole response object of a stream, for an upstream that answered with a stream although a whole reply was asked for.
///
/// # Errors
/// The upstream reported an error or did not finish.
pub fn events_as_response(_stream: &[u8]) -> Result<Vec<u8>, Fault> {
    Err(Fault::cut())
}

/// A stream of a whole response object, for an upstream that answered with JSON although a stream was asked for.
///
/// # Errors
/// The body is no response object, or reports an error.
pub fn response_as_events(_body: &[u8]) -> Result<Bytes, Fault> {
    Err(Fault::cut())
}
