//! Tests what another process knows after an import, with explicit times.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use vandamme_protocol::compat::Fixup;

use super::super::health::{Alternatives, CallReport, Chosen, KeyChoice, KeyRequest, SessionWait, Size};
use super::*;
use crate::outcome::{LimitScope, Outcome};
use crate::secret::{ApiKey, KeyId};
use crate::testing::{limits, provider};

const KEYS: [&str; 2] = ["key-one", "key-two"];
const START: Millis = 10_000_000;

fn settings() -> Arc<ProviderSettings> {
    provider("p").keys(&KEYS).build()
}

fn empty() -> ProviderHealth {
    ProviderHealth::new(&settings(), &limits())
}

fn limited(seconds: u64) -> Outcome {
    Outcome::RateLimited { wait: Some(Duration::from_secs(seconds)), scope: LimitScope::Account }
}

fn id(key: &str) -> KeyId {
    ApiKey::new(key).id()
}

/// A call for model `m` that started 10 ms ago.
fn report(key: &str, outcome: Outcome, at: Millis) -> CallReport {
    let (model, message) = ("m".into(), "why".into());
    let size = Size { body: 1_000, max_tokens: 100 };
    CallReport { outcome, key: id(key), model, began: at - 10, at, request: at, size, lease: 0, message }
}

/// The health that another process has at `now` after an import of what this one exported `elapsed` milliseconds ago.
fn imported(exported: ExportedProvider, now: Millis, elapsed: Millis) -> ProviderHealth {
    let mut health = empty();
    health.import(exported, &settings(), ImportClock::new(now, elapsed));
    health
}

fn through_json(exported: &ExportedProvider) -> ExportedProvider {
    serde_json::from_str(&serde_json::to_string(exported).unwrap()).unwrap()
}

fn choose(health: &mut ProviderHealth, now: Millis) -> KeyChoice {
    let size = Size { body: 1_000, max_tokens: 100 };
    let (session, tried, lease, chance) = (None, &[][..], 1, 0.5);
    let (alternatives, patience) = (Alternatives::None, SessionWait::HasWaited);
    let request = KeyRequest { now, model: "m", session, tried, size, alternatives, patience, lease, chance };
    health.health.choose(&request)
}

/// Requirement (issue 15, 6): an upstream's own wait continues in the new process, minus the time since the export, and
/// is over when it is over.
#[test]
fn a_stated_wait_continues_with_what_is_left_of_it() {
    let mut old = empty();
    for key in KEYS {
        old.health.note(&report(key, limited(30), START), 0.0);
    }
    let exported = through_json(&old.export(&settings(), START + 10_000));

    let now = 77_000;
    let mut new = imported(exported.clone(), now, 5_000);
    assert!(
        matches!(choose(&mut new, now), KeyChoice::RateLimited { wait } if wait == Duration::from_secs(15))
    );
    assert!(matches!(choose(&mut new, now + 15_000), KeyChoice::Key(_)));
    let mut late = imported(exported, now, 20_000);
    assert!(matches!(choose(&mut late, now), KeyChoice::Key(Chosen { is_known_to_fail: false, .. })));
}

