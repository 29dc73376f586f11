//! What is explained is what is done: over random configurations, the living router sends every name to where the
//! explanation says, and fails as it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use vandamme_protocol::request::{Sign, Signs};

use super::*;
use crate::roles::{BodyFacts, Hints, Role, RoleInput, RoleRules};
use crate::routing::{Lists, RoleDecision, Routes, RoutingStep};
use crate::settings::{Fallbacks, PartialProvider, Profile, ProfileSource, Settings};
use crate::supervisor::Supervisor;
use crate::testing::{provider, settings};

const NAMES: [&str; 9] =
    ["a", "b", "Haiku", "sonnet", "claude-haiku-4-5", "x_a", "gpt-5", "vendor/model:free", "a-long-model"];

fn target() -> impl Strategy<Value = String> {
    let prefix = select(vec!["", "", "!", "p:", "q:", "!q:", "P:", "foo:", "kimi:", "nobody:", "top:"]);
    (prefix, select(NAMES.to_vec())).prop_map(|(prefix, name)| format!("{prefix}{name}"))
}

fn asked() -> impl Strategy<Value = String> {
    let front = select(vec!["", "", "", "!", "top:", "off:", "TOP:q:", "claude-vdm/", "claude-vdm/q:", " "]);
    (front, target(), select(vec!["", "", "[1m]"]))
        .prop_map(|(front, name, back)| format!("{front}{name}{back}"))
}

fn aliases() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(select(NAMES.to_vec()).prop_map(str::to_lowercase), target(), 0..5)
}

fn fallbacks() -> impl Strategy<Value = Fallbacks> {
    let name = select([&NAMES[..], &["*"]].concat()).prop_map(str::to_lowercase);
    btree_map(name, vec(target().prop_filter("has a provider", |target| target.contains(':')), 0..4), 0..3)
}

fn configuration() -> impl Strategy<Value = Settings> {
    let provider_of = |name: &'static str| {
        (aliases(), fallbacks(), any::<bool>()).prop_map(move |(aliases, fallbacks, serves_claude)| {
            let mut settings = Arc::unwrap_or_clone(provider(name).build());
            (settings.aliases, settings.fallbacks) = (aliases, fallbacks);
            settings.serves_claude = serves_claude;
            Arc::new(settings)
        })
    };
    let profile = (aliases(), fallbacks(), any::<bool>(), select(vec!["top", "q"]));
    let profile = profile.prop_map(|(aliases, fallbacks, works, name)| Profile {
        name: name.into(),
        aliases: aliases.into_iter().filter(|(_, target)| target.contains(':')).collect(),
        fallbacks,
        roles: RoleRules::default(),
        source: ProfileSource::User,
        inactive_aliases: BTreeMap::new(),
        inactive: (!works).then(|| "it leads nowhere".to_owned()),
        timeout: None,
        max_retries: None,
    });
    let defaults = (any::<bool>(), select(vec![None, Some("p"), Some("q")]));
    (provider_of("p"), provider_of("q"), profile, defaults).prop_map(
        |(p, q, profile, (by_profile, default))| {
            let mut settings = settings(vec![p, q]);
            settings.partial = vec![PartialProvider { name: "foo".into(), missing: "FOO_BASE_URL".into() }];
            settings.keyless = vec![PartialProvider { name: "kimi".into(), missing: "KIMI_API_KEY".into() }];
            settings.default_profile =
                (by_profile && profile.inactive.is_none()).then(|| profile.name.clone());
            settings.profiles = vec![Arc::new(profile)];
            settings.default_provider = default.map(Into::into);
            settings
        },
    )
}

/// Where a name goes and under which profile, or why nowhere.
type Decision = Result<(String, Option<Arc<str>>), Unroutable>;

async fn decided(router: &Addr<Router>, model: &str) -> Decision {
    let (reply, answer) = oneshot::channel();
    router.do_send(Dispatch {
        destination: Destination::Name(model.into()),
        session: None,
        size: crate::provider::Size::default(),
        when_busy: crate::provider::WhenBusy::Queue,
        reply,
    });
    let Routed { lease, .. } = answer.await.expect("the router lives")?;
    let lease = lease.answer().await.expect("its providers live").expect("every key is healthy");
    let profile = lease.profile.as_ref().map(|profile| profile.name.clone());
    Ok((format!("{}:{}", lease.provider.name, lease.model), profile))
}

