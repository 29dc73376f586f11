//! The content of an upstream's body, by its content type and its first bytes: some upstreams send a wrong content type.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// The end of the content types that are JSON in another vocabulary (RFC 6838, section 4.2.8).
const JSON_SUFFIX: &str = "+json";

/// The content of an upstream's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        match headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes) {
            // As most upstreams write them.
            Some(b"application/json") => return Self::Json,
            Some(b"text/event-stream" | b"text/event-stream; charset=utf-8") => return Self::Events,
            Some(_) | None => {}
        }
        let kind = content_type(headers).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is_json = || {
            let suffix = kind.len().checked_sub(JSON_SUFFIX.len()).and_then(|at| kind.get(at..));
            kind.eq_ignore_ascii_case("application/json")
                || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(JSON_SUFFIX))
        };
        if kind.eq_ignore_ascii_case("text/event-stream") {
            Self::Events
        } else if is_json() {
            Self::Json
        } else {
            Self::Other
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: names of content types ignore case (RFC 9110, section 8.3.1), and parameters do not matter.
    #[test]
    fn the_content_type_counts_in_any_case_and_with_parameters() {
        use ContentKind::{Events, Json, Other};

        for (value, expected) in [
            ("text/event-stream", Events),
            (" Text/Event-Stream ; charset=utf-8", Events),
            ("application/json", Json),
            ("APPLICATION/JSON;charset=utf-8", Json),
            ("application/problem+json", Json),
            ("application/problem+JSON; q=1", Json),
            ("+json", Json),
            ("json", Other),
            ("text/html", Other),
            ("application/jsonp", Other),
            ("application/json+xml", Other),
            ("", Other),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(ContentKind::of(&headers), expected, "{value:?}");
        }
        assert_eq!(ContentKind::of(&HeaderMap::new()), Other);
    }
}
