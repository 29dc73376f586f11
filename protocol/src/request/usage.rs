//! Makes a streamed Chat Completions request ask for usage.

use std::ops::Range;

use super::Splice;
use super::cursor::JsonCursor;

/// Returns the edit that requests usage. Returns `None` if the request already does, or if its `stream_options` is a
/// value that no upstream accepts. `options` is the span of that value, `end` the offset of the body's closing brace.
pub(super) fn asking(body: &[u8], options: Option<Range<usize>>, end: usize) -> Option<Splice> {
    const MEMBER: &str = "\"include_usage\":true";
    let edit = |span, text: String| Some(Splice { span, text });
    let Some(options) = options else { return edit(end..end, format!(",\"stream_options\":{{{MEMBER}}}")) };
    let value = &body[options.clone()];
    if value == b"null" {
        return edit(options, format!("{{{MEMBER}}}"));
    }
    let mut requested = None;
    let mut members = 0;
    let mut cursor = JsonCursor::new(value);
    let walked = cursor.members(|cursor, key| {
        members += 1;
        let value = cursor.value()?;
        if key == "include_usage" {
            requested = Some(value);
        }
        Ok(())
    });
    walked.ok()?;
    match requested {
        Some(requested) if &value[requested.clone()] == b"true" => None,
        Some(requested) => {
            edit(options.start + requested.start..options.start + requested.end, "true".to_owned())
        }
        None => {
            let comma = if members == 0 { "" } else { "," };
            edit(options.start + 1..options.start + 1, format!("{MEMBER}{comma}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::request::{UsageAsked, head};

    fn with_usage(body: &'static str) -> (String, UsageAsked) {
        let (edited, asked) =
            head(body.as_bytes()).unwrap().with_model_and_usage(&Bytes::from_static(body.as_bytes()), "m");
        (String::from_utf8(edited.joined().to_vec()).unwrap(), asked)
    }

    #[test]
    fn a_stream_without_usage_is_changed_to_request_it() {
        for (body, edited) in [
            (
                r#"{"model":"m","stream":true}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{ "stream_options" : null, "stream":true, "model":"x" }"#,
                r#"{ "stream_options" : {"include_usage":true}, "stream":true, "model":"m" }"#,
            ),
            (
                r#"{"stream_options":{"include_usage":false,"a":1},"stream":true,"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true,"a":1},"stream":true,"model":"m"}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{ "a":{"include_usage":true} }}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true, "a":{"include_usage":true} }}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{}}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            assert_eq!(with_usage(body), (edited.to_owned(), UsageAsked::ByGateway));
        }
    }

    #[test]
    fn a_request_with_usage_or_without_a_valid_stream_is_unchanged() {
        for body in [
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"m","stream":false}"#,
            r#"{"model":"m"}"#,
            r#"{"model":"m","stream":true,"stream_options":7}"#,
        ] {
            assert_eq!(with_usage(body), (body.to_owned(), UsageAsked::ByClient));
        }
    }
}
