//! Ends a reply at a stop sequence that was not sent to the upstream.

use super::ChatDecoder;
use crate::{
    anthropic::event::EventSink,
    convert::{CodecStep, upstream::blocks::Prose},
    vocabulary::Usage,
};

impl ChatDecoder {
    /// Whether the rest of the reply is dropped. A call that began before the cut is completed.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut.met().is_some() && self.calls.is_empty()
    }

    /// The next step after a piece of this size. After a cut, the decoder waits only for the usage, which most upstreams send last.
    /// Then it ends the reply, which closes the upstream connection.
    pub(super) fn after_cut(&mut self, size: usize) -> CodecStep {
        // Some upstreams send zeros until the counts are known.
        let is_counted = self.usage.is_some_and(|usage| usage != Usage::default());
        if !self.is_cut_off() || (!is_counted && self.behind.has_room(size)) {
            return CodecStep::More;
        }
        self.is_done = true;
        CodecStep::End
    }

    /// Sends text that was held as a possible beginning of a stop sequence.
    pub(super) fn release<S: EventSink>(&mut self, sink: &mut S) {
        if self.cut.is_needed() {
            let rest = self.cut.rest();
            self.settled(Prose::Text, &rest, sink);
        }
    }
}
