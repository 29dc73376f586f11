//! The conversation: user, assistant and system turns become messages, each written with a comma behind it.

use std::fmt;

use super::{
    Role, Target, Turn,
    content::{Image, System, ToolOutput, system, unsupported},
    pairing::{Call, Pairing},
};
use crate::{
    anthropic::request::{Block, Content},
    bridge::RequestError,
    json::{Literal, Write},
    signature::{self, Origin},
};

/// What stands in for the result of a call that the client never answered; upstreams refuse a call without one.
const UNANSWERED: &str = "Error: no result was provided for this tool call";

/// Appends all messages.
pub(super) fn write(turns: &[Turn<'_>], target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let pairing = Pairing::of(turns)?;
    let last = turns.iter().rposition(|turn| turn.role != Role::System);
    for (at, turn) in turns.iter().enumerate() {
        match turn.role {
            Role::System => system(&turn.content, System::Message(at), out)?,
            Role::User => user(at, &turn.content, &pairing, out)?,
            Role::Assistant => {
                assistant(&turn.content, pairing.calls(at), target, out);
                let unanswered = (Some(at) != last).then_some(UNANSWERED);
                results(pairing.calls(at), unanswered, out)?;
            }
        }
    }
    Ok(())
}

/// Where a block stands.
struct Path(usize, usize);

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "messages.{}.content.{}", self.0, self.1)
    }
}

/// One part of a user message.
enum Part<'a> {
    Text(&'a str),
    Image(Image<'a>),
    /// A tool result that answers no call.
    Orphan(&'a str, ToolOutput<'a>),
}

impl Part<'_> {
    /// Appends the text of a text part, without quotes.
    fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.raw(text),
            Self::Orphan(id, output) => {
                out.put(b"[tool result ");
                out.raw(id);
                out.put(b"] ");
                output.write_text(out);
            }
            Self::Image(_) => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Image(image) => image.write(out),
            Self::Text(_) | Self::Orphan(..) => {
                out.put(b"{\"type\":\"text\",\"text\":\"");
                self.write_text(out);
                out.put(b"\"}");
            }
        }
    }
}

fn user(
    turn: usize,
    content: &Content<'_>,
    pairing: &Pairing<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let parts = match content {
        Content::Text(text) => vec![Part::Text(text.inner())],
        Content::Blocks(blocks) => user_parts(turn, blocks, pairing)?,
    };
    match &parts[..] {
        [] => return Ok(()),
        [text @ (Part::Text(_) | Part::Orphan(..))] => {
            out.put(b"{\"role\":\"user\",\"content\":\"");
            text.write_text(out);
            out.put(b"\"},");
        }
        parts => {
            out.put(b"{\"role\":\"user\",\"content\":[");
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    out.put(b",");
                }
                part.write(out);
            }
            out.put(b"]},");
        }
    }
    Ok(())
}

fn user_parts<'a>(
    turn: usize,
    blocks: &[Block<'a>],
    pairing: &Pairing<'_, '_>,
) -> Result<Vec<Part<'a>>, RequestError> {
    let mut parts = Vec::with_capacity(blocks.len());
    for (at, block) in blocks.iter().enumerate() {
        let path = Path(turn, at);
        match block.kind() {
            "text" => parts.extend(block.text.map(|text| Part::Text(text.inner()))),
            "image" => parts.push(Part::Image(Image::read(block.source, &path)?)),
            "tool_result" if pairing.is_orphan(turn, at) => {
                let output = ToolOutput::read(block, &path)?;
                let images = output.images.clone();
                parts.push(Part::Orphan(block.tool_use_id.map_or("", Literal::inner), output));
                parts.extend(images.into_iter().map(Part::Image));
            }
            // It stands behind the assistant's message already.
            "tool_result" => {}
            "thinking" | "redacted_thinking" => {}
            kind if is_anthropics_own(kind) => {}
            _ => return Err(unsupported(block, &path)),
        }
    }
    Ok(parts)
}

/// Blocks of tools that run at Anthropic: the client only repeats them.
fn is_anthropics_own(kind: &str) -> bool {
    kind == "server_tool_use" || kind.ends_with("_tool_result")
}

