//! Tests the bytes of an export, and what a whole new process takes over.

use actix::Addr;
use actix_rt::time::{sleep, timeout};
use proptest::prelude::*;
use tokio::sync::oneshot;
use vandamme_protocol::vocabulary::Usage;

use super::*;
use crate::faults::{InjectedFault, inject};
use crate::ledger::{LedgerView, RequestEnd};
use crate::outcome::{LimitScope, Outcome};
use crate::provider::{Lease, ProviderView, Size};
use crate::recorder::RequestRecorder;
use crate::router::{self, Destination, Dispatch};
use crate::settings::{Limits, Metrics};
use crate::signatures::{CallerId, Recall, Remember, SignatureScope};
use crate::snapshot::Snapshot;
use crate::supervisor::{ActorName, Supervisor};
use crate::testing::{limits, provider, settings};

const PATIENCE: Duration = Duration::from_secs(5);

fn tree() -> (Addr<Supervisor>, Snapshot<Registry>) {
    let mut settings = settings(vec![provider("p").keys(&["a", "b"]).build(), provider("q").build()]);
    settings.limits = Limits {
        watch_interval: Duration::from_millis(10),
        watch_patience: Duration::from_millis(50),
        ..limits()
    };
    Supervisor::start_tree(settings)
}

async fn lease(registry: &Snapshot<Registry>) -> Lease {
    let (reply, answer) = oneshot::channel();
    let destination = Destination::Name("p:m".into());
    router::thread_router(registry).do_send(Dispatch {
        destination,
        session: None,
        size: Size::default(),
        when_busy: crate::provider::WhenBusy::Queue,
        reply,
    });
    let lease = async { answer.await.ok()?.ok()?.lease.answer().await?.ok() };
    timeout(PATIENCE, lease).await.expect("in time").expect("a lease")
}

fn scope() -> SignatureScope {
    SignatureScope { caller: CallerId([1; 16]), provider: "p".into() }
}

/// One request that ended well.
fn count_request(registry: &Snapshot<Registry>) {
    let mut recorder = RequestRecorder::open("id".into(), registry.clone(), Metrics::Kept);
    recorder.routed(&"p".into(), &"m".into());
    recorder.record.usage = Usage { input: 10, ..Usage::default() };
    recorder.record.end = RequestEnd::Succeeded;
}

/// Requests and input tokens of model `m`.
async fn totals(registry: &Snapshot<Registry>) -> Option<(u64, u64)> {
    let ledger = registry.load().ledger.clone();
    let view = ledger.send(Observe::<LedgerView>::new()).timeout(PATIENCE).await.expect("an answer");
    let row = view.rows.iter().find(|&(provider, model, _)| (provider, model) == ("p", "m"));
    row.map(|(_, _, totals)| (totals.whole.requests, totals.whole.tokens.input))
}

/// A process with a rejected key, a signature and two requests.
async fn used() -> (Addr<Supervisor>, Snapshot<Registry>) {
    let (supervisor, registry) = tree();
    let limited = Outcome::RateLimited { wait: Some(PATIENCE), scope: LimitScope::Account };
    lease(&registry).await.finish(limited);
    let facts = vec![("key".to_owned(), "signature".to_owned())];
    registry.load().signatures.send(Remember { scope: scope(), facts }).await.unwrap();
    count_request(&registry);
    count_request(&registry);
    (supervisor, registry)
}

/// Requirement (issue 15, 6): cooldowns, signatures and counters survive a restart of the process.
#[actix_rt::test]
async fn a_new_process_continues_with_health_signatures_and_totals() {
    let (_old_supervisor, old) = used().await;
    let state = ExportedState::read(&old.load(), PATIENCE).await;
    let bytes = state.clone().to_bytes().unwrap();
    let parsed = ExportedState::parse(&bytes).unwrap();
    assert_eq!(parsed, state);

    let (_supervisor, new) = tree();
    count_request(&new);
    parsed.clone().import(&new.load(), PATIENCE).await;

    let view = new.load().provider("p").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
    assert_eq!(view.keys.iter().map(|key| key.state).collect::<Vec<_>>(), ["cooling", "ready"]);
    let recall = Recall { scope: scope(), keys: vec!["key".to_owned()] };
    assert_eq!(new.load().signatures.send(recall).await.unwrap()["key"], "signature");
    assert_eq!(totals(&new).await, Some((3, 30)));

    // A second import, for example after the old process has drained, counts no request twice.
    parsed.import(&new.load(), PATIENCE).await;
    assert_eq!(totals(&new).await, Some((3, 30)));
    let again = ExportedState::read(&new.load(), PATIENCE).await;
    let (_third_supervisor, third) = tree();
    again.import(&third.load(), PATIENCE).await;
    assert_eq!(totals(&third).await, Some((3, 30)));
}

