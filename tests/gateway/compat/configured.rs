//! Fixups as configured rules, which avoid the first refusal.

use serde_json::json;

use super::{chat, chat_with, suggested, with, without};
use crate::support::chat as chats;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::Upstream;

#[test]
fn the_suggested_rule_avoids_the_refusal() {
    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"top_p": 0.5}));
    chat(&gateway, &body);
    let rules: Vec<_> = suggested(&gateway, "openai").into_iter().map(|(_, rule)| rule).collect();
    gateway.run.await_log(&rules[0]);

    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).toml(&format!("[openai]\n{}", rules.join("\n"))).start();

    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");
    assert_eq!(upstream.count(), 1);
    assert!(suggested(&gateway, "openai").is_empty());
}

#[test]
fn rules_apply_to_their_provider_only_and_to_all_of_its_models() {
    let (ruled, other) = (Upstream::openai(), Upstream::openai());
    let gateway = Gateway::bare()
        .provider("ruled", &ruled)
        .provider("other", &other)
        .toml("[ruled]\ndrop-params = ['seed', 'tools.strict', 'schema.title']\nmax-tokens-as = 'max_completion_tokens'")
        .start();
    let function = json!({"name": "f", "strict": true, "parameters": {"title": "T", "type": "object"}});
    let body =
        chat_with(json!({"seed": 7, "max_tokens": 5, "tools": [{"type": "function", "function": function}]}));

    for model in ["ruled:a", "ruled:b", "other:a"] {
        chat(&gateway, &with(body.clone(), json!({"model": model})));
    }

    for seen in ruled.requests() {
        let sent = seen.json();
        assert_eq!(
            (sent.get("seed"), sent.get("max_tokens"), &sent["max_completion_tokens"]),
            (None, None, &json!(5))
        );
        assert_eq!(sent["tools"][0]["function"], json!({"name": "f", "parameters": {"type": "object"}}));
    }
    let expected = with(body, json!({"model": "a"}));
    assert_eq!(other.only_request().json(), expected);
}

#[test]
fn a_rule_for_one_value_does_not_affect_other_values() {
    let upstream = Upstream::openai();
    let rules = r#"drop-params = ['reasoning_effort=none', 'tool_choice={"type":"x"}']"#;
    let gateway = Gateway::before(&upstream).toml(&format!("[openai]\n{rules}")).start();
    for (effort, left) in [("none", json!(null)), ("low", json!("low"))] {
        chat(&gateway, &chat_with(json!({"reasoning_effort": effort, "tool_choice": {"type": "x"}})));
        let sent = upstream.requests().pop().expect("a request").json();
        assert_eq!((&sent["reasoning_effort"], sent.get("tool_choice")), (&left, None));
    }
}

/// Complaint of gateway users: a beta flag that the upstream does not know.
#[test]
fn betas_are_dropped_by_rule_with_the_members_that_need_them() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).toml("[anthropic]\ndrop-betas = ['effort-2025-11-24']").start();
    let body = with(prompt(MODEL, "hi"), json!({"output_config": {"effort": "low", "x": 1}}));

    gateway.messages(&body).header("anthropic-beta", "effort-2025-11-24,b-1").reply();
    gateway.messages(&body).header("anthropic-beta", "effort-2025-11-24").reply();
    gateway.messages(&body).reply();

    let seen = upstream.requests();
    let betas: Vec<_> = seen.iter().map(|seen| seen.head.header("anthropic-beta")).collect();
    assert_eq!(betas, [Some("b-1"), None, None]);
    let configs: Vec<_> = seen.iter().map(|seen| seen.json()["output_config"].clone()).collect();
    assert_eq!(configs, [json!({"x": 1}), json!({"x": 1}), json!({"effort": "low", "x": 1})]);
}

#[test]
fn a_rule_that_removes_a_required_member_prevents_the_start() {
    for (rule, words) in [
        (
            "drop-params = ['messages']",
            "[openai] drop-params: expected a list of members that a request can do without",
        ),
        ("drop-params = 7", "[openai] drop-params: expected a list of members"),
        (
            "drop-betas = ['a b']",
            "[openai] drop-betas: expected a list of values of the header anthropic-beta",
        ),
        ("max-tokens-as = 'tokens'", "expected one of max_tokens, max_completion_tokens, found \"tokens\""),
    ] {
        let finished = Gateway::bare().toml(&format!("[openai]\n{rule}")).run_to_end();
        assert_eq!(finished.status.code(), Some(1), "{rule}");
        assert!(finished.output.contains(words), "{rule}\n{}", finished.output);
    }
}

#[test]
fn without_rules_and_refusals_nothing_is_changed() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = whole_prompt(MODEL, "hi");

    chat(&gateway, &body);

    assert_eq!(upstream.only_request().text(), body.to_string());
}
