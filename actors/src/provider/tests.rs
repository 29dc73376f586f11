//! Tests the provider as an actor: leases, permits, the queue, and the state of a new incarnation.

mod exported;

use actix::Addr;
use actix_rt::Arbiter;
use futures_util::future::join;

use vandamme_protocol::compat::Fixup;

use super::*;
use crate::outcome::{LimitScope, Outcome};
use crate::panic_guard;
use crate::testing::{limits, provider};

const LIMITED: Outcome = Outcome::RateLimited { wait: None, scope: LimitScope::Model };

fn start(keys: &[&str], limits: Limits) -> Addr<Provider> {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits));
    let permits = Permits::new(limits.provider_in_flight);
    permits.set_incarnation(1);
    panic_guard::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits, permits, 1, saved)
    })
}

/// Starts successive incarnations of one provider.
fn incarnations(keys: &[&str]) -> impl Fn(u64) -> Addr<Provider> {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits()));
    let permits = Permits::new(8);
    let arbiter = Arbiter::new();
    move |number| {
        let (settings, permits, saved) = (settings.clone(), permits.clone(), saved.clone());
        permits.set_incarnation(number);
        panic_guard::start(&arbiter.handle(), "p", MAILBOX, move || {
            Provider::new(settings, limits(), permits, number, saved)
        })
    }
}

type Answer = oneshot::Receiver<Result<Lease, NoLease>>;

/// Sends a request for `model` that has tried no key; `set` changes it.
fn request(provider: &Addr<Provider>, model: &str, set: impl FnOnce(&mut LeaseKey)) -> Answer {
    let (reply, answer) = oneshot::channel();
    let mut request = LeaseKey {
        model: model.into(),
        profile: None,
        session: None,
        size: Size::default(),
        alternatives: Alternatives::None,
        tried: vec![],
        held: None,
        when_busy: WhenBusy::Queue,
        reply,
    };
    set(&mut request);
    provider.do_send(request);
    answer
}

async fn lease(provider: &Addr<Provider>, tried: &[KeyId]) -> Result<Lease, LeaseRefusal> {
    let answer = request(provider, "m", |request| request.tried = tried.to_vec());
    answer.await.unwrap().map_err(|none| none.refusal)
}

async fn view(provider: &Addr<Provider>) -> ProviderView {
    provider.send(Observe::<ProviderView>::new()).await.unwrap()
}

#[actix_rt::test]
async fn a_dropped_lease_frees_its_permit_and_does_not_affect_its_key() {
    let provider = start(&["a"], limits());

    let held = lease(&provider, &[]).await.unwrap();
    assert_eq!(view(&provider).await.in_flight, 1);
    drop(held);

    let view = view(&provider).await;
    assert_eq!((view.in_flight, view.keys[0].state), (0, "ready"));
}

#[actix_rt::test]
async fn a_rejected_key_is_passed_over_by_later_leases() {
    let provider = start(&["a", "b"], limits());

    let first = lease(&provider, &[]).await.unwrap();
    let bad = first.key.id();
    first.finish(Outcome::KeyRejected);

    for _ in 0..3 {
        let lease = lease(&provider, &[]).await.unwrap();
        assert_ne!(lease.key.id(), bad);
        lease.finish(Outcome::Answered);
    }
}

#[actix_rt::test]
async fn a_full_provider_lets_requests_wait_for_a_permit() {
    let provider = start(&["a"], Limits { provider_in_flight: 1, ..limits() });
    let held = lease(&provider, &[]).await.unwrap();

    let waiting = lease(&provider, &[]);
    let freeing = async {
        while view(&provider).await.waiting == 0 {
            actix_rt::task::yield_now().await;
        }
        held.finish(Outcome::Answered);
    };

    let (granted, ()) = join(waiting, freeing).await;
    assert!(granted.is_ok());
}

#[actix_rt::test]
async fn a_wait_that_is_too_long_or_a_queue_that_is_full_is_refused_as_busy() {
    let bounds = Limits {
        provider_in_flight: 1,
        provider_queue: 1,
        provider_queue_wait: Duration::from_millis(20),
        ..limits()
    };
    let provider = start(&["a"], bounds);
    let _held = lease(&provider, &[]).await.unwrap();

    let (first, second) = join(lease(&provider, &[]), lease(&provider, &[])).await;

    assert_eq!(first.unwrap_err(), LeaseRefusal::Busy);
    assert_eq!(second.unwrap_err(), LeaseRefusal::Busy);
}

