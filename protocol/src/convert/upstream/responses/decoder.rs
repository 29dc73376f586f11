//! Decodes a Responses reply into Messages events.

use super::ResponsesReplyContext;
use crate::{
    anthropic::event::EventSink,
    convert::{CodecStep, ReplyDecoder, ReplySummary},
    fault::Fault,
    vocabulary::Usage,
};

/// Reads one reply of a Responses upstream.
#[derive(Debug)]
pub struct ResponsesDecoder {
    _context: ResponsesReplyContext,
}

impl ResponsesDecoder {
    /// For one reply to the request that `context` is from. `seed` is new for every reply.
    pub fn new(context: ResponsesReplyContext, _seed: u128) -> Self {
        Self { _context: context }
    }
}

impl ReplyDecoder for ResponsesDecoder {
    fn push(&mut self, _data: &[u8], _events: &mut impl EventSink) -> CodecStep {
        CodecStep::More
    }

    fn push_whole(&mut self, _body: &[u8], _events: &mut impl EventSink) -> Result<(), Fault> {
        Ok(())
    }

    fn finish(&mut self, _events: &mut impl EventSink) -> ReplySummary {
        ReplySummary::default()
    }

    fn fail(&mut self, fault: Fault, _events: &mut impl EventSink) -> ReplySummary {
        ReplySummary { fault: Some(fault), ..ReplySummary::default() }
    }

    fn started(&self) -> bool {
        false
    }

    fn finishing(&self) -> bool {
        false
    }

    fn counted(&self) -> (Usage, u32) {
        (Usage::default(), 0)
    }
}
