//! The tool calls of one reply: which delta belongs to which call, and which part of it must be held. *Inner text* is the text of a
//! JSON string without its quotes and with its escapes.

use std::{borrow::Cow, collections::HashSet};

use serde_json::value::RawValue;

use crate::{
    convert::upstream::arguments::ArgumentsObject,
    gemini,
    json::{self, Literal},
    openai::stream::{ReplyFunction, ReplyToolCall},
    tool_id::{self, Maker},
};

/// A piece of a tool call. Texts are inner texts.
pub(super) struct CallFragment<'a> {
    pub(super) index: Option<i64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Arguments<'a>,
    /// Data that the client must send back with the call.
    pub(super) extra: Option<&'a str>,
}

/// New argument text; owned if a vendor sent JSON instead of a string that contains JSON.
pub(super) enum Arguments<'a> {
    Borrowed(&'a str),
    Owned(String),
}

impl Arguments<'_> {
    fn from_raw(raw: Option<&RawValue>) -> Arguments<'_> {
        match raw {
            None => Arguments::Borrowed(""),
            Some(raw) => match Literal::of(raw) {
                Some(literal) => Arguments::Borrowed(literal.inner()),
                None => Arguments::Owned(json::escape_text(raw.get())),
            },
        }
    }

    pub(super) fn inner(&self) -> &str {
        match self {
            Self::Borrowed(inner) => inner,
            Self::Owned(inner) => inner,
        }
    }
}

impl<'a> CallFragment<'a> {
    /// A piece from `tool_calls`; `None` if it has no function.
    pub(super) fn from_call(call: &ReplyToolCall<'a>) -> Option<Self> {
        let function = call.function.0.as_ref()?;
        let extra = call.extra_content.and_then(gemini::signature);
        Some(Self { index: call.index(), id: call.id(), extra, ..Self::from_function(function) })
    }

    /// A piece from `function_call`, which is call 0.
    pub(super) fn from_function(function: &ReplyFunction<'a>) -> Self {
        let arguments = Arguments::from_raw(function.arguments);
        Self { index: Some(0), id: "", name: function.name(), arguments, extra: None }
    }
}

/// One call, as received so far.
#[derive(Default)]
pub(super) struct PartialCall {
    index: Option<i64>,
    pub(super) id: String,
    pub(super) name: String,
    /// Arguments that have not been sent.
    pub(super) pending: String,
    pub(super) extra: Option<String>,
    object: ArgumentsObject,
}

impl PartialCall {
    /// Whether the arguments are a complete JSON object, so that nothing can follow. An empty object may be a placeholder.
    pub(super) fn is_complete(&self) -> bool {
        self.object.is_complete() && !self.object.is_withheld()
    }

    /// Whether any argument text has arrived.
    pub(super) fn has_arguments(&self) -> bool {
        self.object.has_begun()
    }

    /// The missing end of the arguments when the call ends.
    pub(super) fn rest(&self) -> &'static str {
        self.object.rest()
    }

    /// Takes a piece. Returns its arguments without repeated text.
    fn take<'f>(&mut self, fragment: &'f CallFragment<'_>) -> Cow<'f, str> {
        if self.id.is_empty() {
            fragment.id.clone_into(&mut self.id);
        }
        if self.extra.is_none() {
            self.extra = fragment.extra.map(str::to_owned);
        }
        // Some vendors repeat the whole name with every piece, others split it. No vendor splits it after the first argument.
        if fragment.name != self.name && (self.name.is_empty() || !self.has_arguments()) {
            self.name.push_str(fragment.name);
        }
        self.object.take(fragment.arguments.inner())
    }

    /// Whether a piece with the index of this call starts another call: some vendors give all calls the same index. A new id is not
    /// enough, because some vendors generate one for every piece.
    fn is_followed_by(&self, fragment: &CallFragment<'_>) -> bool {
        if fragment.name.is_empty() || self.name.is_empty() {
            return false;
        }
        let other_id = !fragment.id.is_empty() && !self.id.is_empty() && fragment.id != self.id;
        let same_id = !fragment.id.is_empty() && fragment.id == self.id;
        let arguments = fragment.arguments.inner();
        let says_more =
            fragment.name != self.name || !(arguments.is_empty() || self.object.is_repeated_by(arguments));
        other_id || (!same_id && self.object.is_complete() && says_more)
    }
}

/// All calls in order of their first appearance, and the position of the next one to send.
#[derive(Default)]
pub(super) struct PartialCalls {
    calls: Vec<PartialCall>,
    /// The first call that has not been sent completely.
    turn: usize,
    is_open: bool,
    sent: u32,
    /// The ids that were sent.
    ids: HashSet<String>,
}

impl PartialCalls {
    /// Adds a piece. Returns the position of its call, and the part of its arguments that must be sent or held.
    pub(super) fn book<'f>(&mut self, fragment: &'f CallFragment<'_>) -> (usize, Cow<'f, str>) {
        let found = self.find(fragment).filter(|&at| !self.calls[at].is_followed_by(fragment));
        let at = found.unwrap_or_else(|| {
            self.calls.push(PartialCall { index: fragment.index, ..PartialCall::default() });
            self.calls.len() - 1
        });
        (at, self.calls[at].take(fragment))
    }

    fn find(&self, fragment: &CallFragment<'_>) -> Option<usize> {
        if fragment.index.is_some() {
            return self.calls.iter().rposition(|call| call.index == fragment.index);
        }
        let last = self.calls.len().checked_sub(1);
        if fragment.id.is_empty() {
            return last;
        }
        // An unknown id without a name continues the last call; with a name, `is_followed_by` decides.
        self.calls.iter().rposition(|call| call.id == fragment.id).or(last)
    }

    /// Whether there are no calls.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Holds arguments until their call is the next one.
    pub(super) fn keep(&mut self, at: usize, arguments: &str) {
        if at >= self.turn {
            self.calls[at].pending.push_str(arguments);
        }
    }

    /// The call whose block is open.
    pub(super) fn open(&self) -> Option<&PartialCall> {
        self.is_open.then(|| &self.calls[self.turn])
    }

    /// Whether this call's block is open.
    pub(super) fn is_open_at(&self, at: usize) -> bool {
        self.is_open && self.turn == at
    }

    /// The next call, if its block is not open.
    pub(super) fn next(&mut self) -> Option<&mut PartialCall> {
        if self.is_open { None } else { self.calls.get_mut(self.turn) }
    }

    /// Whether another call follows the current one.
    pub(super) fn has_more(&self) -> bool {
        self.turn + 1 < self.calls.len()
    }

    /// Records that the block of the next call was opened.
    pub(super) fn opened(&mut self) {
        self.is_open = true;
        self.sent += 1;
    }

    /// Records that the open block was closed.
    pub(super) fn closed(&mut self) {
        self.is_open = false;
        self.turn += 1;
    }

    /// Skips the next call, which has no content.
    pub(super) fn skip(&mut self) {
        self.turn += 1;
    }

    /// The number of calls that were sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// The id of the next call for the client; `None` if it has no id, or the id of an earlier call.
    pub(super) fn next_id(&mut self, maker: Maker) -> Option<String> {
        let given = self.calls[self.turn].id.as_str();
        if given.is_empty() || self.calls[..self.turn].iter().any(|call| call.id == given) {
            return None;
        }
        // An id with half a surrogate pair is compared by its escapes.
        let given = json::decode_text(given).unwrap_or(Cow::Borrowed(given));
        let id = tool_id::portable(&given, maker).into_owned();
        self.ids.insert(id.clone()).then_some(id)
    }
}
