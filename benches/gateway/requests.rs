//! The requests of clients: a short question, or one of Claude Code after some turns of work.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::replies::Shape;

/// The approximate length of Claude Code's request.
const CLAUDE_CODE: usize = 100_000;
const TOOLS: usize = 24;

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Short,
    ClaudeCode,
}

/// A whole request for a reply of this form, from this provider of the gateway.
pub(crate) fn request(question: Question, provider: &str, shape: Shape) -> Bytes {
    let model = format!("{provider}:{}", shape.model());
    let streamed = shape != Shape::Whole;
    let rest = match question {
        Question::Short => short(),
        Question::ClaudeCode => claude_code(),
    };
    // The order is Claude Code's, with `model` first and `stream` last.
    let fields: String = rest.iter().map(|(name, value)| format!("\"{name}\":{value},")).collect();
    let body = format!("{{\"model\":\"{model}\",{fields}\"stream\":{streamed}}}");
    let head = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: claude-cli/2.1.197 (external, sdk-cli)\r\n\
         x-api-key: sk-ant-bench\r\nanthropic-version: 2023-06-01\r\n\
         anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\nx-app: cli\r\n\
         x-stainless-retry-count: 0\r\nx-stainless-timeout: 600\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from(head + &body)
}

fn short() -> Vec<(&'static str, Value)> {
    vec![("messages", json!([{"role": "user", "content": prose(7, 800)}])), ("max_tokens", json!(1024))]
}

fn claude_code() -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("messages", Value::Null),
        ("system", system()),
        ("tools", (0..TOOLS).map(tool).collect()),
        (
            "metadata",
            json!({"user_id": r#"{"device_id":"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0","account_uuid":"","session_id":"4f7c1a52-6d0f-4a8e-9b1c-2f3e4d5c6b7a"}"#}),
        ),
        ("max_tokens", json!(32_000)),
        ("thinking", json!({"type": "adaptive"})),
        ("output_config", json!({"effort": "high"})),
    ];
    let others: usize = fields.iter().map(|(_, value)| value.to_string().len()).sum();
    fields[0].1 = history(CLAUDE_CODE.saturating_sub(others));
    fields
}

fn system() -> Value {
    let cached = json!({"type": "ephemeral"});
    json!([
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=sdk-cli;"},
        {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", "cache_control": cached},
        {"type": "text", "text": prose(1, 12_000), "cache_control": cached},
    ])
}

fn tool(number: usize) -> Value {
    json!({
        "name": format!("Tool{number}"),
        "description": prose(number, 900),
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "file_path": {"type": "string", "description": prose(number + 1, 90)},
                "offset": {"type": "integer", "minimum": 0, "description": prose(number + 2, 90)},
                "mode": {"type": "string", "enum": ["content", "files_with_matches", "count"], "default": "content"},
                "edits": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "properties": {"old_string": {"type": "string"}, "new_string": {"type": "string"}},
                    "required": ["old_string", "new_string"], "additionalProperties": false}},
            },
            "required": ["file_path"],
            "additionalProperties": false,
        },
    })
}

/// Turns with a tool call and its result, up to this length.
fn history(length: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": [
        {"type": "text", "text": format!("<system-reminder>\n{}\n</system-reminder>", prose(3, 1_500))},
        {"type": "text", "text": "Make the tests of the parser pass.", "cache_control": {"type": "ephemeral"}},
    ]})];
    let mut written = 1_800;
    for turn in 0.. {
        if written >= length {
            break;
        }
        let id = format!("toolu_01{turn:022}");
        let asking = json!({"role": "assistant", "content": [
            {"type": "text", "text": prose(turn, 160)},
            {"type": "tool_use", "id": id, "name": format!("Tool{}", turn % TOOLS),
             "input": {"file_path": "/home/user/project/src/parser.rs", "offset": turn * 40, "mode": "content"}},
        ]});
        let told = json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": code(turn, 2_600.min(length - written))},
        ]});
        written += asking.to_string().len() + told.to_string().len();
        messages.extend([asking, told]);
    }
    Value::Array(messages)
}

/// Text with line ends, quotes and punctuation.
fn prose(seed: usize, length: usize) -> String {
    const WORDS: [&str; 12] = [
        "the",
        "request",
        "must",
        "be",
        "\"answered\"",
        "before",
        "another",
        "tool",
        "is",
        "used,",
        "and",
        "never\n- without",
    ];
    let mut text = String::with_capacity(length + 12);
    for number in seed.. {
        if text.len() >= length {
            break;
        }
        text.push_str(WORDS[(number * 7 + seed) % WORDS.len()]);
        text.push(' ');
    }
    text
}

/// A numbered listing, as the file-reading tool returns it.
fn code(seed: usize, length: usize) -> String {
    let mut text = String::with_capacity(length + 80);
    for line in seed * 40.. {
        if text.len() >= length {
            break;
        }
        let _written =
            writeln!(text, "{line:>6}→\tlet field_{line} = parser.next(\"name\\n\")?; // reads one more");
    }
    text
}
