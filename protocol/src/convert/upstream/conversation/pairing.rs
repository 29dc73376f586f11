//! Matches tool results with tool calls. OpenAI's APIs require a result for every call, Chat Completions directly after the assistant's
//! message; the Messages API allows them later, with other blocks, and in any order.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::turns::{RequestTurn, TurnRole};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    fault::RequestError,
    json::{Literal, decode_text, escape_text},
    tool_id::{Maker, Renamed, portable},
};

/// Maximum length of an id in OpenAI's Responses API (openai 3.57.0 on PyPI, types/responses).
const LONGEST_ID: usize = 64;

/// A tool call of the history.
pub(crate) struct PairedToolUse<'r, 'a> {
    /// The id that is sent to the upstream (inner text). It is unique within its turn.
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Literal<'a>,
    pub(crate) block: &'r ContentBlock<'a>,
    pub(crate) answer: Option<PairedToolResult<'r, 'a>>,
}

/// The tool result that answers a call, and its path.
#[derive(Clone, Copy)]
pub(crate) struct PairedToolResult<'r, 'a> {
    pub(crate) block: &'r ContentBlock<'a>,
    pub(crate) turn: usize,
    pub(crate) at: usize,
}

/// All calls and results of a conversation.
pub(crate) struct ToolUsePairing<'r, 'a> {
    calls: Vec<PairedToolUse<'r, 'a>>,
    by_turn: HashMap<usize, Range<usize>>,
    orphans: HashSet<(usize, usize)>,
}

impl<'r, 'a> ToolUsePairing<'r, 'a> {
    /// Matches every result with the nearest earlier call of its id, because some vendors' ids are unique only within a turn. If ids
    /// repeat within a turn, results answer the calls in order.
    pub(crate) fn new(turns: &'r [RequestTurn<'a>]) -> Result<Self, RequestError> {
        let mut pairing = Self { calls: Vec::new(), by_turn: HashMap::new(), orphans: HashSet::new() };
        let mut latest = HashMap::new();
        for (turn, content) in turns.iter().enumerate() {
            let MessagesContent::Blocks(blocks) = &content.content else { continue };
            match content.role {
                TurnRole::Assistant => pairing.book_calls(turn, blocks, &mut latest)?,
                TurnRole::User => pairing.book_results(turn, blocks, &latest)?,
                TurnRole::System => {}
            }
        }
        Ok(pairing)
    }

    /// Restores the upstream's ids from those that this maker made. An id with escapes contains none.
    pub(crate) fn lead_ids_back(&mut self, maker: Maker) {
        let renamed = Renamed::to_originals(maker, self.calls.iter().map(|call| &*call.id));
        if renamed.is_empty() {
            return;
        }
        for call in &mut self.calls {
            if let Some(id) = renamed.get(&call.id) {
                call.id = Cow::Owned(escape_text(id));
            }
        }
    }

    /// Gives every call of the conversation an id of its own that OpenAI's Responses API accepts: it matches results with calls by
    /// their ids alone. An id stays the same as the conversation goes on.
    pub(crate) fn make_ids_unique(&mut self, maker: Maker) {
        let mut taken: HashSet<String> = HashSet::with_capacity(self.calls.len());
        // The next number behind an id that repeats, so that very many repetitions take linear time.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for call in &mut self.calls {
            // An id that is no text is not accepted either.
            let decoded = decode_text(&call.id).filter(|id| (1..=LONGEST_ID).contains(&id.chars().count()));
            let is_fit = decoded.is_some();
            let given = decoded.unwrap_or_else(|| portable(&call.id, maker)).into_owned();
            if taken.insert(given.clone()) {
                if !is_fit {
                    call.id = Cow::Owned(given);
                }
                continue;
            }
            let number = numbers.entry(given.clone()).or_insert(2);
            while let Some(next) = number.checked_add(1) {
                let id = format!("{given}_{number}");
                *number = next;
                let id = if id.chars().count() > LONGEST_ID { portable(&id, maker).into_owned() } else { id };
                if taken.insert(id.clone()) {
                    call.id = Cow::Owned(escape_text(&id));
                    break;
                }
            }
        }
    }

    fn book_calls(
        &mut self,
        turn: usize,
        blocks: &'r [ContentBlock<'a>],
        latest: &mut Latest<'a>,
    ) -> Result<(), RequestError> {
        let start = self.calls.len();
        let calls = || blocks.iter().enumerate().filter(|(_, block)| block.kind() == "tool_use");
        let mut taken: HashSet<_> = calls().filter_map(|(_, block)| block.id).map(key).collect();
        for (at, block) in calls() {
            let given = required(block.id, turn, at, "id")?;
            let name = required(block.name, turn, at, "name")?;
            let same = latest.entry(key(given)).or_default();
            same.retain(|&call| call >= start);
            let id = if same.is_empty() { given.inner().into() } else { another(given, &mut taken) };
            same.push(self.calls.len());
            self.calls.push(PairedToolUse { id, name, block, answer: None });
        }
        self.by_turn.insert(turn, start..self.calls.len());
        Ok(())
    }

    fn book_results(
        &mut self,
        turn: usize,
        blocks: &'r [ContentBlock<'a>],
        latest: &Latest<'a>,
    ) -> Result<(), RequestError> {
        for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind() == "tool_result") {
            let id = required(block.tool_use_id, turn, at, "tool_use_id")?;
            let mut calls = latest.get(&key(id)).into_iter().flatten();
            match calls.find(|&&call| self.calls[call].answer.is_none()) {
                Some(&call) => self.calls[call].answer = Some(PairedToolResult { block, turn, at }),
                None => {
                    self.orphans.insert((turn, at));
                }
            }
        }
        Ok(())
    }

    /// The calls of an assistant turn, in their order.
    pub(crate) fn calls(&self, turn: usize) -> &[PairedToolUse<'r, 'a>] {
        self.by_turn.get(&turn).map_or(&[], |range| &self.calls[range.clone()])
    }

    /// Whether this result has no call, or its call has another result.
    pub(crate) fn is_orphan(&self, turn: usize, at: usize) -> bool {
        self.orphans.contains(&(turn, at))
    }
}

/// The calls with an id in the last turn that contains it.
type Latest<'a> = HashMap<Cow<'a, str>, Vec<usize>>;

/// A variant of this id that differs from it and from the ids in `taken`, which other calls of the turn have.
fn another<'a>(given: Literal<'a>, taken: &mut HashSet<Cow<'a, str>>) -> Cow<'a, str> {
    let mut ids = (2..).map(|number| format!("{}_{number}", given.inner()));
    let is_free = |id: &String| {
        taken.insert(decode_text(id).map_or_else(|| id.clone().into(), |id| id.into_owned().into()))
    };
    ids.find(is_free).map_or_else(|| given.inner().into(), Cow::Owned)
}

fn key<'a>(id: Literal<'a>) -> Cow<'a, str> {
    id.decode().unwrap_or(Cow::Borrowed(id.inner()))
}

fn required<'a>(
    literal: Option<Literal<'a>>,
    turn: usize,
    at: usize,
    field: &str,
) -> Result<Literal<'a>, RequestError> {
    literal.ok_or_else(|| RequestError::new(format!("messages.{turn}.content.{at}.{field}: field required")))
}
