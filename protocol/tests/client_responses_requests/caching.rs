//! Prompt caching.

use super::*;

fn marked(value: &Value) -> usize {
    value.to_string().matches("cache_control").count()
}

#[test]
fn breakpoints_are_marks() {
    let part = |text: &str, ttl: Option<&str>| {
        let mut breakpoint = json!({"mode": "explicit"});
        if let Some(ttl) = ttl {
            breakpoint["ttl"] = json!(ttl);
        }
        json!({"type": "input_text", "text": text, "prompt_cache_breakpoint": breakpoint})
    };
    let sent = with(json!({"prompt_cache_key": "k", "input": [
        {"role": "developer", "content": [part("s", Some("12h"))]}, {"role": "user", "content": [part("a", None), {"type": "input_text", "text": "b"}]}]}));
    assert_eq!(
        sent["system"],
        json!([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
    );
    assert_eq!(
        sent["messages"][0]["content"],
        json!([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, text("b")])
    );
    let many: Vec<_> = (0..6).map(|at| part(&format!("t{at}"), None)).collect();
    assert_eq!(
        marked(&with(json!({"input": [{"role": "user", "content": many}]}))),
        4,
        "Anthropic takes four"
    );
}

/// OpenAI caches by itself. Without marks, Anthropic would read the whole history anew with every turn.
#[test]
fn a_conversation_with_a_claude_is_cached() {
    let mark = json!({"type": "ephemeral"});
    let sent = with(json!({"instructions": "i", "tools": [function("f")], "input": [
        said("user", "a"), called("call_1", "{}"), output("call_1", json!("1")), said("assistant", "b"), said("user", "c")]}));
    assert_eq!(sent["system"], json!([{"type": "text", "text": "i", "cache_control": mark}]));
    assert_eq!(sent["messages"][4]["content"], json!([{"type": "text", "text": "c", "cache_control": mark}]));
    assert_eq!(sent["messages"][2]["content"][0]["cache_control"], mark);
    assert_eq!(marked(&sent), 3);
    let keyed = with(json!({"prompt_cache_key": "k"}));
    assert_eq!(keyed["messages"][0]["content"][0]["cache_control"], mark);
    let long = with(json!({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}));
    assert_eq!(long["messages"][0]["content"][0]["cache_control"]["ttl"], "1h");
}

#[test]
fn nothing_is_marked_without_need() {
    assert_eq!(marked(&with(json!({"instructions": "i"}))), 0, "a single question");
    assert_eq!(marked(&with_for("glm-5", json!({"prompt_cache_key": "k"}))), 0, "another vendor's model");
    assert_eq!(
        marked(&with(json!({"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}}))),
        0
    );
}
