//! Texts and thoughts of a reply: their blocks, and the data that the signatures of thoughts contain.

use super::ChatDecoder;
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, MessagesEvent},
    convert::upstream::{blocks::Prose, chat::thinking::Tags},
    json,
};

impl ChatDecoder {
    pub(super) fn text<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if self.context.searches {
            return self.citing_text(inner, sink);
        }
        self.plain_text(inner, sink);
    }

    pub(super) fn plain_text<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if let Tags::Over = self.tags {
            return self.prose(Prose::Text, inner, sink);
        }
        let pieces = self.tags.take(inner);
        self.pieces(pieces, sink);
    }

    pub(super) fn pieces<S: EventSink>(&mut self, pieces: Vec<(Prose, String)>, sink: &mut S) {
        for (prose, inner) in pieces {
            if prose != Prose::Thinking || self.context.signature.is_some() {
                self.prose(prose, &inner, sink);
            }
        }
    }

    pub(super) fn prose<S: EventSink>(&mut self, prose: Prose, inner: &str, sink: &mut S) {
        let cut;
        let inner = match prose {
            Prose::Text if self.cut.is_needed() => {
                cut = self.cut.take(inner);
                &cut
            }
            Prose::Refusal | Prose::Thinking if self.cut.is_needed() => {
                self.release(sink);
                inner
            }
            Prose::Text | Prose::Refusal | Prose::Thinking => inner,
        };
        self.settled(prose, inner, sink);
    }

    /// Prose that no stop sequence can cut.
    pub(super) fn settled<S: EventSink>(&mut self, prose: Prose, inner: &str, sink: &mut S) {
        if inner.is_empty() {
            return;
        }
        match self.calls.open().map(|call| call.is_complete()) {
            Some(false) => match self.held.last_mut() {
                Some((last, text)) if *last == prose => text.push_str(inner),
                _ => self.held.push((prose, inner.to_owned())),
            },
            Some(true) => {
                self.close_call(sink);
                self.write(prose, inner, sink);
            }
            None => self.write(prose, inner, sink),
        }
    }

    pub(super) fn write<S: EventSink>(&mut self, prose: Prose, inner: &str, sink: &mut S) {
        if self.blocks.open != Some(prose) {
            let is_thought = prose == Prose::Thinking;
            if !is_thought && is_blank(inner) {
                return self.blank.push_str(inner);
            }
            let blank = std::mem::take(&mut self.blank);
            if !is_thought {
                self.carry(sink);
            }
            self.close_prose(sink);
            if !is_thought {
                self.show_search(sink);
            }
            self.open_prose(prose, sink);
            if !is_thought {
                self.blocks.prose(prose, &blank, sink);
            }
        }
        let inner = self.blocks.halves.join(inner);
        self.blocks.prose(prose, &inner, sink);
    }

    fn open_prose<S: EventSink>(&mut self, prose: Prose, sink: &mut S) {
        self.blocks.open = Some(prose);
        let block = match prose {
            Prose::Text => ContentBlockStart::Text,
            Prose::Refusal => ContentBlockStart::Refusal,
            Prose::Thinking => ContentBlockStart::Thinking,
        };
        sink.emit(MessagesEvent::BlockStart { index: Some(self.blocks.index), block });
    }

    /// Whether signatures can carry data: the client accepts thinking blocks, and the upstream needs the data back.
    pub(super) fn carries(&self) -> bool {
        self.context.signature.is_some() && self.context.keeps_extras
    }

    /// Sends pending data in the signature of a thinking block before the next block: the open one, otherwise a new one.
    pub(super) fn carry<S: EventSink>(&mut self, sink: &mut S) {
        if !self.details.is_due() {
            return;
        }
        if self.blocks.open != Some(Prose::Thinking) {
            self.close_prose(sink);
            self.open_prose(Prose::Thinking, sink);
        }
        self.close_prose(sink);
    }

    pub(super) fn close_prose<S: EventSink>(&mut self, sink: &mut S) {
        let Some(prose) = self.blocks.open.take() else { return };
        let index = Some(self.blocks.index);
        let rest = self.blocks.halves.rest();
        self.blocks.prose(prose, rest, sink);
        if prose == Prose::Text {
            self.cite(sink);
        }
        if prose == Prose::Thinking
            && let Some(signature) = &self.context.signature
        {
            let signature = self.details.signed(signature);
            sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Signature(&signature) });
        }
        sink.emit(MessagesEvent::BlockStop { index });
        self.blocks.index += 1;
    }
}

/// Whether inner text is only white space. Such a block has no meaning, and vendors refuse it in the next request.
fn is_blank(inner: &str) -> bool {
    json::trim_start(inner).is_empty()
}
