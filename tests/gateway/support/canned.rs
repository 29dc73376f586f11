//! Replies of well-behaved upstreams in each API, event by event, so that a test can pause between two.

pub(crate) mod responses;

use serde_json::{Value, json};

/// Replies of the Messages API.
pub(crate) mod anthropic {
    use super::*;

    /// One event as the real API frames it.
    pub(crate) fn event(data: &Value) -> Vec<u8> {
        let name = data["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {data}\n\n").into_bytes()
    }

    pub(crate) fn start() -> Vec<u8> {
        event(&json!({"type": "message_start", "message": {
            "id": "msg_01UpstreamAnthropic0000", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-5-20250929", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                      "output_tokens": 1}}}))
    }

    pub(crate) fn block_start(index: u32, block: &Value) -> Vec<u8> {
        event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
    }

    pub(crate) fn delta(index: u32, delta: &Value) -> Vec<u8> {
        event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    }

    pub(crate) fn text_delta(text: &str) -> Vec<u8> {
        delta(0, &json!({"type": "text_delta", "text": text}))
    }

    pub(crate) fn block_stop(index: u32) -> Vec<u8> {
        event(&json!({"type": "content_block_stop", "index": index}))
    }

    pub(crate) fn end(stop_reason: &str) -> Vec<Vec<u8>> {
        vec![
            event(
                &json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null},
                          "usage": {"output_tokens": 9}}),
            ),
            event(&json!({"type": "message_stop"})),
        ]
    }

    /// A text answer, one delta a part.
    pub(crate) fn text(parts: &[&str]) -> Vec<Vec<u8>> {
        let mut events = vec![start(), block_start(0, &json!({"type": "text", "text": ""}))];
        events.push(event(&json!({"type": "ping"})));
        events.extend(parts.iter().map(|part| text_delta(part)));
        events.push(block_stop(0));
        events.extend(end("end_turn"));
        events
    }

    /// Thinking with a realistic signature, then a tool call.
    pub(crate) fn thinking_and_tool() -> Vec<Vec<u8>> {
        let tool = json!({"type": "tool_use", "id": "toolu_01Real", "name": "get_weather", "input": {}});
        let mut events = vec![
            start(),
            block_start(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, &json!({"type": "thinking_delta", "thinking": "Where is it?"})),
            delta(0, &json!({"type": "signature_delta", "signature": "EqQBCgIYAhIM"})),
            block_stop(0),
            block_start(1, &tool),
            delta(1, &json!({"type": "input_json_delta", "partial_json": "{\"city\":"})),
            delta(1, &json!({"type": "input_json_delta", "partial_json": "\"Genève\"}"})),
            block_stop(1),
        ];
        events.extend(end("tool_use"));
        events
    }

    /// A whole message with unusual spaces.
    pub(crate) fn whole(text: &str) -> String {
        format!(
            "{{ \"id\": \"msg_01UpstreamAnthropic0000\",\n  \"type\":\"message\", \"role\":\"assistant\", \
             \"model\":\"claude-sonnet-4-5-20250929\", \"content\":[{{\"type\":\"text\",\"text\":{}}}], \
             \"stop_reason\":\"end_turn\",\"stop_sequence\":null, \"usage\":{{\"input_tokens\":11,\
             \"output_tokens\":9.0}} }}",
            json!(text)
        )
    }

    pub(crate) fn error(kind: &str, message: &str) -> String {
        // The spaces prove that the body was not serialised again.
        format!(
            "{{\"type\": \"error\",  \"error\": {{\"type\": \"{kind}\", \"message\": {}}}, \
             \"request_id\": \"req_upstream\"}}",
            json!(message)
        )
    }
}

/// Replies of Chat Completions.
pub(crate) mod openai {
    use super::*;

    /// One chunk as the real API frames it.
    pub(crate) fn chunk(choices: &Value) -> Vec<u8> {
        data(&json!({"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1_760_000_000,
                     "model": "gpt-4o-2024-11-20", "choices": choices, "usage": null}))
    }

    pub(crate) fn data(value: &Value) -> Vec<u8> {
        format!("data: {value}\n\n").into_bytes()
    }

    pub(crate) fn delta(delta: &Value) -> Vec<u8> {
        chunk(&json!([{"index": 0, "delta": delta, "finish_reason": null}]))
    }

    pub(crate) fn role() -> Vec<u8> {
        delta(&json!({"role": "assistant", "content": ""}))
    }

    pub(crate) fn content(text: &str) -> Vec<u8> {
        delta(&json!({"content": text}))
    }

    /// One element of `tool_calls`.
    pub(crate) fn tool(call: &Value) -> Vec<u8> {
        delta(&json!({"tool_calls": [call]}))
    }

    pub(crate) fn finish(reason: &str) -> Vec<u8> {
        chunk(&json!([{"index": 0, "delta": {}, "finish_reason": reason}]))
    }

    /// The separate chunk in which OpenAI sends the usage: 100 in, 40 of them cached, 20 out.
    pub(crate) fn usage() -> Vec<u8> {
        data(&json!({"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1_760_000_000,
                     "model": "gpt-4o-2024-11-20", "choices": [], "usage": usage_object()}))
    }

    pub(crate) fn done() -> Vec<u8> {
        b"data: [DONE]\n\n".to_vec()
    }

    /// Finish, usage, `[DONE]`.
    pub(crate) fn end(reason: &str) -> Vec<Vec<u8>> {
        vec![finish(reason), usage(), done()]
    }

    /// The role first, then `middle`, then the usual end.
    pub(crate) fn stream(middle: Vec<Vec<u8>>, reason: &str) -> Vec<Vec<u8>> {
        let mut events = vec![role()];
        events.extend(middle);
        events.extend(end(reason));
        events
    }

    /// A text answer, one chunk a part.
    pub(crate) fn text(parts: &[&str]) -> Vec<Vec<u8>> {
        stream(parts.iter().map(|part| content(part)).collect(), "stop")
    }

    /// One call of `get_weather`, its arguments in five fragments.
    pub(crate) fn tool_call() -> Vec<Vec<u8>> {
        let mut calls = vec![tool(&json!({"index": 0, "id": "call_a", "type": "function",
                                          "function": {"name": "get_weather", "arguments": ""}}))];
        for fragment in ["{\"ci", "ty\":", " \"Gen", "ève\"", "}"] {
            calls.push(tool(&json!({"index": 0, "function": {"arguments": fragment}})));
        }
        stream(calls, "tool_calls")
    }

    /// Reasoning, then text.
    pub(crate) fn reasoning() -> Vec<Vec<u8>> {
        let thought = |text: &str| delta(&json!({"reasoning_content": text}));
        stream(vec![thought("Two and "), thought("two."), content("Four.")], "stop")
    }

    fn usage_object() -> Value {
        json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
               "prompt_tokens_details": {"cached_tokens": 40}})
    }

    /// A whole completion around this `message`.
    pub(crate) fn completion(message: &Value, reason: &str) -> String {
        json!({"id": "chatcmpl-upstream", "object": "chat.completion", "created": 1_760_000_000,
               "model": "gpt-4o-2024-11-20", "usage": usage_object(),
               "choices": [{"index": 0, "message": message, "finish_reason": reason}]})
        .to_string()
    }

    pub(crate) fn whole(text: &str) -> String {
        completion(&json!({"role": "assistant", "content": text}), "stop")
    }

    pub(crate) fn error(message: &str, kind: &str, code: &str) -> String {
        json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
    }
}
