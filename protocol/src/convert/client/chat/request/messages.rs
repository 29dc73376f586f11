//! The conversation: each message as blocks, the results right behind their calls.

use std::{borrow::Cow, fmt};

use super::{
    content::block,
    turn::{MessageRole, MessagesTurn},
};
use crate::{
    convert::client::request::{
        blocks::{BlockDraft, is_blank, is_word},
        conversation::{Conversation, Side},
        pairing::{Answered, Input, Made, PairedToolCall, ToolCallPairing},
    },
    fault::RequestError,
    json::{Literal, Write, trim_end},
    openai::request::{ChatContent, ChatMessage, ChatToolCall, ContentPart},
    tool_id::Maker,
};

/// Appends `messages`; returns the names of all functions that were called in them.
pub(super) fn write<'a>(
    turns: &[MessagesTurn<'a>],
    maker: Maker,
    out: &mut Vec<u8>,
) -> Result<Vec<Cow<'a, str>>, RequestError> {
    let pairing = paired(turns, maker)?;
    let last = turns.iter().rposition(|turn| turn.role != MessageRole::System);
    let mut conversation = Conversation::new(out);
    for turn in turns {
        match turn.role {
            MessageRole::System => {}
            MessageRole::User => content(turn, &mut conversation, Side::User)?,
            MessageRole::Assistant => {
                assistant(turn, pairing.calls(turn.at), &mut conversation)?;
                let missing = if Some(turn.at) == last { Missing::Open } else { Missing::Replaced };
                results(turns, pairing.calls(turn.at), missing, &mut conversation)?;
            }
            MessageRole::Tool | MessageRole::Function if pairing.is_orphan(turn.at) => {
                orphan(turn, &mut conversation)?
            }
            // It stands behind the assistant's message already.
            MessageRole::Tool | MessageRole::Function => {}
        }
    }
    let _ends = conversation.finish();
    Ok(pairing.into_names())
}

/// What becomes of results that the client does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// They may still come: the calls are the last that was said.
    Open,
    /// Something is written in their place.
    Replaced,
}

/// All calls and results.
fn paired<'a>(turns: &[MessagesTurn<'a>], maker: Maker) -> Result<ToolCallPairing<'a>, RequestError> {
    let mut pairing = ToolCallPairing::new(maker);
    for turn in turns {
        match turn.role {
            MessageRole::Assistant => {
                for (at, call) in calls_of(turn.message).enumerate() {
                    pairing.book_call(turn.at, call.made(turn.at, at)?);
                }
            }
            MessageRole::Tool | MessageRole::Function => {
                pairing.book_result(turn.at, answered(turn.role, turn.message));
            }
            MessageRole::System | MessageRole::User => {}
        }
    }
    Ok(pairing)
}

fn answered<'a>(role: MessageRole, message: &ChatMessage<'a>) -> Option<Answered<'a>> {
    match (role, message.tool_call_id) {
        (_, Some(id)) => Some(Answered::Id(id)),
        (MessageRole::Function, None) => message.name.map(|name| Answered::Name(name.inner())),
        (_, None) => Some(Answered::Next),
    }
}

/// A call of a message.
struct MessageCall<'a> {
    id: Option<Literal<'a>>,
    name: Option<Literal<'a>>,
    input: Input<'a>,
}

impl<'a> MessageCall<'a> {
    fn from_tool_call(call: &ChatToolCall<'a>) -> Option<Self> {
        let function = call.function.map(|called| (called.name, Input::Arguments(called.arguments)));
        let custom = call.custom.map(|called| (called.name, Input::Text(called.input)));
        let (name, input) = function.or(custom)?;
        Some(Self { id: call.id, name, input })
    }

    /// `turn` and `at` are the place of the call, for an error.
    fn made(self, turn: usize, at: usize) -> Result<Made<'a>, RequestError> {
        let Self { id, name, input } = self;
        let name = name.map(Literal::inner).filter(|name| !name.is_empty()).ok_or_else(|| {
            let kind = match input {
                Input::Arguments(_) => "function",
                Input::Text(_) => "custom",
            };
            RequestError::new(format!("messages.{turn}.tool_calls.{at}.{kind}.name: field required"))
        })?;
        Ok(Made { id, name: name.into(), input })
    }
}

/// Calls of an assistant's message, the old kind last.
fn calls_of<'r, 'a>(message: &'r ChatMessage<'a>) -> impl Iterator<Item = MessageCall<'a>> + use<'r, 'a> {
    let calls = message.tool_calls.iter().flatten().filter_map(MessageCall::from_tool_call);
    calls.chain(message.function_call.map(|called| MessageCall {
        id: None,
        name: called.name,
        input: Input::Arguments(called.arguments),
    }))
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
                if let Some(block) = block(part, &PartPath(turn.at, at))? {
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
    conversation.begin_message();
    match &turn.content {
        ChatContent::Parts(parts) => assistant_parts(turn.at, parts, conversation)?,
        ChatContent::Nothing | ChatContent::Text(_) => content(turn, conversation, Side::Assistant)?,
    }
    let refusal = turn.message.refusal.map(Literal::inner).filter(|text| !is_blank(text));
    if let Some(refusal) = refusal {
        conversation.begin_message();
        conversation.write(Side::Assistant, &BlockDraft::Text(refusal), None);
    }
    calls.iter().for_each(|call| call.write(conversation.block(Side::Assistant)));
    Ok(())
}

/// Anthropic takes images and documents from the user alone, so they go into a user's message in front of the
/// assistant's. There they fit whatever follows.
fn assistant_parts(
    turn: usize,
    parts: &[ContentPart<'_>],
    conversation: &mut Conversation<'_>,
) -> Result<(), RequestError> {
    let blocks = parts
        .iter()
        .enumerate()
        .map(|(at, part)| Ok(block(part, &PartPath(turn, at))?.map(|block| (block, part.cache_control))));
    let blocks = blocks.collect::<Result<Vec<_>, RequestError>>()?;
    for is_text in [false, true] {
        let side = if is_text { Side::Assistant } else { Side::User };
        let of_side = blocks.iter().flatten().filter(|(block, _)| block.is_text() == is_text);
        of_side.for_each(|(block, mark)| conversation.write(side, block, *mark));
    }
    Ok(())
}

/// Appends the results of one assistant message.
fn results(
    turns: &[MessagesTurn<'_>],
    calls: &[PairedToolCall<'_>],
    missing: Missing,
    conversation: &mut Conversation<'_>,
) -> Result<(), RequestError> {
    for call in calls {
        match (call.answer.and_then(|at| turns.get(at)), missing) {
            (Some(turn), _) => {
                let out = conversation.block(Side::User);
                call.begin_result(out);
                output(turn, out)?;
                out.put(b"}");
            }
            (None, Missing::Open) => {}
            (None, Missing::Replaced) => call.write_unanswered(conversation.block(Side::User)),
        }
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
            None => block(part, &PartPath(turn, at))?,
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
