//! Converts user messages: text, images, documents, and tool results without a call.

use super::{
    RequestError,
    caching::{CacheMarks, Mark},
    content::{BlockPath, ToolOutput, is_word, left_out, unsupported},
    documents::{ShownPart, document, search_result},
    image::Image,
    pairing::ToolUsePairing,
    server_blocks::{ServerBlock, as_text},
};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    convert::Dropped,
    json::{Literal, Write},
};

/// One part of a user message, with its cache mark if the upstream accepts it.
pub(super) struct UserPart<'a> {
    content: PartContent<'a>,
    mark: Option<Mark<'a>>,
}

enum PartContent<'a> {
    Shown(ShownPart<'a>),
    /// A tool result without a call.
    Orphan(&'a str, ToolOutput<'a>),
}

impl<'a> UserPart<'a> {
    pub(super) fn shown(shown: ShownPart<'a>) -> Self {
        Self { content: PartContent::Shown(shown), mark: None }
    }

    /// Whether the part is only text, so that it can be written as a string.
    fn is_plain(&self) -> bool {
        let is_text = match &self.content {
            PartContent::Shown(shown) => matches!(shown, ShownPart::Text(_)),
            PartContent::Orphan(..) => true,
        };
        is_text && self.mark.is_none()
    }

    /// Appends its text, without quotes.
    fn write_text(&self, out: &mut Vec<u8>) {
        match &self.content {
            PartContent::Shown(ShownPart::Text(text)) => out.raw(text),
            PartContent::Orphan(id, output) => {
                out.put(b"[tool result ");
                out.raw(id);
                out.put(b"] ");
                output.write_text(out);
            }
            PartContent::Shown(ShownPart::Image(_) | ShownPart::Pdf { .. }) => {}
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.content {
            PartContent::Shown(shown) => shown.write(self.mark, out),
            PartContent::Orphan(..) => {
                out.put(b"{\"type\":\"text\",\"text\":\"");
                self.write_text(out);
                out.put(b"\"}");
            }
        }
    }
}

/// Appends the user's parts of this turn. Results that were written after their calls are omitted.
pub(super) fn user(
    turn: usize,
    content: &MessagesContent<'_>,
    pairing: &ToolUsePairing<'_, '_>,
    marks: &CacheMarks,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let blocks = match content {
        MessagesContent::Text(text) => {
            out.put(b"{\"role\":\"user\",\"content\":");
            out.quoted(text.inner());
            out.put(b"},");
            return Ok(());
        }
        MessagesContent::Blocks(blocks) => blocks,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (at, block) in blocks.iter().enumerate() {
        let first = parts.len();
        take(block, BlockPath { turn, at }, pairing, dropped, &mut parts)?;
        if let Some(last) = parts.get_mut(first..).and_then(<[_]>::last_mut) {
            last.mark = marks.mark(block.cache_control);
        }
    }
    message(&parts, out);
    Ok(())
}

/// Appends a user message with these parts, if there are any.
pub(super) fn message(parts: &[UserPart<'_>], out: &mut Vec<u8>) {
    match parts {
        [] => {}
        [part] if part.is_plain() => {
            out.put(b"{\"role\":\"user\",\"content\":\"");
            part.write_text(out);
            out.put(b"\"},");
        }
        parts => {
            out.put(b"{\"role\":\"user\",\"content\":[");
            for (at, part) in parts.iter().enumerate() {
                out.raw(if at > 0 { "," } else { "" });
                part.write(out);
            }
            out.put(b"]},");
        }
    }
}

fn take<'a>(
    block: &ContentBlock<'a>,
    path: BlockPath,
    pairing: &ToolUsePairing<'_, '_>,
    dropped: &mut Dropped,
    parts: &mut Vec<UserPart<'a>>,
) -> Result<(), RequestError> {
    let mut show = |shown| parts.push(UserPart::shown(shown));
    match block.kind() {
        "text" => block.text.into_iter().for_each(|text| show(ShownPart::Text(text.inner().into()))),
        "image" => show(ShownPart::Image(Image::read(block.source, &path)?)),
        "document" => document(block, &path)?.into_iter().for_each(show),
        "search_result" => search_result(block, &path)?.into_iter().for_each(show),
        "tool_result" if pairing.is_orphan(path.turn, path.at) => {
            let output = ToolOutput::read(block, &path)?;
            let attached = output.attached.clone();
            let id = block.tool_use_id.map_or("", Literal::inner);
            parts.push(UserPart { content: PartContent::Orphan(id, output), mark: None });
            parts.extend(
                attached.into_iter().map(|shown| UserPart { content: PartContent::Shown(shown), mark: None }),
            );
        }
        // The result was written after the assistant's message.
        "tool_result" => {}
        kind if ServerBlock::from_kind(kind).is_some() => {
            as_text(block).into_iter().for_each(|text| show(ShownPart::Text(text.into())));
        }
        // A text informs the model that content is missing.
        kind if is_word(kind) => {
            dropped.note(format_args!("{path} ({kind})"));
            show(ShownPart::Text(left_out(kind).into()));
        }
        _ => return Err(unsupported(block, &path)),
    }
    Ok(())
}
