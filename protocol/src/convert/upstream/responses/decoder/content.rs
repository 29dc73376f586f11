//! The content of a reply: the events that bring it, and its way to the client.

use std::borrow::Cow;

use super::ResponsesDecoder;
use super::items::{ItemName, ItemRole};
use super::parts::{PartText, Piece, TextStart};
use super::writer::BlockWriter;
use crate::{
    anthropic::event::EventSink,
    json,
    openai::{
        responses_item::{ResponseItem, ResponsePart},
        responses_stream::{ReplyManner, ResponsesEvent, TextKind},
    },
};

/// Separates the parts of reasoning (inner text).
const BLANK_LINE: &str = "\\n\\n";
/// Maximum size of what a signature carries. Larger reasoning is sent back as text.
const LARGEST_LOAD: usize = 1 << 20;

impl ResponsesDecoder {
    pub(super) fn item_added<S: EventSink>(&mut self, event: &ResponsesEvent<'_>, sink: &mut S) {
        let Some(item) = &event.item.0 else { return };
        self.writer.start(sink);
        let role = self.role(item);
        let name = ItemName { index: event.output_index(), id: item.id() };
        let at = self.items.add(name, role);
        self.identify(at, item);
        self.advance(sink);
    }

    /// Notes the beginning of a call.
    fn identify(&mut self, at: usize, item: &ResponseItem<'_>) {
        let Some((known, _)) = self.items.get_mut(at) else { return };
        match known.role {
            ItemRole::Call => {
                known.call.identify(item.call_id(), item.name());
                known.call.take(&item.arguments());
            }
            ItemRole::CustomCall => known.call.identify(item.call_id(), item.name()),
            ItemRole::Text | ItemRole::Thinking | ItemRole::Search | ItemRole::Silent => {}
        }
    }

    pub(super) fn delta<S: EventSink>(&mut self, event: &ResponsesEvent<'_>, kind: TextKind, sink: &mut S) {
        let delta = event.delta();
        self.piece(name_in(event), kind, event.part(kind), PartText::Piece(&delta), sink);
    }

    pub(super) fn text_done<S: EventSink>(
        &mut self,
        event: &ResponsesEvent<'_>,
        kind: TextKind,
        sink: &mut S,
    ) {
        let whole = event.whole(kind);
        self.piece(name_in(event), kind, event.part(kind), PartText::Whole(&whole), sink);
    }

    /// A piece of a text, or all of it. `number` is its part of the item.
    pub(super) fn piece<S: EventSink>(
        &mut self,
        name: ItemName<'_>,
        kind: TextKind,
        number: Option<u64>,
        text: PartText<'_>,
        sink: &mut S,
    ) {
        self.writer.start(sink);
        let Some(role) = self.role_of(kind) else { return };
        let Some(at) = self.items.of_delta(name, role) else { return };
        match (kind, self.items.get_mut(at)) {
            (TextKind::Arguments | TextKind::CustomInput, Some((item, _))) => {
                match text {
                    PartText::Piece(inner) => item.call.take(inner),
                    PartText::Whole(inner) => item.call.take_whole(inner),
                }
                self.advance(sink);
            }
            (TextKind::Output | TextKind::Refusal | TextKind::Summary | TextKind::Reasoning, _) => {
                self.prose(at, kind, number, text, sink);
            }
            (TextKind::Arguments | TextKind::CustomInput, None) => {}
        }
    }

    /// The role of an item. Reasoning is shown only to a client that asked for it.
    pub(super) fn role(&self, item: &ResponseItem<'_>) -> ItemRole {
        let role = ItemRole::new(item.kind());
        let is_hidden = role == ItemRole::Thinking && !self.writer.shows_thinking();
        if is_hidden { ItemRole::Silent } else { role }
    }

    /// The role of an item with text of this kind; `None` if the client gets nothing of it.
    fn role_of(&self, kind: TextKind) -> Option<ItemRole> {
        match kind {
            TextKind::Output | TextKind::Refusal => Some(ItemRole::Text),
            TextKind::Summary | TextKind::Reasoning => {
                self.writer.shows_thinking().then_some(ItemRole::Thinking)
            }
            TextKind::Arguments => Some(ItemRole::Call),
            TextKind::CustomInput => Some(ItemRole::CustomCall),
        }
    }

