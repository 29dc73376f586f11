//! Names and where they lead, on tables of these tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::settings::{Fallbacks, PartialProvider, Profile};
use crate::snapshot::Snapshot;
use crate::testing::{provider, settings};

fn routes() -> Routes {
    let mut settings = settings(vec![
        provider("openai")
            .aliases(&[("haiku", "gpt-mini"), ("sonnet", "gpt"), ("opus", "gpt-max"), ("fable", "gpt-max")])
            .build(),
        provider("poe")
            .aliases(&[
                ("docs", "ds"),
                ("ds", "deepseek"),
                ("loop-a", "loop-b"),
                ("loop-b", "loop-a"),
                ("x", "openai:haiku"),
            ])
            .build(),
        provider("anthropic")
            .serves_claude()
            .aliases(&[("haiku", "claude-haiku-4-5"), ("claude-old", "never")])
            .build(),
    ]);
    settings.partial = vec![PartialProvider { name: "foo".into(), missing: "FOO_BASE_URL".into() }];
    settings.keyless = vec![PartialProvider { name: "kimi".into(), missing: "KIMI_API_KEY".into() }];
    settings.default_provider = Some("openai".into());
    Routes::new(&settings, Snapshot::new(Lists::new()))
}

fn route(model: &str) -> String {
    match routes().resolve(model) {
        Ok(route) => format!("{}:{}", route.provider.name, route.model),
        Err(error) => error.to_string(),
    }
}

/// Requirement: `a:b:c` → prefix a, rest `b:c`.
#[test]
fn a_prefix_names_the_provider_in_any_case_and_the_rest_is_the_model() {
    assert_eq!(route("poe:Some-Model"), "poe:Some-Model");
    assert_eq!(route("POE:qwen:8b"), "poe:qwen:8b");
}

#[test]
fn a_name_without_prefix_uses_the_default_provider() {
    assert_eq!(route("gpt-4o"), "openai:gpt-4o");
}

#[test]
fn exact_aliases_are_followed_through_chains_and_over_providers() {
    assert_eq!(route("HAIKU"), "openai:gpt-mini");
    assert_eq!(route("poe:docs"), "poe:deepseek");
    assert_eq!(route("poe:x"), "openai:gpt-mini");
}

#[test]
fn an_alias_cycle_is_an_error_that_names_it() {
    assert!(route("poe:loop-a").contains("poe:loop-b → poe:loop-a → poe:loop-b"));
}

#[test]
fn built_in_claude_ids_resolve_to_the_alias_that_they_contain() {
    assert_eq!(route("claude-haiku-4-5-20251001"), "openai:gpt-mini");
    assert_eq!(route("claude-3-5-haiku-20241022"), "openai:gpt-mini");
    assert_eq!(route("claude-sonnet-4-5-20250929"), "openai:gpt");
    assert_eq!(route("claude-opus-5-5[1M]"), "openai:gpt-max");
    assert_eq!(route("openai:claude-fable-5"), "openai:gpt-max");
    assert_eq!(route("poe:claude-opus-5-5"), "poe:claude-opus-5-5");
}

/// Requirement: `anthropic:claude-sonnet-4-5` reaches exactly that model.
#[test]
fn a_provider_that_serves_claude_receives_claude_ids_unchanged() {
    assert_eq!(route("anthropic:claude-haiku-4-5-20251001"), "anthropic:claude-haiku-4-5-20251001");
    assert_eq!(route("anthropic:claude-old"), "anthropic:claude-old");
    assert_eq!(route("anthropic:haiku"), "anthropic:claude-haiku-4-5");
    // Under the ids of clouds, too.
    for id in ["us.anthropic.claude-haiku-4-5-20251001-v1", "claude-haiku-4-5@20251001"] {
        assert_eq!(route(&format!("anthropic:{id}")), format!("anthropic:{id}"));
    }
}

/// Requirement (issue 20): the id of a model at AWS may be an ARN, whose first word is no provider.
#[test]
fn an_arn_is_a_model() {
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    assert_eq!(route(arn), format!("openai:{arn}"));
    assert_eq!(route(&format!("anthropic:{arn}")), format!("anthropic:{arn}"));
}

/// Requirement (issue 20): the id of a cloud, which clients in its mode send, finds the alias of its family, with and without a
/// version behind a colon.
#[test]
fn an_id_of_a_cloud_uses_the_alias_of_its_family() {
    let plain = route("claude-haiku-4-5");
    for id in [
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "us.anthropic.claude-haiku-5-5",
    ] {
        assert_eq!(route(id), plain, "{id}");
    }
    let id = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    assert_eq!(route(&format!("anthropic:{id}")), format!("anthropic:{id}"));
}

