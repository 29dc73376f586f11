//! Chunks that only add text or reasoning. Nearly all chunks do, so they have a short way of their own: it does what
//! [`ChatDecoder::chunk`] would do.

use super::ChatDecoder;
use crate::{
    anthropic::event::EventSink,
    convert::{CodecStep, upstream::blocks::Prose},
};

impl ChatDecoder {
    /// Takes a plain chunk; `None` if the chunk is not plain.
    pub(super) fn plain_chunk<S: EventSink>(&mut self, data: &[u8], sink: &mut S) -> Option<CodecStep> {
        let delta = self.plain.read(data)?;
        if !self.is_cut_off() {
            self.start(sink);
            self.has_deltas = true;
            if let Some(inner) = delta.reasoning
                && self.context.signature.is_some()
            {
                self.prose(Prose::Thinking, inner, sink);
            }
            if let Some(inner) = delta.content {
                self.text(inner, sink);
            }
            self.finish.begin();
        }
        Some(self.after_cut(data.len()))
    }
}
