//! The conversation: user and assistant in turns, each one's neighbours merged, the results right behind their calls.

use std::{fmt, ops::Range};

use serde_json::value::RawValue;

use super::{
    content::{BlockDraft, is_blank, is_word},
    pairing::{Input, PairedToolCall, ToolCallPairing},
    turn::{MessageRole, MessagesTurn},
};
use crate::{
    anthropic::writer::tool_input,
    convert::client::custom,
    fault::RequestError,
    json::{self, Literal, Write, trim_end},
    openai::request::{ChatContent, ContentPart},
    tool_id::Maker,
};

/// The result of a call that the client never answered; the upstream refuses a call without one.
const UNANSWERED: &str = "no result was provided for this tool call";
/// The text of a user message that the upstream requires and the client does not have.
const NO_WORD: &str = "(no user message)";

/// Appends `messages`; returns the names of all functions that were called in them.
pub(super) fn write<'a>(
    turns: &[MessagesTurn<'a>],
    maker: Maker,
    out: &mut Vec<u8>,
) -> Result<Vec<&'a str>, RequestError> {
    let pairing = ToolCallPairing::new(turns, maker)?;
    let last = turns.iter().rposition(|turn| turn.role != MessageRole::System);
    let mut conversation = Conversation { out, side: None, last_text: None };
    conversation.out.put(b",\"messages\":[");
    for turn in turns {
        match turn.role {
            MessageRole::System => {}
            MessageRole::User => content(turn, &mut conversation, Side::User)?,
            MessageRole::Assistant => {
                assistant(turn, pairing.calls(turn.at), &mut conversation)?;
                let unanswered = (Some(turn.at) != last).then_some(UNANSWERED);
                results(turns, pairing.calls(turn.at), unanswered, &mut conversation)?;
            }
            MessageRole::Tool | MessageRole::Function if pairing.is_orphan(turn.at) => {
                orphan(turn, &mut conversation)?
            }
            // It stands behind the assistant's message already.
            MessageRole::Tool | MessageRole::Function => {}
        }
    }
    conversation.finish();
    Ok(pairing.calls.iter().map(|call| call.name).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

/// The messages as they are written, block by block.
struct Conversation<'o> {
    out: &'o mut Vec<u8>,
    /// Whose message is open.
    side: Option<Side>,
    /// The range of the inner text of the last block, if that is a text.
    last_text: Option<Range<usize>>,
}

impl Conversation<'_> {
    /// Where this side's next block is to be written.
    fn block(&mut self, side: Side) -> &mut Vec<u8> {
        match (self.side, side) {
            (Some(Side::User), Side::User) | (Some(Side::Assistant), Side::Assistant) => {
                self.out.put(b",");
            }
            (None, Side::Assistant) => {
                self.no_word();
                self.out.put(b"]},{\"role\":\"assistant\",\"content\":[");
            }
            (None, Side::User) => self.out.put(b"{\"role\":\"user\",\"content\":["),
            (Some(Side::Assistant), Side::User) => {
                self.out.put(b"]},{\"role\":\"user\",\"content\":[");
            }
            (Some(Side::User), Side::Assistant) => {
                self.out.put(b"]},{\"role\":\"assistant\",\"content\":[");
            }
        }
        self.side = Some(side);
        self.last_text = None;
        self.out
    }

    /// Writes this side's next block; `mark` is its `cache_control`.
    fn write(&mut self, side: Side, block: &BlockDraft<'_>, mark: Option<&RawValue>) {
        let text = block.write(mark, self.block(side));
        self.last_text = text;
    }

    /// Opens a message of a user who has nothing to say.
    fn no_word(&mut self) {
        self.out.put(b"{\"role\":\"user\",\"content\":[");
        let _text = BlockDraft::Text(NO_WORD).write(None, self.out);
    }

    fn finish(&mut self) {
        match (self.side, self.last_text.take()) {
            (None, _) => self.no_word(),
            (Some(Side::Assistant), Some(text)) => self.trim(text),
            (Some(Side::User | Side::Assistant), _) => {}
        }
        self.out.put(b"]}]");
    }

    /// The upstream refuses to go on from white space. This text is not blank, so something is left of it.
    fn trim(&mut self, text: Range<usize>) {
        let kept = str::from_utf8(&self.out[text.clone()]).map_or(text.len(), |inner| trim_end(inner).len());
        self.out.drain(text.start + kept..text.end);
    }
}

/// The path of a part.
struct PartPath(usize, usize);

impl fmt::Display for PartPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "messages.{}.content.{}", self.0, self.1)
    }
}

/// The content of a turn, part by part.
fn content(
    turn: &MessagesTurn<'_>,
    conversation: &mut Conversation<'_>,
    side: Side,
) -> Result<(), RequestError> {
    match &turn.content {
        ChatContent::Nothing => {}
        ChatContent::Text(text) if is_blank(text.inner()) => {}
        ChatContent::Text(text) => conversation.write(side, &BlockDraft::Text(text.inner()), None),
        ChatContent::Parts(parts) => {
            for (at, part) in parts.iter().enumerate() {
                if let Some(block) = BlockDraft::read(part, &PartPath(turn.at, at))? {
                    conversation.write(side, &block, part.cache_control);
                }
            }
        }
    }
    Ok(())
}

