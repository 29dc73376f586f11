//! A turn of Codex 0.171.0, in the shape that was captured from it. Its prose is left out.

use super::*;

fn turn() -> Value {
    let item = |mut fields: Value, id: &str| {
        fields["id"] = json!(id);
        fields["type"] = json!("message");
        fields
    };
    let parts = |texts: &[&str]| -> Vec<Value> {
        texts.iter().map(|text| json!({"type": "input_text", "text": text})).collect()
    };
    json!({
        "model": "p:m", "stream": true,
        "input": [
            item(json!({"role": "developer", "content": parts(&["base"])}), "msg_1"),
            item(json!({"role": "developer", "content": parts(&["<skills_instructions>", "<permissions instructions>"])}), "msg_2"),
            item(json!({"role": "user", "content": parts(&["<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"])}), "msg_3"),
            item(json!({"role": "user", "content": parts(&["say hi"])}), "msg_4"),
            thought(&["**Thinking** about it"], &sealed("p", "claude-sonnet-5", "sig")),
            item(json!({"role": "assistant", "status": "completed", "phase": "commentary", "content": [{"type": "output_text", "text": "I will look.", "annotations": []}]}), "msg_5"),
            {"type": "function_call", "status": "completed", "id": "fc_1", "name": "exec_command", "arguments": "{\"cmd\": \"echo hi\"}", "call_id": "toolu_1"},
            {"type": "custom_tool_call", "id": "ctc_1", "status": "completed", "call_id": "toolu_2", "name": "apply_patch", "input": "*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\n"},
            {"type": "function_call_output", "id": "fco_1", "call_id": "toolu_1", "output": "hi"},
            {"type": "custom_tool_call_output", "id": "ctco_1", "call_id": "toolu_2", "output": "Exit code: 0\n"},
        ],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "runs", "strict": false, "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": false}},
            {"type": "custom", "name": "apply_patch", "description": "edits", "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin"}},
            {"type": "namespace", "name": "agents", "description": "starts agents", "tools": [{"type": "function", "name": "spawn", "description": "starts", "strict": false, "parameters": {"type": "object", "properties": {}}}]},
            {"type": "tool_search", "execution": "client", "description": "finds", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}},
            {"type": "web_search", "external_web_access": false},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": "medium", "summary": "auto"}, "store": false,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "01a23010-af1d-7473-97be-88dd5cc09753", "text": {"verbosity": "low"},
        "client_metadata": {"session_id": "s"},
    })
}

#[test]
fn a_turn_is_a_request_for_a_claude() {
    let translated = translate(&turn(), &MessagesTarget { model: "claude-sonnet-5", ..TARGET });
    let mark = json!({"type": "ephemeral"});
    let patch = "*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\n";
    let input = "The tool's input as plain text. It must match this Lark grammar:\n\nstart: begin";
    assert_eq!(
        body_of(&translated),
        json!({
            "model": "claude-sonnet-5", "max_tokens": 32000, "stream": true,
            "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "medium"},
            "system": [text("base"), text("<skills_instructions>"), {"type": "text", "text": "<permissions instructions>", "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [text("<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"), {"type": "text", "text": "say hi", "cache_control": mark}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "**Thinking** about it", "signature": "sig"}, text("I will look."),
                    tool_use("toolu_1", "exec_command", json!({"cmd": "echo hi"})), tool_use("toolu_2", "apply_patch", json!({"input": patch}))]},
                {"role": "user", "content": [result("toolu_1", json!("hi")), {"type": "tool_result", "tool_use_id": "toolu_2", "content": "Exit code: 0\n", "cache_control": mark}]},
            ],
            "tools": [
                {"name": "exec_command", "description": "runs", "strict": false, "input_schema": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": false}},
                {"name": "apply_patch", "description": "edits", "input_schema": {"type": "object", "properties": {"input": {"type": "string", "description": input}}, "required": ["input"], "additionalProperties": false}},
                {"name": "agents__spawn", "description": "starts", "strict": false, "input_schema": {"type": "object", "properties": {}}},
                {"name": "tool_search", "description": "finds", "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}},
            ],
            "tool_choice": {"type": "auto"},
        })
    );
    let named = translated.dropped.header().unwrap();
    assert_eq!(named, "tools.4 (web_search), text.verbosity");
}
