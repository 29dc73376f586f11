//! Model names: prefixes, aliases, and the ids that Claude Code sends (spec claude-code-requests.md).

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::Upstream;

/// The model that the upstream of this setup receives when the client requests `model`.
fn sent(setup: &Setup, upstream: &Upstream, model: &str) -> String {
    let gateway = setup.start();
    let before = upstream.count();
    let reply = gateway.messages(&prompt(model, "hi")).reply();
    assert_eq!(reply.status(), 200, "{model}: {reply}");
    upstream.request(before).json()["model"].as_str().expect("a model").to_owned()
}

/// A provider with only these aliases.
fn elsewhere(upstream: &Upstream) -> Setup {
    Gateway::bare().provider("mine", upstream).toml(
        "[mine.aliases]\nhaiku = \"small\"\nsonnet = \"middle\"\nopus = \"large\"\nfable = \"story\"\n\
         fast = \"speedy-9\"\n",
    )
}

/// A provider of Claude receives the id unchanged, with or without prefix. Another one receives the alias that the id contains.
fn captured(id: &str, word: &str) {
    let claude = Upstream::anthropic();
    let setup = Gateway::before(&claude);
    assert_eq!(sent(&setup, &claude, id), id);
    assert_eq!(sent(&setup, &claude, &format!("anthropic:{id}")), id);
    let other = Upstream::openai();
    assert_eq!(sent(&elsewhere(&other), &other, id), word);
}

#[test]
fn claude_sonnet_4_5_by_its_date() {
    captured("claude-sonnet-4-5-20250929", "middle");
}

#[test]
fn claude_haiku_4_5_by_its_date() {
    captured("claude-haiku-4-5-20251001", "small");
}

#[test]
fn claude_opus_4_8() {
    captured("claude-opus-4-8", "large");
}

#[test]
fn claude_opus_5_5() {
    captured("claude-opus-5-5", "large");
}

#[test]
fn claude_sonnet_without_a_date() {
    captured("claude-sonnet-4-5", "middle");
}

#[test]
fn claude_3_5_haiku_of_the_old_order() {
    captured("claude-3-5-haiku-20241022", "small");
}

#[test]
fn claude_3_opus_of_the_old_order() {
    captured("claude-3-opus-20240229", "large");
}

#[test]
fn claude_fable() {
    captured("claude-fable-5-1", "story");
}

#[test]
fn the_mark_of_a_large_context_is_not_part_of_the_name() {
    let other = Upstream::openai();
    assert_eq!(sent(&elsewhere(&other), &other, "claude-sonnet-4-5-20250929[1m]"), "middle");
    assert_eq!(sent(&elsewhere(&other), &other, "sonnet[1m]"), "middle");
    assert_eq!(sent(&elsewhere(&other), &other, "mine:thing[1M]"), "thing");
}

/// Requirement: Given `[POE.aliases] HAIKU = "x"`, then `poe:haiku` resolves to x.
#[test]
fn an_alias_ignores_case_and_matches_a_part_of_a_name() {
    let upstream = Upstream::openai();
    let setup = elsewhere(&upstream);
    assert_eq!(sent(&setup, &upstream, "fast"), "speedy-9");
    assert_eq!(sent(&setup, &upstream, "FAST"), "speedy-9");
    assert_eq!(sent(&setup, &upstream, "mine:Fast"), "speedy-9");
    assert_eq!(sent(&setup, &upstream, "faster"), "speedy-9");
    assert_eq!(sent(&setup, &upstream, "my_fast_model"), "speedy-9");
    assert_eq!(sent(&setup, &upstream, "!faster"), "faster");
    assert_eq!(sent(&setup, &upstream, "!mine:fast"), "fast");
    assert_eq!(sent(&setup, &upstream, "claude-vdm/mine:faster"), "faster");
}

#[test]
fn a_name_without_an_alias_is_sent_to_the_default_provider_unchanged() {
    let upstream = Upstream::openai();
    let setup = elsewhere(&upstream);
    for name in ["gpt-4o", "Vendor/Model-X", "with space", "日本"] {
        assert_eq!(sent(&setup, &upstream, name), name);
    }
}

#[test]
fn a_prefix_selects_the_provider_in_any_case_and_later_colons_belong_to_the_model() {
    let [one, two] = [Upstream::openai(), Upstream::openai()];
    let setup = Gateway::before(&one).provider("two", &two);
    assert_eq!(sent(&setup, &two, "two:free/model:exacto"), "free/model:exacto");
    assert_eq!(sent(&setup, &two, "TWO:m"), "m");
    assert_eq!(sent(&setup, &one, "m"), "m");
    assert_eq!(one.count(), 1);
}

#[test]
fn an_alias_can_name_another_provider() {
    let [one, two] = [Upstream::openai(), Upstream::anthropic()];
    let setup = Gateway::before(&one).provider("two", &two).toml("[openai.aliases]\nother = \"two:deep\"");
    assert_eq!(sent(&setup, &two, "other"), "deep");
}

#[test]
fn built_in_aliases_need_no_configuration() {
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream);
    for word in ["haiku", "sonnet", "opus", "fable"] {
        let target = sent(&setup, &upstream, word);
        assert_ne!(target, word);
        assert_eq!(sent(&setup, &upstream, &format!("claude-{word}-9-9-20300101")), target);
    }
}

#[test]
fn aliases_of_other_providers_are_not_used() {
    // A provider that serves Claude must not rewrite Claude ids by its own aliases.
    let upstream = Upstream::anthropic();
    let setup = Gateway::before(&upstream).toml("[anthropic.aliases]\nsonnet = \"claude-x\"");
    assert_eq!(sent(&setup, &upstream, "claude-sonnet-4-5-20250929"), "claude-sonnet-4-5-20250929");
    assert_eq!(sent(&setup, &upstream, "sonnet"), "claude-x");
}

#[test]
fn a_custom_provider_can_serve_claude_too() {
    let upstream = Upstream::anthropic();
    let setup = Gateway::bare()
        .provider("mine", &upstream)
        .toml("[mine]\nserves-claude = true\n[mine.aliases]\nsonnet = \"middle\"");
    assert_eq!(sent(&setup, &upstream, "claude-sonnet-4-5-20250929"), "claude-sonnet-4-5-20250929");
}
