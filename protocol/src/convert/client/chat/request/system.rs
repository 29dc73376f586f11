//! What system and developer messages say: Anthropic has one place for all of it.

use super::turn::{MessageRole, MessagesTurn};
use crate::{
    convert::client::request::blocks::{is_blank, write_cache_control},
    fault::RequestError,
    json::Write,
    openai::request::{ChatContent, ContentPart},
};
use serde_json::value::RawValue;

/// Appends `system`, unless there is nothing to say: one string, or blocks where the client marks what to cache.
pub(super) fn write(turns: &[MessagesTurn<'_>], out: &mut Vec<u8>) -> Result<(), RequestError> {
    let mut texts = Vec::new();
    for turn in turns.iter().filter(|turn| turn.role == MessageRole::System) {
        match &turn.content {
            ChatContent::Nothing => {}
            ChatContent::Text(text) => texts.push((text.inner(), None)),
            ChatContent::Parts(parts) => collect(turn.at, parts, &mut texts)?,
        }
    }
    texts.retain(|(text, _)| !is_blank(text));
    if texts.is_empty() {
        return Ok(());
    }
    out.put(b",\"system\":");
    if texts.iter().any(|(_, mark)| mark.is_some()) {
        write_blocks(&texts, out);
    } else {
        write_string(&texts, out);
    }
    Ok(())
}

type SystemText<'a> = (&'a str, Option<&'a RawValue>);

fn collect<'a>(
    turn: usize,
    parts: &[ContentPart<'a>],
    texts: &mut Vec<SystemText<'a>>,
) -> Result<(), RequestError> {
    for (at, part) in parts.iter().enumerate() {
        if part.kind() != "text" {
            let message = format!("messages.{turn}.content.{at}: only text parts are supported here");
            return Err(RequestError::new(message));
        }
        texts.extend(part.text.map(|text| (text.inner(), part.cache_control)));
    }
    Ok(())
}

fn write_string(texts: &[SystemText<'_>], out: &mut Vec<u8>) {
    for (at, (text, _)) in texts.iter().enumerate() {
        out.raw(if at == 0 { "\"" } else { "\\n\\n" });
        out.raw(text);
    }
    out.put(b"\"");
}

fn write_blocks(texts: &[SystemText<'_>], out: &mut Vec<u8>) {
    for (at, (text, mark)) in texts.iter().enumerate() {
        out.raw(if at == 0 { "[{\"type\":\"text\",\"text\":" } else { ",{\"type\":\"text\",\"text\":" });
        out.quoted(text);
        write_cache_control(*mark, out);
        out.put(b"}");
    }
    out.put(b"]");
}
