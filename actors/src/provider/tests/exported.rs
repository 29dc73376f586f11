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
