//! The end of a reply at a stop sequence that the upstream does not know of.

use super::ChatDecoder;
use crate::{
    anthropic::event::EventSink,
    convert::{CodecStep, upstream::chat::thinking::Prose},
    vocabulary::Usage,
};

/// The most chunks and bytes after the cut that are read for their usage. The reader of the stream bounds the time.
const CHUNKS: u32 = 4096;
const BYTES: usize = 1 << 20;

/// What came behind the cut.
#[derive(Default)]
pub(super) struct Behind {
    chunks: u32,
    bytes: usize,
}

impl Behind {
    /// Counts a chunk; whether there may be another.
    fn has_room(&mut self, size: usize) -> bool {
        self.chunks += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.chunks <= CHUNKS && self.bytes <= BYTES
    }
}

impl ChatDecoder {
    /// Whether nothing more of the reply counts. A call that began before is still completed.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut.met().is_some() && self.calls.is_empty()
    }

    /// What follows a piece of the reply of this size. If a stop sequence was met, only the usage is waited for: most
    /// upstreams tell it last. Then comes the end, so that the upstream is closed.
    pub(super) fn after_cut(&mut self, size: usize) -> CodecStep {
        // Some send zeros until they know.
        let is_counted = self.usage.is_some_and(|usage| usage != Usage::default());
        if !self.is_cut_off() || (!is_counted && self.behind.has_room(size)) {
            return CodecStep::More;
        }
        self.is_done = true;
        CodecStep::End
    }

    /// Lets go what was held because it could have been the beginning of a stop sequence.
    pub(super) fn release<S: EventSink>(&mut self, sink: &mut S) {
        if self.cut.is_needed() {
            let rest = self.cut.rest();
            self.settled(Prose::Text, &rest, sink);
        }
    }
}
