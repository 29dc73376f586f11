//! Converts the sources of an upstream's own web search to the blocks of Anthropic's web search.
//!
//! The pages come before the text if they are known before it, and otherwise at the end: text does not wait for them. A citation
//! belongs to a block of text. If its range is known before the text, the text is divided there; if it comes later, the block ends
//! after the text so far.

use super::ChatDecoder;
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, MessagesEvent},
    convert::upstream::{blocks::Prose, chat::thinking::Tags},
    json,
    openai::stream::{Chunk, ReplyMessage},
    web_search::OWN_SEARCH,
};

const EIGHTY_BITS: u128 = (1 << 80) - 1;

impl ChatDecoder {
    /// Takes the pages that a chunk lists beside its choices.
    pub(super) fn pages(&mut self, chunk: &Chunk<'_>) {
        if let Some(list) = chunk.found_pages().filter(|_| self.context.searches) {
            self.search.take_pages(list);
        }
    }

    /// Takes the sources of a piece of the reply.
    pub(super) fn annotations(&mut self, message: &ReplyMessage<'_>) {
        if let Some(annotations) = message.annotations.filter(|_| self.context.searches) {
            self.search.take_annotations(annotations.get(), 0);
        }
    }

    /// Text of a reply that may cite pages.
    pub(super) fn citing_text<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        let mut rest = inner;
        while let Some((front, back)) = self.search.split(rest) {
            self.citing_part(front, sink);
            rest = back;
        }
        self.citing_part(rest, sink);
    }

    /// White space never begins a block, so it stays with the text before it.
    fn citing_part<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if !json::trim(inner).is_empty() && self.search.take_boundary() && self.can_divide() {
            self.close_prose(sink);
        }
        self.search.passed(inner);
        self.plain_text(inner, sink);
    }

    /// Whether all text so far is in the open block.
    fn can_divide(&self) -> bool {
        self.blocks.open == Some(Prose::Text)
            && matches!(self.tags, Tags::Over)
            && !self.cut.is_needed()
            && self.calls.open().is_none()
    }

    /// Appends the search and its results, if there are any and none was sent.
    pub(super) fn show_search<S: EventSink>(&mut self, sink: &mut S) {
        if self.search.is_due() {
            self.show_pages(sink);
        }
    }

    /// No text follows: appends all results that were not sent.
    pub(super) fn complete_search<S: EventSink>(&mut self, sink: &mut S) {
        self.search.over();
        if !self.search.unshown().is_empty() {
            self.show_pages(sink);
        }
    }

    fn show_pages<S: EventSink>(&mut self, sink: &mut S) {
        self.close_prose(sink);
        let seed = self.seed.wrapping_add(u128::from(self.blocks.index)).rotate_left(24);
        let id = format!("{OWN_SEARCH}{:020x}", seed & EIGHTY_BITS);
        let blocks = [
            ContentBlockStart::ServerToolUse { id: &id },
            ContentBlockStart::SearchResult { id: &id, sources: self.search.unshown() },
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
        if !self.context.searches {
            return;
        }
        let index = Some(self.blocks.index);
        for source in self.search.cited() {
            sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Citation(source.into()) });
        }
    }
}
