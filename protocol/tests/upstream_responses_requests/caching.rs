//! Prompt caching: the session as `prompt_cache_key`, and `cache_control` as `prompt_cache_breakpoint`.

use super::*;

fn marked(text: &str, breakpoint: Value) -> Value {
    json!({"type": "input_text", "text": text, "prompt_cache_breakpoint": breakpoint})
}

fn caches() -> Dialect {
    Dialect { prompt_cache: true, ..Dialect::default() }
}

/// Requirement: `cache_control` becomes `prompt_cache_breakpoint` for GPT-5.6 and later, at most four.
#[test]
fn marks_become_breakpoints_for_models_that_take_them() {
    let short = json!({"type": "ephemeral"});
    let fields = json!({
        "system": [{"type": "text", "text": "s1"}, {"type": "text", "text": "s2", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "T", "input_schema": {"type": "object"}, "cache_control": short}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": short}]},
            {"role": "assistant", "content": [{"type": "text", "text": "x", "cache_control": short},
                {"type": "tool_use", "id": "c", "name": "T", "input": {}}, {"type": "tool_use", "id": "d", "name": "T", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": "r", "cache_control": short},
                {"type": "tool_result", "tool_use_id": "d", "cache_control": short, "content": [
                    {"type": "text", "text": "i"}, {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]}]},
            {"role": "user", "content": [{"type": "text", "text": "fifth", "cache_control": short}]}]});
    let dialect = caches();
    let target = ResponsesUpstream { model: "gpt-5.6-sol", dialect: &dialect, ..TARGET };
    let sent = to(&target, fields.clone());
    let (brief, long) = (json!({"mode": "explicit"}), json!({"mode": "explicit", "ttl": "12h"}));
    assert!(sent.get("instructions").is_none(), "a string has no marks");
    assert_eq!(
        sent["input"][0],
        json!({"type": "message", "role": "developer",
            "content": [{"type": "input_text", "text": "s1"}, marked("s2", long)]})
    );
    assert_eq!(
        sent["input"][1]["content"],
        json!([{"type": "input_text", "text": "a"}, marked("b", brief.clone())])
    );
    let outputs: Vec<&Value> = sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == "function_call_output")
        .collect();
    assert_eq!(outputs[0]["output"], json!([marked("r", brief.clone())]));
    assert_eq!(outputs[1]["output"][1]["prompt_cache_breakpoint"], brief);
    assert_eq!(sent.to_string().matches("prompt_cache_breakpoint").count(), 4);
    for (model, dialect) in [("gpt-5.5", &dialect), ("gpt-6.1-sol", &PLAIN)] {
        let sent = to(&ResponsesUpstream { model, dialect, ..TARGET }, fields.clone());
        assert!(!sent.to_string().contains("prompt_cache_breakpoint"), "{model}");
        assert_eq!(sent["instructions"], "s1\n\ns2");
    }
}

/// Requirement: `prompt_cache_key` from the session, if the provider takes it.
#[test]
fn the_session_becomes_the_cache_key() {
    const SESSION: &str = "0b4a3c1e-1111-4222-8333-944455556666";
    let dialect = caches();
    let target = ResponsesUpstream { dialect: &dialect, ..TARGET };
    let of_user = json!({"metadata": {"user_id": format!("user_1_account__session_{SESSION}")}});
    assert_eq!(to(&target, of_user.clone())["prompt_cache_key"], SESSION);
    let named = ResponsesUpstream { session: Some(SESSION), ..target };
    assert_eq!(to(&named, json!({}))["prompt_cache_key"], SESSION);
    assert!(with(of_user).get("prompt_cache_key").is_none());
}