/// Requirement (issue 15, 6): the counters survive a restart of the ledger, also requests that end while it hangs, and a
/// hung ledger that wakes up later counts nothing twice.
#[actix_rt::test]
async fn a_replaced_ledger_continues_with_the_totals() {
    let (_supervisor, registry) = used().await;
    assert_eq!(totals(&registry).await, Some((2, 20)));

    inject(&registry.load(), &ActorName::Ledger, InjectedFault::Panic);
    assert_eq!(totals(&registry).await, Some((2, 20)));

    let hung = registry.load().ledger.clone();
    inject(&registry.load(), &ActorName::Ledger, InjectedFault::Hang(Duration::from_millis(400)));
    count_request(&registry);
    let replaced = async {
        while registry.load().ledger == hung {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, replaced).await.expect("the ledger is not replaced");
    assert_eq!(totals(&registry).await, Some((3, 30)));
    sleep(Duration::from_millis(500)).await;
    count_request(&registry);
    assert_eq!(totals(&registry).await, Some((4, 40)));
}

/// Requirement (issue 15, 6): an actor that hangs delays an export by its time limit at most, and costs its own part.
#[actix_rt::test]
async fn an_actor_that_does_not_answer_is_left_out() {
    let (_supervisor, registry) = used().await;
    let hung = registry.load().ledger.clone();
    hung.do_send(InjectedFault::Hang(Duration::from_secs(1)));

    let state = ExportedState::read(&registry.load(), Duration::from_millis(50)).await;

    assert_eq!(state.totals, ExportedTotals::default());
    assert_eq!(state.providers.len(), 2);
}

/// Requirement (issue 15, 6): an unknown version is refused as a whole.
#[test]
fn other_versions_and_other_bytes_are_refused() {
    let bytes = ExportedState::default().to_bytes().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let other = text.replacen("vandamme-state 1", "vandamme-state 2", 1);
    for bytes in ["", "\n", "vandamme-state 1", "{}", &other] {
        assert_eq!(ExportedState::parse(bytes.as_bytes()), Err(StateError::OtherVersion), "{bytes}");
    }
    assert_eq!(ExportedState::parse(&text.as_bytes()[..text.len() - 1]), Err(StateError::Damaged));
    let without_member = format!("{VERSION} {}\n{{}}", checksum(b"{}"));
    assert_eq!(ExportedState::parse(without_member.as_bytes()), Err(StateError::OtherVersion));
}

/// Requirement (issue 15, 6): an export is bounded. Health, the smallest part, is kept longest.
#[test]
fn a_state_that_is_too_long_loses_its_largest_part() {
    let facts: Vec<_> = (0..10)
        .map(|number| {
            let text = "x".repeat(1 << 20);
            serde_json::json!({"caller": CallerId([0; 16]), "provider": "p", "key": number.to_string(), "text": text, "stored": 0})
        })
        .collect();
    let signatures = serde_json::from_value(serde_json::json!({ "facts": facts })).unwrap();
    let state = ExportedState { exported_at: 7, signatures, ..ExportedState::default() };

    let bytes = state.to_bytes().unwrap();

    assert!(bytes.len() <= MAX_BYTES);
    let kept = ExportedState { exported_at: 7, ..ExportedState::default() };
    assert_eq!(ExportedState::parse(&bytes), Ok(kept));
    assert_eq!(ExportedState::parse(&vec![b' '; MAX_BYTES + 1]), Err(StateError::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement (issue 15, 6): bytes that are cut off or changed are ignored and never panic.
    #[test]
    fn no_damaged_bytes_are_imported(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let bytes = ExportedState::default().to_bytes().unwrap();
        let at = at.index(bytes.len());
        let mut damaged = bytes.clone();
        if cut {
            damaged.truncate(at);
        } else {
            damaged[at] = byte;
        }
        prop_assert_eq!(ExportedState::parse(&damaged).is_ok(), damaged == bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), as_json in any::<bool>()) {
        let mut input = bytes.clone();
        if as_json {
            input = format!("{VERSION} {}\n", checksum(&bytes)).into_bytes();
            input.extend(bytes);
        }
        prop_assert!(ExportedState::parse(&input).is_err());
    }
}
