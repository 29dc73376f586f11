//! Changes of the tools, strict schemas, and members that a target does not accept.

use super::*;

#[test]
fn tools_are_added_and_removed_in_the_order_of_the_conversation() {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let mut deferred = tool("later");
    deferred["defer_loading"] = json!(true);
    let change =
        |kind: &str, tool: Value| json!({"role": "system", "content": [{"type": kind, "tool": tool}]});
    let named = |name: &str| json!({"type": "tool_reference", "name": name});
    let inline = |tool: Value| json!({"type": "tool_definition", "definition": tool});
    let mut newer = tool("b");
    newer["description"] = json!("newer");
    let of = |changes: Vec<Value>| {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(changes);
        sent(&TARGET, json!({"tools": [tool("a"), tool("b"), deferred], "messages": messages}))
    };
    for (changes, expected) in [
        (vec![], vec!["a", "b"]),
        (vec![change("tool_addition", named("later"))], vec!["a", "b", "later"]),
        (vec![change("tool_removal", named("a"))], vec!["b"]),
        (vec![change("tool_removal", named("a")), change("tool_addition", named("a"))], vec!["a", "b"]),
        (vec![change("tool_addition", inline(tool("new")))], vec!["a", "b", "new"]),
        (
            vec![change("tool_addition", inline(tool("new"))), change("tool_removal", named("new"))],
            vec!["a", "b"],
        ),
        (vec![change("tool_addition", inline(newer.clone()))], vec!["a", "b"]),
        (vec![change("tool_removal", named("a")), change("tool_removal", named("b"))], vec![]),
        (
            vec![change("tool_addition", json!({"type": "mcp_toolset_reference", "server_name": "s"}))],
            vec!["a", "b"],
        ),
        (
            vec![change(
                "tool_removal",
                json!({"type": "mcp_tool_reference", "server_name": "s", "name": "a"}),
            )],
            vec!["a", "b"],
        ),
    ] {
        let chat = of(changes.clone());
        assert_eq!(names(&chat), expected, "{changes:?}");
        assert_eq!(chat["messages"].as_array().unwrap().len(), 1, "a change alone is no message");
    }
    let replaced = of(vec![change("tool_addition", inline(newer))]);
    assert_eq!(replaced["tools"][1]["function"]["description"], "newer");
    let text = json!({"role": "system", "content": [{"type": "text", "text": "note"}, {"type": "tool_removal", "tool": named("a")}]});
    assert!(of(vec![text]).to_string().contains("note"));
    let unknown = json!({"messages": [{"role": "user", "content": "hi"}, change("tool_addition", named("gone")),
        change("tool_addition", json!({"type": "mcp_toolset_reference", "server_name": "s"}))]});
    assert_eq!(
        dropped(unknown),
        "messages.1.content.0 (tool_addition), messages.2.content.0 (tool_addition)"
    );
    let bad = json!({"messages": [{"role": "user", "content": "hi"}, change("tool_addition", inline(json!({"name": "x"})))]});
    assert_eq!(refusal(&TARGET, bad), "messages.1.content.0.tool.definition.input_schema: field required");
}

#[test]
fn what_the_target_cannot_take_is_named_and_never_quoted() {
    for (fields, expected) in [
        (json!({}), ""),
        (json!({"metadata": {"user_id": "u"}, "stream": true}), ""),
        (
            json!({"context_management": {"edits": []}, "mcp_servers": [{"url": "https://secret"}]}),
            "context_management, mcp_servers",
        ),
        (json!({"top_k": 5, "container": "c", "speed": "fast"}), "container, speed, top_k"),
        (json!({"thinking": {"type": "adaptive"}}), "thinking"),
        (json!({"output_config": {"effort": "high"}}), "output_config.effort"),
        (json!({"thinking": {"type": "disabled"}}), ""),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]}),
            "tools.1 (web_search_20250305)",
        ),
        (
            json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
            "tools.0 (code_execution_20250825)",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}),
            "messages.0.content.0 (container_upload)",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": [{"type": "hologram"}]}]}),
            "messages.1.content.0 (hologram)",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "hologram"}, {"type": "text", "text": "t"}]}]}),
            "messages.1.content.0 (hologram)",
        ),
    ] {
        assert_eq!(dropped(fields.clone()), expected, "{fields}");
    }
    let many: serde_json::Map<_, _> =
        (0..500).map(|number| (format!("field\u{7}\n{number}"), json!(1))).collect();
    let header = dropped(Value::Object(many));
    assert!(header.len() < 1000 && header.is_ascii() && !header.contains(['\n', '\u{7}']), "{header}");
}

#[test]
fn a_chat_client_gets_the_names_of_what_is_dropped_too() {
    let target =
        client::chat::MessagesUpstream { provider: "p", model: "claude-sonnet-5", requested_model: "c" };
    let body = json!({"model": "c", "messages": [{"role": "user", "content": "hi"}], "seed": 1, "logit_bias": {"1": 2}, "store": false});
    let translated = client::chat::request(body.to_string().as_bytes(), &target).unwrap();
    let header = translated.dropped.header().unwrap();
    let mut names: Vec<_> = header.split(", ").collect();
    names.sort_unstable();
    assert_eq!(names, ["logit_bias", "seed"]);
}

#[test]
fn a_member_twice_and_a_body_that_is_no_object_are_refused() {
    for (body, expected) in [
        (r#"{"max_tokens":1,"max_tokens":2,"messages":[]}"#, "duplicate field"),
        ("[]", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ("7", "expected a JSON object"),
        (r#"{"max_tokens":1,"x":}"#, "not valid JSON"),
    ] {
        let message = request(body.as_bytes(), &TARGET).unwrap_err().message;
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn strict_is_only_said_of_schemas_that_qualify() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let open =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    for (schema, strict) in [(&closed, true), (&open, false)] {
        let chat = sent(
            &TARGET,
            json!({"tools": [{"name": "f", "input_schema": schema, "strict": true}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        );
        assert_eq!(chat["tools"][0]["function"]["strict"], strict);
        assert_eq!(chat["response_format"]["json_schema"]["strict"], strict);
        assert_eq!(&chat["response_format"]["json_schema"]["schema"], schema);
    }
}
