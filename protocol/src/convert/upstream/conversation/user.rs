//! The content of user messages: text, images, documents, and tool results without a call.

use super::{
    blocks::{BlockPath, MediaSupport, is_word, left_out, unsupported},
    documents::{ShownPart, document, search_result},
    image::Image,
    pairing::ToolUsePairing,
    server_blocks::{ServerBlock, as_text},
    tool_output::ToolOutput,
};
use crate::{
    anthropic::request::ContentBlock,
    convert::{
        Dropped,
        upstream::caching::{CacheMarks, Mark},
    },
    fault::RequestError,
    json::{Literal, Write},
};

/// One part of a user message, with its cache mark if the upstream accepts it.
pub(crate) struct UserPart<'a> {
    pub(crate) shown: ShownPart<'a>,
    pub(crate) mark: Option<Mark<'a>>,
}

impl<'a> From<ShownPart<'a>> for UserPart<'a> {
    fn from(shown: ShownPart<'a>) -> Self {
        Self { shown, mark: None }
    }
}

/// What the parts of a user's turn depend on.
pub(crate) struct UserContext<'r, 'a> {
    pub(crate) pairing: &'r ToolUsePairing<'r, 'a>,
    pub(crate) marks: &'r CacheMarks,
    pub(crate) media: MediaSupport,
}

impl<'a> UserContext<'_, 'a> {
    /// The parts of a turn, without the results that answer a call.
    pub(crate) fn parts(
        &self,
        turn: usize,
        blocks: &[ContentBlock<'a>],
        dropped: &mut Dropped,
    ) -> Result<Vec<UserPart<'a>>, RequestError> {
        let mut parts = Vec::with_capacity(blocks.len());
        for (at, block) in blocks.iter().enumerate() {
            let first = parts.len();
            self.take(block, BlockPath { turn, at }, dropped, &mut parts)?;
            if let Some(last) = parts.get_mut(first..).and_then(<[UserPart<'_>]>::last_mut) {
                last.mark = self.marks.mark(block.cache_control);
            }
        }
        Ok(parts)
    }

    fn take(
        &self,
        block: &ContentBlock<'a>,
        path: BlockPath,
        dropped: &mut Dropped,
        parts: &mut Vec<UserPart<'a>>,
    ) -> Result<(), RequestError> {
        let mut show = |shown: ShownPart<'a>| parts.push(shown.into());
        match block.kind() {
            "text" => block.text.into_iter().for_each(|text| show(ShownPart::Text(text.inner().into()))),
            "image" => show(ShownPart::Image(Image::read(block.source, &path)?)),
            "document" => document(block, &path, self.media)?.into_iter().for_each(show),
            "search_result" => search_result(block, &path)?.into_iter().for_each(show),
            "tool_result" if self.pairing.is_orphan(path.turn, path.at) => {
                let output = ToolOutput::read(block, &path, self.media)?;
                show(ShownPart::Text(orphan_text(block, &output).into()));
                output.into_attached().into_iter().for_each(show);
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
}

/// A result without a call, as inner text.
fn orphan_text(block: &ContentBlock<'_>, output: &ToolOutput<'_>) -> String {
    let mut text = Vec::new();
    text.put(b"[tool result ");
    text.raw(block.tool_use_id.map_or("", Literal::inner));
    text.put(b"] ");
    output.write_text(&mut text);
    // It is made of strings.
    String::from_utf8(text).unwrap_or_default()
}
