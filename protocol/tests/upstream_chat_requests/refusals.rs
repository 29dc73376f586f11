//! Requests that cannot be converted.

use super::*;

#[test]
fn the_error_for_an_unsupported_member_has_its_path() {
    let user = |block: Value| {
        json!({"messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "a", "name": "f", "input": {}}]}, {"role": "user", "content": ["", block]}]})
    };
    for (fields, message) in [
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": null}), "messages: at least one message is required"),
        (json!({"max_tokens": null}), "max_tokens: field required"),
        (json!({"max_tokens": 0}), "max_tokens: must be at least 1"),
        (json!({"max_tokens": -5}), "max_tokens: must be at least 1"),
        (json!({"max_tokens": 1.5}), "max_tokens: must be an integer"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages.0.role: must be user, assistant or system",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages.0.content: field required"),
        (
            json!({"messages": [{"role": "user", "content": 3}]}),
            "messages.0.content: must be a string or an array of content blocks",
        ),
        (user(json!({})), "messages.1.content: expected a content block object"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "no word"}]}]}),
            "messages.0.content.0.type: no content block has this type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}),
            "messages.0.content.0.source.type: file sources are not supported by this provider",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]}),
            "messages.0.content.0.tool_use_id: field required",
        ),
        (json!({"system": [{"type": "image"}]}), "system.0: only text blocks are supported here"),
        (json!({"tools": [{"name": "f"}]}), "tools.0.input_schema: field required"),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "g"}}),
            "tool_choice.name: no tool in tools has this name",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn an_error_never_contains_the_prompt() {
    const SECRET: &str = "s3cret, expected nothing";
    for fields in [
        json!({"messages": SECRET}),
        json!({"messages": [SECRET]}),
        json!({"stream": SECRET}),
        json!({"thinking": SECRET}),
        json!({"tools": [{"name": "f", "input_schema": {}, "strict": SECRET}]}),
        json!({"messages": [{"role": SECRET, "content": SECRET}]}),
        json!({"messages": [{"role": "user", "content": [SECRET]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": SECRET}]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": SECRET}]}]}),
    ] {
        let message = refusal(fields);
        assert!(!message.contains("s3cret"), "{message}");
    }
    let broken = request(br#"{"messages":"s3cret"#, &TARGET).unwrap_err().message;
    assert_eq!(broken, "the request body is not valid JSON (line 1 column 19)");
    assert_eq!(
        request(b"[]", &TARGET).unwrap_err().message,
        "request body, line 1 column 2: expected a JSON object"
    );
}

#[test]
fn deep_nesting_is_translated_without_recursion() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"max_tokens":1,"tools":[{{"name":"f","input_schema":{{"x":{deep}}}}}],"messages":[{{"role":"assistant",
        "content":[{{"type":"tool_use","id":"a","name":"f","input":{{"y":{deep}}}}}]}}]}}"#
    );
    let sent = request(body.as_bytes(), &TARGET).unwrap().body;
    assert!(sent.len() > 400_000);
}
