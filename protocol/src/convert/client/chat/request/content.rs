//! Content parts that become blocks: texts, images, files.

use std::{borrow::Cow, fmt, ops::Range};

use serde_json::value::RawValue;

use crate::{
    fault::RequestError,
    json::{self, Literal, Write, trim, wrong_type},
    openai::request::{ContentPart, FilePart, ImageUrl},
};

/// A data URL's head is not longer than this.
const LONGEST_HEAD: usize = 256;
/// How base64 begins if it is a PDF.
const PDF_MARK: &str = "JVBERi";
const PDF: &str = "application/pdf";

/// A block in the making.
pub(super) enum BlockDraft<'a> {
    Text(&'a str),
    Image(BlockSource<'a>),
    Document(BlockSource<'a>, Option<&'a str>),
}

/// Where bytes are; inner texts.
pub(super) enum BlockSource<'a> {
    Url(&'a str),
    Base64 { media_type: Cow<'a, str>, data: &'a str },
}

impl<'a> BlockDraft<'a> {
    /// Parses a part; `None` if it is empty. `path` names it in errors.
    pub(super) fn read(
        part: &ContentPart<'a>,
        path: &dyn fmt::Display,
    ) -> Result<Option<Self>, RequestError> {
        Ok(match part.kind() {
            "text" => text(part.text),
            "refusal" => text(part.refusal),
            "image_url" => Some(Self::image(part.image_url, path)?),
            "file" => Some(Self::file(part.file, path)?),
            "" => return Err(RequestError::new(format!("{path}.type: field required"))),
            _ => return Err(unsupported(part, path)),
        })
    }

    fn image(raw: Option<&'a RawValue>, path: &dyn fmt::Display) -> Result<Self, RequestError> {
        let problem = |text: &str| RequestError::new(format!("{path}.image_url{text}"));
        let raw = raw.ok_or_else(|| problem(": field required"))?;
        // Some clients write the URL in the object's place.
        let url = match Literal::of(raw) {
            Some(url) => url,
            None => {
                let object: ImageUrl<'a> = serde_json::from_str(raw.get())
                    .map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
                object.url.ok_or_else(|| problem(".url: field required"))?
            }
        };
        match BlockSource::read(url.inner()) {
            Some(BlockSource::Base64 { media_type, data }) if media_type == PDF => {
                Ok(Self::Document(BlockSource::Base64 { media_type, data }, None))
            }
            Some(source) => Ok(Self::Image(source)),
            None => Err(problem(".url: must be an http(s) URL or a base64 data URL")),
        }
    }

    fn file(raw: Option<&'a RawValue>, path: &dyn fmt::Display) -> Result<Self, RequestError> {
        let problem = |text: &str| RequestError::new(format!("{path}.file{text}"));
        let raw = raw.ok_or_else(|| problem(": field required"))?;
        let file: FilePart<'a> =
            serde_json::from_str(raw.get()).map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
        let data = file.file_data.map(Literal::inner);
        let data = data.ok_or_else(|| problem(".file_data: field required; a file_id means nothing here"))?;
        let source = match BlockSource::read(data) {
            None if data.starts_with(PDF_MARK) => BlockSource::Base64 { media_type: PDF.into(), data },
            Some(source @ BlockSource::Base64 { .. }) => source,
            Some(BlockSource::Url(_)) | None => {
                return Err(problem(".file_data: must be a base64 data URL"));
            }
        };
        match &source {
            BlockSource::Base64 { media_type, .. } if media_type.starts_with("image/") => {
                Ok(Self::Image(source))
            }
            BlockSource::Base64 { media_type, .. } if media_type == PDF => {
                let title = file.filename.map(Literal::inner).filter(|name| !is_blank(name));
                Ok(Self::Document(source, title))
            }
            BlockSource::Base64 { .. } | BlockSource::Url(_) => {
                Err(problem(".file_data: only PDF files and images are supported by this provider"))
            }
        }
    }

    pub(super) fn is_text(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Image(_) | Self::Document(..) => false,
        }
    }

    /// Appends the block; `mark` is the part's `cache_control`. Returns the range of the inner text, if it is a text.
    pub(super) fn write(&self, mark: Option<&RawValue>, out: &mut Vec<u8>) -> Option<Range<usize>> {
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

fn text<'a>(text: Option<Literal<'a>>) -> Option<BlockDraft<'a>> {
    text.map(Literal::inner).filter(|inner| !is_blank(inner)).map(BlockDraft::Text)
}

/// Anthropic refuses texts without anything to read.
pub(super) fn is_blank(inner: &str) -> bool {
    trim(inner).is_empty()
}

/// Appends a mark for the upstream's cache, where the client made one.
pub(super) fn write_cache_control(mark: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(mark) = mark.map(RawValue::get).filter(|mark| mark.starts_with('{')) {
        out.put(b",\"cache_control\":");
        out.raw(mark);
    }
}

/// The refusal of a part whose loss would change the meaning.
fn unsupported(part: &ContentPart<'_>, path: &dyn fmt::Display) -> RequestError {
    match part.kind() {
        kind if is_word(kind) => {
            let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            RequestError::new(format!(
                "{path}: {article} {kind} part is not supported by an Anthropic-format provider"
            ))
        }
        _ => RequestError::new(format!("{path}.type: no content part has this type")),
    }
}

/// Whether a part's type can stand in a message.
pub(super) fn is_word(kind: &str) -> bool {
    (1..=40).contains(&kind.len()) && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}
