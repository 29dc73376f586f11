//! The events of a reply: written as server-sent events, or reduced to the whole reply.

use bytes::BytesMut;

use super::{
    ItemText,
    item::{ItemContent, OutputItem, TextPart, write_annotation, write_refusal, write_summary},
    response::ResponseView,
};
use crate::json::Write;

/// The next event.
#[derive(Clone, Copy)]
pub(super) enum OutputEvent<'a> {
    Response(ResponseView<'a>),
    ItemAdded(PlacedItem<'a>),
    ItemDone(PlacedItem<'a>),
    PartAdded(PlacedItem<'a>, ItemText),
    PartDone(PlacedItem<'a>, ItemText),
    /// A piece of a text, inner text.
    Delta(PlacedItem<'a>, ItemText, &'a str),
    /// A text is complete.
    TextDone(PlacedItem<'a>, ItemText),
    /// The source of a message with this number.
    Annotation(PlacedItem<'a>, usize),
    Search(PlacedItem<'a>, SearchStep),
}

/// An item and its index in the output.
#[derive(Clone, Copy)]
pub(super) struct PlacedItem<'a> {
    pub(super) index: usize,
    pub(super) item: &'a OutputItem,
}

/// What is known of a running search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchStep {
    InProgress,
    Searching,
    Completed,
}

/// Receives the events of one reply, in their order.
pub(super) trait Sink {
    fn emit(&mut self, event: OutputEvent<'_>);
}

/// Writes server-sent events.
pub(super) struct EventStream<'s> {
    pub(super) out: &'s mut BytesMut,
    /// The number of the next event.
    pub(super) sequence: &'s mut u64,
}

/// Keeps the response object of the last event.
pub(super) struct LastResponse<'s>(pub(super) &'s mut Vec<u8>);

impl Sink for LastResponse<'_> {
    fn emit(&mut self, event: OutputEvent<'_>) {
        match event {
            OutputEvent::Response(response) if response.state.is_final() => response.write(self.0),
            OutputEvent::Response(_)
            | OutputEvent::ItemAdded(_)
            | OutputEvent::ItemDone(_)
            | OutputEvent::PartAdded(..)
            | OutputEvent::PartDone(..)
            | OutputEvent::Delta(..)
            | OutputEvent::TextDone(..)
            | OutputEvent::Annotation(..)
            | OutputEvent::Search(..) => {}
        }
    }
}

impl Sink for EventStream<'_> {
    fn emit(&mut self, event: OutputEvent<'_>) {
        match event {
            OutputEvent::Response(response) => self.response(&response),
            OutputEvent::ItemAdded(placed) => self.item("response.output_item.added", placed),
            OutputEvent::ItemDone(placed) => self.item("response.output_item.done", placed),
            OutputEvent::PartAdded(placed, text) => self.part(text.part_added(), placed, text),
            OutputEvent::PartDone(placed, text) => self.part(text.part_done(), placed, text),
            OutputEvent::Delta(placed, text, piece) => {
                self.text(text.delta(), placed, text);
                self.out.put(b",\"delta\":");
                self.out.quoted(piece);
                self.end_of_text(text);
            }
            OutputEvent::TextDone(placed, text) => {
                self.text(text.done(), placed, text);
                self.whole_text(placed, text);
                self.end_of_text(text);
            }
            OutputEvent::Annotation(placed, number) => self.annotation(placed, number),
            OutputEvent::Search(placed, step) => {
                self.head(step.event());
                self.place(placed);
                self.end();
            }
        }
    }
}

impl EventStream<'_> {
    fn head(&mut self, event: &str) {
        self.out.put(b"event: ");
        self.out.raw(event);
        self.out.put(b"\ndata: {\"type\":\"");
        self.out.raw(event);
        self.out.put(b"\",\"sequence_number\":");
        self.out.number(*self.sequence);
        *self.sequence += 1;
    }

    fn place(&mut self, placed: PlacedItem<'_>) {
        self.out.put(b",\"item_id\":\"");
        self.out.raw(&placed.item.id);
        self.out.put(b"\",\"output_index\":");
        self.out.number(placed.index as u64);
    }

    fn end(&mut self) {
        self.out.put(b"}\n\n");
    }

    fn response(&mut self, response: &ResponseView<'_>) {
        self.head(response.state.event());
        self.out.put(b",\"response\":");
        response.write(self.out);
        response.write_beside(self.out);
        self.end();
    }

    fn item(&mut self, event: &str, placed: PlacedItem<'_>) {
        self.head(event);
        self.out.put(b",\"output_index\":");
        self.out.number(placed.index as u64);
        self.out.put(b",\"item\":");
        placed.item.write(self.out);
        self.end();
    }

    /// Writes an event of a text up to the index of its part.
    fn text(&mut self, event: &str, placed: PlacedItem<'_>, text: ItemText) {
        self.head(event);
        self.place(placed);
        match text {
            ItemText::Output => self.out.put(b",\"content_index\":0"),
            ItemText::Refusal => {
                let behind_text = matches!(&placed.item.content, ItemContent::Message(m) if m.text.is_some());
                self.out.raw(if behind_text { ",\"content_index\":1" } else { ",\"content_index\":0" });
            }
            ItemText::Summary => self.out.put(b",\"summary_index\":0"),
            ItemText::Arguments | ItemText::Input => {}
        }
    }

    /// Ends an event of a text.
    fn end_of_text(&mut self, text: ItemText) {
        match text {
            ItemText::Output => self.out.put(b",\"logprobs\":[]}\n\n"),
            ItemText::Refusal | ItemText::Summary | ItemText::Arguments | ItemText::Input => self.end(),
        }
    }

    fn whole_text(&mut self, placed: PlacedItem<'_>, text: ItemText) {
        let whole = match &placed.item.content {
            ItemContent::Message(message) => match text {
                ItemText::Refusal => message.refusal.as_deref(),
                ItemText::Output | ItemText::Summary | ItemText::Arguments | ItemText::Input => {
                    message.text.as_ref().map(|part| &*part.text)
                }
            },
            ItemContent::Reasoning(reasoning) => reasoning.summary.as_deref(),
            ItemContent::Call(call) => {
                if text == ItemText::Arguments {
                    self.out.put(b",\"name\":");
                    call.write_name(self.out);
                }
                Some(&*call.arguments)
            }
            ItemContent::Search(_) => None,
        };
        self.out.raw(match text {
            ItemText::Output | ItemText::Summary => ",\"text\":",
            ItemText::Refusal => ",\"refusal\":",
            ItemText::Arguments => ",\"arguments\":",
            ItemText::Input => ",\"input\":",
        });
        self.out.quoted(whole.unwrap_or_default());
    }

    fn part(&mut self, event: &str, placed: PlacedItem<'_>, text: ItemText) {
        self.text(event, placed, text);
        self.out.put(b",\"part\":");
        match &placed.item.content {
            ItemContent::Message(message) if text == ItemText::Refusal => {
                write_refusal(message.refusal.as_deref().unwrap_or_default(), self.out);
            }
            ItemContent::Message(message) => match &message.text {
                Some(part) => part.write(self.out),
                None => TextPart::default().write(self.out),
            },
            ItemContent::Reasoning(reasoning) => {
                write_summary(reasoning.summary.as_deref().unwrap_or_default(), self.out);
            }
            ItemContent::Call(_) | ItemContent::Search(_) => self.out.put(b"null"),
        }
        self.end();
    }

    fn annotation(&mut self, placed: PlacedItem<'_>, number: usize) {
        let ItemContent::Message(message) = &placed.item.content else { return };
        let Some(source) = message.text.as_ref().and_then(|part| part.sources.get(number)) else { return };
        self.text("response.output_text.annotation.added", placed, ItemText::Output);
        self.out.put(b",\"annotation_index\":");
        self.out.number(number as u64);
        self.out.put(b",\"annotation\":");
        write_annotation(source, self.out);
        self.end();
    }
}

impl ItemText {
    fn delta(self) -> &'static str {
        match self {
            Self::Output => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
            Self::Summary => "response.reasoning_summary_text.delta",
            Self::Arguments => "response.function_call_arguments.delta",
            Self::Input => "response.custom_tool_call_input.delta",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Output => "response.output_text.done",
            Self::Refusal => "response.refusal.done",
            Self::Summary => "response.reasoning_summary_text.done",
            Self::Arguments => "response.function_call_arguments.done",
            Self::Input => "response.custom_tool_call_input.done",
        }
    }

    fn part_added(self) -> &'static str {
        match self {
            Self::Summary => "response.reasoning_summary_part.added",
            Self::Output | Self::Refusal | Self::Arguments | Self::Input => "response.content_part.added",
        }
    }

    fn part_done(self) -> &'static str {
        match self {
            Self::Summary => "response.reasoning_summary_part.done",
            Self::Output | Self::Refusal | Self::Arguments | Self::Input => "response.content_part.done",
        }
    }
}

impl SearchStep {
    fn event(self) -> &'static str {
        match self {
            Self::InProgress => "response.web_search_call.in_progress",
            Self::Searching => "response.web_search_call.searching",
            Self::Completed => "response.web_search_call.completed",
        }
    }
}
