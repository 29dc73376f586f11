//! Converts the sources of an upstream's own web search to the blocks of Anthropic's web search.
//!
//! The pages come before the text if they are known before it, and otherwise at the end: text does not wait for them. A citation
//! belongs to a block of text. If its range is known before the text, the text is divided there; if it comes later, the block ends
//! after the text so far.

use super::BlockWriter;
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, MessagesEvent},
    convert::upstream::blocks::Prose,
    json,
    openai::responses_item::ResponseItem,
    web_search::OWN_SEARCH,
};

const EIGHTY_BITS: u128 = (1 << 80) - 1;

impl BlockWriter {
    /// Whether the client asked for a search.
    pub(in crate::convert::upstream::responses::decoder) fn searches(&self) -> bool {
        self.context.searches
    }

    /// Takes the pages that a search has found.
    pub(in crate::convert::upstream::responses::decoder) fn pages(&mut self, item: &ResponseItem<'_>) {
        if !self.context.searches {
            return;
        }
        if let Some(sources) = item.sources() {
            self.search.take_sources(sources);
        }
        if let Some(pages) = item.found_pages() {
            self.search.take_pages(pages);
        }
    }

    /// Takes annotations, which count characters from this position.
    pub(super) fn annotations(&mut self, annotations: &str, from: u64) {
        if !self.context.searches || self.is_cut_off() {
            return;
        }
        if annotations.starts_with('[') {
            self.search.take_annotations(annotations, from);
        } else {
            self.search.take_annotation(annotations, from);
        }
    }

    /// Text of a reply that may cite pages.
    pub(super) fn citing_text<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if !self.context.searches {
            return self.plain_text(inner, sink);
        }
        let mut rest = inner;
        while let Some((front, back)) = self.search.split(rest) {
            self.citing_part(front, sink);
            rest = back;
        }
        self.citing_part(rest, sink);
    }

    /// White space never begins a block, so it stays with the text before it.
    fn citing_part<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        // All text so far must be in the open block.
        let can_divide = self.blocks.open == Some(Prose::Text) && !self.cut.is_needed();
        if !json::trim(inner).is_empty() && self.search.take_boundary() && can_divide {
            self.close(None, sink);
        }
        self.search.passed(inner);
        self.plain_text(inner, sink);
    }

    /// Appends the search and its results, if there are any and none was sent. No block is open.
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