#[test]
fn an_unknown_prefix_is_refused_unless_it_is_part_of_a_model_id() {
    assert_eq!(
        route("nope:m"),
        "unknown provider 'nope' in model 'nope:m': the providers are openai, poe, anthropic"
    );
    assert_eq!(
        route("kimmi:m"),
        "unknown provider 'kimmi' in model 'kimmi:m': the providers are openai, poe, anthropic; did you mean 'kimi', which \
         needs KIMI_API_KEY?"
    );
    assert_eq!(route("vendor/model:free"), "openai:vendor/model:free");
    assert_eq!(route("foo:m"), "provider 'foo' has a key but no base URL: set FOO_BASE_URL and restart");
    assert_eq!(route("poe:"), "model: the name is empty");
}

#[test]
fn the_context_marker_is_not_part_of_the_name() {
    assert_eq!(route("gpt-4o[1m]"), "openai:gpt-4o");
    assert_eq!(route("gpt-4ö[1"), "openai:gpt-4ö[1");
    assert_eq!(route("[1m]"), "model: the name is empty");
}

#[test]
fn a_provider_without_a_key_is_distinguished_from_an_unknown_one() {
    assert_eq!(route("Kimi:k2"), "provider 'kimi' has no key: set KIMI_API_KEY and restart");
}

#[test]
fn an_exclamation_mark_selects_exactly_the_name() {
    assert_eq!(route("!haiku"), "openai:haiku");
    assert_eq!(route("!poe:docs"), "poe:docs");
    assert_eq!(route("!"), "model: the name is empty");
}

#[test]
fn a_discovered_name_is_not_an_alias_within_a_longer_name() {
    assert_eq!(route("claude-vdm/poe:my-docs-model"), "poe:my-docs-model");
    assert_eq!(route("claude-vdm/poe:docs"), "poe:deepseek");
    assert_eq!(route("claude-vdm/openai:claude-haiku-4-5[1m]"), "openai:claude-haiku-4-5");
    assert_eq!(route("poe:my-docs-model"), "poe:deepseek");
}

#[test]
fn a_listed_model_that_is_requested_by_prefix_is_not_changed_by_an_alias() {
    let lists: Lists = [("poe".into(), ["docs-writer".to_owned()].into())].into();
    let mut settings = settings(vec![provider("poe").aliases(&[("docs", "ds")]).build()]);
    settings.default_provider = Some("poe".into());
    let routes = Routes::new(&settings, Snapshot::new(lists));
    let model = |name: &str| routes.resolve(name).unwrap().model.to_string();
    assert_eq!(model("poe:docs-writer"), "docs-writer");
    assert_eq!(model("poe:docs-reader"), "ds");
    assert_eq!(model("docs-writer"), "ds");
}

fn profile(name: &str, aliases: &[(&str, &str)]) -> Profile {
    Profile {
        name: name.into(),
        fallbacks: Fallbacks::new(),
        roles: Default::default(),
        aliases: aliases.iter().map(|&(alias, target)| (alias.into(), target.into())).collect(),
        inactive: None,
        inactive_aliases: BTreeMap::new(),
        timeout: None,
        max_retries: Some(7),
        source: crate::settings::ProfileSource::Package,
    }
}

/// Requirement: Given ZAI, POE, AGENTROUTER keys and `VDM_DEFAULT_PROVIDER=top`, then `haiku` goes to zai with
/// model GLM-4.7.
/// Requirement: `TOP:HAIKU` and `top:haiku` select the same profile alias.
/// Requirement: `top:haiku` → zai, GLM-4.7 (target expanded).
/// Requirement: A model not in the profile (`top:gpt-4o`) goes to the default provider without the prefix.
#[test]
fn a_profile_takes_precedence_and_its_settings_apply() {
    let mut settings = settings(vec![
        provider("openai").aliases(&[("haiku", "gpt-mini")]).build(),
        provider("poe").aliases(&[("haiku", "small")]).build(),
    ]);
    settings.default_provider = Some("openai".into());
    let inactive = Profile { inactive: Some("it leads nowhere".to_owned()), ..profile("off", &[]) };
    settings.profiles =
        vec![Arc::new(profile("top", &[("haiku", "poe:haiku"), ("raw", "!poe:haiku")])), Arc::new(inactive)];
    let routes = Routes::new(&settings, Snapshot::new(Lists::new()));
    let of = |name: &str| match routes.resolve(name) {
        Ok(route) => format!(
            "{}:{} {:?}",
            route.provider.name,
            route.model,
            route.profile.and_then(|profile| profile.max_retries)
        ),
        Err(error) => error.to_string(),
    };
    assert_eq!(of("TOP:Haiku"), "poe:small Some(7)");
    assert_eq!(of("top:claude-haiku-4-5"), "poe:small Some(7)");
    assert_eq!(of("top:raw"), "poe:haiku Some(7)");
    assert_eq!(of("top:gpt-4o"), "openai:gpt-4o Some(7)");
    assert_eq!(of("top:openai:haiku"), "openai:gpt-mini Some(7)");
    assert_eq!(of("haiku"), "openai:gpt-mini None");
    assert_eq!(of("top:"), "model: the name is empty");
    assert_eq!(of("off:haiku"), "profile 'off' is inactive: it leads nowhere");

    settings.default_profile = Some("top".into());
    let routes = Routes::new(&settings, Snapshot::new(Lists::new()));
    let model = |name: &str| routes.resolve(name).map(|route| route.model.to_string()).unwrap();
    assert_eq!(
        (model("haiku"), model("openai:haiku"), model("gpt-4o")),
        ("small".into(), "gpt-mini".into(), "gpt-4o".into())
    );
}