/// Where a request goes by its role, as the proxy run asks for it; `None` without a role.
async fn decided_by_role(router: &Addr<Router>, registry: &Registry, request: &Request) -> Option<Decision> {
    let decision = registry.routes.role(&request.input())?;
    let route = match decision.rule.route.clone() {
        Ok(route) => route,
        Err(error) => return Some(Err(error)),
    };
    let (reply, answer) = oneshot::channel();
    let destination = Destination::Route(route);
    router.do_send(Dispatch {
        destination,
        session: None,
        size: crate::provider::Size::default(),
        when_busy: crate::provider::WhenBusy::Queue,
        reply,
    });
    let Routed { lease, .. } = answer.await.expect("the router lives").expect("it is resolved");
    let lease = lease.answer().await.expect("its providers live").expect("every key is healthy");
    let profile = lease.profile.as_ref().map(|profile| profile.name.clone());
    Some(Ok((format!("{}:{}", lease.provider.name, lease.model), profile)))
}

/// A request with the headers and the signs by which roles are decided.
#[derive(Clone, Debug)]
struct Request {
    name: String,
    class: Option<&'static str>,
    agent_type: Option<&'static str>,
    agent_id: Option<&'static str>,
    signs: Signs,
    tokens: u64,
}

impl BodyFacts for Request {
    fn has(&self, sign: Sign) -> bool {
        self.signs.has(sign)
    }

    fn tokens(&self) -> u64 {
        self.tokens
    }
}

impl Request {
    fn input(&self) -> RoleInput<'_> {
        let hints = Hints {
            class: self.class,
            agent_type: self.agent_type,
            compaction: None,
            agent_id: self.agent_id,
        };
        RoleInput { model: &self.name, hints, body: self }
    }
}

fn request() -> impl Strategy<Value = Request> {
    let class = select(vec![None, Some("main"), Some("subagent"), Some("auxiliary"), Some("compaction")]);
    let agent_type = select(vec![None, Some("Explore"), Some("custom"), Some("unknown")]);
    let signs =
        [Sign::WebSearch, Sign::Classifier, Sign::Compaction, Sign::Subagent, Sign::Image, Sign::Think];
    let signs = vec(select(signs.to_vec()), 0..3);
    let signs = signs.prop_map(|signs| signs.into_iter().fold(Signs::default(), Signs::with));
    let agent_id = select(vec![None, Some("a1")]);
    (asked(), class, agent_type, agent_id, signs, select(vec![0, 100_000])).prop_map(
        |(name, class, agent_type, agent_id, signs, tokens)| Request {
            name,
            class,
            agent_type,
            agent_id,
            signs,
            tokens,
        },
    )
}

fn roles() -> impl Strategy<Value = RoleRules> {
    let names: Vec<&str> = Role::names().chain(["subagent.Explore", "subagent.custom"]).collect();
    btree_map(select(names).prop_map(|name| Role::parse(name).unwrap()), vec(target(), 1..3), 0..7)
        .prop_map(|targets| RoleRules { targets, long_context_threshold: None })
}

/// Where a known name goes without a message to the router.
fn at_once(registry: &Snapshot<Registry>, model: &str) -> Option<(String, Option<Arc<str>>)> {
    let (_, lease) = route_at_once(registry, model, None, crate::provider::Size::default())?;
    let profile = lease.profile.as_ref().map(|profile| profile.name.clone());
    Some((format!("{}:{}", lease.provider.name, lease.model), profile))
}