/// Requirement: a request that serves another one never waits for a permit, which the other one may hold.
#[actix_rt::test]
async fn a_request_of_the_gateway_does_not_wait_for_a_permit() {
    let provider = start(&["a"], Limits { provider_in_flight: 1, ..limits() });
    let held = lease(&provider, &[]).await.unwrap();
    let refuse = |request: &mut LeaseKey| request.when_busy = WhenBusy::Refuse;

    let refused = request(&provider, "m", refuse).await.unwrap();
    assert_eq!(refused.unwrap_err().refusal, LeaseRefusal::Busy);

    drop(held);
    assert!(request(&provider, "m", refuse).await.unwrap().is_ok());
}

#[actix_rt::test]
async fn a_new_incarnation_keeps_the_state_of_the_keys() {
    let incarnation = incarnations(&["a", "b"]);
    let first = incarnation(1);
    let taken = lease(&first, &[]).await.unwrap();
    let bad = taken.key.id();
    taken.finish(Outcome::KeyRejected);
    assert_eq!(view(&first).await.keys.iter().filter(|key| key.state == "rejected").count(), 1);

    let second = incarnation(2);

    let rejected: Vec<_> =
        view(&second).await.keys.into_iter().filter(|key| key.state == "rejected").collect();
    assert_eq!(rejected.iter().map(|key| key.id).collect::<Vec<_>>(), [bad]);
}

#[actix_rt::test]
async fn learned_rules_come_with_later_leases_of_any_incarnation() {
    let incarnation = incarnations(&["a"]);
    let fixup = Fixup::param("top_p").unwrap();
    let first = incarnation(1);
    let taken = lease(&first, &[]).await.unwrap();
    assert!(taken.learned_rules.is_none());
    taken.learn(vec![fixup.clone()]);
    assert_eq!(view(&first).await.learned_rules[0].fixup, fixup);

    for provider in [first, incarnation(2)] {
        let later = lease(&provider, &[]).await.unwrap();
        assert_eq!(later.learned_rules.as_deref(), Some(&[fixup.clone()][..]));
        let answer = request(&provider, "other", |_| {});
        assert!(answer.await.unwrap().unwrap().learned_rules.is_none());
    }
}

/// A provider and its permits, which contain the fast path.
async fn with_fast_path(keys: &[&str], limits: Limits) -> (Addr<Provider>, Arc<Permits>) {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits));
    let permits = Permits::new(limits.provider_in_flight);
    permits.set_incarnation(1);
    let counted = permits.clone();
    let address = panic_guard::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits, permits, 1, saved)
    });
    address.send(Ping).await.unwrap();
    (address, counted)
}

fn lend(permits: &Arc<Permits>) -> Option<Lease> {
    Lease::from_fast_path(permits, &"m".into(), None, Size::default())
}

#[actix_rt::test]
async fn while_no_key_has_a_cooldown_the_fast_path_lends_keys_in_turn() {
    let (provider, permits) = with_fast_path(&["a", "b"], limits()).await;

    let keys: Vec<_> = (0..3).map(|_| lend(&permits).unwrap().key.expose().to_owned()).collect();
    let asked = lease(&provider, &[]).await.unwrap();

    assert_eq!(keys, ["a", "b", "a"]);
    assert_eq!(asked.key.expose(), "b", "the actor continues the turn");
    assert_eq!(permits.taken(), 1);
}

#[actix_rt::test]
async fn the_fast_path_and_the_actor_choose_the_same_key_for_a_session() {
    let (provider, permits) = with_fast_path(&["a", "b", "c"], limits()).await;

    for session in (0..32).map(|number| Some(AffinityHash(number))) {
        let lent = Lease::from_fast_path(&permits, &"m".into(), session, Size::default()).unwrap();
        let answer = request(&provider, "m", |request| request.session = session);
        assert_eq!(answer.await.unwrap().unwrap().key.id(), lent.key.id());
    }
}

#[actix_rt::test]
async fn a_failure_closes_the_fast_path_before_the_actor_reads_it() {
    let troubles = [LIMITED, Outcome::KeyForbidden];
    for outcome in troubles {
        let (provider, permits) = with_fast_path(&["a", "b"], limits()).await;

        lend(&permits).unwrap().finish(outcome);
        assert!(lend(&permits).is_none(), "{outcome:?}, unread");

        provider.send(Ping).await.unwrap();
        assert!(lend(&permits).is_none(), "{outcome:?}, while the key has a cooldown");
        assert_eq!(lease(&provider, &[]).await.unwrap().key.expose(), "b");
    }
}

