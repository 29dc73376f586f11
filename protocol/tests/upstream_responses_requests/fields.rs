//! Every field of a Messages request (the SDK `anthropic`, `MessageCreateParams` with the betas): mapped, named as dropped, or handled
//! by the gateway.

use super::*;

/// What becomes of a field.
enum Fate {
    /// The body has this member.
    Member(&'static str),
    /// The header names it.
    Dropped,
    /// The reply follows it.
    Reply,
}

#[test]
fn every_field_is_mapped_or_named_as_dropped() {
    use Fate::{Dropped, Member, Reply};
    let dialect = Dialect {
        prompt_cache: true,
        user_fields: vec!["safety_identifier".into()],
        reasoning_models: ReasoningModels::Listed(vec!["*".into()]),
        ..Dialect::default()
    };
    let target = ResponsesUpstream { dialect: &dialect, ..TARGET };
    let tool = json!([{"name": "f", "input_schema": {}}]);
    for (field, value, fate) in [
        ("model", json!("p:m"), Member("model")),
        ("messages", json!([{"role": "user", "content": "x"}]), Member("input")),
        ("max_tokens", json!(100), Member("max_output_tokens")),
        ("system", json!("s"), Member("instructions")),
        ("stream", json!(true), Member("stream")),
        ("temperature", json!(0.5), Member("temperature")),
        ("top_p", json!(0.5), Member("top_p")),
        ("top_k", json!(5), Dropped),
        ("stop_sequences", json!(["x"]), Reply),
        ("metadata", json!({"user_id": "u"}), Member("safety_identifier")),
        ("tools", tool.clone(), Member("tools")),
        ("tool_choice", json!({"type": "auto"}), Member("tool_choice")),
        ("thinking", json!({"type": "adaptive"}), Member("reasoning")),
        ("output_config", json!({"effort": "low"}), Member("reasoning")),
        ("output_format", json!({"type": "json_schema", "schema": {}}), Member("text")),
        ("safeguards", json!([{"type": "dangerous_tool_use"}]), Reply),
        ("cache_control", json!({"type": "ephemeral"}), Dropped),
        ("container", json!("c"), Dropped),
        ("context_management", json!({"edits": []}), Dropped),
        ("diagnostics", json!({}), Dropped),
        ("fallbacks", json!([{"model": "x"}]), Dropped),
        ("inference_geo", json!("eu"), Dropped),
        ("mcp_servers", json!([]), Dropped),
        ("service_tier", json!("auto"), Dropped),
        ("speed", json!("fast"), Dropped),
        ("user_profile_id", json!("u"), Dropped),
        ("of_tomorrow", json!(1), Dropped),
    ] {
        let mut fields = json!({});
        fields[field] = value;
        if field == "tool_choice" {
            fields["tools"] = tool.clone();
        }
        let (sent, names) = (to(&target, fields.clone()), dropped(&target, fields));
        match fate {
            Member(member) => {
                assert!(sent.get(member).is_some() && names.is_empty(), "{field}: {sent} {names}")
            }
            Dropped => assert_eq!(names, field),
            Reply => assert!(names.is_empty(), "{field}: {names}"),
        }
    }
}

/// Requirement: every member of a tool, a block and a message that has no counterpart is ignored as Chat Completions does, and none of
/// them reaches the upstream.
#[test]
fn no_member_of_anthropics_own_reaches_the_upstream() {
    let sent = with(json!({
        "tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": true,
            "input_examples": [{}], "allowed_callers": ["direct"]}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x", "citations": [], "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "y", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}}]}]}));
    for name in
        ["cache_control", "eager_input_streaming", "input_examples", "allowed_callers", "citations", "caller"]
    {
        assert!(!sent.to_string().contains(name), "{name}: {sent}");
    }
}
