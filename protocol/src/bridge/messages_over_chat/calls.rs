//! The tool calls of one reply: which delta belongs to which call, and what of it may not go out yet.

use serde_json::value::RawValue;

use crate::{
    gemini,
    json::{self, Literal},
    openai::stream::{Function, ToolCall},
};

/// A piece of a tool call. Texts are inner texts.
pub(super) struct Fragment<'a> {
    pub(super) index: Option<i64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Arguments<'a>,
    /// What is to be sent back with the call.
    pub(super) extra: Option<&'a str>,
}

/// New argument text; owned where a vendor sent JSON instead of a string of JSON.
pub(super) enum Arguments<'a> {
    Borrowed(&'a str),
    Owned(String),
}

impl Arguments<'_> {
    fn of(raw: Option<&RawValue>) -> Arguments<'_> {
        match raw {
            None => Arguments::Borrowed(""),
            Some(raw) => match Literal::of(raw) {
                Some(literal) => Arguments::Borrowed(literal.inner()),
                None => Arguments::Owned(json::escape(raw.get())),
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

impl<'a> Fragment<'a> {
    /// A piece from `tool_calls`; `None` if it has no function.
    pub(super) fn of_call(call: &ToolCall<'a>) -> Option<Self> {
        let function = call.function.0.as_ref()?;
        let extra = call.extra_content.and_then(gemini::signature);
        Some(Self { index: call.index(), id: call.id(), extra, ..Self::of_function(function) })
    }

    /// A piece from `function_call`, which is call 0.
    pub(super) fn of_function(function: &Function<'a>) -> Self {
        let arguments = Arguments::of(function.arguments);
        Self { index: Some(0), id: "", name: function.name(), arguments, extra: None }
    }
}

/// One call, as far as it is known.
#[derive(Default)]
pub(super) struct Call {
    index: Option<i64>,
    pub(super) id: String,
    pub(super) name: String,
    /// Arguments that have not gone out.
    pub(super) pending: String,
    pub(super) extra: Option<String>,
    shape: Shape,
}

impl Call {
    /// Whether its arguments are a whole JSON object, so that nothing can follow.
    pub(super) fn is_complete(&self) -> bool {
        self.shape.is_complete()
    }

    /// Whether any argument text came.
    pub(super) fn has_arguments(&self) -> bool {
        !matches!(self.shape.phase, Phase::Empty)
    }

    fn take(&mut self, fragment: &Fragment<'_>) {
        if self.id.is_empty() {
            fragment.id.clone_into(&mut self.id);
        }
        if self.extra.is_none() {
            self.extra = fragment.extra.map(str::to_owned);
        }
        // Some vendors repeat the whole name with every piece, others split it; none splits it once arguments began.
        if fragment.name != self.name && (self.name.is_empty() || !self.has_arguments()) {
            self.name.push_str(fragment.name);
        }
        self.shape.feed(fragment.arguments.inner());
    }

    /// Whether a piece that was addressed to this call begins another one: some vendors give all calls the same
    /// index. A new id alone does not tell, as some vendors make one up for every piece.
    fn is_followed_by(&self, fragment: &Fragment<'_>) -> bool {
        if fragment.name.is_empty() || self.name.is_empty() {
            return false;
        }
        let other_id = !fragment.id.is_empty() && !self.id.is_empty() && fragment.id != self.id;
        let same_id = !fragment.id.is_empty() && fragment.id == self.id;
        let says_more = fragment.name != self.name || !fragment.arguments.inner().is_empty();
        other_id || (!same_id && self.is_complete() && says_more)
    }
}

/// All calls in order of their first appearance, and whose turn it is to go out.
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// The first call that has not gone out completely.
    turn: usize,
    is_open: bool,
    sent: u32,
}

impl Calls {
    /// Books a piece; returns the position of its call. The arguments still have to be sent or kept.
    pub(super) fn book(&mut self, fragment: &Fragment<'_>) -> usize {
        let found = self.find(fragment).filter(|&at| !self.calls[at].is_followed_by(fragment));
        let at = found.unwrap_or_else(|| {
            self.calls.push(Call { index: fragment.index, ..Call::default() });
            self.calls.len() - 1
        });
        self.calls[at].take(fragment);
        at
    }

    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
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

    /// Keeps arguments until their call's turn.
    pub(super) fn keep(&mut self, at: usize, arguments: &str) {
        if at >= self.turn {
            self.calls[at].pending.push_str(arguments);
        }
    }

    /// The call whose block is open.
    pub(super) fn open(&self) -> Option<&Call> {
        self.is_open.then(|| &self.calls[self.turn])
    }

    /// Whether this call's block is open.
    pub(super) fn is_open_at(&self, at: usize) -> bool {
        self.is_open && self.turn == at
    }

    /// The call whose turn it is, if it has not begun.
    pub(super) fn next(&mut self) -> Option<&mut Call> {
        if self.is_open { None } else { self.calls.get_mut(self.turn) }
    }

    /// Whether another call came after the one whose turn it is.
    pub(super) fn has_more(&self) -> bool {
        self.turn + 1 < self.calls.len()
    }

    /// The block of the next call was opened.
    pub(super) fn opened(&mut self) {
        self.is_open = true;
        self.sent += 1;
    }

    /// The open block was closed.
    pub(super) fn closed(&mut self) {
        self.is_open = false;
        self.turn += 1;
    }

    /// The next call has nothing to show and is passed over.
    pub(super) fn skip(&mut self) {
        self.turn += 1;
    }

    /// How many went out.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// The id for the next call: the upstream's, unless it has none or gave it to an earlier call.
    pub(super) fn next_id(&self) -> Option<&str> {
        let id = self.calls[self.turn].id.as_str();
        let is_taken = self.calls[..self.turn].iter().any(|call| call.id == id);
        (!id.is_empty() && !is_taken).then_some(id)
    }
}

/// Follows argument text just far enough to see where a JSON object ends.
#[derive(Default)]
struct Shape {
    phase: Phase,
    depth: usize,
}

#[derive(Default)]
enum Phase {
    #[default]
    Empty,
    /// Only whitespace so far.
    Blank,
    Inside,
    InString,
    Escaped,
    Complete,
    /// It does not begin with a brace.
    NoObject,
}

impl Shape {
    fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Complete)
    }

    /// Takes inner text: the JSON's own escapes are escaped once more in it.
    fn feed(&mut self, inner: &str) {
        let mut bytes = inner.bytes();
        while let Some(byte) = bytes.next() {
            let meant = match byte {
                b'\\' => match bytes.next() {
                    Some(b'n' | b't' | b'r') => b' ',
                    Some(b'u') => ascii(std::array::from_fn(|_| bytes.next().unwrap_or(b'?'))),
                    Some(escaped) => escaped,
                    None => break,
                },
                plain => plain,
            };
            self.step(meant);
        }
    }

    fn step(&mut self, byte: u8) {
        let phase = std::mem::take(&mut self.phase);
        self.phase = match (phase, byte) {
            (Phase::Empty | Phase::Blank, b' ' | b'\t' | b'\n' | b'\r') => Phase::Blank,
            (Phase::Empty | Phase::Blank, b'{') => self.enter(),
            (Phase::Empty | Phase::Blank, _) | (Phase::NoObject, _) => Phase::NoObject,
            (Phase::Inside, b'{' | b'[') => self.enter(),
            (Phase::Inside, b'}' | b']') => self.leave(byte),
            (Phase::Inside, b'"') => Phase::InString,
            (Phase::InString, b'\\') => Phase::Escaped,
            (Phase::InString, b'"') | (Phase::Inside, _) => Phase::Inside,
            (Phase::InString | Phase::Escaped, _) => Phase::InString,
            (Phase::Complete, _) => Phase::Complete,
        };
    }

    fn enter(&mut self) -> Phase {
        self.depth += 1;
        Phase::Inside
    }

    fn leave(&mut self, byte: u8) -> Phase {
        self.depth -= 1;
        match (self.depth, byte) {
            (0, b'}') => Phase::Complete,
            (0, _) => Phase::NoObject,
            _ => Phase::Inside,
        }
    }
}

/// The ASCII character of four hexadecimal digits; any other stands for "something without meaning here".
fn ascii(digits: [u8; 4]) -> u8 {
    let code = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
    code.filter(u8::is_ascii).unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(json: &str) -> bool {
        let inner = json::escape(json);
        let mut shape = Shape::default();
        shape.feed(&inner);
        shape.is_complete()
    }

    #[test]
    fn an_object_is_complete_at_its_last_brace_and_not_before() {
        let json = r#" {"a":"}\"{","b":[{"c":1}],"d":"\\"} "#;
        let end = json.rfind('}').unwrap();
        for at in 0..json.len() {
            assert_eq!(complete(&json[..at]), at > end, "{}", &json[..at]);
        }
    }

    #[test]
    fn what_is_no_object_is_never_complete() {
        for json in ["", " ", "1", "[]", "\"{}\"", "x{}"] {
            assert!(!complete(json), "{json}");
        }
    }

    #[test]
    fn an_escaped_quote_counts_as_a_quote() {
        let mut shape = Shape::default();
        shape.feed(r"{\u0022a}\u0022:1");
        assert!(!shape.is_complete());
        shape.feed("}");
        assert!(shape.is_complete());
    }
}
