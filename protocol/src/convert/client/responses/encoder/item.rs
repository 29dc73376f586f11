//! The items of a reply's output, and their JSON.

use super::call::Call;
use crate::{
    anthropic::event::Citation,
    json::{self, Write},
    openai::chunk::CitedPage,
};

/// Beyond this, the sources of one message are left out.
const MOST_SOURCES: usize = 1024;

/// One item of the output.
pub(super) struct OutputItem {
    pub(super) id: String,
    /// The upstream's index of the block that it is made of; of the last one, if there are several.
    pub(super) block: Option<u64>,
    pub(super) stage: ItemStage,
    pub(super) content: ItemContent,
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemStage {
    Open,
    /// Its block is over. A text that follows continues a message.
    BlockOver,
    /// The client knows that it is done.
    Done(ItemStatus),
}

/// Whether an item came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemStatus {
    Completed,
    Incomplete,
}

pub(super) enum ItemContent {
    Message(Message),
    Reasoning(Reasoning),
    Call(Call),
    Search(Search),
}

/// Text for the user. Its parts are a text, a refusal, or both in this order.
#[derive(Default)]
pub(super) struct Message {
    pub(super) text: Option<TextPart>,
    /// Inner text.
    pub(super) refusal: Option<String>,
}

/// The text of a message and its sources.
#[derive(Default)]
pub(super) struct TextPart {
    /// Inner text.
    pub(super) text: String,
    pub(super) sources: Vec<CitedPage>,
    /// How many of the sources have their range.
    placed: usize,
    /// Where the open block begins, in bytes.
    block_start: usize,
    /// A place in the text, in bytes and in characters.
    counted: (usize, u64),
    /// The client knows that the text is complete.
    pub(super) is_done: bool,
}

/// Thoughts.
#[derive(Default)]
pub(super) struct Reasoning {
    /// Inner text; absent if the client gets no summary.
    pub(super) summary: Option<String>,
    /// The upstream's signature, inner text.
    pub(super) signature: String,
    /// Thoughts that are no summary for the client but must go back to the upstream, inner text.
    pub(super) unshown: String,
    /// `encrypted_content`.
    pub(super) sealed: Option<String>,
}

/// A web search of the upstream.
pub(super) struct Search {
    /// The upstream's id, inner text.
    pub(super) id: String,
    /// The addresses of the pages that were found, inner texts; absent while it runs.
    pub(super) found: Option<Vec<String>>,
}

impl OutputItem {
    /// Appends the item as it is now.
    pub(super) fn write(&self, out: &mut impl Write) {
        out.put(b"{\"id\":\"");
        out.raw(&self.id);
        match &self.content {
            ItemContent::Message(message) => {
                out.put(b"\",\"type\":\"message\",\"status\":\"");
                out.raw(self.status());
                out.put(b"\",\"role\":\"assistant\",\"content\":[");
                message.write_parts(out);
                out.put(b"]}");
            }
            ItemContent::Reasoning(reasoning) => reasoning.write(out),
            ItemContent::Call(call) => call.write(self.status(), out),
            ItemContent::Search(search) => search.write(self.status(), out),
        }
    }

    /// The value of `status`.
    fn status(&self) -> &'static str {
        match self.stage {
            ItemStage::Open | ItemStage::BlockOver => "in_progress",
            ItemStage::Done(ItemStatus::Completed) => "completed",
            ItemStage::Done(ItemStatus::Incomplete) => "incomplete",
        }
    }
}

impl Message {
    /// Whether text can still be added.
    pub(super) fn takes_text(&self) -> bool {
        self.refusal.is_none()
    }

    fn write_parts(&self, out: &mut impl Write) {
        if let Some(text) = &self.text {
            text.write(out);
        }
        if let Some(refusal) = &self.refusal {
            if self.text.is_some() {
                out.put(b",");
            }
            write_refusal(refusal, out);
        }
    }
}

/// Appends a part that is a refusal; inner text.
pub(super) fn write_refusal(refusal: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"refusal\",\"refusal\":");
    out.quoted(refusal);
    out.put(b"}");
}

/// Appends a part of a summary; inner text.
pub(super) fn write_summary(summary: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"summary_text\",\"text\":");
    out.quoted(summary);
    out.put(b"}");
}

impl TextPart {
    /// A block of text begins.
    pub(super) fn begin_block(&mut self) {
        self.block_start = self.text.len();
    }

    /// Takes a source of the open block. One without an address means nothing to the client.
    pub(super) fn cite(&mut self, citation: Citation<'_>) {
        if !citation.url.is_empty() && self.sources.len() < MOST_SOURCES {
            let (url, title) = (citation.url.to_owned(), citation.title.to_owned());
            self.sources.push(CitedPage { url, title, start: 0, end: 0 });
        }
    }

    /// The block is over: its sources get their range. Returns the number of the first of them.
    pub(super) fn end_block(&mut self) -> usize {
        let first = self.placed;
        self.placed = self.sources.len();
        if first < self.placed {
            let start = self.characters_before(self.block_start);
            let end = self.characters_before(self.text.len());
            for source in &mut self.sources[first..] {
                (source.start, source.end) = (start, end);
            }
        }
        first
    }

    /// The number of characters before this byte. Only what has not been counted is read.
    fn characters_before(&mut self, byte: usize) -> u64 {
        let (known, characters) = if self.counted.0 <= byte { self.counted } else { (0, 0) };
        let characters = characters + self.text.get(known..byte).map_or(0, json::characters);
        self.counted = (byte, characters);
        characters
    }

    /// Appends the part of the message.
    pub(super) fn write(&self, out: &mut impl Write) {
        out.put(b"{\"type\":\"output_text\",\"annotations\":[");
        for (at, source) in self.sources[..self.placed].iter().enumerate() {
            out.raw(if at == 0 { "" } else { "," });
            write_annotation(source, out);
        }
        out.put(b"],\"logprobs\":[],\"text\":");
        out.quoted(&self.text);
        out.put(b"}");
    }
}

/// Appends the annotation for a source.
pub(super) fn write_annotation(source: &CitedPage, out: &mut impl Write) {
    out.put(b"{\"type\":\"url_citation\",\"start_index\":");
    out.number(source.start);
    out.put(b",\"end_index\":");
    out.number(source.end);
    out.put(b",\"title\":");
    out.quoted(&source.title);
    out.put(b",\"url\":");
    out.quoted(&source.url);
    out.put(b"}");
}

impl Reasoning {
    fn write(&self, out: &mut impl Write) {
        out.put(b"\",\"type\":\"reasoning\",\"summary\":[");
        if let Some(summary) = &self.summary {
            write_summary(summary, out);
        }
        out.put(b"]");
        if let Some(sealed) = &self.sealed {
            out.put(b",\"encrypted_content\":");
            out.string(sealed);
        }
        out.put(b"}");
    }
}

impl Search {
    fn write(&self, status: &str, out: &mut impl Write) {
        out.put(b"\",\"type\":\"web_search_call\",\"status\":\"");
        out.raw(status);
        // What was searched for is not known.
        out.put(b"\",\"action\":{\"type\":\"search\",\"query\":\"\"");
        if let Some(found) = &self.found {
            out.put(b",\"sources\":[");
            for (at, url) in found.iter().enumerate() {
                out.raw(if at == 0 { "" } else { "," });
                out.put(b"{\"type\":\"url\",\"url\":");
                out.quoted(url);
                out.put(b"}");
            }
            out.put(b"]");
        }
        out.put(b"}}");
    }
}
