//! The content blocks of a reply, and the deltas in them.

use super::halves::Halves;
use crate::anthropic::event::{BlockDelta, EventSink, MessagesEvent};

/// A piece of a reply: text, a refusal, or thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prose {
    Text,
    Refusal,
    Thinking,
}

/// The content blocks that were sent.
#[derive(Debug, Default)]
pub(super) struct SentBlocks {
    /// The index of the open block, or of the next one.
    pub(super) index: u64,
    pub(super) open: Option<Prose>,
    pub(super) halves: Halves,
}

impl SentBlocks {
    pub(super) fn prose<S: EventSink>(&self, prose: Prose, inner: &str, sink: &mut S) {
        let delta = match prose {
            Prose::Text => BlockDelta::Text(inner),
            Prose::Refusal => BlockDelta::Refusal(inner),
            Prose::Thinking => BlockDelta::Thinking(inner),
        };
        self.delta(delta, inner, sink);
    }

    pub(super) fn arguments<S: EventSink>(&self, inner: &str, sink: &mut S) {
        self.delta(BlockDelta::Arguments(inner), inner, sink);
    }

    fn delta<S: EventSink>(&self, delta: BlockDelta<'_>, inner: &str, sink: &mut S) {
        if !inner.is_empty() {
            sink.emit(MessagesEvent::Delta { index: Some(self.index), delta });
        }
    }
}