#[actix_rt::test]
async fn the_fast_path_opens_again_when_the_failure_is_over() {
    let limits = Limits { cooldown: Duration::from_millis(1), ..limits() };
    let (provider, permits) = with_fast_path(&["a"], limits).await;

    lend(&permits).unwrap().finish(Outcome::ServerError);
    provider.send(Ping).await.unwrap();
    lend(&permits).expect("one failure does not close the fast path").finish(LIMITED);
    provider.send(Ping).await.unwrap();
    actix_rt::time::sleep(Duration::from_millis(20)).await;
    lease(&provider, &[]).await.unwrap().finish(Outcome::Answered);
    provider.send(Ping).await.unwrap();

    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn the_fast_path_does_not_overtake_waiting_requests() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = with_fast_path(&["a"], limits).await;
    let only = lend(&permits).unwrap();
    assert!(lend(&permits).is_none(), "no permit is left");

    let answer = request(&provider, "m", |_| {});
    provider.send(Ping).await.unwrap();
    only.finish(Outcome::Answered);
    assert!(lend(&permits).is_none());

    let waited = answer.await.unwrap().unwrap();
    provider.send(Ping).await.unwrap();
    drop(waited);
    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn learned_rules_close_the_fast_path() {
    let (provider, permits) = with_fast_path(&["a"], limits()).await;

    lend(&permits).unwrap().learn(vec![Fixup::param("top_p").unwrap()]);
    assert!(lend(&permits).is_none(), "unread");
    provider.send(Ping).await.unwrap();

    assert!(lend(&permits).is_none());
    assert!(lease(&provider, &[]).await.unwrap().learned_rules.is_some());
}

#[actix_rt::test]
async fn a_replaced_actor_lends_nothing_and_reads_nothing() {
    let (old, permits) = with_fast_path(&["a"], limits()).await;
    let lent = lend(&permits).unwrap();

    permits.set_incarnation(2);
    permits.suspend_fast_path();
    lent.finish(Outcome::KeyRejected);
    old.send(Ping).await.unwrap();

    assert!(lend(&permits).is_none());
    assert!(permits.next_event().is_some(), "the event is left for the next incarnation");
}

#[actix_rt::test]
async fn a_stopped_provider_lends_nothing() {
    let (provider, permits) = with_fast_path(&["a"], limits()).await;
    assert!(lend(&permits).is_some());

    drop(provider);

    while lend(&permits).is_some() {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn a_request_with_a_permit_gets_another_key_without_waiting() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = with_fast_path(&["a", "b"], limits).await;
    let mut first = lend(&permits).unwrap();
    first.report(LIMITED, "");

    let answer = request(&provider, "m", |request| {
        (request.tried, request.held) = (vec![first.key.id()], first.held());
    });
    let second = answer.await.unwrap().unwrap().after(first);

    assert_eq!((second.key.expose(), permits.taken()), ("b", 1));
    drop(second);
    assert_eq!(permits.taken(), 0);
}

#[actix_rt::test]
async fn a_permit_of_another_provider_does_not_count() {
    let limits = Limits { provider_in_flight: 1, provider_queue: 0, ..limits() };
    let (provider, _) = with_fast_path(&["a"], limits.clone()).await;
    let (_other, others) = with_fast_path(&["a"], limits).await;
    let _held = lease(&provider, &[]).await.unwrap();

    let held = lend(&others).unwrap().held();
    let answer = request(&provider, "m", |request| request.held = held);

    assert!(answer.await.unwrap().is_err());
}

#[actix_rt::test]
async fn a_new_request_waits_behind_the_queue_even_if_a_permit_is_free() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = with_fast_path(&["a"], limits).await;
    let quiet = permits.take().unwrap();
    let ask = || request(&provider, "m", |_| {});

    let first = ask();
    assert_eq!(view(&provider).await.waiting, 1);
    drop(quiet);
    let mut second = ask();
    assert_eq!(view(&provider).await.waiting, 1);

    let first = first.await.unwrap().unwrap();
    assert!(second.try_recv().is_err(), "there is only one permit");
    drop(first);
    assert!(second.await.unwrap().is_ok());
}

fn elsewhere(keys: &[&str]) -> Arc<ProviderSettings> {
    let mut settings = Arc::unwrap_or_clone(provider("p").keys(keys).build());
    settings.base_url = "http://127.0.0.1:2/v1".into();
    Arc::new(settings)
}

#[actix_rt::test]
async fn leases_from_before_a_reload_do_not_affect_another_upstream() {
    let (provider, permits) = with_fast_path(&["a", "b"], limits()).await;
    let before: Vec<_> = (0..10).map(|_| lend(&permits).unwrap()).collect();
    let taught = lend(&permits).unwrap();

    provider.do_send(ReconfigureProvider { settings: elsewhere(&["a", "b"]), limits: limits() });
    provider.send(Ping).await.unwrap();
    taught.learn(vec![Fixup::param("top_p").unwrap()]);
    taught.finish(Outcome::KeyRejected);
    before.into_iter().for_each(|lease| lease.finish(Outcome::ServerError));

    let view = view(&provider).await;
    assert!(view.host.is_preferred() && view.models.is_empty() && view.learned_rules.is_empty());
    assert!(view.keys.iter().all(|key| key.state == "ready"), "{:?}", view.keys);
    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn only_configured_keys_are_lent_whatever_was_saved() {
    let (old, new) = (provider("p").keys(&["old"]).build(), elsewhere(&["new"]));
    let saved = Snapshot::new(ProviderHealth::new(&old, &limits()));
    let permits = Permits::new(8);
    permits.set_incarnation(1);
    let provider = panic_guard::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(new, limits(), permits, 1, saved)
    });

    assert_eq!(lease(&provider, &[]).await.unwrap().key.expose(), "new");
}

