//! Writes a turn of the assistant: reasoning, messages and calls, in the order in which the model produced them.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;

use super::super::ResponsesUpstream;
use crate::{
    anthropic::request::ContentBlock,
    convert::Dropped,
    convert::upstream::{
        conversation::{PairedToolUse, is_blank, joined_texts},
        names::Names,
        reasoning::version,
    },
    json::{Literal, Write},
    signature,
};

/// The first version of OpenAI's models that takes back whether a message was a comment or the answer (`phase`).
const FIRST_WITH_PHASES: (u32, u32) = (5, 3);

/// The place of a turn in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnPlace {
    /// Before a turn of the user.
    Complete,
    /// At the end, or before another turn of the assistant: the model goes on with this turn.
    Open,
}

/// Writes the items of assistants' turns.
pub(super) struct AssistantWriter<'r, 'a> {
    names: &'r Names,
    target: &'r ResponsesUpstream<'r>,
    has_phases: bool,
    /// The ids of the reasoning items that were written. The API refuses a second item of the same id.
    reasoned: HashSet<String>,
    /// Reasoning at the end of the last turn. It belongs to the next turn if nothing is between them.
    pending: Vec<Reasoning<'a>>,
}

/// A reasoning item of the same model, as its thinking block carries it.
struct Reasoning<'a> {
    item: CarriedItem,
    summary: Option<Literal<'a>>,
}

/// What a signature carries.
#[derive(Deserialize)]
struct CarriedItem {
    /// Absent or empty if the vendor gives its items none.
    #[serde(default)]
    id: String,
    encrypted_content: String,
}

impl<'r, 'a> AssistantWriter<'r, 'a> {
    pub(super) fn new(names: &'r Names, target: &'r ResponsesUpstream<'r>) -> Self {
        let name = target.model.rsplit('/').next().unwrap_or(target.model).to_ascii_lowercase();
        let has_phases = version(&name).is_some_and(|version| version >= FIRST_WITH_PHASES);
        Self { names, target, has_phases, reasoned: HashSet::new(), pending: Vec::new() }
    }

    /// Appends the items of a turn, each with a comma behind it.
    pub(super) fn write(
        &mut self,
        blocks: &[ContentBlock<'a>],
        calls: &[PairedToolUse<'_, '_>],
        place: TurnPlace,
        out: &mut Vec<u8>,
    ) {
        let pending = std::mem::take(&mut self.pending);
        let mut items = TurnItems { pending, texts_from: 0, calls: calls.iter() };
        for (at, block) in blocks.iter().enumerate() {
            match block.kind() {
                "thinking" => {
                    let Some(reasoning) = self.reasoning(block) else { continue };
                    self.texts(&mut items, &blocks[..at], place, out);
                    items.texts_from = at;
                    items.pending.push(reasoning);
                }
                "tool_use" => {
                    self.texts(&mut items, &blocks[..at], place, out);
                    items.texts_from = at;
                    let Some(call) = items.calls.next() else { continue };
                    items.write_pending(out);
                    self.call(call, out);
                }
                _ => {}
            }
        }
        self.texts(&mut items, blocks, place, out);
        self.pending = items.pending;
    }

    /// Something stands behind the last turn. Reasoning without the item that it led to is refused, so it is left out and named.
    pub(super) fn end_turns(&mut self, dropped: &mut Dropped) {
        if !std::mem::take(&mut self.pending).is_empty() {
            dropped.note("messages (reasoning that led to nothing)");
        }
    }

    /// The item of a thinking block, if this model made it. Other models cannot read it.
    fn reasoning(&mut self, block: &ContentBlock<'a>) -> Option<Reasoning<'a>> {
        let origin = block.signature.and_then(|signature| signature::read(signature.inner()))?;
        if origin.provider != self.target.provider || origin.model != self.target.model {
            return None;
        }
        // The load is untrusted: a client may have changed it.
        let item: CarriedItem = serde_json::from_slice(&origin.carried?).ok()?;
        let is_new = item.id.is_empty() || self.reasoned.insert(item.id.clone());
        let summary = block.thinking.filter(|thinking| !thinking.inner().is_empty());
        is_new.then_some(Reasoning { item, summary })
    }

    /// Appends a turn whose content is a string.
    pub(super) fn write_text(&mut self, text: &str, place: TurnPlace, out: &mut Vec<u8>) {
        if !is_blank(text) {
            write_reasoning(&mut self.pending, out);
            self.message(&[text.into()], self.phase(place, &[]), out);
        }
    }

    /// Appends the texts since the last item as a message, if there are any.
    fn texts(
        &self,
        items: &mut TurnItems<'_, '_, '_>,
        blocks: &[ContentBlock<'_>],
        place: TurnPlace,
        out: &mut Vec<u8>,
    ) {
        let texts = joined_texts(blocks.get(items.texts_from..).unwrap_or_default().iter());
        if !texts.iter().all(|text| is_blank(text)) {
            items.write_pending(out);
            self.message(&texts, self.phase(place, items.calls.as_slice()), out);
        }
    }

    /// What a message was for: a text before calls is a comment.
    fn phase(&self, place: TurnPlace, later_calls: &[PairedToolUse<'_, '_>]) -> Option<&'static str> {
        let is_over = self.has_phases && place == TurnPlace::Complete;
        is_over.then_some(if later_calls.is_empty() { "final_answer" } else { "commentary" })
    }

    fn message(&self, texts: &[Cow<'_, str>], phase: Option<&str>, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"");
        texts.iter().for_each(|text| out.raw(text));
        out.put(b"\",\"annotations\":[]}]");
        if let Some(phase) = phase {
            out.put(b",\"phase\":");
            out.quoted(phase);
        }
        out.put(b"},");
    }

    fn call(&self, call: &PairedToolUse<'_, '_>, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"function_call\",\"call_id\":");
        out.quoted(&call.id);
        out.put(b",\"name\":");
        out.quoted(self.names.there(call.name));
        out.put(b",\"arguments\":");
        out.string(call.block.input.map_or("{}", |input| input.get()));
        out.put(b"},");
    }
}

/// What is still to be written of a turn.
struct TurnItems<'a, 'r, 'c> {
    /// Reasoning that stands before the next item.
    pending: Vec<Reasoning<'a>>,
    /// The block from which on texts belong to the next message.
    texts_from: usize,
    calls: std::slice::Iter<'r, PairedToolUse<'r, 'c>>,
}

impl TurnItems<'_, '_, '_> {
    fn write_pending(&mut self, out: &mut Vec<u8>) {
        write_reasoning(&mut self.pending, out);
    }
}

/// Appends reasoning, which is written then.
fn write_reasoning(pending: &mut Vec<Reasoning<'_>>, out: &mut Vec<u8>) {
    for Reasoning { item, summary } in pending.drain(..) {
        out.put(b"{\"type\":\"reasoning\"");
        if !item.id.is_empty() {
            out.put(b",\"id\":");
            out.string(&item.id);
        }
        out.put(b",\"summary\":[");
        if let Some(summary) = summary {
            out.put(b"{\"type\":\"summary_text\",\"text\":");
            out.quoted(summary.inner());
            out.put(b"}");
        }
        out.put(b"],\"encrypted_content\":");
        out.string(&item.encrypted_content);
        out.put(b"},");
    }
}
