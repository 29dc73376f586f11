//! Content blocks that do not depend on the role: system texts, images, tool results.

use std::{borrow::Cow, fmt};

use super::{
    caching::{CacheMarks, Mark},
    documents::{ShownPart, document, search_result},
    image::Image,
};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    convert::{Dropped, upstream::chat::Dialect},
    fault::RequestError,
    json::{Literal, Write, trim, trim_end, trim_start},
};

/// The first line of Claude Code's `system`. It changes with every request, so an upstream could not cache the prefix.
const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// The text of a tool message if the tool returned nothing: some upstreams refuse an empty one.
const NOTHING: &str = "No content provided";

/// The path of a block in a message.
#[derive(Clone, Copy)]
pub(super) struct BlockPath {
    pub(super) turn: usize,
    pub(super) at: usize,
}

impl fmt::Display for BlockPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "messages.{}.content.{}", self.turn, self.at)
    }
}

/// The place of a system text.
#[derive(Clone, Copy)]
pub(super) enum System {
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

/// Appends a system message and a comma, or nothing if the text is blank.
pub(super) fn system(
    content: &MessagesContent<'_>,
    place: System,
    dialect: &Dialect,
    marks: &CacheMarks,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let mut texts: Vec<(&str, Option<Mark<'_>>)> = Vec::new();
    match content {
        MessagesContent::Text(text) => texts.push((text.inner(), None)),
        MessagesContent::Blocks(blocks) => {
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
                        return Err(RequestError::new(format!(
                            "{place}.{at}: only text blocks are supported here"
                        )));
                    }
                }
                let Some(text) = block.text.map(Literal::inner) else { continue };
                let is_shown = !text.starts_with(ATTRIBUTION);
                texts.push((text, marks.mark(block.cache_control.filter(|_| is_shown))));
            }
            // In a string, the line is the beginning of the whole prompt, so it stays unchanged.
            texts.retain(|(text, _)| !text.starts_with(ATTRIBUTION));
        }
    }
    if texts.iter().all(|(text, _)| trim(text).is_empty()) {
        return Ok(());
    }
    let plain: Vec<&str> = texts.iter().map(|(text, _)| *text).collect();
    match place {
        System::Message(_) if !dialect.system_anywhere => {
            out.put(b"{\"role\":\"user\",\"content\":\"<system-reminder>\\n");
            join(&plain, "\\n\\n", out);
            out.put(b"\\n</system-reminder>\"},");
        }
        System::Top | System::Message(_) if texts.iter().any(|(_, mark)| mark.is_some()) => {
            out.put(b"{\"role\":\"system\",\"content\":[");
            for (at, (text, mark)) in texts.iter().enumerate() {
                out.raw(if at > 0 { "," } else { "" });
                ShownPart::Text(Cow::Borrowed(text)).write(*mark, out);
            }
            out.put(b"]},");
        }
        System::Top | System::Message(_) => {
            out.put(b"{\"role\":\"system\",\"content\":\"");
            join(&plain, "\\n\\n", out);
            out.put(b"\"},");
        }
    }
    Ok(())
}

/// Appends inner texts with a separator between them, trimmed at both ends.
fn join<T: AsRef<str>>(texts: &[T], separator: &str, out: &mut Vec<u8>) {
    let is_blank = |text: &&T| trim(text.as_ref()).is_empty();
    let first = texts.iter().take_while(is_blank).count();
    let texts = &texts[first..];
    let texts = &texts[..texts.len() - texts.iter().rev().take_while(is_blank).count()];
    for (at, text) in texts.iter().map(AsRef::as_ref).enumerate() {
        let text = if at == 0 { trim_start(text) } else { text };
        if at > 0 {
            out.raw(separator);
        }
        out.raw(if at + 1 == texts.len() { trim_end(text) } else { text });
    }
}

