//! Whether a request sets `detail` of an image, which Messages does not have.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{List, Literal, Object};

/// A content part. Chat Completions has `detail` inside of `image_url`, Responses beside it.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
}

/// Whether an image in this content, or output of a tool, has a `detail` that is not the default.
pub(crate) fn is_set(content: &RawValue) -> bool {
    if memmem::find(content.get().as_bytes(), b"\"detail\"").is_none() {
        return false;
    }
    let parts: List<Object<Part<'_>>> = serde_json::from_str(content.get()).unwrap_or_default();
    parts.0.iter().filter_map(|part| part.0.as_ref()).any(Part::has_detail)
}

impl Part<'_> {
    fn has_detail(&self) -> bool {
        let inside: Option<Part<'_>> = self.image_url.and_then(|url| serde_json::from_str(url.get()).ok());
        let inside = inside.and_then(|part| part.detail).and_then(Literal::of);
        let beside = self.detail.filter(|_| self.image_url.is_some()).and_then(Literal::of);
        [inside, beside].into_iter().flatten().any(|detail| !detail.is("auto"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_other_than_the_default_is_found_in_both_apis() {
        for (content, expected) in [
            (r#"[{"type":"image_url","image_url":{"url":"u","detail":"low"}}]"#, true),
            (r#"[{"type":"image_url","image_url":{"url":"u","detail":"auto"}}]"#, false),
            (r#"[{"type":"input_image","image_url":"u","detail":"high"}]"#, true),
            (r#"[1,{"type":"input_image","detail":"original","image_url":"u"}]"#, true),
            (r#"[{"type":"input_image","image_url":"u","detail":"auto"}]"#, false),
            (r#"[{"detail":"high"}]"#, false),
            (r#""\"detail\"""#, false),
            (r#""detail""#, false),
        ] {
            let content: &RawValue = serde_json::from_str(content).unwrap();
            assert_eq!(is_set(content), expected, "{content}");
        }
    }
}