/// Requirement (issue 15, 6): state that another process has exported never refuses a request beyond the rules of
/// health, whatever its numbers are.
#[test]
fn extreme_times_end_with_the_longest_cooldown_and_do_not_hide_later_evidence() {
    let mut old = empty();
    for key in KEYS {
        old.health.note(&report(key, limited(30), START), 0.0);
    }
    let mut exported = serde_json::to_value(old.export(&settings(), START)).unwrap();
    fn set_times(value: &mut serde_json::Value) {
        if let serde_json::Value::Object(members) = value {
            for name in ["changed", "seen", "since", "until", "next_check", "used"] {
                members.entry(name).and_modify(|time| *time = i64::MAX.into());
            }
        }
        match value {
            serde_json::Value::Object(members) => members.values_mut().for_each(set_times),
            serde_json::Value::Array(items) => items.iter_mut().for_each(set_times),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    set_times(&mut exported);

    let mut new = imported(serde_json::from_value(exported).unwrap(), START, 0);
    let end = START + clock::millis(limits().cooldown_cap);
    assert!(matches!(choose(&mut new, end - 1), KeyChoice::RateLimited { .. } | KeyChoice::Key(_)));
    let KeyChoice::Key(Chosen { key, .. }) = choose(&mut new, end) else { panic!("refused") };
    assert!(KEYS.map(id).contains(&key.id()));
    for key in KEYS {
        new.health.note(&report(key, Outcome::Answered, end + 20), 0.0);
    }
    assert!(new.health.is_clear(end + 20), "a success ends an imported cooldown");
}

/// Requirement (issue 15, 6): what the new process has learned itself is kept; a key or an upstream that the export does
/// not describe gets nothing.
#[test]
fn an_import_adds_only_what_is_not_known_and_only_for_the_same_upstream() {
    let mut old = empty();
    for key in KEYS {
        old.health.note(&report(key, Outcome::KeyRejected, START), 0.0);
    }
    old.learned_rules.learn(START, &"m".into(), Fixup::param("top_k").unwrap());
    let exported = through_json(&old.export(&settings(), START));
    let states = |health: &ProviderHealth| -> Vec<_> {
        health.health.keys_view(START).iter().map(|key| key.state).collect()
    };

    let mut new = empty();
    new.health.note(&report(KEYS[0], limited(30), START), 0.0);
    new.import(exported.clone(), &settings(), ImportClock::new(START, 0));
    assert_eq!(states(&new), ["cooling", "rejected"]);
    assert_eq!(new.learned_rules.view(START).len(), 1);

    let other_keys = provider("p").keys(&[KEYS[1], "key-three"]).build();
    let mut other = ProviderHealth::new(&other_keys, &limits());
    other.import(exported.clone(), &other_keys, ImportClock::new(START, 0));
    assert_eq!(states(&other), ["rejected", "ready"]);

    let mut moved = ProviderSettings::clone(&settings());
    moved.base_url = "http://elsewhere.example".to_owned();
    let mut other = empty();
    other.import(exported, &moved, ImportClock::new(START, 0));
    assert_eq!(states(&other), ["ready", "ready"]);
    assert!(other.learned_rules.is_empty(START));
}

/// Requirement: requests of the new process are not taken for repeats of failures of the old one.
#[test]
fn imported_failures_count_and_are_no_repeats() {
    let mut old = empty();
    for request in 0..2 {
        old.health.note(&CallReport { request, ..report(KEYS[0], Outcome::ServerError, START) }, 0.0);
    }
    let mut new = imported(old.export(&settings(), START), START, 0);
    let third = CallReport { request: 0, ..report(KEYS[0], Outcome::ServerError, START) };
    let changes = new.health.note(&third, 0.0);
    assert_eq!(changes.len(), 1, "the third failure in a row starts a cooldown: {changes:?}");
}

/// Requirement: exported state contains no key.
#[test]
fn an_export_contains_no_key() {
    let mut old = empty();
    old.health.note(&report(KEYS[0], limited(30), START), 0.0);
    let json = serde_json::to_string(&old.export(&settings(), START)).unwrap();
    for secret in KEYS.iter().map(|key| (*key).to_owned()).chain(KEYS.map(|key| id(key).to_string())) {
        assert!(!json.contains(&secret), "{secret}: {json}");
    }
}

#[derive(Clone, Debug)]
struct Step {
    key: usize,
    model: usize,
    outcome: Outcome,
    delay: Millis,
    rule: Option<Fixup>,
}

fn fixup() -> impl Strategy<Value = Fixup> {
    let configured = proptest::sample::select(vec![
        Fixup::param("top_k"),
        Fixup::param("reasoning_effort=none"),
        Fixup::param("top_p&temperature"),
        Fixup::param("schema.propertyNames"),
        Fixup::beta("context-management-2025-06-27"),
    ]);
    let others = proptest::sample::select(vec![
        Fixup::ToolSchemas,
        Fixup::Reasoning(vandamme_protocol::compat::Filler::Blank),
        Fixup::Limit(vandamme_protocol::compat::TokenLimitName::MaxCompletionTokens),
        Fixup::Bound("max_tokens".into(), vandamme_protocol::compat::Bound::AtMost(8192)),
        Fixup::ToolIds(vandamme_protocol::tool_id::Form::Mistral),
        Fixup::Set("reasoning_effort".into(), "none".into(), None),
    ]);
    prop_oneof![configured.prop_map(|fixup| fixup.expect("a valid rule")), others]
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => proptest::sample::select(Outcome::ALL.to_vec()),
        1 => (1..2_000_u64).prop_map(limited),
    ];
    let delay = prop_oneof![0..3_000_u64, 3_000..90_000_u64];
    let rule = proptest::option::weighted(0.1, fixup());
    (0..KEYS.len(), 0..5_usize, outcome, delay, rule).prop_map(|(key, model, outcome, delay, rule)| Step {
        key,
        model,
        outcome,
        delay,
        rule,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement (issue 15, 6): export, import and export again is the same, apart from the time that has passed and
    /// on another boot clock, for any state.
    #[test]
    fn an_import_is_exported_again_as_it_was(
        steps in vec(step(), 0..60),
        now in 100 * START..1_000 * START,
        elapsed in 0..600_000_u64,
    ) {
        let (mut old, mut time) = (empty(), START);
        for Step { key, model, outcome, delay, rule } in steps {
            time += delay;
            let model: Arc<str> = format!("m{model}").into();
            if let Some(fixup) = rule {
                old.learned_rules.learn(time, &model, fixup);
            }
            old.health.note(&CallReport { model, ..report(KEYS[key], outcome, time) }, 0.5);
        }
        let new = imported(through_json(&old.export(&settings(), time)), now, elapsed);
        prop_assert_eq!(new.export(&settings(), now), old.export(&settings(), time + elapsed));
    }
}
