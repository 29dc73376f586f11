//! Replaces the JSON schemas of a request's tools in place.

use std::ops::Range;

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor};
use super::{Splice, spliced};

/// Returns the body with each tool's schema replaced by the result of `fit` (`None` keeps it), in either API's form.
pub(crate) fn with_tool_schemas(body: &Bytes, fit: impl Fn(&str) -> Option<String>) -> Bytes {
    let mut schemas = Vec::new();
    let walked = JsonCursor::new(body).members(|cursor, key| match key {
        "tools" | "functions" => each_object(cursor, &mut |cursor| tool(cursor, &mut schemas)),
        _ => skip(cursor),
    });
    if walked.is_err() {
        return body.clone();
    }
    let fitted = |span: Range<usize>| {
        let text = fit(std::str::from_utf8(&body[span.clone()]).ok()?)?;
        Some(Splice { span, text })
    };
    let mut edits: Vec<_> = schemas.into_iter().filter_map(fitted).collect();
    if edits.is_empty() { body.clone() } else { spliced(body, &mut edits) }
}

fn tool(cursor: &mut JsonCursor<'_>, schemas: &mut Vec<Range<usize>>) -> CursorResult<()> {
    cursor.members(|cursor, key| match (key, cursor.peek()) {
        ("parameters" | "input_schema", _) => {
            schemas.push(cursor.value()?);
            Ok(())
        }
        ("function", Some(b'{')) => function(cursor, schemas),
        // A namespace of the Responses API.
        ("tools", _) => each_object(cursor, &mut |cursor| function(cursor, schemas)),
        _ => skip(cursor),
    })
}

fn function(cursor: &mut JsonCursor<'_>, schemas: &mut Vec<Range<usize>>) -> CursorResult<()> {
    cursor.members(|cursor, key| {
        let span = cursor.value()?;
        if key == "parameters" {
            schemas.push(span);
        }
        Ok(())
    })
}

/// Walks an array of objects.
pub(super) fn each_object(
    cursor: &mut JsonCursor<'_>,
    each: &mut impl FnMut(&mut JsonCursor<'_>) -> CursorResult<()>,
) -> CursorResult<()> {
    if cursor.peek() != Some(b'[') {
        return skip(cursor);
    }
    cursor.elements(|cursor| if cursor.peek() == Some(b'{') { each(cursor) } else { skip(cursor) })
}

pub(super) fn skip(cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
    cursor.value().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tools_schema_is_found_and_nothing_else_changes() {
        let body = Bytes::from_static(
            br#"{"messages":[{"parameters":{}}],"tools":[ {"input_schema": {"a":1} ,"parameters2":{}},{"function":{"name":"f","parameters":{"b":2}}},7],"functions":[{"parameters":{}}],"parameters":{}}"#,
        );
        let all = with_tool_schemas(&body, |schema| Some(format!("<{schema}>")));
        assert_eq!(
            all,
            r#"{"messages":[{"parameters":{}}],"tools":[ {"input_schema": <{"a":1}> ,"parameters2":{}},{"function":{"name":"f","parameters":<{"b":2}>}},7],"functions":[{"parameters":<{}>}],"parameters":{}}"#
        );
        assert_eq!(with_tool_schemas(&body, |_| None).as_ptr(), body.as_ptr());
        let responses = Bytes::from_static(
            br#"{"input":[{"parameters":{}}],"tools":[{"type":"function","parameters":{"a":1}},{"type":"namespace","tools":[{"name":"f","parameters":{"b":2}}]}]}"#,
        );
        assert_eq!(
            with_tool_schemas(&responses, |schema| Some(format!("<{schema}>"))),
            r#"{"input":[{"parameters":{}}],"tools":[{"type":"function","parameters":<{"a":1}>},{"type":"namespace","tools":[{"name":"f","parameters":<{"b":2}>}]}]}"#
        );
        let broken = Bytes::from_static(br#"{"tools":[{"parameters":{}}"#);
        assert_eq!(with_tool_schemas(&broken, |_| Some("x".into())), broken);
    }
}