fn assistant(
    turn: &MessagesTurn<'_>,
    calls: &[PairedToolCall<'_>],
    conversation: &mut Conversation<'_>,
) -> Result<(), RequestError> {
    match &turn.content {
        ChatContent::Parts(parts) => assistant_parts(turn.at, parts, conversation)?,
        ChatContent::Nothing | ChatContent::Text(_) => content(turn, conversation, Side::Assistant)?,
    }
    let refusal = turn.message.refusal.map(Literal::inner).filter(|text| !is_blank(text));
    if let Some(refusal) = refusal {
        conversation.write(Side::Assistant, &BlockDraft::Text(refusal), None);
    }
    calls.iter().for_each(|call| tool_use(call, conversation.block(Side::Assistant)));
    Ok(())
}

/// Anthropic takes images and documents from the user alone, so they go into a user's message in front of the
/// assistant's. There they fit whatever follows.
fn assistant_parts(
    turn: usize,
    parts: &[ContentPart<'_>],
    conversation: &mut Conversation<'_>,
) -> Result<(), RequestError> {
    let blocks = parts.iter().enumerate().map(|(at, part)| {
        Ok(BlockDraft::read(part, &PartPath(turn, at))?.map(|block| (block, part.cache_control)))
    });
    let blocks = blocks.collect::<Result<Vec<_>, RequestError>>()?;
    for is_text in [false, true] {
        let side = if is_text { Side::Assistant } else { Side::User };
        let of_side = blocks.iter().flatten().filter(|(block, _)| block.is_text() == is_text);
        of_side.for_each(|(block, mark)| conversation.write(side, block, *mark));
    }
    Ok(())
}

fn tool_use(call: &PairedToolCall<'_>, out: &mut Vec<u8>) {
    out.put(b"{\"type\":\"tool_use\",\"id\":");
    out.quoted(&call.id);
    out.put(b",\"name\":");
    out.quoted(call.name);
    out.put(b",\"input\":");
    match call.input {
        Input::Arguments(arguments) => input(arguments, out),
        Input::Text(text) => custom_input(text, out),
    }
    out.put(b"}");
}

/// As an argument of the function that replaces the custom tool.
fn custom_input(text: Option<&RawValue>, out: &mut Vec<u8>) {
    out.put(b"{");
    out.string(custom::PROPERTY);
    out.put(b":");
    match text.map(|raw| (raw, Literal::of(raw))) {
        None => out.put(b"\"\""),
        Some((_, Some(literal))) => out.quoted(literal.inner()),
        Some((raw, None)) => out.string(raw.get()),
    }
    out.put(b"}");
}

/// An object whatever the arguments are: what a model once wrote stays in the history for good, and refused once, the
/// conversation would be stuck.
fn input(arguments: Option<&RawValue>, out: &mut Vec<u8>) {
    match arguments.map(|raw| (raw, Literal::of(raw))) {
        None => out.put(b"{}"),
        Some((_, Some(literal))) if is_blank(literal.inner()) => out.put(b"{}"),
        Some((_, Some(literal))) => tool_input(literal.inner(), out),
        Some((raw, None)) => tool_input(&json::escape_text(raw.get()), out),
    }
}

/// Appends the results of one assistant message. `unanswered` stands in for missing ones; without it nothing does.
fn results(
    turns: &[MessagesTurn<'_>],
    calls: &[PairedToolCall<'_>],
    unanswered: Option<&str>,
    conversation: &mut Conversation<'_>,
) -> Result<(), RequestError> {
    for call in calls {
        let answer = call.answer.and_then(|at| turns.get(at));
        if answer.is_none() && unanswered.is_none() {
            continue;
        }
        let out = conversation.block(Side::User);
        out.put(b"{\"type\":\"tool_result\",\"tool_use_id\":");
        out.quoted(&call.id);
        out.put(b",\"content\":");
        match answer {
            Some(turn) => output(turn, out)?,
            None => {
                out.string(unanswered.unwrap_or_default());
                out.put(b",\"is_error\":true");
            }
        }
        out.put(b"}");
    }
    Ok(())
}

/// What a tool returned: its string, or its parts as blocks.
fn output(turn: &MessagesTurn<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    match &turn.content {
        ChatContent::Nothing => out.put(b"\"\""),
        ChatContent::Text(text) => out.quoted(text.inner()),
        ChatContent::Parts(parts) => output_parts(turn.at, parts, out)?,
    }
    Ok(())
}

fn output_parts(turn: usize, parts: &[ContentPart<'_>], out: &mut Vec<u8>) -> Result<(), RequestError> {
    let mut separator = "";
    out.put(b"[");
    for (at, part) in parts.iter().enumerate() {
        let left_out = left_out(part);
        let block = match &left_out {
            Some(text) => Some(BlockDraft::Text(text)),
            None => BlockDraft::read(part, &PartPath(turn, at))?,
        };
        if let Some(block) = block {
            out.raw(separator);
            let _text = block.write(part.cache_control, out);
            separator = ",";
        }
    }
    out.put(b"]");
    Ok(())
}

/// What a tool returned and the upstream cannot read. It stays in the history for good: the model is told what it does
/// not see.
fn left_out(part: &ContentPart<'_>) -> Option<String> {
    match part.kind() {
        "text" | "refusal" | "image_url" | "file" => None,
        kind if is_word(kind) => Some(format!("[{kind} left out: this provider cannot read it]")),
        _ => None,
    }
}

/// A result that answers no call becomes text of the user.
fn orphan(turn: &MessagesTurn<'_>, conversation: &mut Conversation<'_>) -> Result<(), RequestError> {
    let message = turn.message;
    let id = message.tool_call_id.or(message.name).map_or("", Literal::inner);
    let text = match &turn.content {
        ChatContent::Text(text) => text.inner(),
        ChatContent::Nothing | ChatContent::Parts(_) => "",
    };
    let said = format!("[tool result {id}] {text}");
    conversation.write(Side::User, &BlockDraft::Text(trim_end(&said)), None);
    match &turn.content {
        ChatContent::Parts(_) => content(turn, conversation, Side::User),
        ChatContent::Nothing | ChatContent::Text(_) => Ok(()),
    }
}
