//! The tool calls of a whole message, and the message with verdicts.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::{INPUT, call_shown, text_shown};
use super::{REPLY_MEMBER, ToolCall};
use crate::request::{Unwanted, trimmed};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    r#type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    text: String,
}

/// The calls that the client has to run.
#[must_use]
pub fn calls_of_message(body: &[u8]) -> Vec<ToolCall> {
    let message: Message<'_> = serde_json::from_slice(body).unwrap_or(Message { content: vec![] });
    let (mut calls, mut before) = (vec![], vec![]);
    for block in message.content {
        match block.r#type.as_str() {
            "text" => before.push(text_shown(&block.text)),
            "tool_use" => {
                let input = block.input.map_or("{}", RawValue::get).to_owned();
                let shown = call_shown(&block.name, &input);
                let is_cut = input.len() > INPUT;
                calls.push(ToolCall {
                    id: block.id,
                    name: block.name,
                    input,
                    is_cut,
                    before: before.clone(),
                });
                before.push(shown);
            }
            _ => {}
        }
        keep_last(&mut before);
    }
    calls
}

/// Bounds what is shown of a reply before a call.
pub(super) fn keep_last<T>(before: &mut Vec<T>) {
    const MOST: usize = 16;
    if before.len() > MOST {
        before.remove(0);
    }
}

/// The message with this value of `safeguard_results`; every other byte is preserved.
#[must_use]
pub fn message_with_results(body: &Bytes, results: &str) -> Bytes {
    let body = trimmed(body, &Unwanted { members: vec![vec![REPLY_MEMBER]], keywords: vec![] });
    with_member(&body, 0..body.len(), results).unwrap_or(body)
}

/// The text with the results as the last member of the object in `span`.
pub(super) fn with_member(text: &Bytes, span: std::ops::Range<usize>, results: &str) -> Option<Bytes> {
    let object = text.get(span.clone())?;
    let inner = object.trim_ascii_end().strip_suffix(b"}")?;
    let comma = if inner.trim_ascii().ends_with(b"{") { "" } else { "," };
    let at = span.start + inner.len();
    let mut out = BytesMut::with_capacity(text.len() + results.len() + REPLY_MEMBER.len() + 8);
    out.put(&text[..at]);
    out.put(format!("{comma}\"{REPLY_MEMBER}\":{results}").as_bytes());
    out.put(&text[at..]);
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_message_are_found_with_what_is_before_them() {
        let body = br#"{"content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"a","name":"Bash","input":{"x": 1}},
            {"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"tool_use","id":"b","name":"Read"}]}"#;
        let calls = calls_of_message(body);
        let seen: Vec<_> =
            calls.iter().map(|call| (&*call.id, &*call.name, &*call.input, call.before.len())).collect();
        assert_eq!(seen, [("a", "Bash", "{\"x\": 1}", 1), ("b", "Read", "{}", 2)]);
        assert!(calls_of_message(b"[]").is_empty());
    }

    #[test]
    fn results_are_the_last_member_and_replace_others() {
        let with = |body: &'static str| message_with_results(&Bytes::from_static(body.as_bytes()), "[1]");
        assert_eq!(with("{\"a\": [] }\n"), "{\"a\": [] ,\"safeguard_results\":[1]}\n");
        assert_eq!(
            with("{\"safeguard_results\":[2],\"a\":{\"safeguard_results\":3}}"),
            "{\"a\":{\"safeguard_results\":3},\"safeguard_results\":[1]}"
        );
        assert_eq!(with("{ }"), "{ \"safeguard_results\":[1]}");
        assert_eq!(with("[]"), "[]");
    }
}
