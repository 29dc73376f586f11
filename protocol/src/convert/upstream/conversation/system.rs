//! System texts: the top-level `system`, and system messages in the conversation.

use std::fmt;

use super::blocks::is_word;
use crate::{
    anthropic::request::MessagesContent,
    convert::{
        Dropped,
        upstream::caching::{CacheMarks, Mark},
    },
    fault::RequestError,
    json::Literal,
};

/// The first line of Claude Code's `system`. It changes with every request, so an upstream could not cache the prefix.
const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// The place of a system text.
#[derive(Clone, Copy)]
pub(crate) enum System {
    Top,
    Message(usize),
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => formatter.write_str("system"),
            Self::Message(at) => write!(formatter, "messages.{at}.content"),
        }
    }
}

/// The inner texts of a system prompt or message, each with its cache mark. Blocks that change the list of tools are not among
/// them.
pub(crate) fn system_texts<'a>(
    content: &MessagesContent<'a>,
    place: System,
    marks: &CacheMarks,
    dropped: &mut Dropped,
) -> Result<Vec<(&'a str, Option<Mark<'a>>)>, RequestError> {
    let blocks = match content {
        MessagesContent::Text(text) => return Ok(vec![(text.inner(), None)]),
        MessagesContent::Blocks(blocks) => blocks,
    };
    let mut texts = Vec::with_capacity(blocks.len());
    for (at, block) in blocks.iter().enumerate() {
        match (block.kind(), place) {
            ("text", _) => {}
            // The list of tools contains these changes.
            ("tool_addition" | "tool_removal", System::Message(_)) => continue,
            // The history keeps the block: a refusal would block the conversation for good.
            (kind, System::Message(_)) if is_word(kind) => {
                dropped.note(format_args!("{place}.{at} ({kind})"));
                continue;
            }
            _ => {
                return Err(RequestError::new(format!("{place}.{at}: only text blocks are supported here")));
            }
        }
        let Some(text) = block.text.map(Literal::inner) else { continue };
        // In a string, the line is the beginning of the whole prompt, so it stays unchanged there.
        if !text.starts_with(ATTRIBUTION) {
            texts.push((text, marks.mark(block.cache_control)));
        }
    }
    Ok(texts)
}
