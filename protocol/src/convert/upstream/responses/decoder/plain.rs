//! Events that only add to a text. Nearly all events do, so they have a short way of their own: it does what
//! [`ResponsesDecoder::event`] would do.

use super::ResponsesDecoder;
use super::items::ItemName;
use super::parts::PartText;
use crate::{anthropic::event::EventSink, convert::CodecStep, openai::responses_delta::PlainTextDelta};

impl ResponsesDecoder {
    /// Takes a plain event; `None` if the event is not plain.
    pub(super) fn plain_text<S: EventSink>(&mut self, data: &[u8], sink: &mut S) -> Option<CodecStep> {
        let PlainTextDelta { kind, output_index, part, item_id, delta } = PlainTextDelta::read(data)?;
        if self.writer.is_cut_off() {
            return Some(self.after_cut(data.len()));
        }
        let name = ItemName { index: output_index, id: item_id };
        self.piece(name, kind, part, PartText::Piece(delta), sink);
        Some(CodecStep::More)
    }
}
