//! Rewrites the searches of this gateway in a history as text: Anthropic refuses results and citations that it has not encrypted.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::cursor::{CursorResult, JsonCursor};
use super::schemas::{each_object, skip};
use super::{Splice, spliced};
use crate::web_search::{OWN_SEARCH, sealed_text};

/// Returns the body with a text in the place of each `server_tool_use` and `web_search_tool_result` whose id starts with
/// [`OWN_SEARCH`]. The texts of such a message lose their citations of web pages. Every other byte is preserved; a body without
/// such blocks is returned unchanged.
#[must_use]
pub fn without_own_searches(body: &Bytes) -> Bytes {
    let mut contents = Vec::new();
    let mut cursor = JsonCursor::new(body);
    let walked = cursor.members(|cursor, key| match key {
        "messages" => each_object(cursor, &mut |cursor| content(cursor, &mut contents)),
        _ => skip(cursor),
    });
    let text = std::str::from_utf8(body).unwrap_or_default();
    let rewritten = contents.into_iter().filter_map(|span: Range<usize>| {
        let text = rewritten(text.get(span.clone())?)?;
        Some(Splice { span, text })
    });
    let mut edits: Vec<Splice> = rewritten.collect();
    if walked.and_then(|()| cursor.end()).is_err() || edits.is_empty() {
        return body.clone();
    }
    spliced(body, &mut edits)
}

/// Whether an id can be that of a search of the gateway. This is a quick check, so an id with an escape can be one.
pub(super) fn may_be_own(literal: &[u8]) -> bool {
    // The length of the marker with every character escaped.
    const ESCAPED: usize = 6 * OWN_SEARCH.len();
    let Some(id) = literal.strip_prefix(b"\"") else { return false };
    id.starts_with(OWN_SEARCH.as_bytes()) || id.iter().take(ESCAPED).any(|&byte| byte == b'\\')
}

/// Collects the contents that are lists of blocks.
fn content(cursor: &mut JsonCursor<'_>, contents: &mut Vec<Range<usize>>) -> CursorResult<()> {
    cursor.members(|cursor, key| {
        let is_list = key == "content" && cursor.peek() == Some(b'[');
        let span = cursor.value()?;
        if is_list {
            contents.push(span);
        }
        Ok(())
    })
}

/// The members of a block that matter here.
#[derive(Deserialize)]
struct SearchBlock<'a> {
    r#type: Option<Value>,
    id: Option<Value>,
    tool_use_id: Option<Value>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

impl SearchBlock<'_> {
    fn kind(&self) -> &str {
        self.r#type.as_ref().and_then(Value::as_str).unwrap_or_default()
    }

    fn is_own(&self) -> bool {
        let id = match self.kind() {
            "server_tool_use" => &self.id,
            "web_search_tool_result" => &self.tool_use_id,
            _ => return false,
        };
        id.as_ref().and_then(Value::as_str).is_some_and(|id| id.starts_with(OWN_SEARCH))
    }
}

/// The content with its searches as text; `None` if it has none of the gateway's.
fn rewritten(content: &str) -> Option<String> {
    let blocks: Vec<&RawValue> = serde_json::from_str(content).ok()?;
    let read = |raw: &&RawValue| {
        serde_json::from_str::<SearchBlock<'_>>(raw.get()).ok().is_some_and(|block| block.is_own())
    };
    if !blocks.iter().any(read) {
        return None;
    }
    let blocks = blocks.into_iter().map(|raw| block_text(raw).unwrap_or_else(|| raw.get().to_owned()));
    Some(format!("[{}]", blocks.collect::<Vec<_>>().join(",")))
}

/// The block as it is sent; `None` if it does not change.
fn block_text(raw: &RawValue) -> Option<String> {
    let block: SearchBlock<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut members: Map<String, Value> = serde_json::from_str(raw.get()).ok()?;
    if block.is_own() {
        let text = match members.get("content") {
            Some(content) => format!("[Result of web_search]\n{}", pages(content)),
            None => format!("[Used web_search: {}]", members.get("input").unwrap_or(&Value::Null)),
        };
        return Some(serde_json::json!({"type": "text", "text": text}).to_string());
    }
    let has_pages = block.citations.is_some_and(|list| list.get().contains("web_search_result_location"));
    if block.kind() != "text" || !has_pages {
        return None;
    }
    members.remove("citations");
    Some(Value::Object(members).to_string())
}

