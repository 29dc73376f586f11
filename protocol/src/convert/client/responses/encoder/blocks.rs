//! The blocks of a reply as items of the output.

use super::{
    EncodedReply, ItemText,
    call::CallKind,
    events::{OutputEvent, SearchStep, Sink},
    item::{ItemContent, ItemStage, Message, Reasoning, Search, TextPart},
};
use crate::{
    anthropic::event::{Citation, WebSource},
    json,
    signature::SealedReasoning,
};

/// Between a summary and the text that follows it, inner text.
const SUMMARY_SEPARATOR: &str = "\\n\\n";

/// The block that `encrypted_content` is from.
#[derive(Clone, Copy)]
enum SealedBlock<'a> {
    /// `unshown` is the text that the client does not get as a summary, inner text.
    Thinking {
        unshown: &'a str,
    },
    Redacted,
}

/// Texts.
impl EncodedReply {
    /// A block of text begins. It continues the message before it.
    pub(super) fn text_block<S: Sink>(&mut self, block: Option<u64>, sink: &mut S) {
        let is_behind_summary = std::mem::take(&mut self.is_summary);
        if self.last_message().is_some() && is_behind_summary {
            self.text(block, SUMMARY_SEPARATOR, sink);
        }
        if let Some(at) = self.last_message() {
            self.continue_message(at, block, sink);
        }
    }

    /// The message that is the last item, if text can be added to it.
    pub(super) fn last_message(&self) -> Option<usize> {
        let is_message = |content: &ItemContent| matches!(content, ItemContent::Message(m) if m.takes_text());
        let at = self.items.len().checked_sub(1).filter(|at| *at >= self.done)?;
        let item = &self.items[at];
        (is_message(&item.content) && !matches!(item.stage, ItemStage::Done(_))).then_some(at)
    }

    pub(super) fn continue_message<S: Sink>(&mut self, at: usize, block: Option<u64>, sink: &mut S) {
        self.close(at, sink);
        let item = &mut self.items[at];
        item.block = block;
        item.stage = ItemStage::Open;
        if let ItemContent::Message(Message { text: Some(text), .. }) = &mut item.content {
            text.begin_block();
        }
    }

    pub(super) fn text<S: Sink>(&mut self, block: Option<u64>, inner: &str, sink: &mut S) {
        if inner.is_empty() || self.holds(inner, sink) {
            return;
        }
        let at = self.message_for(block, sink);
        if let ItemContent::Message(Message { text: Some(text), .. }) = &mut self.items[at].content {
            text.text.push_str(inner);
        }
        sink.emit(OutputEvent::Delta(self.placed(at), ItemText::Output, inner));
    }

    /// The message that text of this block belongs to; it has a part for text. Text needs no beginning of its block.
    fn message_for<S: Sink>(&mut self, block: Option<u64>, sink: &mut S) -> usize {
        let is_message = |content: &ItemContent| matches!(content, ItemContent::Message(m) if m.takes_text());
        if let Some(at) = self.open(block, is_message) {
            return at;
        }
        if let Some(at) = self.last_message() {
            self.continue_message(at, block, sink);
            return at;
        }
        let at = self.add(block, ItemContent::Message(Message::default()), sink);
        if let ItemContent::Message(message) = &mut self.items[at].content {
            message.text = Some(TextPart::default());
        }
        sink.emit(OutputEvent::PartAdded(self.placed(at), ItemText::Output));
        at
    }

    pub(super) fn cite(&mut self, block: Option<u64>, citation: Citation<'_>) {
        let is_message = |content: &ItemContent| matches!(content, ItemContent::Message(_));
        if let Some(at) = self.open(block, is_message)
            && let ItemContent::Message(Message { text: Some(text), .. }) = &mut self.items[at].content
        {
            text.cite(citation);
        }
    }
}

/// Thoughts.
impl EncodedReply {
    pub(super) fn thinking<S: Sink>(&mut self, block: Option<u64>, inner: &str, sink: &mut S) {
        if inner.is_empty() {
            return;
        }
        let is_reasoning = |content: &ItemContent| matches!(content, ItemContent::Reasoning(_));
        let at = match self.open(block, is_reasoning) {
            Some(at) => at,
            None => self.add(block, ItemContent::Reasoning(Reasoning::default()), sink),
        };
        let ItemContent::Reasoning(reasoning) = &mut self.items[at].content else { return };
        if !self.shows_summary {
            if self.includes_reasoning {
                reasoning.unshown.push_str(inner);
            }
            return;
        }
        if reasoning.summary.is_none() {
            reasoning.summary = Some(String::new());
            sink.emit(OutputEvent::PartAdded(self.placed(at), ItemText::Summary));
        }
        if let ItemContent::Reasoning(Reasoning { summary: Some(summary), .. }) = &mut self.items[at].content
        {
            summary.push_str(inner);
        }
        sink.emit(OutputEvent::Delta(self.placed(at), ItemText::Summary, inner));
    }

    pub(super) fn sign(&mut self, block: Option<u64>, inner: &str) {
        let is_reasoning = |content: &ItemContent| matches!(content, ItemContent::Reasoning(_));
        if let Some(at) = self.open(block, is_reasoning)
            && let ItemContent::Reasoning(reasoning) = &mut self.items[at].content
        {
            reasoning.signature.push_str(inner);
        }
    }

