//! The content of an upstream's body, by its content type and its first bytes: some upstreams send a wrong content type.

use actix_web::http::header::{self, HeaderMap};

/// The content of an upstream's body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    Events,
    Json,
    Other,
}

/// Without leading white space and byte order mark.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).trim_ascii_start()
}

impl ContentKind {
    /// The content of a body with this content type and these first bytes.
    pub(super) fn or_rather(self, first: &[u8]) -> Self {
        const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        let told = without_mark(first);
        match told.first() {
            Some(b'{' | b'[') => Self::Json,
            Some(_) if FIELDS.iter().any(|field| told.starts_with(field)) => Self::Events,
            Some(_) | None => self,
        }
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let kind = content_type(headers).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => Self::Events,
            "application/json" => Self::Json,
            kind if kind.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Whether the content type is that of a web page.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    let kind = content_type(headers).unwrap_or_default().to_ascii_lowercase();
    kind.contains("html") || kind.contains("xml")
}
