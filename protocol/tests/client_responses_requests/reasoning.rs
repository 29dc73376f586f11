//! Reasoning that comes back, and how much of it is wanted.

use super::*;

fn turn(items: &[Value]) -> Value {
    let mut input = vec![said("user", "go")];
    input.extend_from_slice(items);
    with_for("claude-sonnet-5", json!({"input": input}))["messages"].take()
}

#[test]
fn own_reasoning_returns_before_what_it_led_to() {
    let own = sealed("p", "claude-sonnet-5", "c2ln/+=");
    let thinking = json!({"type": "thinking", "thinking": "a\n\nb", "signature": "c2ln/+="});
    let sent = turn(&[
        thought(&["a", "b"], &own),
        said("assistant", "I look."),
        called("call_1", "{}"),
        output("call_1", json!("1")),
        thought(&[], &own),
        called("call_2", "{}"),
        output("call_2", json!("2")),
    ]);
    assert_eq!(sent[1]["content"], json!([thinking, text("I look."), tool_use("call_1", "f", json!({}))]));
    assert_eq!(sent[3]["content"][0], json!({"type": "thinking", "thinking": "", "signature": "c2ln/+="}));
    let redacted = SealedReasoning {
        provider: "p".into(),
        model: "claude-sonnet-5".into(),
        signature: "data".into(),
        is_redacted: true,
    };
    let sent = turn(&[thought(&[], &redacted.seal()), said("assistant", "b")]);
    assert_eq!(sent[1]["content"][0], json!({"type": "redacted_thinking", "data": "data"}));
}

#[test]
fn other_reasoning_is_left_out() {
    for encrypted in [
        sealed("q", "claude-sonnet-5", "s"),
        sealed("p", "claude-opus-5", "s"),
        sealed("p", "claude-sonnet-5", ""),
        "gAAAAAB".to_owned(),
    ] {
        let sent = turn(&[thought(&["a"], &encrypted), said("assistant", "b")]);
        assert_eq!(sent[1]["content"], json!([text("b")]));
        let named = dropped(json!({"input": [thought(&["a"], &encrypted), said("user", "b")]}));
        assert_eq!(named, "input (reasoning of another model)");
    }
    let without = json!({"type": "reasoning", "id": "rs_1", "summary": []});
    assert_eq!(turn(&[without, said("assistant", "b")])[1]["content"], json!([text("b")]));
}

/// Anthropic refuses a message that ends with a thought.
#[test]
fn reasoning_that_led_to_nothing_is_left_out() {
    let own = thought(&["a"], &sealed("p", "claude-sonnet-5", "s"));
    for rest in [&[][..], &[said("user", "stop")], &[said("assistant", " ")]] {
        let mut items = vec![own.clone()];
        items.extend_from_slice(rest);
        assert!(!turn(&items).to_string().contains("thinking"));
    }
}

#[test]
fn an_effort_is_told_in_the_words_of_the_model() {
    for (model, reasoning, thinking, effort) in [
        (
            "claude-sonnet-4-5",
            json!({"effort": "low"}),
            json!({"type": "enabled", "budget_tokens": 1024}),
            json!(null),
        ),
        ("claude-sonnet-4-5", json!({"effort": "none"}), json!({"type": "disabled"}), json!(null)),
        (
            "claude-opus-4-6",
            json!({"effort": "xhigh", "summary": "auto"}),
            json!({"type": "adaptive"}),
            json!("high"),
        ),
        (
            "claude-sonnet-5",
            json!({"effort": "max", "summary": "auto"}),
            json!({"type": "adaptive", "display": "summarized"}),
            json!("max"),
        ),
        ("claude-sonnet-5", json!({"effort": "medium"}), json!({"type": "adaptive"}), json!("medium")),
        (
            "claude-sonnet-5",
            json!({"summary": "detailed"}),
            json!({"type": "adaptive", "display": "summarized"}),
            json!(null),
        ),
        ("claude-sonnet-5", json!({"effort": null}), json!(null), json!(null)),
        ("claude-3-haiku-20240307", json!({"effort": "high"}), json!(null), json!(null)),
    ] {
        let sent = with_for(model, json!({ "reasoning": reasoning }));
        assert_eq!(
            (&sent["thinking"], &sent["output_config"]["effort"]),
            (&thinking, &effort),
            "{model} {reasoning}"
        );
    }
}

/// A model with a budget requires the thoughts that led to a call.
#[test]
fn a_model_with_a_budget_thinks_on_only_with_its_thoughts() {
    let own = thought(&["a"], &sealed("p", MODEL, "s"));
    let rest = [called("call_1", "{}"), output("call_1", json!("1"))];
    let sent = |items: &[Value]| {
        let mut input = vec![said("user", "go")];
        input.extend_from_slice(items);
        with(json!({"input": input, "reasoning": {"effort": "low"}}))
    };
    assert_eq!(sent(&rest).get("thinking"), None);
    let with_thoughts: Vec<Value> = std::iter::once(own).chain(rest.clone()).collect();
    assert_eq!(sent(&with_thoughts)["thinking"]["type"], "enabled");
    let forced =
        with(json!({"tools": [function("f")], "tool_choice": "required", "reasoning": {"effort": "low"}}));
    assert_eq!(forced.get("thinking"), None);
}

/// The last change of the conversation holds.
#[test]
fn a_configuration_update_changes_effort_and_format() {
    let format = json!({"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {}, "additionalProperties": false}});
    let update = |fields: Value| {
        let mut item = json!({"type": "configuration_update"});
        item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        item
    };
    let sent = with_for(
        "claude-sonnet-5",
        json!({"reasoning": {"effort": "low"}, "input": [
        said("user", "a"), update(json!({"reasoning": {"effort": "high"}})), update(json!({"text": {"format": format}})), said("user", "b")]}),
    );
    assert_eq!(sent["output_config"]["effort"], "high");
    assert_eq!(sent["output_config"]["format"]["schema"], format["schema"]);
    assert_eq!(sent["messages"][0]["content"], json!([text("a"), text("b")]));
}
