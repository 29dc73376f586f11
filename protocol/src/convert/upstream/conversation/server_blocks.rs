//! Blocks of a history that only Anthropic's servers make: calls of their own tools, what these returned, and summaries of
//! what was compacted. Other models read them as text; what is encrypted in them is nothing to read.

use serde_json::{Map, Value, value::RawValue};

use crate::{
    anthropic::request::ContentBlock,
    json::{self, Literal},
    web_search::sealed_text,
};

/// Maximum length of one result, in characters; the rest is cut off.
const LONGEST: usize = 64 << 10;
/// The members of a result that contain text, in reading order.
const READABLE: [&str; 14] = [
    "title",
    "url",
    "tool_name",
    "text",
    "stdout",
    "stderr",
    "output",
    "error_code",
    "error_message",
    "lines",
    "source",
    "data",
    "content",
    "tool_references",
];

/// The meaning of a block of this kind for another model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerBlock {
    Call,
    Result,
    /// A summary of the conversation so far.
    Compaction,
    /// The block has no meaning for a model.
    Silent,
}

impl ServerBlock {
    /// `None` for blocks that Anthropic's servers do not make.
    pub(crate) fn from_kind(kind: &str) -> Option<Self> {
        match kind {
            "server_tool_use" | "mcp_tool_use" => Some(Self::Call),
            "compaction" => Some(Self::Compaction),
            "fallback" | "mcp_tool_listing" | "redacted_thinking" | "thinking" => Some(Self::Silent),
            "tool_result" => None,
            kind if kind.ends_with("_tool_result") => Some(Self::Result),
            _ => None,
        }
    }
}

/// The text of the block (inner text), if it has any.
pub(crate) fn as_text(block: &ContentBlock<'_>) -> Option<String> {
    match ServerBlock::from_kind(block.kind())? {
        ServerBlock::Silent => None,
        ServerBlock::Compaction => {
            let summary = block.content.and_then(Literal::of).map(Literal::inner);
            let summary = summary.filter(|summary| !json::trim(summary).is_empty())?;
            Some(format!("[Summary of the conversation so far]\\n{summary}"))
        }
        ServerBlock::Call => {
            let name = block.name.map_or("a tool", Literal::inner);
            let server = block.server_name.map(|server| format!(" of the MCP server {}", server.inner()));
            let input = json::escape_text(&shortened(block.input.map_or("{}", RawValue::get)));
            Some(format!("[Used {name}{}: {input}]", server.unwrap_or_default()))
        }
        ServerBlock::Result => {
            let mut text = String::new();
            if let Some(Ok(content)) = block.content.map(|content| serde_json::from_str(content.get())) {
                read(&content, &mut text);
            }
            let name = block.kind().trim_end_matches("_tool_result");
            let is_error = block.is_error.is_some_and(|flag| flag.get() == "true");
            let what = if is_error { "Error" } else { "Result" };
            let text = text.trim();
            let text = if text.is_empty() { "nothing" } else { text };
            Some(format!("[{what} of {name}]\\n{}", json::escape_text(&shortened(text))))
        }
    }
}

