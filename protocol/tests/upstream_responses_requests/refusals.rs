//! Requests that cannot be converted.

use super::*;

#[test]
fn the_error_for_an_unsupported_member_has_its_path() {
    for (fields, message) in [
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"max_tokens": null}), "max_tokens: field required"),
        (json!({"max_tokens": 0}), "max_tokens: must be at least 1"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (json!({"top_k": "x"}), "top_k: must be a number"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages.0.role: must be user, assistant or system",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "no word"}]}]}),
            "messages.0.content.0.type: no content block has this type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}),
            "messages.0.content.0.source.type: file sources are not supported by this provider",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url"}}]}]}),
            "messages.0.content.0.source.url: field required",
        ),
        (json!({"system": [{"type": "image"}]}), "system.0: only text blocks are supported here"),
        (json!({"tools": [{"name": "f"}]}), "tools.0.input_schema: field required"),
        (json!({"tools": [{"input_schema": {}}]}), "tools.0.name: field required"),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "g"}}),
            "tool_choice.name: no tool in tools has this name",
        ),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "odd"}}),
            "tool_choice.type: must be auto, any, tool or none",
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
        json!({"stream": SECRET}),
        json!({"messages": [{"role": SECRET, "content": SECRET}]}),
        json!({"messages": [{"role": "user", "content": [{"type": SECRET}]}]}),
    ] {
        let message = refusal(fields);
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn deep_nesting_is_translated_without_recursion() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"max_tokens":1,"tools":[{{"name":"f","input_schema":{{"x":{deep}}}}}],"messages":[{{"role":"assistant",
        "content":[{{"type":"tool_use","id":"a","name":"f","input":{{"y":{deep}}}}}]}}]}}"#
    );
    assert!(request(body.as_bytes(), &TARGET).unwrap().body.len() > 400_000);
}