    pub(super) fn redacted<S: Sink>(&mut self, block: Option<u64>, data: &str, sink: &mut S) {
        let at = self.add(block, ItemContent::Reasoning(Reasoning::default()), sink);
        let sealed = self.sealed(data, SealedBlock::Redacted);
        if let ItemContent::Reasoning(reasoning) = &mut self.items[at].content {
            reasoning.sealed = sealed;
        }
        self.items[at].stage = ItemStage::BlockOver;
    }

    /// A block of thoughts is over, so that its signature is complete.
    fn seal(&mut self, at: usize) {
        let ItemContent::Reasoning(reasoning) = &mut self.items[at].content else { return };
        let signature = std::mem::take(&mut reasoning.signature);
        let unshown = std::mem::take(&mut reasoning.unshown);
        let sealed = self.sealed(&signature, SealedBlock::Thinking { unshown: &unshown });
        if let ItemContent::Reasoning(reasoning) = &mut self.items[at].content {
            reasoning.sealed = sealed;
        }
    }

    /// `encrypted_content` for this signature or data (inner text), if the client takes it.
    fn sealed(&self, inner: &str, block: SealedBlock<'_>) -> Option<String> {
        if !self.includes_reasoning || inner.is_empty() {
            return None;
        }
        let (is_redacted, unshown) = match block {
            SealedBlock::Thinking { unshown } => (false, unshown),
            SealedBlock::Redacted => (true, ""),
        };
        let sealed = SealedReasoning {
            provider: self.provider.clone(),
            model: self.model.clone(),
            signature: json::decode_text(inner)?.into_owned(),
            is_redacted,
        };
        Some(sealed.seal_with_text(&json::decode_text(unshown).unwrap_or_default()))
    }
}

/// Calls and searches.
impl EncodedReply {
    /// What the tool of this name (inner text) is for the client.
    pub(super) fn kind(&self, name: &str) -> CallKind {
        if self.tools.is_empty() {
            return CallKind::Function;
        }
        let name = json::decode_text(name).unwrap_or_default();
        let tool = self.tools.iter().find(|(known, _)| **known == *name);
        tool.map_or(CallKind::Function, |(_, kind)| CallKind::Tool(kind.clone()))
    }

    pub(super) fn arguments<S: Sink>(&mut self, block: Option<u64>, inner: &str, sink: &mut S) {
        // Nothing is shown of a call that the upstream runs itself.
        let Some(at) = self.open(block, |content| matches!(content, ItemContent::Call(_))) else { return };
        let ItemContent::Call(call) = &mut self.items[at].content else { return };
        let text = call.streamed_text();
        let piece = call.push(inner);
        if let Some(text) = text.filter(|_| !piece.is_empty()) {
            sink.emit(OutputEvent::Delta(self.placed(at), text, &piece));
        }
    }

    /// A search begins. Returns its place.
    pub(super) fn search<S: Sink>(&mut self, block: Option<u64>, id: &str, sink: &mut S) -> usize {
        let search = Search { id: id.to_owned(), found: None };
        let at = self.add(block, ItemContent::Search(search), sink);
        for step in [SearchStep::InProgress, SearchStep::Searching] {
            sink.emit(OutputEvent::Search(self.placed(at), step));
        }
        at
    }

    /// The results of the search with this id (inner text).
    pub(super) fn found<S: Sink>(
        &mut self,
        block: Option<u64>,
        id: &str,
        sources: &[WebSource],
        sink: &mut S,
    ) {
        let is_this = |content: &ItemContent| matches!(content, ItemContent::Search(s) if s.id == id);
        let at = self.open(None, is_this).unwrap_or_else(|| self.search(block, id, sink));
        if let ItemContent::Search(search) = &mut self.items[at].content {
            search.found = Some(sources.iter().map(|source| source.url.clone()).collect());
        }
        self.close(at, sink);
    }

    /// A block is over. A search waits for its results.
    pub(super) fn block_over<S: Sink>(&mut self, block: Option<u64>, sink: &mut S) {
        if let Some(at) = self.open(block, |content| !matches!(content, ItemContent::Search(_))) {
            self.close(at, sink);
        }
    }

    /// Reports what the client lacks of an open item, except that it is done.
    pub(super) fn close<S: Sink>(&mut self, at: usize, sink: &mut S) {
        if self.items[at].stage != ItemStage::Open {
            return;
        }
        match &mut self.items[at].content {
            ItemContent::Message(Message { text: Some(text), refusal: None }) => {
                let first = text.end_block();
                for number in first..text.sources.len() {
                    sink.emit(OutputEvent::Annotation(self.placed(at), number));
                }
            }
            ItemContent::Message(_) => {}
            ItemContent::Reasoning(_) => self.seal(at),
            ItemContent::Call(call) => {
                let text = call.streamed_text();
                let rest = call.finish();
                if let Some(text) = text.filter(|_| !rest.is_empty()) {
                    sink.emit(OutputEvent::Delta(self.placed(at), text, &rest));
                }
            }
            ItemContent::Search(_) => sink.emit(OutputEvent::Search(self.placed(at), SearchStep::Completed)),
        }
        self.items[at].stage = ItemStage::BlockOver;
    }
}
