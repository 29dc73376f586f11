//! Tests which state survives a restart of the actor, and an import into another one.

use super::*;
use crate::faults::InjectedFault;

/// Leaves every kind of state behind: a key in a cooldown, failures below its threshold, and a learned rule.
async fn learn(provider: &Addr<Provider>) {
    let limited = Outcome::RateLimited { wait: Some(Duration::from_secs(60)), scope: LimitScope::Account };
    lease(provider, &[]).await.unwrap().finish_with(limited, "slow down");
    for request in 1..=2 {
        let mut lease = lease(provider, &[]).await.unwrap();
        lease.begin_call(request);
        lease.learn(vec![Fixup::param("top_k").unwrap()]);
        lease.finish(Outcome::ServerError);
    }
}

/// All that the provider knows, at a fixed time.
async fn known(provider: &Addr<Provider>) -> serde_json::Value {
    let exported = provider.send(Observe::<ExportedProvider>::new()).await.unwrap();
    let mut known = serde_json::to_value(exported).unwrap();
    round(&mut known);
    known
}

/// Rounds all times to minutes, since the test takes time.
fn round(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => members.values_mut().for_each(round),
        serde_json::Value::Array(items) => items.iter_mut().for_each(round),
        serde_json::Value::Number(number) => {
            let minutes = number.as_f64().map(|number| (number / 60_000.0).round());
            *value = minutes.into();
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

/// Requirement (issue 15, 6): a panic and a replacement of the actor keep cooldowns, learned rules and counters.
#[actix_rt::test]
async fn a_panic_and_a_new_incarnation_keep_all_that_is_known() {
    let start = incarnations(&["a", "b"]);
    let first = start(1);
    let nothing = known(&first).await;
    learn(&first).await;
    let before = known(&first).await;
    assert_ne!(before, nothing);

    assert!(first.send(InjectedFault::Panic).await.is_err());
    assert_eq!(known(&first).await, before);
    let second = start(2);
    assert_eq!(known(&second).await, before);

    // A success resets the counters, also in the next incarnation.
    lease(&second, &[]).await.unwrap().finish(Outcome::Answered);
    let reset = known(&second).await;
    assert_ne!(reset, before);
    assert_eq!(known(&start(3)).await, reset);
}

/// Requirement (issue 15, 6): an actor of another process continues with the imported state: the limited key is passed
/// over, and the learned rule applies, to the first request.
#[actix_rt::test]
async fn an_imported_state_applies_to_the_first_request() {
    let (old, new) = (start(&["a", "b"], limits()), start(&["a", "b"], limits()));
    learn(&old).await;
    let exported = old.send(Observe::<ExportedProvider>::new()).await.unwrap();

    new.send(ImportState { exported, elapsed: 0 }).await.unwrap();

    assert_eq!(known(&new).await, known(&old).await);
    for _ in 0..4 {
        let lease = lease(&new, &[]).await.unwrap();
        assert_eq!(lease.key.id(), ApiKey::new("b").id());
        assert_eq!(lease.learned_rules.as_deref(), Some(&[Fixup::param("top_k").unwrap()][..]));
    }
    let view = view(&new).await;
    assert_eq!(view.keys[0].condition.last_error.as_deref(), Some("slow down"));
}

/// Requirement: the fast path, which knows no health, is closed by imported state.
#[actix_rt::test]
async fn an_import_closes_the_fast_path() {
    let old = start(&["a", "b"], limits());
    learn(&old).await;
    let exported = old.send(Observe::<ExportedProvider>::new()).await.unwrap();
    let (new, permits) = with_fast_path(&["a", "b"], limits()).await;
    assert!(lend(&permits).is_some());

    new.send(ImportState { exported, elapsed: 0 }).await.unwrap();

    assert!(lend(&permits).is_none());
}

/// Requirement (issue 16, 6): a disabled key stays disabled after a panic of the actor, in its next incarnation, in the next
/// process and after a reload that changes the upstream.
#[actix_rt::test]
async fn a_disabled_key_stays_disabled() {
    let key = ApiKey::new("a").id();
    let start = incarnations(&["a", "b"]);
    let first = start(1);
    assert_eq!(first.send(SwitchKey { key, to: KeySwitch::Disabled }).await.unwrap(), KeySwitched::Done);
    let is_kept = async |provider: &Addr<Provider>| {
        for _ in 0..3 {
            assert_eq!(lease(provider, &[]).await.unwrap().key.expose(), "b");
        }
        view(provider).await.keys[0].state == "disabled"
    };
    assert!(is_kept(&first).await);
    assert!(first.send(InjectedFault::Panic).await.is_err());
    assert!(is_kept(&first).await);
    let second = start(2);
    assert!(is_kept(&second).await);
    let switched = first.send(SwitchKey { key, to: KeySwitch::Enabled }).await.unwrap();
    assert_eq!(switched, KeySwitched::Replaced, "a replaced actor changes nothing");
    let exported = second.send(Observe::<ExportedProvider>::new()).await.unwrap();

    let mut elsewhere = Arc::unwrap_or_clone(provider("p").keys(&["b", "a"]).build());
    elsewhere.base_url = "http://127.0.0.1:1/other".to_owned();
    second.do_send(ReconfigureProvider { settings: Arc::new(elsewhere), limits: limits() });
    assert_eq!(view(&second).await.keys[1].state, "disabled", "another upstream, the same key");

    let next = super::start(&["a", "b"], limits());
    next.do_send(ImportState { exported, elapsed: 0 });
    assert!(is_kept(&next).await);
    assert_eq!(next.send(SwitchKey { key, to: KeySwitch::Enabled }).await.unwrap(), KeySwitched::Done);
    assert_eq!(view(&next).await.keys[0].state, "ready");
    let unknown = SwitchKey { key: ApiKey::new("c").id(), to: KeySwitch::Disabled };
    assert_eq!(next.send(unknown).await.unwrap(), KeySwitched::UnknownKey);
}

/// Requirement (issue 16, 6): the fast path lends no key while one is disabled, and lends again afterwards.
#[actix_rt::test]
async fn the_fast_path_is_closed_while_a_key_is_disabled() {
    let (provider, permits) = with_fast_path(&["a", "b"], limits()).await;
    let key = ApiKey::new("a").id();
    assert!(lend(&permits).is_some());
    provider.send(SwitchKey { key, to: KeySwitch::Disabled }).await.unwrap();
    assert!(lend(&permits).is_none());
    provider.send(Ping).await.unwrap();
    assert!(lend(&permits).is_none(), "it stays closed");
    let both = [ApiKey::new("b").id(), key];
    provider.send(SwitchKey { key: both[0], to: KeySwitch::Disabled }).await.unwrap();
    assert_eq!(lease(&provider, &[]).await.unwrap_err(), LeaseRefusal::Disabled);
    for key in both {
        provider.send(SwitchKey { key, to: KeySwitch::Enabled }).await.unwrap();
    }
    assert!(lend(&permits).is_some());
}