#[actix_rt::test]
async fn a_replaced_actor_saves_nothing_on_a_late_reload() {
    let settings = provider("p").keys(&["a"]).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits()));
    let permits = Permits::new(8);
    permits.set_incarnation(2);
    let kept = saved.clone();
    let late = panic_guard::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits(), permits, 1, saved)
    });

    late.do_send(ReconfigureProvider { settings: provider("p").keys(&["a", "b"]).build(), limits: limits() });
    late.send(Ping).await.unwrap();

    assert_eq!(kept.load().health.keys_view(0).len(), 1);
}

#[actix_rt::test]
async fn the_fast_path_opens_again_when_learned_rules_expire() {
    let limits = Limits { learned_rules_ttl: Duration::from_millis(20), ..limits() };
    let (provider, permits) = with_fast_path(&["a"], limits).await;
    lend(&permits).unwrap().learn(vec![Fixup::param("top_p").unwrap()]);

    while lend(&permits).is_none() {
        provider.send(Ping).await.unwrap();
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(view(&provider).await.learned_rules.is_empty());
}

#[actix_rt::test]
async fn a_key_just_out_of_its_cooldown_takes_one_request_at_a_time_while_another_is_left() {
    let provider = start(&["a", "b"], Limits { cooldown: Duration::from_millis(20), ..limits() });
    let limited = lease(&provider, &[]).await.unwrap();
    let cooling = limited.key.id();
    limited.finish(LIMITED);
    actix_rt::time::sleep(Duration::from_millis(60)).await;

    let mut leases = vec![];
    for _ in 0..4 {
        leases.push(lease(&provider, &[]).await.unwrap());
    }
    let tries = |leases: &[Lease]| leases.iter().filter(|lease| lease.key.id() == cooling).count();
    assert_eq!(tries(&leases), 1);
    leases.iter_mut().find(|lease| lease.key.id() == cooling).unwrap().reply_started();

    let more = [lease(&provider, &[]).await.unwrap(), lease(&provider, &[]).await.unwrap()];
    assert_eq!(tries(&more), 1, "the key takes its turn again");
}

#[actix_rt::test]
async fn a_session_waits_for_its_key_and_gets_it() {
    let provider = start(&["a", "b"], limits());
    let session = Some(AffinityHash(7));
    let of_session = || request(&provider, "m", |request| request.session = session);
    let first = of_session().await.unwrap().unwrap();
    let own = first.key.id();
    let wait = Some(Duration::from_millis(100));
    first.finish(Outcome::RateLimited { wait, scope: LimitScope::Model });

    let answer = of_session();
    assert_eq!(view(&provider).await.waiting, 1);
    assert_eq!(answer.await.unwrap().unwrap().key.id(), own);
    assert_eq!(view(&provider).await.waiting, 0);
}
