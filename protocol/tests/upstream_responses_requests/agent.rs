//! A request as an agent sends it, from end to end.

use super::*;

/// Requirement: turn two of an agent over the Responses API: everything that the model needs is there, and nothing else.
#[test]
fn the_second_turn_of_an_agent() {
    let mut sealed = signature::mint("openai", "gpt-6.1-sol");
    signature::carry(&mut sealed, br#"{"id":"rs_1","encrypted_content":"gAAAAB"}"#);
    let body = json!({
        "model": "openai:sonnet", "max_tokens": 32000, "stream": true,
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"},
        "metadata": {"user_id": "{\"session_id\":\"0b4a3c1e-1111-4222-8333-944455556666\"}"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "description": "Runs.", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>r</system-reminder>"}, {"type": "text", "text": "List."}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "**Listing**", "signature": sealed},
                {"type": "text", "text": "I list."},
                {"type": "tool_use", "id": "call_1", "name": "Bash", "input": {"command": "ls"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "a.rs", "is_error": false,
                "cache_control": {"type": "ephemeral"}}]}]});
    let dialect =
        Dialect { prompt_cache: true, web_search: Some(HostedSearch::OpenAi), ..Dialect::default() };
    let target = ResponsesUpstream {
        provider: "openai",
        model: "gpt-6.1-sol",
        requested_model: "openai:sonnet",
        dialect: &dialect,
        ..TARGET
    };
    let translated = translate(&body, &target);
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    check_items(&sent["input"]);
    let breakpoint = json!({"mode": "explicit"});
    let mut comment = said("I list.");
    comment["phase"] = json!("commentary");
    assert_eq!(
        sent,
        json!({
            "model": "gpt-6.1-sol", "store": false, "stream": true, "max_output_tokens": 32000,
            "reasoning": {"effort": "xhigh", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "0b4a3c1e-1111-4222-8333-944455556666",
            "tools": [{"type": "function", "name": "Bash", "description": "Runs.",
                "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}, "strict": false}],
            "input": [
                {"type": "message", "role": "developer", "content": [
                    {"type": "input_text", "text": "You are an agent.", "prompt_cache_breakpoint": breakpoint}]},
                {"type": "message", "role": "user", "content": [
                    {"type": "input_text", "text": "<system-reminder>r</system-reminder>"},
                    {"type": "input_text", "text": "List."}]},
                {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAAB",
                    "summary": [{"type": "summary_text", "text": "**Listing**"}]},
                comment,
                call("call_1", "Bash", "{\"command\":\"ls\"}"),
                output("call_1", json!([{"type": "input_text", "text": "a.rs", "prompt_cache_breakpoint": breakpoint}])),
            ],
        })
    );
    assert_eq!(translated.dropped.header().as_deref(), Some("context_management"));
}