    /// Text of a message or of reasoning.
    fn prose<S: EventSink>(
        &mut self,
        at: usize,
        kind: TextKind,
        number: Option<u64>,
        text: PartText<'_>,
        sink: &mut S,
    ) {
        let Some((item, _)) = self.items.get_mut(at) else { return };
        let new = item.parts.new_of(number, text);
        let is_thought = item.role == ItemRole::Thinking;
        if new.is_empty() || (is_thought && !item.parts.shows(kind)) {
            return;
        }
        if kind == TextKind::Refusal {
            self.manner = ReplyManner::Refuses;
        }
        let follows = item.parts.begin(number);
        item.parts.take(new);
        if follows && is_thought {
            item.parts.take_separator(BLANK_LINE);
            self.say(at, Piece::Text(Cow::Borrowed(BLANK_LINE)), sink);
        } else if follows {
            self.say(at, Piece::NewPart, sink);
        }
        let new = Cow::Borrowed(new);
        let piece = if kind == TextKind::Refusal { Piece::Refusal(new) } else { Piece::Text(new) };
        self.say(at, piece, sink);
    }

    /// Writes a piece if it is its item's turn, else holds it.
    fn say<S: EventSink>(&mut self, at: usize, piece: Piece<'_>, sink: &mut S) {
        let Self { items, writer, .. } = self;
        match items.get_mut(at) {
            Some((item, true)) => write(writer, item.role, piece, sink),
            Some((item, false)) => item.held.push(piece.into_owned()),
            None => {}
        }
    }

    pub(super) fn annotation<S: EventSink>(&mut self, event: &ResponsesEvent<'_>, sink: &mut S) {
        let Some(annotation) = event.annotation.filter(|_| self.writer.searches()) else { return };
        self.writer.start(sink);
        let Some(at) = self.items.of_delta(name_in(event), ItemRole::Text) else { return };
        self.say(at, Piece::Annotations(Cow::Borrowed(annotation.get()), TextStart::Part), sink);
    }

    pub(super) fn item_done<S: EventSink>(&mut self, event: &ResponsesEvent<'_>, sink: &mut S) {
        let Some(item) = &event.item.0 else { return };
        self.writer.start(sink);
        let role = self.role(item);
        let name = ItemName { index: event.output_index(), id: item.id() };
        let Some(at) = self.items.of_done(name, role) else { return };
        self.complete_item(at, item, sink);
    }

    /// Takes what a complete item has and no event before had.
    pub(super) fn complete_item<S: EventSink>(&mut self, at: usize, item: &ResponseItem<'_>, sink: &mut S) {
        self.writer.start(sink);
        let Some((known, _)) = self.items.get_mut(at).filter(|(known, _)| !known.is_done()) else { return };
        match known.role {
            ItemRole::Text => self.complete_message(at, item, sink),
            ItemRole::Thinking => self.complete_reasoning(at, item, sink),
            ItemRole::Call => {
                known.call.identify(item.call_id(), item.name());
                known.call.take_whole(&item.arguments());
            }
            ItemRole::CustomCall => {
                known.call.identify(item.call_id(), item.name());
                known.call.take_whole(item.input());
            }
            ItemRole::Search => {
                self.counts.searches += u64::from(item.searches());
                self.writer.pages(item);
            }
            ItemRole::Silent if ItemRole::new(item.kind()) == ItemRole::Silent => {
                self.left_out.leave_out(item.type_name());
            }
            // Reasoning that the client did not ask for.
            ItemRole::Silent => {}
        }
        if let Some((known, _)) = self.items.get_mut(at) {
            known.end();
        }
        self.advance(sink);
    }

    fn complete_message<S: EventSink>(&mut self, at: usize, item: &ResponseItem<'_>, sink: &mut S) {
        if item.refuses() {
            self.manner = ReplyManner::Refuses;
        }
        let mut whole = String::new();
        let mut behind = 0;
        for part in item.parts() {
            if self.writer.searches() {
                if let Some(list) = part.annotations {
                    let list = Cow::Borrowed(list.get());
                    self.say(at, Piece::Annotations(list, TextStart::Item(behind)), sink);
                }
                behind += json::characters(part.text);
            }
            whole.push_str(part.text);
        }
        self.complete_parts(at, &item.parts(), &whole, sink);
    }

