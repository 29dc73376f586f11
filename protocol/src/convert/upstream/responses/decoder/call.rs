//! A call of the reply, as received so far. *Inner text* is the text of a JSON string without its quotes and with its escapes.

use super::writer::BlockWriter;
use crate::{
    anthropic::event::EventSink,
    convert::upstream::{arguments::ArgumentsObject, fingerprint::Received},
    json,
};

/// The arguments of a custom call, before and after its input: `{"input":"` and `"}` as inner text.
const INPUT: [&str; 2] = [r#"{\"input\":\""#, r#"\"}"#];

#[derive(Debug, Default)]
pub(super) struct PartialCall {
    is_custom: bool,
    is_done: bool,
    id: String,
    name: String,
    /// Arguments that have not been sent.
    pending: String,
    object: ArgumentsObject,
    input: Received,
    is_open: bool,
}

impl PartialCall {
    /// A call of a custom tool, whose input is plain text.
    pub(super) fn custom() -> Self {
        Self { is_custom: true, pending: INPUT[0].to_owned(), ..Self::default() }
    }

    /// Notes the id and the name (inner texts), once they are known.
    pub(super) fn identify(&mut self, id: &str, name: &str) {
        for (known, new) in [(&mut self.id, id), (&mut self.name, name)] {
            if known.is_empty() {
                new.clone_into(known);
            }
        }
    }

    /// Takes a piece of the arguments, or of a custom tool's input.
    pub(super) fn take(&mut self, inner: &str) {
        if self.is_custom {
            self.input.take(inner);
            self.pending.push_str(&json::escape_text(inner));
        } else {
            self.pending.push_str(&self.object.take(inner));
        }
    }

    /// Takes all of it, of which pieces may have come before.
    pub(super) fn take_whole(&mut self, inner: &str) {
        if self.is_custom {
            let missing = self.input.missing_of(inner);
            self.take(missing);
        } else {
            self.pending.push_str(&self.object.take_whole(inner));
        }
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.is_done = true;
    }

    /// Sends what there is. The id may still be missing before the end.
    pub(super) fn play<S: EventSink>(&mut self, writer: &mut BlockWriter, sink: &mut S) {
        if !self.is_open {
            if self.name.is_empty() || (self.id.is_empty() && !self.is_done) {
                return;
            }
            writer.open_call(&self.id, &self.name, sink);
            self.is_open = true;
        }
        writer.arguments(&std::mem::take(&mut self.pending), sink);
        if self.is_done {
            let rest = if self.is_custom { INPUT[1] } else { self.object.rest() };
            writer.close_call(rest, sink);
        }
    }
}
