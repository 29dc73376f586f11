//! Blocks of messages: texts, images, documents.

use std::{borrow::Cow, fmt, ops::Range};

use serde_json::value::RawValue;

use crate::{
    fault::RequestError,
    json::{self, Literal, Write, trim},
};

/// A data URL's head is not longer than this.
const LONGEST_HEAD: usize = 256;
/// How base64 begins if it is a PDF.
const PDF_MARK: &str = "JVBERi";
const PDF: &str = "application/pdf";

/// A block in the making.
pub(crate) enum BlockDraft<'a> {
    Text(&'a str),
    Image(BlockSource<'a>),
    Document(BlockSource<'a>, Option<&'a str>),
}

/// Where bytes are; inner texts.
pub(crate) enum BlockSource<'a> {
    Url(&'a str),
    Base64 { media_type: Cow<'a, str>, data: &'a str },
}

impl<'a> BlockDraft<'a> {
    /// A text; `None` if it is blank, which Anthropic refuses.
    pub(crate) fn text(text: Option<Literal<'a>>) -> Option<Self> {
        text.map(Literal::inner).filter(|inner| !is_blank(inner)).map(Self::Text)
    }

    /// An image, or a PDF where clients send one as an image. `path` names the URL in errors.
    pub(crate) fn image(url: Literal<'a>, path: &dyn fmt::Display) -> Result<Self, RequestError> {
        match BlockSource::read(url.inner()) {
            Some(BlockSource::Base64 { media_type, data }) if media_type == PDF => {
                Ok(Self::Document(BlockSource::Base64 { media_type, data }, None))
            }
            Some(source) => Ok(Self::Image(source)),
            None => Err(RequestError::new(format!("{path}: must be an http(s) URL or a base64 data URL"))),
        }
    }

    /// An image at a URL that is inner text; `None` if it is no image's.
    pub(crate) fn image_at(url: &'a str) -> Option<Self> {
        BlockSource::read(url).map(Self::Image)
    }

    /// A file that the request contains. `path` names it in errors.
    pub(crate) fn file(
        data: Literal<'a>,
        name: Option<Literal<'a>>,
        path: &dyn fmt::Display,
    ) -> Result<Self, RequestError> {
        let problem = |text: &str| RequestError::new(format!("{path}: {text}"));
        let data = data.inner();
        let source = match BlockSource::read(data) {
            None if data.starts_with(PDF_MARK) => BlockSource::Base64 { media_type: PDF.into(), data },
            Some(source @ BlockSource::Base64 { .. }) => source,
            Some(BlockSource::Url(_)) | None => return Err(problem("must be a base64 data URL")),
        };
        match &source {
            BlockSource::Base64 { media_type, .. } if media_type.starts_with("image/") => {
                Ok(Self::Image(source))
            }
            BlockSource::Base64 { media_type, .. } if media_type == PDF => {
                Ok(Self::Document(source, title(name)))
            }
            BlockSource::Base64 { .. } | BlockSource::Url(_) => {
                Err(problem("only PDF files and images are supported by this provider"))
            }
        }
    }

    /// A document that the upstream fetches. `path` names its URL in errors.
    pub(crate) fn document_at(
        url: Literal<'a>,
        name: Option<Literal<'a>>,
        path: &dyn fmt::Display,
    ) -> Result<Self, RequestError> {
        match BlockSource::read(url.inner()) {
            Some(source @ BlockSource::Url(_)) => Ok(Self::Document(source, title(name))),
            Some(BlockSource::Base64 { .. }) => Self::file(url, name, path),
            None => Err(RequestError::new(format!("{path}: must be an http(s) URL"))),
        }
    }

    /// Whether the upstream has to fetch it as a document.
    pub(crate) fn is_fetched_document(&self) -> bool {
        matches!(self, Self::Document(BlockSource::Url(_), _))
    }

    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Image(_) | Self::Document(..) => false,
        }
    }

    /// Appends the block; `mark` is the part's `cache_control`. Returns the range of the inner text, if it is a text.
    pub(crate) fn write(&self, mark: Option<&RawValue>, out: &mut Vec<u8>) -> Option<Range<usize>> {
        let mut place = None;
        match self {
            Self::Text(text) => {
                out.put(b"{\"type\":\"text\",\"text\":");
                let start = out.len() + 1;
                place = Some(start..start + text.len());
                out.quoted(text);
            }
            Self::Image(source) => {
                out.put(b"{\"type\":\"image\",\"source\":");
                source.write(out);
            }
            Self::Document(source, title) => {
                out.put(b"{\"type\":\"document\",\"source\":");
                source.write(out);
                if let Some(title) = title {
                    out.put(b",\"title\":");
                    out.quoted(title);
                }
            }
        }
        write_cache_control(mark, out);
        out.put(b"}");
        place
    }
}

impl<'a> BlockSource<'a> {
    /// An http(s) URL, or a data URL in base64.
    fn read(inner: &'a str) -> Option<Self> {
        let scheme = inner.get(..5)?.to_ascii_lowercase();
        if scheme == "http:" || scheme == "https" {
            return Some(Self::Url(inner));
        }
        if scheme != "data:" {
            return None;
        }
        let comma = inner.bytes().take(LONGEST_HEAD).position(|byte| byte == b',')?;
        let head = json::decode_text(&inner[5..comma])?.to_ascii_lowercase();
        let mut parameters = head.split(';').map(str::trim);
        let media_type = parameters.next().filter(|kind| is_media_type(kind))?;
        // Not registered, but common.
        let media_type = if media_type == "image/jpg" { "image/jpeg" } else { media_type }.to_owned();
        let data = &inner[comma + 1..];
        parameters.any(|word| word == "base64").then(|| Self::Base64 { media_type: media_type.into(), data })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Url(url) => {
                out.put(b"{\"type\":\"url\",\"url\":");
                out.quoted(url);
            }
            Self::Base64 { media_type, data } => {
                out.put(b"{\"type\":\"base64\",\"media_type\":");
                out.quoted(media_type);
                out.put(b",\"data\":");
                out.quoted(data);
            }
        }
        out.put(b"}");
    }
}

fn is_media_type(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_".contains(&byte);
    text.contains('/') && text.bytes().all(is_plain)
}

fn title(name: Option<Literal<'_>>) -> Option<&str> {
    name.map(Literal::inner).filter(|name| !is_blank(name))
}

/// Anthropic refuses texts without anything to read.
pub(crate) fn is_blank(inner: &str) -> bool {
    trim(inner).is_empty()
}

/// Appends a mark for the upstream's cache, where the client made one.
pub(crate) fn write_cache_control(mark: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(mark) = mark.map(RawValue::get).filter(|mark| mark.starts_with('{')) {
        out.put(b",\"cache_control\":");
        out.raw(mark);
    }
}

/// Whether a message may name a part of this type.
pub(crate) fn is_word(kind: &str) -> bool {
    (1..=40).contains(&kind.len()) && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}
