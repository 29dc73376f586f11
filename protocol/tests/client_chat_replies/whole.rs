//! Whole replies.

use super::*;

#[test]
fn a_whole_reply_becomes_one_completion() {
    let upstream = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, 2.50]}},
            {"type": "server_tool_use", "id": "srv", "name": "w", "input": {}}, null, 7,
            {"type": "text", "text": "b"}, {"type": "tool_use", "id": "y", "name": "g", "input": {}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 2}})
    .to_string();
    let whole = transcoder(curious()).whole(upstream.as_bytes()).unwrap();
    let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    assert_eq!(
        serde_json::from_slice::<Value>(&whole.body).unwrap(),
        json!({"id": "chatcmpl-0123456789abcdef0123456789abcdef", "object": "chat.completion",
            "created": 1_760_000_000, "model": "p:m",
            "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "ab", "refusal": null, "reasoning_content": "r", "tool_calls": [
                    {"id": "x", "type": "function", "function": function("f", "{\"a\":[1,2.5]}")},
                    {"id": "y", "type": "function", "function": function("g", "{}")}]}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0}}})
    );
    assert_eq!((whole.summary.tool_calls, whole.summary.stop_reason), (2, Some(StopReason::ToolUse)));
}

#[test]
fn a_whole_reply_without_text_has_none_and_without_usage_has_zeros() {
    let upstream = br#"{"type":"message","content":[],"stop_reason":"end_turn"}"#;
    let whole = transcoder(curious()).whole(upstream).unwrap();
    let completion: Value = serde_json::from_slice(&whole.body).unwrap();
    let message = &completion["choices"][0]["message"];
    assert_eq!(message, &json!({"role": "assistant", "content": null, "refusal": null}));
    assert_eq!((&completion["usage"]["total_tokens"], whole.summary.usage), (&json!(0), None));
}

#[test]
fn invalid_whole_replies_are_faults() {
    for (upstream, status) in [
        ("", 502),
        ("<html>", 502),
        ("[]", 502),
        ("{}", 502),
        (r#"{"type":"message","content":"x"}"#, 502),
        (r#"{"choices":[{"message":{"content":"x"}}]}"#, 502),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, 529),
        (r#"{"error":{"message":"slow","code":429}}"#, 429),
    ] {
        let fault: Fault = transcoder(curious()).whole(upstream.as_bytes()).unwrap_err();
        assert_eq!(fault.status, status, "{upstream}");
        let mut out = BytesMut::new();
        assert!(
            transcoder(curious()).whole_as_stream(upstream.as_bytes(), &mut out).is_err() && out.is_empty()
        );
    }
}