/// Appends the texts of a value, one per line.
fn read(value: &Value, out: &mut String) {
    match value {
        _ if out.len() > LONGEST * 4 => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(text);
        }
        Value::Array(values) => values.iter().for_each(|value| read(value, out)),
        Value::Object(members) => read_members(members, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn read_members(members: &Map<String, Value>, out: &mut String) {
    // Images and files have no readable text.
    if members.get("type") == Some(&Value::from("base64")) {
        return read(&Value::from("[a file, which cannot be read here]"), out);
    }
    READABLE.iter().filter_map(|name| members.get(*name)).for_each(|value| read(value, out));
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    // What the gateway's own search has found on a page. Anthropic's contents cannot be read.
    if let Some(found) =
        text("encrypted_content").zip(text("url")).and_then(|(own, url)| sealed_text(own, url))
    {
        read(&Value::from(found), out);
    }
    if let Some(code) = members.get("return_code").filter(|code| **code != 0) {
        read(&Value::from(format!("exit code {code}")), out);
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} [shortened]", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(block: Value) -> Option<String> {
        let block = block.to_string();
        let block: ContentBlock<'_> = serde_json::from_str(&block).unwrap();
        as_text(&block).map(|inner| json::decode_text(&inner).unwrap().into_owned())
    }

    #[test]
    fn every_result_says_what_it_says() {
        for (block, expected) in [
            (
                json!({"type": "mcp_tool_use", "id": "m", "name": "ask", "server_name": "wiki", "input": {"q": "\"x\""}}),
                "[Used ask of the MCP server wiki: {\"q\":\"\\\"x\\\"\"}]",
            ),
            (
                json!({"type": "mcp_tool_result", "tool_use_id": "m", "is_error": true, "content": [{"type": "text", "text": "no\nway"}]}),
                "[Error of mcp]\nno\nway",
            ),
            (
                json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [
                    {"type": "web_search_result", "title": "Rust", "url": "https://r", "encrypted_content": "Eo8="},
                    {"type": "web_search_result", "title": "Go", "url": "https://g", "encrypted_content": "Eo8="}]}),
                "[Result of web_search]\nRust\nhttps://r\nGo\nhttps://g",
            ),
            (
                json!({"type": "web_search_tool_result", "tool_use_id": "s", "content":
                    {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}}),
                "[Result of web_search]\nmax_uses_exceeded",
            ),
            (
                json!({"type": "web_fetch_tool_result", "tool_use_id": "f", "content": {"type": "web_fetch_result", "url": "https://r",
                    "content": {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "page"}}}}),
                "[Result of web_fetch]\nhttps://r\nT\npage",
            ),
            (
                json!({"type": "bash_code_execution_tool_result", "tool_use_id": "b", "content":
                    {"type": "bash_code_execution_result", "stdout": "out", "stderr": "err", "return_code": 2, "content": []}}),
                "[Result of bash_code_execution]\nout\nerr\nexit code 2",
            ),
            (
                json!({"type": "text_editor_code_execution_tool_result", "tool_use_id": "e", "content":
                    {"type": "text_editor_code_execution_str_replace_result", "lines": ["-a", "+b"]}}),
                "[Result of text_editor_code_execution]\n-a\n+b",
            ),
            (
                json!({"type": "tool_search_tool_result", "tool_use_id": "t", "content": {"type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "Grep"}]}}),
                "[Result of tool_search]\nGrep",
            ),
            (
                json!({"type": "advisor_tool_result", "tool_use_id": "a", "content": {"type": "advisor_result", "text": "do"}}),
                "[Result of advisor]\ndo",
            ),
            (json!({"type": "x_tool_result", "tool_use_id": "x"}), "[Result of x]\nnothing"),
            (
                json!({"type": "compaction", "content": "We fixed \"it\".", "encrypted_content": "E"}),
                "[Summary of the conversation so far]\nWe fixed \"it\".",
            ),
        ] {
            assert_eq!(text(block.clone()).as_deref(), Some(expected), "{block}");
        }
        for block in [
            json!({"type": "compaction", "content": null}),
            json!({"type": "fallback"}),
            json!({"type": "text", "text": "t"}),
        ] {
            assert_eq!(text(block.clone()), None, "{block}");
        }
    }

    #[test]
    fn a_result_is_bounded_and_a_summary_is_not() {
        let long = "é".repeat(200_000);
        let result = text(
            json!({"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": long}, {"type": "text", "text": long}]}),
        );
        assert!(
            result.is_some_and(
                |result| result.chars().count() < LONGEST + 64 && result.ends_with("[shortened]")
            )
        );
        assert!(
            text(json!({"type": "compaction", "content": long}))
                .is_some_and(|summary| summary.ends_with(&long))
        );
    }
}
