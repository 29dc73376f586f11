//! The messages as they are written: user and assistant in turns, each one's neighbours merged.

use std::ops::Range;

use serde_json::value::RawValue;

use super::blocks::BlockDraft;
use crate::json::{Write, trim_end};

/// The text of a user message that the upstream requires and the client does not have.
const NO_WORD: &str = "(no user message)";

/// Between the texts of two messages, inner text.
const BLANK_LINE: &str = "\\n\\n";

/// Whose message a block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    User,
    Assistant,
}

/// The messages as they are written, block by block.
pub(crate) struct Conversation<'o> {
    out: &'o mut Vec<u8>,
    state: Opened,
    /// The range of the inner text of the last block, if that is a text.
    last_text: Option<Range<usize>>,
    /// Whether the next block is of another message of the client than the last one.
    is_apart: bool,
    /// Where each message of the user ends: before the brace that closes its last block.
    user_ends: Vec<usize>,
}

/// The message that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opened {
    /// There is no message yet.
    Nothing,
    Message(Side),
    /// A system message, which is complete.
    System,
}

impl<'o> Conversation<'o> {
    /// Begins `messages`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.put(b",\"messages\":[");
        Self { out, state: Opened::Nothing, last_text: None, is_apart: false, user_ends: Vec::new() }
    }

    /// Where this side's next block is to be written.
    pub(crate) fn block(&mut self, side: Side) -> &mut Vec<u8> {
        if self.state == Opened::Nothing && side == Side::Assistant {
            self.no_word();
        }
        if self.state == Opened::Message(side) {
            self.out.put(b",");
        } else {
            self.close();
            self.out.raw(match side {
                Side::User => "{\"role\":\"user\",\"content\":[",
                Side::Assistant => "{\"role\":\"assistant\",\"content\":[",
            });
        }
        self.state = Opened::Message(side);
        self.last_text = None;
        self.out
    }

    /// A message of the client begins. Messages that are merged stay apart: a blank line is between their texts.
    pub(crate) fn begin_message(&mut self) {
        self.is_apart = true;
    }

    /// Writes this side's next block; `mark` is its `cache_control`.
    pub(crate) fn write(&mut self, side: Side, block: &BlockDraft<'_>, mark: Option<&RawValue>) {
        let is_apart = std::mem::take(&mut self.is_apart);
        let follows_text = self.state == Opened::Message(side) && self.last_text.is_some();
        let text = match block {
            BlockDraft::Text(text) if is_apart && follows_text && side == Side::Assistant => {
                BlockDraft::Text(&format!("{BLANK_LINE}{text}")).write(mark, self.block(side))
            }
            BlockDraft::Text(_) | BlockDraft::Image(_) | BlockDraft::Document(..) => {
                block.write(mark, self.block(side))
            }
        };
        self.last_text = text;
    }

    /// Writes a system message at its place; `text` is inner text.
    pub(crate) fn system(&mut self, text: &str) {
        if self.state == Opened::Nothing {
            self.no_word();
        }
        self.close();
        self.out.put(b"{\"role\":\"system\",\"content\":");
        self.out.quoted(text);
        self.state = Opened::System;
        self.last_text = None;
    }

    /// Closes the open message, so that another one can begin.
    fn close(&mut self) {
        self.end();
        if self.state != Opened::Nothing {
            self.out.put(b",");
        }
    }

    /// Closes the open message.
    fn end(&mut self) {
        match self.state {
            Opened::Nothing => {}
            Opened::Message(side) => {
                if side == Side::User {
                    self.user_ends.push(self.out.len() - 1);
                }
                self.out.put(b"]}");
            }
            Opened::System => self.out.put(b"}"),
        }
    }

    /// Writes a message of a user who has nothing to say.
    fn no_word(&mut self) {
        self.out.put(b"{\"role\":\"user\",\"content\":[");
        let _text = BlockDraft::Text(NO_WORD).write(None, self.out);
        self.state = Opened::Message(Side::User);
    }

    /// Ends `messages`. Returns where each message of the user ends: before the brace that closes its last block.
    pub(crate) fn finish(mut self) -> Vec<usize> {
        match (self.state, self.last_text.take()) {
            (Opened::Nothing, _) => self.no_word(),
            (Opened::Message(Side::Assistant), Some(text)) => self.trim(text),
            (Opened::Message(Side::User | Side::Assistant) | Opened::System, _) => {}
        }
        self.end();
        self.out.put(b"]");
        self.user_ends
    }

    /// The upstream refuses to go on from white space. This text is not blank, so something is left of it.
    fn trim(&mut self, text: Range<usize>) {
        let kept = str::from_utf8(&self.out[text.clone()]).map_or(text.len(), |inner| trim_end(inner).len());
        self.out.drain(text.start + kept..text.end);
    }
}
