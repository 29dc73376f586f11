//! Which rule applies to which name, and where it leads, on tables of these tests.

use std::sync::Arc;

use vandamme_protocol::request::Sign;

use super::*;
use crate::roles::{BodyFacts, Hints, Role, RoleInput, RoleRules};
use crate::settings::{PartialProvider, Profile, ProfileSource, Settings};
use crate::snapshot::Snapshot;
use crate::testing::{provider, settings};

struct WithImage;

impl BodyFacts for WithImage {
    fn has(&self, sign: Sign) -> bool {
        sign == Sign::Image
    }

    fn tokens(&self) -> u64 {
        0
    }
}

fn rules(rules: &[(&str, &[&str])]) -> RoleRules {
    let rule = |(role, targets): &(&str, &[&str])| {
        (Role::parse(role).unwrap(), targets.iter().map(|&target| target.to_owned()).collect())
    };
    RoleRules { targets: rules.iter().map(rule).collect(), long_context_threshold: None }
}

fn profile(name: &str, roles: RoleRules) -> Arc<Profile> {
    Arc::new(Profile {
        name: name.into(),
        fallbacks: Default::default(),
        roles,
        aliases: [("haiku", "q:of-profile"), ("own", "q:own")]
            .map(|(a, t)| (a.to_owned(), t.to_owned()))
            .into(),
        inactive: None,
        inactive_aliases: Default::default(),
        timeout: None,
        max_retries: None,
        source: ProfileSource::User,
    })
}

fn configured(global: &[(&str, &[&str])], of_profile: &[(&str, &[&str])]) -> Settings {
    let p =
        provider("p").aliases(&[("haiku", "small"), ("eye", "q:sees")]).fallbacks(&[("eye", &["p:spare"])]);
    let mut settings =
        settings(vec![p.build(), provider("q").build(), provider("mine").passthrough().build()]);
    settings.keyless = vec![PartialProvider { name: "kimi".into(), missing: "KIMI_API_KEY".into() }];
    settings.roles = rules(global);
    settings.profiles = vec![profile("work", rules(of_profile)), profile("plain", RoleRules::default())];
    settings
}

/// The role of a request with an image, and its targets; only its model's targets without a role.
fn routed(settings: &Settings, model: &str) -> String {
    let routes = Routes::new(settings, Snapshot::new(Lists::new()));
    let input = RoleInput { model, hints: Hints::default(), body: &WithImage };
    let decision = routes.role(&input);
    let mut steps = vec![];
    let route = routes.explain_decision(model, decision.as_ref(), &mut |step| steps.push(step.to_string()));
    if let Some(decision) = &decision {
        assert!(steps[0].starts_with("the request has the role"), "{steps:?}");
        let live = decision.rule.route.clone().map(|route| format!("{route:?}"));
        assert_eq!(live, route.clone().map(|route| format!("{route:?}")), "the explanation is the decision");
    }
    let role = decision.map(|decision| format!("{} ", decision.rule.name)).unwrap_or_default();
    match route {
        Err(error) => format!("{role}✗ {error}"),
        Ok(route) => {
            let next =
                route.fallbacks.iter().map(|target| format!(", {}:{}", target.provider.name, target.model));
            format!("{role}{}:{}{}", route.provider.name, route.model, next.collect::<String>())
        }
    }
}

/// Requirement: an explicit `provider:model` is the user's wish and stays; aliases and bare names are routed by role.
#[test]
fn names_that_select_their_model_are_not_routed_by_role() {
    let settings = configured(&[("image", &["q:sees"])], &[]);
    for name in ["haiku", "claude-haiku-4-5", "HAIKU[1m]", "anything", "vendor/model:free", " sonnet "] {
        assert_eq!(routed(&settings, name), "image q:sees", "{name}");
    }
    for (name, target) in [
        ("p:haiku", "p:small"),
        ("P:other[1m]", "p:other"),
        ("!haiku", "p:haiku"),
        ("claude-vdm/p:haiku", "p:small"),
        ("haikuu:x", "✗ unknown provider 'haikuu' in model 'haikuu:x': the providers are p, q, mine"),
        ("", "✗ model: the name is empty"),
        ("work:", "✗ model: the name is empty"),
        ("kimi:k2", "✗ provider 'kimi' has no key: set KIMI_API_KEY and restart"),
    ] {
        assert_eq!(routed(&settings, name), target, "{name}");
    }
}