/// What the explanation concludes; what it tells on the way must lead there.
fn explained(routes: &Routes, model: &str, role: Option<&RoleDecision>) -> Decision {
    let (mut last, mut next) = (String::new(), vec![]);
    let route = routes.explain_decision(model, role, &mut |step| match step {
        RoutingStep::Unmarked { name, .. }
        | RoutingStep::Literal { name }
        | RoutingStep::Prefix { name, .. }
        | RoutingStep::Profile { name, .. }
        | RoutingStep::NotInProfile { name, .. }
        | RoutingStep::Default { name, .. }
        | RoutingStep::Alias { target: name, .. }
        | RoutingStep::AliasSkipped { name, .. } => last = name.to_lowercase(),
        RoutingStep::Role { target, .. } | RoutingStep::NextTarget { target } => {
            last = target.to_lowercase();
        }
        RoutingStep::DefaultProfile { .. }
        | RoutingStep::SkippedFallback { .. }
        | RoutingStep::RolesSkipped { .. } => {}
        RoutingStep::Fallback { provider, model, .. } => next.push(format!("{provider}:{model}")),
    })?;
    let names = route.fallbacks.iter().map(|target| format!("{}:{}", target.provider.name, target.model));
    assert_eq!(names.collect::<Vec<_>>(), next, "{model}");
    let found = route.model.to_lowercase();
    assert!(
        last.ends_with(&found)
            || role.is_some() && last.contains(&found)
            || model.to_lowercase().ends_with(&found),
        "{model}: {last:?} is not {found:?}"
    );
    Ok((
        format!("{}:{}", route.provider.name, route.model),
        route.profile.map(|profile| profile.name.clone()),
    ))
}

/// Requirement: a name that the router has resolved needs no message; a new name does.
#[actix_rt::test]
async fn a_known_name_is_routed_without_the_router() {
    let settings = settings(vec![provider("p").build()]);
    let (_supervisor, registry) = Supervisor::start_tree(settings);
    assert_eq!(at_once(&registry, "p:a"), None, "the router has not resolved it");
    let router = thread_router(&registry);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // The provider's actor opens the fast path when it has started.
    let known = loop {
        let decision = decided(&router, "p:a").await.unwrap();
        match at_once(&registry, "p:a") {
            Some(known) => break (known, decision),
            None => assert!(std::time::Instant::now() < until, "the fast path stays closed"),
        }
    };
    assert_eq!(known.0, known.1);
    assert_eq!(at_once(&registry, "p:b"), None, "the router has not resolved this one");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_is_the_living_routers_decision(settings in configuration(), names in vec(asked(), 1..40)) {
        actix_rt::System::new().block_on(async {
            let (_supervisor, registry) = Supervisor::start_tree(settings.clone());
            let router = thread_router(&registry);
            // As `vdm explain` has them: its own tables, from the same settings.
            let routes = Routes::new(&settings, Snapshot::new(Lists::new()));
            for name in &names {
                let decision = decided(&router, name).await;
                assert_eq!(explained(&routes, name, None), decision, "{name}");
                if let Some(known) = at_once(&registry, name) {
                    assert_eq!(Ok(known), decision, "{name}");
                }
            }
            actix_rt::System::current().stop();
        });
    }

    /// Requirement: the explanation of a request with headers and a body is the living decision, by roles too.
    #[test]
    fn an_explanation_of_a_role_is_the_living_decision(
        mut settings in configuration(),
        (global, of_profile) in (roles(), roles()),
        requests in vec(request(), 1..40),
    ) {
        settings.roles = global;
        let profile = settings.profiles.pop().map(Arc::unwrap_or_clone);
        settings.profiles.extend(profile.map(|profile| Arc::new(Profile { roles: of_profile, ..profile })));
        actix_rt::System::new().block_on(async {
            let (_supervisor, registry) = Supervisor::start_tree(settings.clone());
            let router = thread_router(&registry);
            let routes = Routes::new(&settings, Snapshot::new(Lists::new()));
            for request in &requests {
                let role = routes.role(&request.input());
                let decision = match decided_by_role(&router, &registry.load(), request).await {
                    Some(decision) => decision,
                    None => {
                        assert!(role.is_none(), "{request:?}");
                        decided(&router, &request.name).await
                    }
                };
                assert_eq!(explained(&routes, &request.name, role.as_ref()), decision, "{request:?}");
            }
            actix_rt::System::current().stop();
        });
    }
}
