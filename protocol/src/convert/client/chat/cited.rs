//! The sources of a reply's text: Anthropic cites beside the text as it comes, OpenAI names at the end the range in which
//! each source counts.

use crate::{anthropic::event::Citation, json::characters, openai::chunk::CitedPage};

/// Beyond this, the sources of one reply are left out.
const MOST: usize = 1024;

#[derive(Default)]
pub(super) struct Cited {
    /// Characters of the text so far.
    length: u64,
    /// Where the open block begins.
    start: u64,
    found: Vec<CitedPage>,
    /// How many of those belong to blocks that are over.
    closed: usize,
}

impl Cited {
    /// A block of text begins.
    pub(super) fn begin(&mut self) {
        self.end();
        self.start = self.length;
    }

    /// Inner text goes out.
    pub(super) fn passed(&mut self, inner: &str) {
        self.length += characters(inner);
    }

    /// Takes a source of the open block. Those without an address, such as pages of a document, mean nothing to a client
    /// of Chat Completions.
    pub(super) fn take(&mut self, citation: Citation<'_>) {
        let url = citation.url;
        if !url.is_empty() && self.found.len() < MOST {
            let (url, title) = (url.to_owned(), citation.title.to_owned());
            self.found.push(CitedPage { url, title, start: self.start, end: self.start });
        }
    }

    /// The block is over.
    pub(super) fn end(&mut self) {
        let open = self.found.iter_mut().skip(self.closed);
        open.for_each(|source| source.end = self.length);
        self.closed = self.found.len();
    }

    /// The reply is over: all its sources.
    pub(super) fn finish(&mut self) -> Vec<CitedPage> {
        self.end();
        std::mem::take(&mut self.found)
    }
}