/// Titles, addresses and what was found on the pages, one per line, or the code of an error.
fn pages(content: &Value) -> String {
    let of =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines = content.as_array().into_iter().flatten().flat_map(|page| {
        let url = of(page, "url");
        let found = sealed_text(&of(page, "encrypted_content"), &url).unwrap_or_default();
        [of(page, "title"), url, found]
    });
    let lines = lines.chain([of(content, "error_code")]).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.is_empty() { "nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(content: &Value) -> Bytes {
        Bytes::from(format!(
            r#"{{ "model":"m","messages":[{{"role":"user","content":"hi"}}, {{"content":{content} ,"role":"assistant"}}],"x" : 1}}"#
        ))
    }

    #[test]
    fn own_searches_become_texts_and_other_bytes_stay() {
        let own = json!([
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "server_tool_use", "id": "srvtoolu_vdm1a", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_vdm1a", "content": [
                {"type": "web_search_result", "title": "T", "url": "https://a", "encrypted_content": crate::web_search::seal("https://a", "said"),
                    "page_age": null}]},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_vdm1b",
                "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_vdm1c", "content": []},
            {"type": "text", "text": "said", "citations": [{"type": "web_search_result_location", "url": "https://a"}], "y": 1},
            {"type": "text", "text": "plain", "citations": [{"type": "char_location"}]},
        ]);
        let expected = json!([
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "text", "text": "[Used web_search: {\"query\":\"q\"}]"},
            {"type": "text", "text": "[Result of web_search]\nT\nhttps://a\nsaid"},
            {"type": "text", "text": "[Result of web_search]\nunavailable"},
            {"type": "text", "text": "[Result of web_search]\nnothing"},
            {"type": "text", "text": "said", "y": 1},
            {"type": "text", "text": "plain", "citations": [{"type": "char_location"}]},
        ]);
        let changed = without_own_searches(&body(&own));
        assert_eq!(String::from_utf8_lossy(&changed), String::from_utf8_lossy(&body(&expected)));
        assert!(crate::request::head(&body(&own)).unwrap().own_searches);
        assert_eq!(without_own_searches(&changed).as_ptr(), changed.as_ptr(), "nothing is left");
    }

    #[test]
    fn a_history_without_own_searches_is_not_copied() {
        for content in [
            json!([{"type": "server_tool_use", "id": "srvtoolu_01A", "name": "web_search", "input": {}},
                {"type": "text", "text": "srvtoolu_vdm1", "citations": [{"type": "web_search_result_location"}]}]),
            json!([{"type": "tool_use", "id": "srvtoolu_vdm1"}]),
            json!("srvtoolu_vdm1"),
            json!([7, null]),
        ] {
            let body = body(&content);
            assert_eq!(without_own_searches(&body).as_ptr(), body.as_ptr(), "{content}");
        }
        let broken = Bytes::from_static(
            br#"{"messages":[{"content":[{"type":"server_tool_use","id":"srvtoolu_vdm1"}]}"#,
        );
        assert_eq!(without_own_searches(&broken).as_ptr(), broken.as_ptr());
    }

    #[test]
    fn own_searches_are_detected_where_they_would_be_rewritten() {
        let own = |block: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"content":[{block}]}}]}}"#);
            crate::request::head(body.as_bytes()).unwrap().own_searches
        };
        assert!(own(r#"{"type":"server_tool_use","id":"srvtoolu_vdm1a"}"#));
        assert!(own(r#"{"tool_use_id":"srvtoolu\u005fvdm1a","type":"web_search_tool_result"}"#));
        assert!(own(r#"{"type":"server_tool_use","i\u0064":"srvtoolu_vdm1a"}"#));
        assert!(!own(r#"{"type":"server_tool_use","id":"srvtoolu_01A","input":{"id":"srvtoolu_vdm1"}}"#));
    }
}
