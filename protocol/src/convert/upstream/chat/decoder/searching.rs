//! Converts the sources of an upstream's own web search to the blocks of Anthropic's web search.

use super::{ChatDecoder, NINETY_SIX_BITS};
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, MessagesEvent},
    openai::stream::ReplyMessage,
};

impl ChatDecoder {
    /// Takes the sources that a piece of the reply names. A whole reply yields all sources before its text.
    pub(super) fn sources<S: EventSink>(&mut self, message: &ReplyMessage<'_>, sink: &mut S) {
        let Some(annotations) = message.annotations.filter(|_| self.context.searches) else { return };
        self.search.take(annotations);
        if self.is_whole {
            self.show_search(sink);
        }
    }

    /// Appends the search and its results, once, if there are any.
    pub(super) fn show_search<S: EventSink>(&mut self, sink: &mut S) {
        if !self.search.is_due() {
            return;
        }
        self.close_prose(sink);
        let id = format!("srvtoolu_{:024x}", self.seed.rotate_left(24) & NINETY_SIX_BITS);
        let blocks = [
            ContentBlockStart::ServerToolUse { id: &id },
            ContentBlockStart::SearchResult { id: &id, sources: self.search.sources() },
        ];
        for block in blocks {
            let index = Some(self.blocks.index);
            sink.emit(MessagesEvent::BlockStart { index, block });
            sink.emit(MessagesEvent::BlockStop { index });
            self.blocks.index += 1;
        }
        self.search.shown();
    }

    /// Appends the sources to the open text.
    pub(super) fn cite<S: EventSink>(&mut self, sink: &mut S) {
        let index = Some(self.blocks.index);
        for source in self.search.cited() {
            sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Citation(source.into()) });
        }
    }
}
