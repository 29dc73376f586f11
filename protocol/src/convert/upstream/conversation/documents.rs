//! Converts documents, search results and images to parts if the upstream accepts them, otherwise to text.
//!
//! PDFs stay files (platform.openai.com/docs/guides/pdf-files), all text documents become text.

use std::{borrow::Cow, fmt};

use serde_json::value::RawValue;

use super::{blocks::MediaSupport, image::Image};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent, SourceParam},
    fault::RequestError,
    json::{JsonWord, Literal, wrong_type},
};

/// One part of the content of a block. Its texts are inner texts.
#[derive(Clone)]
pub(crate) enum ShownPart<'a> {
    Text(Cow<'a, str>),
    Image(Image<'a>),
    Pdf {
        name: &'a str,
        data: &'a str,
    },
    /// The address of a document, which the upstream's API fetches.
    DocumentUrl(&'a str),
}

impl ShownPart<'_> {
    /// Whether it is a text.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Image(_) | Self::Pdf { .. } | Self::DocumentUrl(_) => false,
        }
    }
}

/// Parses a document block. `path` names it in errors.
pub(super) fn document<'a>(
    block: &ContentBlock<'a>,
    path: &dyn fmt::Display,
    media: MediaSupport,
) -> Result<Vec<ShownPart<'a>>, RequestError> {
    let problem = |text: &str| RequestError::new(format!("{path}.source{text}"));
    let raw = block.source.ok_or_else(|| problem(": field required"))?;
    let source: SourceParam<'a> =
        serde_json::from_str(raw.get()).map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
    let data = || source.data.map(Literal::inner).ok_or_else(|| problem(".data: field required"));
    match source.r#type.as_ref().map_or("", JsonWord::as_str) {
        "base64" if source.media_type.is_none_or(|kind| kind.is("application/pdf")) => {
            let name = block.title.map(Literal::inner).filter(|title| !title.is_empty());
            Ok(vec![ShownPart::Pdf { name: name.unwrap_or("document.pdf"), data: data()? }])
        }
        "base64" => Err(problem(".media_type: must be application/pdf")),
        "text" => Ok(vec![ShownPart::Text(headed(block, "context", data()?))]),
        "content" => {
            let content = source.content.ok_or_else(|| problem(".content: field required"))?;
            let heading = headed(block, "context", "");
            let heading = (!heading.is_empty()).then_some(ShownPart::Text(heading));
            let parts = parts(content, &format_args!("{path}.source.content"))?;
            Ok(heading.into_iter().chain(parts).collect())
        }
        "url" if media == MediaSupport::DocumentUrls => {
            let url = source.url.ok_or_else(|| problem(".url: field required"))?;
            Ok(vec![ShownPart::DocumentUrl(url.inner())])
        }
        "url" => Err(problem(".type: this provider cannot fetch documents; send them as base64")),
        "file" => Err(problem(".type: file sources are not supported by this provider")),
        _ => Err(problem(".type: must be base64, text, content or url")),
    }
}

/// Parses a search result, which becomes text with a heading.
pub(super) fn search_result<'a>(
    block: &ContentBlock<'a>,
    path: &dyn fmt::Display,
) -> Result<Vec<ShownPart<'a>>, RequestError> {
    let mut text = headed(block, "source", "").into_owned();
    if let Some(content) = block.content {
        for part in parts(content, &format_args!("{path}.content"))? {
            if let ShownPart::Text(part) = part {
                text.push_str(if text.is_empty() { "" } else { "\\n" });
                text.push_str(&part);
            }
        }
    }
    Ok(vec![ShownPart::Text(text.into())])
}

/// `text` (inner text) after the block's title and its `context` or `source`.
fn headed<'a>(block: &ContentBlock<'a>, below: &str, text: &'a str) -> Cow<'a, str> {
    let source = block.source.and_then(Literal::of);
    let context = if below == "source" { source } else { block.context };
    let mut headed = String::new();
    for (tag, value) in [("title", block.title), (below, context)] {
        if let Some(value) = value.map(Literal::inner).filter(|value| !value.is_empty()) {
            headed.push_str(if headed.is_empty() { "" } else { "\\n" });
            headed.push_str(&format!("<{tag}>{value}</{tag}>"));
        }
    }
    match (headed.is_empty(), text.is_empty()) {
        (true, _) => Cow::Borrowed(text),
        (false, true) => Cow::Owned(headed),
        (false, false) => Cow::Owned(format!("{headed}\\n{text}")),
    }
}

/// The texts and images of nested content. Other blocks are not valid there.
fn parts<'a>(content: &'a RawValue, path: &dyn fmt::Display) -> Result<Vec<ShownPart<'a>>, RequestError> {
    match MessagesContent::read(content).map_err(|problem| RequestError::new(format!("{path}: {problem}")))? {
        MessagesContent::Text(text) => Ok(vec![ShownPart::Text(text.inner().into())]),
        MessagesContent::Blocks(blocks) => {
            let mut parts = Vec::with_capacity(blocks.len());
            for (at, block) in blocks.iter().enumerate() {
                match block.kind() {
                    "text" => parts.extend(block.text.map(|text| ShownPart::Text(text.inner().into()))),
                    "image" => {
                        let image = Image::read(block.source, &format_args!("{path}.{at}"))?;
                        parts.push(ShownPart::Image(image));
                    }
                    _ => {
                        return Err(RequestError::new(format!("{path}.{at}.type: must be text or image")));
                    }
                }
            }
            Ok(parts)
        }
    }
}
