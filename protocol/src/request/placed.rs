//! Sets one member of a request.

use bytes::Bytes;

use super::cursor::JsonCursor;
use super::{Splice, spliced};

/// Returns the body with this JSON value at this path, which leads through objects only. Missing objects on the path
/// are added; every other byte is preserved.
pub(crate) fn placed(body: &Bytes, names: &[&str], value: &str) -> Bytes {
    match edit(body, 0, names, value) {
        Some(edit) => spliced(body, &mut [edit]),
        None => body.clone(),
    }
}

/// Returns `None` if the member already has this value, or if the path leads through something other than an object.
fn edit(object: &[u8], base: usize, names: &[&str], value: &str) -> Option<Splice> {
    let (first, rest) = names.split_first()?;
    let (mut inside, mut members, mut found) = (None, 0, None);
    let mut cursor = JsonCursor::new(object);
    let start = cursor.at();
    let walked = cursor.entries(|cursor, at, key| {
        inside.get_or_insert(at);
        members += 1;
        let span = cursor.value()?;
        // The last of duplicate names wins.
        if key == *first {
            found = Some(span);
        }
        Ok(())
    });
    walked.and_then(|()| cursor.end()).ok()?;
    let Some(span) = found else {
        let at = base + inside.unwrap_or(start + 1);
        let comma = if members == 0 { "" } else { "," };
        return Some(Splice { span: at..at, text: format!("\"{first}\":{}{comma}", nested(rest, value)) });
    };
    let old = &object[span.clone()];
    if !rest.is_empty() && old.starts_with(b"{") {
        return edit(old, base + span.start, rest, value);
    }
    let text = nested(rest, value);
    (old != text.as_bytes()).then_some(Splice { span: base + span.start..base + span.end, text })
}

/// Returns the value inside objects of these names.
fn nested(names: &[&str], value: &str) -> String {
    names.iter().rev().fold(value.to_owned(), |value, name| format!("{{\"{name}\":{value}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_or_added_and_every_other_byte_is_preserved() {
        for (body, path, expected) in [
            (r#"{ "a" : 1 , "b":2}"#, "a", r#"{ "a" : 9 , "b":2}"#),
            (r#"{ "b":2}"#, "a", r#"{ "a":9,"b":2}"#),
            (r#" { } "#, "a", r#" {"a":9 } "#),
            (r#"{"a":1,"a":2}"#, "a", r#"{"a":1,"a":9}"#),
            (r#"{"x":{"y":1},"b":2}"#, "x.a", r#"{"x":{"a":9,"y":1},"b":2}"#),
            (r#"{"x":{"a":[1]},"b":2}"#, "x.a", r#"{"x":{"a":9},"b":2}"#),
            (r#"{"x":null}"#, "x.a", r#"{"x":{"a":9}}"#),
            (r#"{"b":2}"#, "x.a", r#"{"x":{"a":9},"b":2}"#),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            let path: Vec<_> = path.split('.').collect();
            let set = placed(&body, &path, "9");
            assert_eq!(set, expected);
            assert_eq!(
                placed(&set, &path, "9").as_ptr(),
                set.as_ptr(),
                "a value that is already set is not copied"
            );
        }
        for broken in [r#"{"b":2"#, r#"{"b":2}}"#, r#"[1]"#, ""] {
            let body = Bytes::from_static(broken.as_bytes());
            assert_eq!(placed(&body, &["a"], "9").as_ptr(), body.as_ptr(), "{broken}");
        }
    }
}
