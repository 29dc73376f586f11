//! The source of an image block.

use std::fmt;

use serde_json::value::RawValue;

use crate::{
    anthropic::request::SourceParam,
    fault::RequestError,
    json::{JsonWord, Literal, Write, wrong_type},
};

/// An image in a form that OpenAI's APIs accept.
#[derive(Clone, Copy)]
pub(crate) enum Image<'a> {
    Url(&'a str),
    Base64 { media_type: &'a str, data: &'a str },
}

impl<'a> Image<'a> {
    /// Parses the source of an image block. `path` names the block in errors.
    pub(super) fn read(source: Option<&'a RawValue>, path: &dyn fmt::Display) -> Result<Self, RequestError> {
        let problem = |text: &str| RequestError::new(format!("{path}.source{text}"));
        let raw = source.ok_or_else(|| problem(": field required"))?;
        let source: SourceParam<'a> =
            serde_json::from_str(raw.get()).map_err(|error| problem(&format!(": {}", wrong_type(&error))))?;
        let field = |literal: Option<Literal<'a>>, name: &str| {
            literal.map(Literal::inner).ok_or_else(|| problem(&format!(".{name}: field required")))
        };
        match source.r#type.as_ref().map_or("", JsonWord::as_str) {
            "base64" => Ok(Self::Base64 {
                media_type: field(source.media_type, "media_type")?,
                data: field(source.data, "data")?,
            }),
            "url" => Ok(Self::Url(field(source.url, "url")?)),
            "file" => Err(problem(".type: file sources are not supported by this provider")),
            _ => Err(problem(".type: must be base64 or url")),
        }
    }

    /// Appends its address as inner text: the URL, or a data URL.
    pub(crate) fn write_url(self, out: &mut Vec<u8>) {
        match self {
            Self::Url(url) => out.raw(url),
            Self::Base64 { media_type, data } => {
                out.put(b"data:");
                out.raw(media_type);
                out.put(b";base64,");
                out.raw(data);
            }
        }
    }
}
