//! Which tool message answers which tool call. The Messages API wants all results in the message right behind the calls;
//! clients send them late, twice, without an id, or not at all.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use serde_json::value::RawValue;

use super::turn::{MessageRole, MessagesTurn};
use crate::{
    fault::RequestError,
    json::{Literal, escape_text},
    openai::request::{ChatMessage, ChatToolCall},
    tool_id::{self, Maker},
};

/// A tool call of the history.
pub(super) struct PairedToolCall<'a> {
    /// As the upstream gets it; inner text.
    pub(super) id: Cow<'a, str>,
    /// Inner text.
    pub(super) name: &'a str,
    pub(super) input: Input<'a>,
    /// The turn that answers it.
    pub(super) answer: Option<usize>,
}

/// What a tool was called with.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// A function's arguments.
    Arguments(Option<&'a RawValue>),
    /// The text for a custom tool.
    Text(Option<&'a RawValue>),
}

/// A call as the client has it.
struct Made<'a> {
    id: Option<Literal<'a>>,
    name: Option<Literal<'a>>,
    input: Input<'a>,
}

/// All calls and results of a conversation.
pub(super) struct ToolCallPairing<'a> {
    maker: Maker,
    pub(super) calls: Vec<PairedToolCall<'a>>,
    by_turn: HashMap<usize, Range<usize>>,
    orphans: HashSet<usize>,
}

/// Calls without an answer, the latest last.
#[derive(Default)]
struct OpenToolCalls<'a> {
    by_id: HashMap<Cow<'a, str>, VecDeque<usize>>,
    by_name: HashMap<&'a str, VecDeque<usize>>,
    ids: HashSet<Cow<'a, str>>,
}

impl<'a> ToolCallPairing<'a> {
    /// Matches every result with the nearest earlier call of its id that has none: ids are only unique within a turn
    /// with some vendors.
    pub(super) fn new(turns: &[MessagesTurn<'a>], maker: Maker) -> Result<Self, RequestError> {
        let mut pairing = Self { maker, calls: Vec::new(), by_turn: HashMap::new(), orphans: HashSet::new() };
        let mut open = OpenToolCalls::default();
        for turn in turns {
            match turn.role {
                MessageRole::Assistant => pairing.book_calls(turn, &mut open)?,
                MessageRole::Tool | MessageRole::Function => pairing.book_result(turn, &mut open),
                MessageRole::System | MessageRole::User => {}
            }
        }
        Ok(pairing)
    }

    fn book_calls(
        &mut self,
        turn: &MessagesTurn<'a>,
        open: &mut OpenToolCalls<'a>,
    ) -> Result<(), RequestError> {
        let start = self.calls.len();
        for (at, Made { id, name, input }) in calls_of(turn.message).enumerate() {
            let missing = || {
                let kind = match input {
                    Input::Arguments(_) => "function",
                    Input::Text(_) => "custom",
                };
                RequestError::new(format!("messages.{}.tool_calls.{at}.{kind}.name: field required", turn.at))
            };
            let name = name.map(Literal::inner).filter(|name| !name.is_empty()).ok_or_else(missing)?;
            let number = self.calls.len();
            let key = id.map(key).unwrap_or_default();
            let accepted = self.accepted(&key).filter(|id| !open.ids.contains(id));
            // Always the same one for the same history, or no cache would ever be hit.
            let id = accepted.unwrap_or_else(|| format!("toolu_vdm_{}_{at}", turn.at).into());
            open.ids.insert(id.clone());
            let id = if tool_id::is_portable(&id) { id } else { Cow::Owned(escape_text(&id)) };
            open.by_id.entry(key).or_default().push_back(number);
            open.by_name.entry(name).or_default().push_back(number);
            self.calls.push(PairedToolCall { id, name, input, answer: None });
        }
        self.by_turn.insert(turn.at, start..self.calls.len());
        Ok(())
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

    fn book_result(&mut self, turn: &MessagesTurn<'a>, open: &mut OpenToolCalls<'a>) {
        let message = turn.message;
        let found = match (turn.role, message.tool_call_id) {
            (MessageRole::Function, None) => message.name.and_then(|name| open.by_name.get_mut(name.inner())),
            (_, id) => open.by_id.get_mut(&id.map(key).unwrap_or_default()),
        };
        // Those without an id are answered in their order.
        let is_named = turn.role == MessageRole::Function || message.tool_call_id.is_some();
        let call = found.and_then(|open| if is_named { open.pop_back() } else { open.pop_front() });
        match call.map(|call| &mut self.calls[call]).filter(|call| call.answer.is_none()) {
            Some(call) => call.answer = Some(turn.at),
            None => {
                self.orphans.insert(turn.at);
            }
        }
    }

    /// The calls of an assistant turn, in its order.
    pub(super) fn calls(&self, turn: usize) -> &[PairedToolCall<'a>] {
        self.by_turn.get(&turn).map_or(&[], |range| &self.calls[range.clone()])
    }

    /// Whether this result answers no call, or one that another result answered.
    pub(super) fn is_orphan(&self, turn: usize) -> bool {
        self.orphans.contains(&turn)
    }
}

/// Calls of an assistant's message, the old kind last.
fn calls_of<'r, 'a>(message: &'r ChatMessage<'a>) -> impl Iterator<Item = Made<'a>> + use<'r, 'a> {
    let calls = message.tool_calls.iter().flatten().filter_map(Made::from_tool_call);
    calls.chain(message.function_call.map(|called| Made {
        id: None,
        name: called.name,
        input: Input::Arguments(called.arguments),
    }))
}

impl<'a> Made<'a> {
    fn from_tool_call(call: &ChatToolCall<'a>) -> Option<Self> {
        let function = call.function.map(|called| (called.name, Input::Arguments(called.arguments)));
        let custom = call.custom.map(|called| (called.name, Input::Text(called.input)));
        let (name, input) = function.or(custom)?;
        Some(Self { id: call.id, name, input })
    }
}

fn key<'a>(id: Literal<'a>) -> Cow<'a, str> {
    id.decode().unwrap_or(Cow::Borrowed(id.inner()))
}
