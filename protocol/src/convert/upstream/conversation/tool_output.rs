//! The result of a tool call.

use std::{borrow::Cow, fmt};

use super::{
    blocks::{MediaSupport, is_word, left_out, unsupported},
    documents::{ShownPart, document, search_result},
    image::Image,
    inner_text::{is_blank, join},
};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent},
    fault::RequestError,
    json::{Write, trim_start},
};

/// The text of a result if the tool returned nothing: some upstreams refuse an empty one.
const NOTHING: &str = "No content provided";

/// The result that is sent for a call that the client has not answered. Upstreams refuse a call without a result.
pub(crate) const UNANSWERED: &str = "Error: no result was provided for this tool call";

/// What precedes the result of a tool that failed.
const FAILED: &str = "Error: ";

/// What a tool returned: texts, images and documents in their order.
#[derive(Default)]
pub(crate) struct ToolOutput<'a> {
    parts: Vec<ShownPart<'a>>,
    is_string: bool,
    is_error: bool,
}

impl<'a> ToolOutput<'a> {
    /// Parses a `tool_result` block. `path` names the block in errors.
    pub(crate) fn read(
        block: &ContentBlock<'a>,
        path: &dyn fmt::Display,
        media: MediaSupport,
    ) -> Result<Self, RequestError> {
        let is_error = block.is_error.is_some_and(|flag| flag.get() == "true");
        let mut output = Self { is_error, ..Self::default() };
        let Some(raw) = block.content else { return Ok(output) };
        let path = format!("{path}.content");
        match MessagesContent::read(raw).map_err(|problem| RequestError::new(format!("{path}: {problem}")))? {
            MessagesContent::Text(text) => {
                output.parts.push(ShownPart::Text(Cow::Borrowed(text.inner())));
                output.is_string = true;
            }
            MessagesContent::Blocks(blocks) => {
                for (at, block) in blocks.iter().enumerate() {
                    output.take(block, &format_args!("{path}.{at}"), media)?;
                }
            }
        }
        Ok(output)
    }

    fn take(
        &mut self,
        block: &ContentBlock<'a>,
        path: &dyn fmt::Display,
        media: MediaSupport,
    ) -> Result<(), RequestError> {
        match block.kind() {
            "text" => self.parts.extend(block.text.map(|text| ShownPart::Text(text.inner().into()))),
            "image" => self.parts.push(ShownPart::Image(Image::read(block.source, path)?)),
            "document" => self.parts.extend(document(block, path, media)?),
            "search_result" => self.parts.extend(search_result(block, path)?),
            "tool_reference" => {
                let name = block
                    .tool_name
                    .ok_or_else(|| RequestError::new(format!("{path}.tool_name: field required")))?;
                let text = format!("Tool {} is now available.", name.inner());
                self.parts.push(ShownPart::Text(text.into()));
            }
            // The history keeps the result: a refusal would block the conversation for good. A text informs the model that
            // content is missing.
            kind if is_word(kind) => self.parts.push(ShownPart::Text(left_out(kind).into())),
            _ => return Err(unsupported(block, path)),
        }
        Ok(())
    }

    /// All parts in their order.
    pub(crate) fn parts(&self) -> &[ShownPart<'a>] {
        &self.parts
    }

    /// The images and documents.
    pub(crate) fn into_attached(self) -> Vec<ShownPart<'a>> {
        self.parts.into_iter().filter(|part| !part.is_text()).collect()
    }

    /// What must precede the first part, so that the model knows that the tool failed.
    pub(crate) fn prefix(&self) -> &'static str {
        let mut texts = self.parts.iter().map(placed_text).map(trim_start);
        let first = texts.find(|text| !text.is_empty());
        if self.is_error && !first.is_some_and(|text| text.starts_with("Error:")) { FAILED } else { "" }
    }

    /// Appends the whole result as text, without quotes; a note stands for each image and document. A string is unchanged;
    /// joined parts are trimmed.
    pub(crate) fn write_text(&self, out: &mut Vec<u8>) {
        out.raw(self.prefix());
        match &self.parts[..] {
            [ShownPart::Text(text)] if self.is_string => out.raw(text),
            parts => {
                let texts: Vec<&str> = parts.iter().map(placed_text).collect();
                if texts.iter().all(|text| is_blank(text)) {
                    out.raw(NOTHING);
                } else {
                    join(&texts, "\\n", out);
                }
            }
        }
    }
}

/// The text of a part, or the note that stands for it where a result can only be text.
fn placed_text<'p>(part: &'p ShownPart<'_>) -> &'p str {
    match part {
        ShownPart::Text(text) => text,
        ShownPart::Image(_) => "[image attached below]",
        ShownPart::Pdf { .. } | ShownPart::DocumentUrl(_) => "[document attached below]",
    }
}
