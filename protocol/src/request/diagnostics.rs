//! Makes a Messages request ask why its prompt was not found in the cache.

use bytes::Bytes;

use super::cursor::JsonCursor;
use super::{Pieces, Splice};

/// Returns the body with `diagnostics`, which names the reply to the previous request of the conversation; without one, the
/// vendor only notes this prompt. Every other byte is preserved. Returns `None` if the client asks itself.
#[must_use]
pub fn with_diagnostics(body: &Bytes, previous: Option<&str>) -> Option<Pieces> {
    let (mut members, mut asks) = (0, false);
    let mut cursor = JsonCursor::new(body);
    let walked = cursor.members(|cursor, key| {
        members += 1;
        asks |= key == "diagnostics";
        cursor.value().map(drop)
    });
    walked.ok()?;
    if asks {
        return None;
    }
    let end = cursor.at() - 1;
    let comma = if members == 0 { "" } else { "," };
    let previous = serde_json::Value::from(previous);
    let text = format!("{comma}\"diagnostics\":{{\"previous_message_id\":{previous}}}");
    Some(Pieces::new(body, &mut [Splice { span: end..end, text }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_appended_and_every_other_byte_is_preserved() {
        let asked = |body: &'static str, previous| {
            let body = Bytes::from_static(body.as_bytes());
            with_diagnostics(&body, previous)
                .map(|pieces| String::from_utf8(pieces.joined().to_vec()).unwrap())
        };
        assert_eq!(
            asked(r#" {"model" : "m","a":{"diagnostics":1} } "#, Some("msg_\"1")).unwrap(),
            r#" {"model" : "m","a":{"diagnostics":1} ,"diagnostics":{"previous_message_id":"msg_\"1"}} "#
        );
        assert_eq!(asked("{}", None).unwrap(), r#"{"diagnostics":{"previous_message_id":null}}"#);
        for own in [r#"{"diagnostics":null}"#, "[]", "{"] {
            assert_eq!(asked(own, None), None, "{own}");
        }
    }
}
