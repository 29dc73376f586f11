//! Writes the blocks of one reply: one after the other, each from its beginning to its end.

mod searching;

use std::{borrow::Cow, collections::HashSet};

use super::parts::{Piece, TextStart};
use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, MessagesEvent, ReplyEnding, ReportedUsage},
    convert::upstream::{
        blocks::{Prose, SentBlocks},
        cut::Cut,
        responses::ResponsesReplyContext,
        search::Search,
    },
    json, signature, tool_id,
    vocabulary::{StopReason, Usage},
};

const NINETY_SIX_BITS: u128 = (1 << 96) - 1;

#[derive(Debug)]
pub(super) struct BlockWriter {
    context: ResponsesReplyContext,
    seed: u128,
    is_started: bool,
    blocks: SentBlocks,
    /// Held white space. It is sent only if text follows.
    blank: String,
    cut: Cut,
    pub(super) search: Search,
    /// The positions in the text where the item and its part begin.
    item_start: u64,
    part_start: u64,
    /// The refusal so far, inner text.
    refusal: String,
    is_in_call: bool,
    calls: u32,
    /// The ids of the calls.
    ids: HashSet<String>,
}

impl BlockWriter {
    pub(super) fn new(mut context: ResponsesReplyContext, seed: u128) -> Self {
        let mut sequences = std::mem::take(&mut context.stop_sequences);
        sequences.retain(|sequence| !sequence.is_empty());
        Self {
            context,
            seed,
            is_started: false,
            blocks: SentBlocks::default(),
            blank: String::new(),
            cut: Cut::at(sequences),
            search: Search::default(),
            item_start: 0,
            part_start: 0,
            refusal: String::new(),
            is_in_call: false,
            calls: 0,
            ids: HashSet::new(),
        }
    }

