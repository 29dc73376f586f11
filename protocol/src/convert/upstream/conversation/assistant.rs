//! The content of an assistant's turn beside its calls and thoughts.

use std::borrow::Cow;

use super::{
    blocks::{BlockPath, MediaSupport, is_word, left_out},
    documents::{ShownPart, document, search_result},
    image::Image,
    server_blocks::{ServerBlock, as_text},
};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    convert::Dropped,
};

/// The content of an assistant's turn that only a user message can contain: summaries, documents, images.
pub(crate) fn moved_parts<'a>(
    turn: usize,
    content: &MessagesContent<'a>,
    media: MediaSupport,
    dropped: &mut Dropped,
) -> Vec<ShownPart<'a>> {
    let MessagesContent::Blocks(blocks) = content else { return vec![] };
    let mut parts = vec![];
    for (at, block) in blocks.iter().enumerate() {
        let path = BlockPath { turn, at };
        let shown = match block.kind() {
            "text" | "tool_use" | "tool_result" => continue,
            "compaction" => Ok(as_text(block).into_iter().map(|text| ShownPart::Text(text.into())).collect()),
            "document" => document(block, &path, media),
            "search_result" => search_result(block, &path),
            "image" => Image::read(block.source, &path).map(|image| vec![ShownPart::Image(image)]),
            kind if ServerBlock::from_kind(kind).is_some() => continue,
            kind => {
                dropped.note(format_args!("{path} ({})", if is_word(kind) { kind } else { "?" }));
                continue;
            }
        };
        // The history keeps the block: a refusal would block the conversation for good.
        parts.extend(shown.unwrap_or_else(|_| {
            dropped.note(format_args!("{path} ({})", block.kind()));
            vec![ShownPart::Text(left_out(block.kind()).into())]
        }));
    }
    parts
}

/// The text of some blocks of an assistant's turn (inner texts to be joined): texts unchanged, and one line for each action of
/// Anthropic's servers between them.
pub(crate) fn joined_texts<'b>(blocks: impl Iterator<Item = &'b ContentBlock<'b>>) -> Vec<Cow<'b, str>> {
    let mut texts: Vec<Cow<'b, str>> = vec![];
    let mut follows_block = false;
    for block in blocks {
        let (text, is_block): (Cow<'b, str>, bool) = match block.kind() {
            "compaction" => continue,
            // What stands between two texts keeps them apart.
            "tool_use" | "thinking" | "redacted_thinking" => {
                follows_block |= texts.iter().any(|text| !text.is_empty());
                continue;
            }
            "text" => match block.text {
                Some(text) if text.inner().is_empty() => continue,
                Some(text) => (text.inner().into(), false),
                None => continue,
            },
            _ => match as_text(block) {
                Some(text) => (text.into(), true),
                None => continue,
            },
        };
        let is_apart = (is_block || follows_block) && texts.iter().any(|text| !text.is_empty());
        if is_apart && !text.is_empty() {
            texts.push("\\n\\n".into());
        }
        follows_block = is_block;
        texts.push(text);
    }
    texts
}