/// A tool result: the text of its message, and images that must follow the message.
#[derive(Default)]
pub(super) struct ToolOutput<'a> {
    texts: Vec<Cow<'a, str>>,
    pub(super) attached: Vec<ShownPart<'a>>,
    is_string: bool,
    is_error: bool,
}

impl<'a> ToolOutput<'a> {
    /// Parses a `tool_result` block. `path` names the block in errors.
    pub(super) fn read(block: &ContentBlock<'a>, path: &dyn fmt::Display) -> Result<Self, RequestError> {
        let is_error = block.is_error.is_some_and(|flag| flag.get() == "true");
        let mut output = Self { is_error, ..Self::default() };
        let Some(raw) = block.content else { return Ok(output) };
        let path = format!("{path}.content");
        match MessagesContent::read(raw).map_err(|problem| RequestError::new(format!("{path}: {problem}")))? {
            MessagesContent::Text(text) => {
                output.texts.push(Cow::Borrowed(text.inner()));
                output.is_string = true;
            }
            MessagesContent::Blocks(blocks) => {
                for (at, block) in blocks.iter().enumerate() {
                    output.take(block, &format_args!("{path}.{at}"))?;
                }
            }
        }
        Ok(output)
    }

    fn take(&mut self, block: &ContentBlock<'a>, path: &dyn fmt::Display) -> Result<(), RequestError> {
        match block.kind() {
            "text" => self.texts.extend(block.text.map(|text| Cow::Borrowed(text.inner()))),
            "image" => {
                self.show(ShownPart::Image(Image::read(block.source, path)?));
            }
            "document" => document(block, path)?.into_iter().for_each(|part| self.show(part)),
            "search_result" => search_result(block, path)?.into_iter().for_each(|part| self.show(part)),
            "tool_reference" => {
                let name = block
                    .tool_name
                    .ok_or_else(|| RequestError::new(format!("{path}.tool_name: field required")))?;
                self.texts.push(Cow::Owned(format!("Tool {} is now available.", name.inner())));
            }
            // The history keeps the result: a refusal would block the conversation for good. A text informs the model that
            // content is missing.
            kind if is_word(kind) => self.texts.push(Cow::Owned(left_out(kind))),
            _ => return Err(unsupported(block, path)),
        }
        Ok(())
    }

    fn show(&mut self, part: ShownPart<'a>) {
        match part {
            ShownPart::Text(text) => self.texts.push(text),
            ShownPart::Image(_) => {
                self.texts.push(Cow::Borrowed("[image attached below]"));
                self.attached.push(part);
            }
            ShownPart::Pdf { .. } => {
                self.texts.push(Cow::Borrowed("[document attached below]"));
                self.attached.push(part);
            }
        }
    }

    /// Appends the text of the tool message, without quotes. A string is unchanged; joined parts are trimmed.
    pub(super) fn write_text(&self, out: &mut Vec<u8>) {
        let first = self.texts.iter().map(|text| trim_start(text)).find(|text| !text.is_empty());
        if self.is_error && !first.is_some_and(|text| text.starts_with("Error:")) {
            out.put(b"Error: ");
        }
        match &self.texts[..] {
            [text] if self.is_string => out.raw(text),
            texts if texts.iter().all(|text| trim(text).is_empty()) => out.raw(NOTHING),
            texts => join(texts, "\\n", out),
        }
    }
}

/// The text that replaces a block that the model cannot read.
pub(super) fn left_out(kind: &str) -> String {
    format!("[{kind} left out: this provider cannot read it]")
}

/// Whether a message may contain a block of this type.
pub(super) fn is_word(kind: &str) -> bool {
    (1..=40).contains(&kind.len()) && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The error for an entry that is not a block.
pub(super) fn unsupported(block: &ContentBlock<'_>, path: &dyn fmt::Display) -> RequestError {
    match block.kind() {
        "" => RequestError::new(format!("{path}.type: field required")),
        _ => RequestError::new(format!("{path}.type: no content block has this type")),
    }
}