    pub(super) fn shows_thinking(&self) -> bool {
        self.context.signature.is_some()
    }

    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    /// The number of calls that were sent.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Whether the rest of the reply is dropped. A call that was sent before the cut needs its results, so the reply goes on.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut.met().is_some() && self.calls == 0
    }

    pub(super) fn start<S: EventSink>(&mut self, sink: &mut S) {
        if self.is_started {
            return;
        }
        self.is_started = true;
        let id = format!("msg_{:024x}", self.seed & NINETY_SIX_BITS);
        let model = json::escape_text(&self.context.requested_model);
        let counts = Some(ReportedUsage::from(Usage::default()));
        sink.emit(MessagesEvent::MessageStart { id: &id, model: &model, counts });
        sink.emit(MessagesEvent::Ping);
    }

    /// The next item begins.
    pub(super) fn begin_item(&mut self) {
        self.item_start = self.search.position();
        self.part_start = self.item_start;
    }

    /// Writes a piece of a message.
    pub(super) fn text<S: EventSink>(&mut self, piece: Piece<'_>, sink: &mut S) {
        match piece {
            Piece::NewPart => self.part_start = self.search.position(),
            Piece::Text(inner) => self.citing_text(&inner, sink),
            Piece::Refusal(inner) => self.refusal(&inner, sink),
            Piece::Annotations(list, from) => {
                let from = match from {
                    TextStart::Part => self.part_start,
                    TextStart::Item(behind) => self.item_start.saturating_add(behind),
                };
                self.annotations(&list, from);
            }
        }
    }

    /// Text that a stop sequence may cut.
    fn plain_text<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if self.cut.is_needed() {
            let inner = self.cut.take(inner);
            self.settled(Prose::Text, &inner, sink);
        } else {
            self.settled(Prose::Text, inner, sink);
        }
    }

    /// A refusal (inner text). Stop sequences do not cut it.
    fn refusal<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if inner.is_empty() || self.is_cut_off() {
            return;
        }
        if self.blocks.open != Some(Prose::Refusal) {
            self.end_text(sink);
        }
        self.refusal.push_str(inner);
        self.settled(Prose::Refusal, inner, sink);
    }

    /// Text that no stop sequence can cut.
    fn settled<S: EventSink>(&mut self, prose: Prose, inner: &str, sink: &mut S) {
        if inner.is_empty() {
            return;
        }
        if self.blocks.open != Some(prose) {
            // A block of white space has no meaning, and vendors refuse it in the next request.
            if json::trim_start(inner).is_empty() {
                return self.blank.push_str(inner);
            }
            let blank = std::mem::take(&mut self.blank);
            self.close(None, sink);
            self.show_search(sink);
            self.open(prose, sink);
            self.blocks.prose(prose, &blank, sink);
        }
        let inner = self.blocks.halves.join(inner);
        self.blocks.prose(prose, &inner, sink);
    }

    /// The message ends.
    pub(super) fn end_text<S: EventSink>(&mut self, sink: &mut S) {
        if self.cut.is_needed() {
            let rest = self.cut.rest();
            self.settled(Prose::Text, &rest, sink);
        }
        self.blank.clear();
        self.search.over();
        self.close(None, sink);
        self.search.resume();
    }

    /// Writes a piece of reasoning (inner text).
    pub(super) fn thinking<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if inner.is_empty() || self.is_cut_off() {
            return;
        }
        if self.blocks.open.is_none() {
            self.open(Prose::Thinking, sink);
        }
        let inner = self.blocks.halves.join(inner);
        self.blocks.prose(Prose::Thinking, &inner, sink);
    }

    /// The reasoning ends. Without a text, it is a block only if its signature carries something.
    pub(super) fn end_thinking<S: EventSink>(&mut self, carried: Option<&str>, sink: &mut S) {
        if self.blocks.open.is_none() && carried.is_some() && !self.is_cut_off() {
            self.open(Prose::Thinking, sink);
        }
        self.close(carried, sink);
    }

    fn open<S: EventSink>(&mut self, prose: Prose, sink: &mut S) {
        self.blocks.open = Some(prose);
        let block = match prose {
            Prose::Text => ContentBlockStart::Text,
            Prose::Refusal => ContentBlockStart::Refusal,
            Prose::Thinking => ContentBlockStart::Thinking,
        };
        sink.emit(MessagesEvent::BlockStart { index: Some(self.blocks.index), block });
    }

    fn close<S: EventSink>(&mut self, carried: Option<&str>, sink: &mut S) {
        let Some(prose) = self.blocks.open.take() else { return };
        let index = Some(self.blocks.index);
        let rest = self.blocks.halves.rest();
        self.blocks.prose(prose, rest, sink);
        match (prose, &self.context.signature) {
            (Prose::Text, _) => self.cite(sink),
            (Prose::Thinking, Some(signature)) => {
                let mut signature = Cow::Borrowed(signature);
                if let Some(carried) = carried {
                    signature::carry(signature.to_mut(), carried.as_bytes());
                }
                sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Signature(&signature) });
            }
            (Prose::Refusal, _) | (Prose::Thinking, None) => {}
        }
        sink.emit(MessagesEvent::BlockStop { index });
        self.blocks.index += 1;
    }

    /// A call begins. Its id and name are inner texts.
    pub(super) fn open_call<S: EventSink>(&mut self, id: &str, name: &str, sink: &mut S) {
        if self.is_cut_off() {
            return;
        }
        self.show_search(sink);
        let id = self.portable_id(id).unwrap_or_else(|| self.own_id());
        let name = self.context.names.get(name).map_or(name, String::as_str);
        let block = ContentBlockStart::ToolUse { id: &id, name, input: None };
        sink.emit(MessagesEvent::BlockStart { index: Some(self.blocks.index), block });
        self.calls += 1;
        self.is_in_call = true;
    }

    pub(super) fn arguments<S: EventSink>(&mut self, inner: &str, sink: &mut S) {
        if self.is_in_call {
            let inner = self.blocks.halves.join(inner);
            self.blocks.arguments(&inner, sink);
        }
    }

    /// The call ends with this end of its arguments.
    pub(super) fn close_call<S: EventSink>(&mut self, rest: &str, sink: &mut S) {
        if !std::mem::take(&mut self.is_in_call) {
            return;
        }
        for rest in [self.blocks.halves.rest(), rest] {
            self.blocks.arguments(rest, sink);
        }
        sink.emit(MessagesEvent::BlockStop { index: Some(self.blocks.index) });
        self.blocks.index += 1;
    }

    /// The vendor's id as every vendor accepts it; `None` if there is none, or if an earlier call has it.
    fn portable_id(&mut self, given: &str) -> Option<String> {
        // An id with half a surrogate pair is compared by its escapes.
        let given = json::decode_text(given).unwrap_or(Cow::Borrowed(given));
        let id = tool_id::portable(&given, self.context.maker).into_owned();
        (!given.is_empty() && self.ids.insert(id.clone())).then_some(id)
    }

    fn own_id(&self) -> String {
        // An odd factor keeps the ids of one reply apart.
        let salt = (u128::from(self.calls) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        format!("toolu_{:024x}", (self.seed.rotate_left(48) ^ salt) & NINETY_SIX_BITS)
    }

    /// The reply is complete, and ends as `ending` says unless the gateway itself has cut it. Returns the reason for the client.
    pub(super) fn complete<S: EventSink>(
        &mut self,
        ending: ReplyEnding<'_>,
        counts: ReportedUsage,
        sink: &mut S,
    ) -> StopReason {
        self.start(sink);
        self.complete_search(sink);
        // Some clients read the first block without checking that one exists.
        if self.blocks.index == 0 {
            self.open(Prose::Text, sink);
            self.close(None, sink);
        }
        let met = self.cut.met().filter(|_| self.calls == 0).map(json::escape_text);
        let reason = if met.is_some() { Some(StopReason::StopSequence) } else { ending.reason };
        let ending = ReplyEnding {
            reason,
            sequence: met.as_deref(),
            explanation: if reason == Some(StopReason::Refusal) { &self.refusal } else { "" },
            is_filtered: ending.is_filtered && met.is_none(),
            searches: self.context.searches.then(|| self.search.requests()),
            is_unjudged: self.context.asks_for_judgement,
        };
        sink.emit(MessagesEvent::MessageDelta { ending, counts: Some(counts) });
        sink.emit(MessagesEvent::MessageStop);
        reason.unwrap_or(StopReason::EndTurn)
    }
}
