//! Which result answers which tool call. The Messages API wants all results in the message right behind the calls;
//! clients send them late, twice, without an id, or not at all.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use serde_json::value::RawValue;

use super::{blocks::is_blank, custom_tool};
use crate::{
    anthropic::writer::tool_input,
    json::{self, Literal, Write, escape_text},
    tool_id::{self, Maker},
};

/// The result of a call that the client never answered; the upstream refuses a call without one.
const UNANSWERED: &str = "no result was provided for this tool call";

/// A tool call of the history.
pub(crate) struct PairedToolCall<'a> {
    /// As the upstream gets it; inner text.
    pub(crate) id: Cow<'a, str>,
    /// Inner text.
    pub(crate) name: Cow<'a, str>,
    input: Input<'a>,
    /// The turn that answers it.
    pub(crate) answer: Option<usize>,
}

/// What a tool was called with.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    /// A function's arguments.
    Arguments(Option<&'a RawValue>),
    /// The text for a custom tool.
    Text(Option<&'a RawValue>),
}

/// A call as the client has it.
#[derive(Clone)]
pub(crate) struct Made<'a> {
    pub(crate) id: Option<Literal<'a>>,
    /// Inner text.
    pub(crate) name: Cow<'a, str>,
    pub(crate) input: Input<'a>,
}

/// What a result says about the call that it answers.
#[derive(Clone, Copy)]
pub(crate) enum Answered<'a> {
    Id(Literal<'a>),
    /// The function; inner text.
    Name(&'a str),
    /// Nothing: the calls without an id are answered in their order.
    Next,
}

/// All calls and results of a conversation.
pub(crate) struct ToolCallPairing<'a> {
    maker: Maker,
    pub(crate) calls: Vec<PairedToolCall<'a>>,
    by_turn: HashMap<usize, Range<usize>>,
    orphans: HashSet<usize>,
    open: OpenToolCalls<'a>,
}

/// Calls without an answer, the latest last.
#[derive(Default)]
struct OpenToolCalls<'a> {
    by_id: HashMap<Cow<'a, str>, VecDeque<usize>>,
    by_name: HashMap<Cow<'a, str>, VecDeque<usize>>,
    ids: HashSet<Cow<'a, str>>,
}

impl<'a> ToolCallPairing<'a> {
    /// Without any calls. They are added in the order of the conversation, each result after the calls before it.
    pub(crate) fn new(maker: Maker) -> Self {
        Self {
            maker,
            calls: Vec::new(),
            by_turn: HashMap::new(),
            orphans: HashSet::new(),
            open: OpenToolCalls::default(),
        }
    }

    /// Adds a call of the assistant's turn that is the latest one with calls.
    pub(crate) fn book_call(&mut self, turn: usize, Made { id, name, input }: Made<'a>) {
        let number = self.calls.len();
        let calls = self.by_turn.entry(turn).or_insert(number..number);
        let at = calls.len();
        calls.end = number + 1;
        let key = id.map(key).unwrap_or_default();
        let accepted = self.accepted(&key).filter(|id| !self.open.ids.contains(id));
        // Always the same one for the same history, or no cache would ever be hit.
        let id = accepted.unwrap_or_else(|| self.minted(turn, at));
        self.open.ids.insert(id.clone());
        let id = if tool_id::is_portable(&id) { id } else { Cow::Owned(escape_text(&id)) };
        self.open.by_id.entry(key).or_default().push_back(number);
        self.open.by_name.entry(name.clone()).or_default().push_back(number);
        self.calls.push(PairedToolCall { id, name, input, answer: None });
    }

    /// The id of a call that has none of its own.
    fn minted(&self, turn: usize, at: usize) -> Cow<'a, str> {
        format!("toolu_vdm_{turn}_{at}").into()
    }

    /// The id as the upstream accepts it: its own, or one of Anthropic's form.
    fn accepted(&self, id: &Cow<'a, str>) -> Option<Cow<'a, str>> {
        match tool_id::original(id, self.maker) {
            _ if id.is_empty() => None,
            Some(own) => Some(Cow::Owned(own)),
            None if tool_id::is_portable(id) => Some(id.clone()),
            None => Some(Cow::Owned(tool_id::portable(id, Maker::UNKNOWN).into_owned())),
        }
    }

    /// Matches a result with the nearest earlier call of its id that has none: ids are only unique within a turn with some
    /// vendors. `None` means that the result names nothing that could be a call.
    pub(crate) fn book_result(&mut self, turn: usize, answered: Option<Answered<'a>>) {
        let call = match answered {
            Some(Answered::Id(id)) => self.open.by_id.get_mut(&key(id)).and_then(VecDeque::pop_back),
            Some(Answered::Name(name)) => self.open.by_name.get_mut(name).and_then(VecDeque::pop_back),
            Some(Answered::Next) => self.open.by_id.get_mut("").and_then(VecDeque::pop_front),
            None => None,
        };
        match call.map(|call| &mut self.calls[call]).filter(|call| call.answer.is_none()) {
            Some(call) => call.answer = Some(turn),
            None => {
                self.orphans.insert(turn);
            }
        }
    }

    /// The calls of an assistant turn, in its order.
    pub(crate) fn calls(&self, turn: usize) -> &[PairedToolCall<'a>] {
        self.by_turn.get(&turn).map_or(&[], |range| &self.calls[range.clone()])
    }

    /// Whether this result answers no call, or one that another result answered.
    pub(crate) fn is_orphan(&self, turn: usize) -> bool {
        self.orphans.contains(&turn)
    }

    /// The names of all functions that were called; inner texts.
    pub(crate) fn into_names(self) -> Vec<Cow<'a, str>> {
        self.calls.into_iter().map(|call| call.name).collect()
    }
}

impl PairedToolCall<'_> {
    /// Appends the call as a block.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"tool_use\",\"id\":");
        out.quoted(&self.id);
        out.put(b",\"name\":");
        out.quoted(&self.name);
        out.put(b",\"input\":");
        match self.input {
            Input::Arguments(arguments) => write_arguments(arguments, out),
            Input::Text(text) => custom_tool::write_input(text, out),
        }
        out.put(b"}");
    }

    /// Appends the result that stands in for a missing one.
    pub(crate) fn write_unanswered(&self, out: &mut Vec<u8>) {
        self.begin_result(out);
        out.string(UNANSWERED);
        out.put(b",\"is_error\":true}");
    }

    /// Begins the block of the result. Its content follows.
    pub(crate) fn begin_result(&self, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"tool_result\",\"tool_use_id\":");
        out.quoted(&self.id);
        out.put(b",\"content\":");
    }
}

/// An object whatever the arguments are: what a model once wrote stays in the history for good, and refused once, the
/// conversation would be stuck.
fn write_arguments(arguments: Option<&RawValue>, out: &mut Vec<u8>) {
    match arguments.map(|raw| (raw, Literal::of(raw))) {
        None => out.put(b"{}"),
        Some((_, Some(literal))) if is_blank(literal.inner()) => out.put(b"{}"),
        Some((_, Some(literal))) => tool_input(literal.inner(), out),
        Some((raw, None)) => tool_input(&json::escape_text(raw.get()), out),
    }
}

fn key<'a>(id: Literal<'a>) -> Cow<'a, str> {
    id.decode().unwrap_or(Cow::Borrowed(id.inner()))
}