fn assistant(content: &Content<'_>, calls: &[Call<'_, '_>], target: &Target<'_>, out: &mut Vec<u8>) {
    let blocks = match content {
        Content::Text(text) => {
            out.put(b"{\"role\":\"assistant\",\"content\":");
            out.quoted(text.inner());
            out.put(b"},");
            return;
        }
        Content::Blocks(blocks) => &blocks[..],
    };
    let mut reasoning =
        blocks.iter().filter(|block| is_from(block, target)).filter_map(|block| block.thinking).peekable();
    let mut texts =
        blocks.iter().filter(|block| block.kind() == "text").filter_map(|block| block.text).peekable();
    if reasoning.peek().is_none() && texts.peek().is_none() && calls.is_empty() && !blocks.is_empty() {
        return;
    }
    out.put(b"{\"role\":\"assistant\",\"content\":");
    if texts.peek().is_none() && !calls.is_empty() {
        out.put(b"null");
    } else {
        splice(texts, out);
    }
    if reasoning.peek().is_some() {
        out.put(b",\"reasoning_content\":");
        splice(reasoning, out);
    }
    for (at, call) in calls.iter().enumerate() {
        out.raw(if at == 0 { ",\"tool_calls\":[" } else { "," });
        tool_call(call, out);
    }
    out.raw(if calls.is_empty() { "}," } else { "]}," });
}

/// Appends one literal made of several.
fn splice<'a>(texts: impl Iterator<Item = Literal<'a>>, out: &mut Vec<u8>) {
    out.put(b"\"");
    texts.for_each(|text| out.raw(text.inner()));
    out.put(b"\"");
}

/// Whether a block is thinking that this very model did: other models' thoughts mean nothing to it, and Anthropic's
/// signatures nothing to anybody else.
fn is_from(block: &Block<'_>, target: &Target<'_>) -> bool {
    if block.kind() != "thinking" {
        return false;
    }
    let origin = block.signature.and_then(|signature| signature::read(signature.inner()));
    origin.is_some_and(|Origin { provider, model }| provider == target.provider && model == target.model)
}

fn tool_call(call: &Call<'_, '_>, out: &mut Vec<u8>) {
    out.put(b"{\"id\":");
    out.quoted(call.id.inner());
    out.put(b",\"type\":\"function\",\"function\":{\"name\":");
    out.quoted(call.name.inner());
    out.put(b",\"arguments\":");
    out.string(call.block.input.map_or("{}", |input| input.get()));
    out.put(b"}}");
}

/// Appends the tool messages of one assistant message, then the images that their tools returned: a tool message
/// holds nothing but text. `unanswered` stands in for missing results; without it nothing does.
fn results(calls: &[Call<'_, '_>], unanswered: Option<&str>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let mut images = Vec::new();
    for call in calls {
        let output = call.answer.map(|answer| ToolOutput::read(answer.block, &Path(answer.turn, answer.at)));
        let output = output.transpose()?;
        if output.is_none() && unanswered.is_none() {
            continue;
        }
        out.put(b"{\"role\":\"tool\",\"tool_call_id\":");
        out.quoted(call.id.inner());
        out.put(b",\"content\":\"");
        match &output {
            Some(output) => output.write_text(out),
            None => out.raw(unanswered.unwrap_or_default()),
        }
        out.put(b"\"},");
        if let Some(output) = output.filter(|output| !output.images.is_empty()) {
            images.push((call, output.images));
        }
    }
    returned_images(&images, out);
    Ok(())
}

fn returned_images(images: &[(&Call<'_, '_>, Vec<Image<'_>>)], out: &mut Vec<u8>) {
    for (at, (call, images)) in images.iter().enumerate() {
        out.raw(if at == 0 { "{\"role\":\"user\",\"content\":[" } else { "," });
        out.put(b"{\"type\":\"text\",\"text\":\"Image returned by tool ");
        out.raw(call.name.inner());
        out.put(b" (");
        out.raw(call.id.inner());
        out.put(b")\"}");
        for image in images {
            out.put(b",");
            image.write(out);
        }
    }
    if !images.is_empty() {
        out.put(b"]},");
    }
}
