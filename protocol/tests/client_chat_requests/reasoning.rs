//! Reasoning efforts as thinking.

use super::*;

#[test]
fn reasoning_is_requested_in_the_form_that_the_model_supports() {
    let budget = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let effort = |effort: &str| json!({"effort": effort});
    let (adaptive, disabled) = (json!({"type": "adaptive"}), json!({"type": "disabled"}));
    let nothing = || json!(null);
    for (model, word, thinking, output_config) in [
        (MODEL, "minimal", budget(1024), nothing()),
        (MODEL, "low", budget(1024), nothing()),
        (MODEL, "medium", budget(8000), nothing()),
        (MODEL, "high", budget(24000), nothing()),
        (MODEL, "xhigh", budget(24000), nothing()),
        (MODEL, "none", disabled.clone(), nothing()),
        ("kimi-k2", "high", budget(3072), nothing()),
        ("kimi-k2", "none", disabled.clone(), nothing()),
        ("claude-3-5-sonnet-latest", "high", nothing(), nothing()),
        ("claude-3-5-sonnet-latest", "none", nothing(), nothing()),
        ("claude-opus-4-6", "minimal", adaptive.clone(), effort("low")),
        ("claude-opus-4-6", "xhigh", adaptive.clone(), effort("high")),
        ("claude-opus-4-6", "none", disabled, nothing()),
        ("claude-opus-4-7", "xhigh", adaptive.clone(), effort("xhigh")),
        ("claude-opus-5-5", "max", adaptive.clone(), effort("max")),
        ("claude-opus-5-5", "none", nothing(), effort("low")),
        ("claude-mythos-preview", "medium", adaptive, effort("medium")),
    ] {
        let sent = with_for(model, json!({"reasoning_effort": word}));
        assert_eq!(
            (&sent["thinking"], &sent["output_config"]),
            (&thinking, &output_config),
            "{model} {word}"
        );
    }
}

#[test]
fn the_default_effort_is_not_sent() {
    let said = |model: &str, fields: Value| {
        let sent = with_for(model, fields);
        [sent["thinking"].clone(), sent["output_config"].clone(), sent["temperature"].clone()]
    };
    for model in [MODEL, "claude-opus-4-6", "claude-opus-5-5", "kimi-k2", "claude-3-5-sonnet-latest"] {
        let unsaid = said(model, json!({"temperature": 0.5}));
        for word in ["default", "auto", "Default", "adaptive", ""] {
            let fields = json!({"reasoning_effort": word, "temperature": 0.5});
            assert_eq!(said(model, fields), unsaid, "{model} {word}");
        }
        for (word, same) in [("off", "none"), ("disabled", "none"), ("HIGH", "high"), ("Minimal", "low")] {
            let [told, expected] = [word, same].map(|word| said(model, json!({"reasoning_effort": word})));
            assert_eq!(told, expected, "{model} {word}");
        }
    }
}

#[test]
fn a_budget_leaves_room_for_an_answer_or_is_omitted() {
    for (max_tokens, expected) in [
        (30_000, json!(24_000)),
        (4000, json!(2976)),
        (2048, json!(1024)),
        (2047, json!(null)),
        (1, json!(null)),
    ] {
        let sent = with(json!({"reasoning_effort": "high", "max_tokens": max_tokens}));
        assert_eq!(sent["thinking"]["budget_tokens"], expected, "{max_tokens}");
    }
}

#[test]
fn thinking_is_not_requested_together_with_a_forced_tool() {
    let forced = json!({"type": "function", "function": {"name": "f"}});
    for choice in [json!("required"), forced] {
        let fields = json!({"tools": [tool("f")], "tool_choice": choice, "reasoning_effort": "high"});
        assert_eq!(with(fields.clone()).get("thinking"), None);
        let newer = with_for("claude-opus-4-6", fields);
        assert_eq!((newer.get("thinking"), &newer["output_config"]), (None, &json!({"effort": "high"})));
    }
}

#[test]
fn thinking_about_results_is_not_requested_without_the_earlier_thinking() {
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]);
    let mut later = history.clone();
    later.as_array_mut().unwrap().push(json!({"role": "user", "content": "go on"}));
    let kind = |model: &str, history: &Value| {
        let fields = json!({"reasoning_effort": "high", "tools": [tool("f")], "messages": history});
        with_for(model, fields)["thinking"]["type"].clone()
    };
    assert_eq!(kind(MODEL, &history), json!(null));
    assert_eq!(kind(MODEL, &later), "enabled");
    assert_eq!(kind("claude-opus-4-6", &history), "adaptive");
}

#[test]
fn thinking_in_anthropics_form_is_unchanged() {
    let own = json!({"type": "enabled", "budget_tokens": 2000, "display": "summarized"});
    let sent = with(json!({"thinking": own, "reasoning_effort": "high", "temperature": 0.5}));
    assert_eq!((&sent["thinking"], sent.get("output_config"), sent.get("temperature")), (&own, None, None));
    let sent = with(json!({"thinking": {"type": "disabled"}, "temperature": 0.5}));
    assert_eq!((&sent["thinking"]["type"], &sent["temperature"]), (&json!("disabled"), &json!(0.5)));
}
