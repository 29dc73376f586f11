//! Requests that cannot be converted.

use super::*;

#[test]
fn the_error_for_an_unsupported_member_has_its_path() {
    for (fields, message) in [
        (json!({"n": 2}), "n: this provider gives one answer, so it must be 1"),
        (json!({"max_tokens": 0}), "max_tokens: must be at least 1"),
        (json!({"max_completion_tokens": -1}), "max_completion_tokens: must be at least 1"),
        (json!({"max_tokens": "9"}), "max_tokens: must be an integer"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (json!({"stop": [1]}), "stop: must be a string or an array of strings"),
        (
            json!({"reasoning_effort": "extreme"}),
            "reasoning_effort: must be default, none, minimal, low, medium, high, xhigh or max",
        ),
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": [{"content": "x"}]}), "messages.0.role: field required"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages.0.role: must be system, developer, user, assistant or tool",
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages.0.content: must be a string or an array of content parts",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}),
            "messages.0.content.0: only text parts are supported here",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}]}),
            "messages.0.tool_calls.0.function.name: field required",
        ),
        (json!({"tools": [{"type": "function"}]}), "tools.0.function: field required"),
        (json!({"tools": [{"function": {}}]}), "tools.0.function.name: field required"),
        (
            json!({"tools": [{"function": {"name": "f", "parameters": []}}]}),
            "tools.0.function.parameters: must be an object",
        ),
        (
            json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name: no function in tools has this name",
        ),
        (json!({"tool_choice": "maybe"}), "tool_choice: must be none, auto, required or name a function"),
        (json!({"tool_choice": 1}), "tool_choice: must be none, auto, required or name a function"),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn the_error_for_an_unsupported_part_has_its_path() {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (fields, message) in [
        (user(json!({"text": "x"})), "messages.0.content.0.type: field required"),
        (
            user(json!({"type": "input_audio", "input_audio": {}})),
            "messages.0.content.0: an input_audio part is not supported by an Anthropic-format provider",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "ftp://x"}})),
            "messages.0.content.0.image_url.url: must be an http(s) URL or a base64 data URL",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:image/png,raw"}})),
            "messages.0.content.0.image_url.url: must be an http(s) URL or a base64 data URL",
        ),
        (
            user(json!({"type": "file", "file": {"file_id": "file-1"}})),
            "messages.0.content.0.file.file_data: field required; a file_id means nothing here",
        ),
        (
            user(json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}})),
            "messages.0.content.0.file.file_data: only PDF files and images are supported by this provider",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn an_error_never_contains_the_prompt() {
    const SECRET: &str = "s3cret, expected nothing";
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for fields in [
        json!({"messages": SECRET}),
        json!({"messages": [SECRET]}),
        json!({"messages": [{"role": SECRET}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [SECRET]}]}),
        json!({"stream": SECRET}),
        json!({"stream_options": SECRET}),
        json!({"reasoning_effort": SECRET}),
        json!({"response_format": SECRET}),
        json!({"tools": [SECRET]}),
        json!({"tool_choice": SECRET}),
        json!({"n": SECRET}),
        user(json!(SECRET)),
        user(json!({"type": SECRET})),
        user(json!({"type": "image_url", "image_url": SECRET})),
        user(json!({"type": "file", "file": SECRET})),
    ] {
        let message = refusal(fields);
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn deep_nesting_is_translated_without_recursion() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"tools":[{{"function":{{"name":"f","parameters":{{"x":{deep}}}}}}}],"messages":[{{"role":"assistant",
        "tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{\"y\":{deep}}}"}}}}]}}]}}"#
    );
    let target = MessagesUpstream { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent = request(body.as_bytes(), &target).unwrap().body;
    assert!(sent.len() > 400_000);
}
