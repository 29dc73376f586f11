//! Rewrites the ids of tool calls and results in a request to the form that its upstream requires: each call and its
//! results in the same way, with every other byte preserved.

use std::ops::Range;

use bytes::Bytes;

use super::cursor::{CursorResult, JsonCursor, decoded};
use super::{Splice, spliced};
use crate::tool_id::{Form, Renamed};

/// Returns the body with such ids, or itself, uncopied, if all of them fit.
#[must_use]
pub fn with_tool_ids(body: &Bytes, form: Form) -> Bytes {
    let mut ids = vec![];
    let walked = JsonCursor::new(body).members(|cursor, key| match key {
        "messages" => elements(cursor, |cursor| message(cursor, &mut ids)),
        _ => skip(cursor),
    });
    if walked.is_err() {
        return body.clone();
    }
    let renamed = Renamed::to_fit(form, ids.iter().map(|id| id.text.as_str()));
    if renamed.is_empty() {
        return body.clone();
    }
    let edits = ids.into_iter().filter_map(|Id { span, text }| {
        let new = renamed.get(&text)?;
        Some(Splice { span, text: serde_json::Value::from(new).to_string() })
    });
    spliced(body, &mut edits.collect::<Vec<_>>())
}

/// An id and the span of its literal.
struct Id {
    span: Range<usize>,
    text: String,
}

fn message(cursor: &mut JsonCursor<'_>, ids: &mut Vec<Id>) -> CursorResult<()> {
    members(cursor, |cursor, key| match key {
        "content" => elements(cursor, |cursor| block(cursor, ids)),
        "tool_calls" => elements(cursor, |cursor| call(cursor, ids)),
        "tool_call_id" => id(cursor).map(|found| ids.extend(found)),
        _ => skip(cursor),
    })
}

/// Reads a block of the Messages API. The ids of server tools belong to the vendor and are kept.
fn block(cursor: &mut JsonCursor<'_>, ids: &mut Vec<Id>) -> CursorResult<()> {
    let (mut kind, mut used, mut answered) = (None, None, None);
    members(cursor, |cursor, key| {
        match key {
            "type" => kind = id(cursor)?,
            "id" => used = id(cursor)?,
            "tool_use_id" => answered = id(cursor)?,
            _ => skip(cursor)?,
        }
        Ok(())
    })?;
    ids.extend(match kind.as_ref().map(|kind| kind.text.as_str()) {
        Some("tool_use") => used,
        Some("tool_result") => answered,
        Some(_) | None => None,
    });
    Ok(())
}

/// Reads an element of `tool_calls`.
fn call(cursor: &mut JsonCursor<'_>, ids: &mut Vec<Id>) -> CursorResult<()> {
    members(cursor, |cursor, key| match key {
        "id" => id(cursor).map(|found| ids.extend(found)),
        _ => skip(cursor),
    })
}

/// Reads the string at the cursor; `None` for any other value.
fn id(cursor: &mut JsonCursor<'_>) -> CursorResult<Option<Id>> {
    let span = cursor.value()?;
    let text = decoded(cursor.slice(span.clone()));
    Ok(text.map(|text| Id { span, text: text.into_owned() }))
}

fn members(
    cursor: &mut JsonCursor<'_>,
    each: impl FnMut(&mut JsonCursor<'_>, &str) -> CursorResult<()>,
) -> CursorResult<()> {
    if cursor.peek() == Some(b'{') { cursor.members(each) } else { skip(cursor) }
}

fn elements(
    cursor: &mut JsonCursor<'_>,
    each: impl FnMut(&mut JsonCursor<'_>) -> CursorResult<()>,
) -> CursorResult<()> {
    if cursor.peek() == Some(b'[') { cursor.elements(each) } else { skip(cursor) }
}

fn skip(cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
    cursor.value().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(body: &str, form: Form) -> String {
        let fitted = with_tool_ids(&Bytes::from(body.to_owned()), form);
        String::from_utf8(fitted.to_vec()).unwrap()
    }

    #[test]
    fn calls_and_results_of_the_messages_api_change_in_pairs() {
        let body = |bash: &str, other: &str| {
            format!(
                r#"{{"messages":[ {{"role":"assistant", "content":[{{"type":"tool_use","id":"{bash}","name":"B","input":{{"id":"a:b","type":"tool_use"}}}},
                {{"id":"toolu_1","type":"tool_use"}},{{"type":"server_tool_use","id":"a:b"}},{{"id":"{other}","type":"tool_use"}}]}},
                {{"role":"user","content":[{{"tool_use_id":"{bash}","type":"tool_result","content":[{{"type":"tool_use","id":"a:b"}}]}},
                {{"type":"tool_result","tool_use_id":"{other}"}},7]}}],"id":"a:b"}}"#
            )
        };
        let mended = body("vdm1_00_functions-dBash-c0", "vdm1_00_a-sb");
        assert_eq!(fitted(&body("functions.Bash:0", "a b"), Form::Anthropic), mended);
        assert_eq!(fitted(&body("functions.Bash\\u003a0", "a\\u0020b"), Form::Anthropic), mended);
        assert_eq!(fitted(&mended, Form::Anthropic), mended);
    }

    #[test]
    fn calls_and_results_of_chat_completions_change_in_pairs() {
        let body = |id: &str| {
            format!(
                r#"{{"messages":[{{"role":"assistant","content":null,"tool_calls":[{{"id":"{id}","function":{{"arguments":"{{\"id\":1}}"}}}},{{"id":"D681PevKs"}}]}},
                {{"role":"tool","tool_call_id":"{id}","content":"x"}},{{"role":"tool","tool_call_id":"D681PevKs"}}]}}"#
            )
        };
        let fitted = fitted(&body("call_0123456789"), Form::Mistral);
        let sent: serde_json::Value = serde_json::from_str(&fitted).unwrap();
        let id = sent["messages"][1]["tool_call_id"].as_str().unwrap();
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(fitted, body(id));
    }

    #[test]
    fn fitting_ids_and_invalid_requests_are_returned_uncopied() {
        for body in [
            r#"{"messages":[{"content":[{"type":"tool_use","id":"toolu_1"}]},{"content":"x"},null,[]]}"#,
            r#"{"messages":[{"content":[{"type":"tool_use","id":"a:b"}]}"#,
            r#"{"messages":{"content":[{"type":"tool_use","id":"a:b"}]}}"#,
            r#"{"messages":[{"content":[{"type":"tool_use","id":7,"input":{}}],"tool_calls":3}]}"#,
            "[]",
            "",
        ] {
            let body = Bytes::from(body.to_owned());
            assert_eq!(with_tool_ids(&body, Form::Anthropic).as_ptr(), body.as_ptr());
        }
    }
}