/// Requirement: rules are global or of a profile. A name through a profile follows the profile's rules alone; a bare name those of
/// the default profile, then `[routing]`.
#[test]
fn a_profile_has_rules_of_its_own() {
    let mut settings =
        configured(&[("image", &["q:sees"]), ("background", &["q:cheap"])], &[("image", &["own", "haiku"])]);
    assert_eq!(routed(&settings, "work:sonnet"), "image q:own, q:of-profile");
    assert_eq!(routed(&settings, "work:p:haiku"), "p:small", "the provider is named");
    assert_eq!(routed(&settings, "plain:haiku"), "q:of-profile", "[routing] does not apply");
    assert_eq!(routed(&settings, "haiku"), "image q:sees");
    settings.default_profile = Some("work".into());
    assert_eq!(routed(&settings, "sonnet"), "image q:own, q:of-profile");
    settings.default_profile = Some("plain".into());
    assert_eq!(routed(&settings, "sonnet"), "image q:sees");
}

/// Requirement: a target is `provider:model` or an alias; a list is a target with its fallbacks, a single target has those of its
/// name. A target without a key is passed over, and the only one is the error of an alias.
#[test]
fn targets_lead_where_aliases_lead() {
    let of = |targets: &[&str]| routed(&configured(&[("image", targets)], &[]), "sonnet");
    assert_eq!(of(&["haiku"]), "image p:small");
    assert_eq!(of(&["eye"]), "image q:sees, p:spare");
    assert_eq!(of(&["eye", "haiku", "q:sees"]), "image q:sees, p:small");
    assert_eq!(of(&["!p:haiku"]), "image p:haiku");
    assert_eq!(of(&["kimi:k2", "q:x"]), "image q:x");
    assert_eq!(of(&["kimi:k2"]), "image ✗ provider 'kimi' has no key: set KIMI_API_KEY and restart");
    let routes = Routes::new(&configured(&[("image", &["kimi:k2"])], &[]), Snapshot::new(Lists::new()));
    assert_eq!(
        routes.unusable_roles(),
        [
            "requests of the role 'image' of [routing] fail: provider 'kimi' has no key: set KIMI_API_KEY and restart"
        ]
    );
}

/// Requirement: every step of an explanation leads to the next; the target that is used is named.
#[test]
fn the_explanation_names_the_target_that_is_used() {
    let routes =
        Routes::new(&configured(&[("image", &["kimi:k2", "q:x"])], &[]), Snapshot::new(Lists::new()));
    let decision = routes.role(&RoleInput { model: "sonnet", hints: Hints::default(), body: &WithImage });
    let mut steps = vec![];
    routes.explain_decision("sonnet", decision.as_ref(), &mut |step| steps.push(step.to_string())).unwrap();
    assert_eq!(
        steps[1..],
        [
            "fallback 'kimi:k2' is not used: provider 'kimi' has no key: set KIMI_API_KEY and restart",
            "the next target of the role is 'q:x'",
        ]
    );
}

/// Requirement: a key that a client brings reaches only the provider that the client asks for.
#[test]
fn a_clients_own_key_does_not_follow_a_role_to_another_provider() {
    let mut settings = configured(&[("image", &["mine:sees"])], &[]);
    assert_eq!(routed(&settings, "haiku"), "p:small");
    settings.default_provider = Some("mine".into());
    assert_eq!(routed(&settings, "haiku"), "image mine:sees");
}