#[test]
fn the_explanation_lists_each_step_of_the_route() {
    let told = |name: &str| {
        let mut steps = vec![];
        let found = routes().explain(name, &mut |step| steps.push(step.to_string()));
        (steps, found.map(|route| format!("{}:{}", route.provider.name, route.model)).unwrap_or_default())
    };
    let (steps, found) = told("poe:x[1m]");
    assert_eq!(
        steps,
        [
            "'[1m]' is removed: 'poe:x'",
            "the prefix names provider 'poe': 'x'",
            "alias 'x' of 'poe' resolves to 'openai:haiku'",
            "alias 'haiku' of 'openai' resolves to 'gpt-mini'",
        ]
    );
    assert_eq!(found, "openai:gpt-mini");
    let (steps, _) = told("anthropic:claude-haiku-4-5-x");
    assert_eq!(
        steps[1],
        "'claude-haiku-4-5-x' contains alias 'haiku', which is not used: the provider serves Claude itself"
    );
}

#[test]
fn alias_cycles_are_found_before_any_request() {
    let mistakes: Vec<_> = routes().mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].contains("poe:loop-a → poe:loop-b"), "{mistakes:?}");
}

fn falling_back() -> Routes {
    let mut settings = settings(vec![
        provider("openai")
            .aliases(&[("haiku", "gpt-mini"), ("fast", "haiku"), ("sonnet", "gpt")])
            .fallbacks(&[
                ("fast", &["poe:ds", "openai:gpt-mini", "poe:deepseek", "kimi:k2"]),
                ("gpt", &["poe:literal", "!poe:ds"]),
                ("*", &["poe:any"]),
            ])
            .build(),
        provider("poe").aliases(&[("ds", "deepseek"), ("a", "b"), ("b", "a")]).build(),
        provider("own").passthrough().fallbacks(&[("*", &["other:m", "poe:m", "own:n"])]).build(),
        provider("other").passthrough().build(),
    ]);
    settings.keyless = vec![PartialProvider { name: "kimi".into(), missing: "KIMI_API_KEY".into() }];
    let of_profile = Fallbacks::from([("*".to_owned(), vec!["poe:of-profile".to_owned()])]);
    settings.profiles = vec![Arc::new(Profile { fallbacks: of_profile, ..profile("top", &[]) })];
    Routes::new(&settings, Snapshot::new(Lists::new()))
}

fn fallbacks(name: &str) -> Vec<String> {
    let route = falling_back().resolve(name).unwrap();
    route.fallbacks.iter().map(|target| format!("{}:{}", target.provider.name, target.model)).collect()
}

#[test]
fn fallbacks_come_from_the_name_then_the_model_then_the_profile_then_the_provider() {
    assert_eq!(fallbacks("FAST"), ["poe:deepseek"]);
    assert_eq!(fallbacks("openai:fast"), ["poe:deepseek"]);
    assert_eq!(fallbacks("sonnet"), ["poe:literal", "poe:ds"]);
    assert_eq!(fallbacks("gpt"), ["poe:literal", "poe:ds"]);
    assert_eq!(fallbacks("top:gpt"), ["poe:literal", "poe:ds"]);
    assert_eq!(fallbacks("top:haiku"), ["poe:of-profile"]);
    assert_eq!(fallbacks("haiku"), ["poe:any"]);
    assert!(fallbacks("poe:ds").is_empty());
}

#[test]
fn a_clients_own_key_is_not_sent_to_another_provider() {
    assert_eq!(fallbacks("own:m"), ["poe:m", "own:n"]);
}

#[test]
fn the_explanation_lists_fallbacks_and_why_one_is_not_used() {
    let mut steps = vec![];
    falling_back().explain("fast", &mut |step| steps.push(step.to_string())).unwrap();
    assert_eq!(
        steps[3..],
        [
            "if that fails: 'poe:ds', which resolves to poe:deepseek",
            "fallback 'openai:gpt-mini' is not used: it has been tried by then",
            "fallback 'poe:deepseek' is not used: it has been tried by then",
            "fallback 'kimi:k2' is not used: provider 'kimi' has no key: set KIMI_API_KEY and restart",
        ]
    );
    let unusable = falling_back().unusable_fallbacks();
    assert_eq!(
        unusable,
        [
            "fallback 'kimi:k2' for 'fast' of 'openai' is not used: provider 'kimi' has no key: set KIMI_API_KEY and restart"
        ]
    );
}