    /// Takes what is missing of a message, part by part. `whole` is the parts' text.
    fn complete_parts<S: EventSink>(
        &mut self,
        at: usize,
        parts: &[ResponsePart<'_>],
        whole: &str,
        sink: &mut S,
    ) {
        let Some((known, _)) = self.items.get_mut(at) else { return };
        let missing = known.parts.missing_of(whole);
        known.parts.take(missing);
        let mut left_out = whole.len() - missing.len();
        for part in parts {
            let rest = part.text.get(left_out..).unwrap_or_default();
            left_out = left_out.saturating_sub(part.text.len());
            let rest = Cow::Borrowed(rest);
            let piece = if part.is_refusal { Piece::Refusal(rest) } else { Piece::Text(rest) };
            self.say(at, piece, sink);
        }
    }

    fn complete_reasoning<S: EventSink>(&mut self, at: usize, item: &ResponseItem<'_>, sink: &mut S) {
        let (reasoning, summary) = (joined(&item.parts()), joined(&item.summary()));
        let Some((known, _)) = self.items.get_mut(at) else { return };
        known.carried = carried(item);
        let shows_summary = match known.parts.source() {
            Some(kind) => kind == TextKind::Summary,
            None => reasoning.is_empty(),
        };
        self.complete_text(at, if shows_summary { &summary } else { &reasoning }, sink);
    }

    /// Takes what is missing of the whole text of an item.
    fn complete_text<S: EventSink>(&mut self, at: usize, whole: &str, sink: &mut S) {
        let Some((item, _)) = self.items.get_mut(at) else { return };
        let missing = item.parts.missing_of(whole);
        if !missing.is_empty() {
            item.parts.take(missing);
            self.say(at, Piece::Text(Cow::Borrowed(missing)), sink);
        }
    }

    /// Writes what has been held for the item whose turn it is, and goes on to the next one when it is complete.
    pub(super) fn advance<S: EventSink>(&mut self, sink: &mut S) {
        let Self { items, writer, .. } = self;
        while let Some(item) = items.current() {
            for piece in std::mem::take(&mut item.held) {
                write(writer, item.role, piece, sink);
            }
            match item.role {
                ItemRole::Call | ItemRole::CustomCall => item.call.play(writer, sink),
                ItemRole::Text if item.is_done() => writer.end_text(sink),
                ItemRole::Thinking if item.is_done() => writer.end_thinking(item.carried.as_deref(), sink),
                ItemRole::Text | ItemRole::Thinking | ItemRole::Search | ItemRole::Silent => {}
            }
            if !item.is_done() && item.role.is_shown() {
                return;
            }
            items.next();
            writer.begin_item();
        }
    }
}

fn name_in<'a>(event: &ResponsesEvent<'a>) -> ItemName<'a> {
    ItemName { index: event.output_index(), id: event.item_id() }
}

fn write<S: EventSink>(writer: &mut BlockWriter, role: ItemRole, piece: Piece<'_>, sink: &mut S) {
    match (role, piece) {
        (ItemRole::Text, piece) => writer.text(piece, sink),
        (ItemRole::Thinking, Piece::Text(inner)) => writer.thinking(&inner, sink),
        (ItemRole::Thinking, Piece::NewPart | Piece::Refusal(_) | Piece::Annotations(..))
        | (ItemRole::Call | ItemRole::CustomCall | ItemRole::Search | ItemRole::Silent, _) => {}
    }
}

/// The texts of reasoning, joined.
fn joined(parts: &[ResponsePart<'_>]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.text).filter(|text| !text.is_empty()).collect();
    texts.join(BLANK_LINE)
}

/// What the upstream needs back with reasoning: its id and its hidden text.
fn carried(item: &ResponseItem<'_>) -> Option<String> {
    let hidden = item.encrypted_content().filter(|hidden| hidden.len() <= LARGEST_LOAD)?;
    Some(match item.id() {
        "" => format!(r#"{{"encrypted_content":"{hidden}"}}"#),
        id => format!(r#"{{"id":"{id}","encrypted_content":"{hidden}"}}"#),
    })
}
