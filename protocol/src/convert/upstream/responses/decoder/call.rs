//! A call of the reply, as received so far. *Inner text* is the text of a JSON string without its quotes and with its escapes.

use super::writer::BlockWriter;
use crate::{
    anthropic::event::EventSink,
    convert::upstream::{arguments::ArgumentsObject, fingerprint::Received},
    json,
};

/// The arguments of a custom call, before and after its input: `{"input":"` and `"}` as inner text.
const INPUT: [&str; 2] = [r#"{\"input\":\""#, r#"\"}"#];

#[derive(Debug)]
pub(super) struct PartialCall {
    is_custom: bool,
    id: String,
    name: String,
    /// Arguments that have not been sent.
    pending: String,
    object: ArgumentsObject,
    input: Received,
    is_open: bool,
}

impl PartialCall {
    pub(super) fn new(is_custom: bool) -> Self {
        let pending = if is_custom { INPUT[0].to_owned() } else { String::new() };
        let (id, name) = (String::new(), String::new());
        Self {
            is_custom,
            id,
            name,
            pending,
            object: ArgumentsObject::default(),
            input: Received::default(),
            is_open: false,
        }
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

    /// Sends what there is. The id may still be missing before the end.
    pub(super) fn play<S: EventSink>(&mut self, writer: &mut BlockWriter, is_done: bool, sink: &mut S) {
        if !self.is_open {
            if self.name.is_empty() || (self.id.is_empty() && !is_done) {
                return;
            }
            writer.open_call(&self.id, &self.name, sink);
            self.is_open = true;
        }
        writer.arguments(&std::mem::take(&mut self.pending), sink);
        if is_done {
            let rest = if self.is_custom { INPUT[1] } else { self.object.rest() };
            writer.close_call(rest, sink);
        }
    }
}
