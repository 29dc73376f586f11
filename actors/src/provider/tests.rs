//! The provider as an actor: leases, permits, the queue, and what a new incarnation knows.

use actix::Addr;
use actix_rt::Arbiter;
use futures_util::future::join;

use super::*;
use crate::keeper;
use crate::testing::{limits, provider};

fn start(keys: &[&str], limits: Limits) -> Addr<Provider> {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits));
    let permits = Permits::new(limits.provider_in_flight);
    permits.belong_to(1);
    keeper::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits, permits, (1, saved))
    })
}

/// Starts the actors that take one another's place.
fn incarnations(keys: &[&str]) -> impl Fn(u64) -> Addr<Provider> {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits()));
    let permits = Permits::new(8);
    let arbiter = Arbiter::new();
    move |number| {
        let (settings, permits, saved) = (settings.clone(), permits.clone(), saved.clone());
        permits.belong_to(number);
        keeper::start(&arbiter.handle(), "p", MAILBOX, move || {
            Provider::new(settings, limits(), permits, (number, saved))
        })
    }
}

async fn lease(provider: &Addr<Provider>, tried: &[KeyId]) -> Result<Lease, Refusal> {
    let (reply, answer) = oneshot::channel();
    provider.do_send(LeaseKey {
        model: "m".into(),
        profile: None,
        session: None,
        tried: tried.to_vec(),
        held: None,
        reply,
    });
    answer.await.unwrap().map_err(|no_lease| match no_lease {
        NoLease::Refused { refusal, .. } => refusal,
        NoLease::Unroutable(reason) => panic!("{reason}"),
    })
}

async fn view(provider: &Addr<Provider>) -> ProviderView {
    provider.send(Observe::new()).await.unwrap()
}

#[actix_rt::test]
async fn a_lease_that_is_dropped_frees_its_permit_and_says_nothing_about_its_key() {
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
    first.finish(CallOutcome::Rejected { scope: Scope::Key });

    for _ in 0..3 {
        let lease = lease(&provider, &[]).await.unwrap();
        assert_ne!(lease.key.id(), bad);
        lease.finish(CallOutcome::Answered);
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
        held.finish(CallOutcome::Answered);
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

    assert_eq!(first.unwrap_err(), Refusal::Busy);
    assert_eq!(second.unwrap_err(), Refusal::Busy);
}

#[actix_rt::test]
async fn an_upstream_that_fails_most_of_the_time_is_left_alone() {
    let provider = start(&["a"], limits());

    for _ in 0..10 {
        lease(&provider, &[]).await.unwrap().finish(CallOutcome::Failed);
    }

    assert!(matches!(lease(&provider, &[]).await, Err(Refusal::BreakerOpen { .. })));
    assert!(view(&provider).await.breaker_open);
}

#[actix_rt::test]
async fn one_overloaded_model_leaves_the_others_alone() {
    let provider = start(&["a"], limits());

    for _ in 0..10 {
        lease(&provider, &[]).await.unwrap().finish(CallOutcome::Overloaded);
    }

    assert!(matches!(lease(&provider, &[]).await, Err(Refusal::BreakerOpen { .. })));
    let (reply, answer) = oneshot::channel();
    provider.do_send(LeaseKey {
        model: "other".into(),
        profile: None,
        session: None,
        tried: vec![],
        held: None,
        reply,
    });
    assert!(answer.await.unwrap().is_ok());
}

#[actix_rt::test]
async fn a_new_incarnation_knows_what_the_old_one_knew_of_its_keys() {
    let incarnation = incarnations(&["a", "b"]);
    let first = incarnation(1);
    let taken = lease(&first, &[]).await.unwrap();
    let bad = taken.key.id();
    taken.finish(CallOutcome::Rejected { scope: Scope::Key });
    assert_eq!(view(&first).await.keys.iter().filter(|key| key.state == "rejected").count(), 1);

    let second = incarnation(2);

    let rejected: Vec<_> =
        view(&second).await.keys.into_iter().filter(|key| key.state == "rejected").collect();
    assert_eq!(rejected.iter().map(|key| key.id).collect::<Vec<_>>(), [bad]);
}

#[actix_rt::test]
async fn what_a_refusal_taught_comes_with_later_leases_for_that_model_whoever_lends_them() {
    let incarnation = incarnations(&["a"]);
    let edit = Edit::param("top_p").unwrap();
    let first = incarnation(1);
    let taken = lease(&first, &[]).await.unwrap();
    assert!(taken.remembered.is_none());
    taken.learn(vec![edit.clone()]);
    assert_eq!(view(&first).await.lessons[0].edit, edit);

    for provider in [first, incarnation(2)] {
        let later = lease(&provider, &[]).await.unwrap();
        assert_eq!(later.remembered.as_deref(), Some(&[edit.clone()][..]));
        let (reply, answer) = oneshot::channel();
        provider.do_send(LeaseKey {
            model: "other".into(),
            tried: vec![],
            held: None,
            profile: None,
            session: None,
            reply,
        });
        assert!(answer.await.unwrap().unwrap().remembered.is_none());
    }
}

#[test]
fn a_request_that_gets_no_key_is_no_probe() {
    let settings = provider("p").keys(&["a"]).build();
    let mut health = ProviderHealth::new(&settings, &limits());
    let model: Arc<str> = "m".into();
    for _ in 0..10 {
        health.breaker.note(0, Health::Bad);
        health.overload(&model).note(0, Health::Bad);
    }
    let later = 60_000;

    assert_eq!((health.check(later, "m"), health.check(later, "m")), (Ok(()), Ok(())));
    assert!(health.go("m", settings.keys[0].id()));
    assert!(health.check(later, "m").is_err());
}

#[actix_rt::test]
async fn nobody_waits_for_the_end_of_a_reply_that_has_begun_well() {
    let provider = start(&["a"], Limits { cooldown: Duration::from_millis(20), ..limits() });
    let limited = lease(&provider, &[]).await.unwrap();
    limited.finish(CallOutcome::RateLimited { after: None, scope: Scope::Key });
    actix_rt::time::sleep(Duration::from_millis(60)).await;

    let mut probe = lease(&provider, &[]).await.unwrap();
    assert!(lease(&provider, &[]).await.is_err(), "one at a time until it is known");
    probe.begun();

    assert!(lease(&provider, &[]).await.is_ok());
}

/// A provider whose offer is looked at, and its settings.
async fn offering(keys: &[&str], limits: Limits) -> (Addr<Provider>, Arc<Permits>) {
    let settings = provider("p").keys(keys).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits));
    let permits = Permits::new(limits.provider_in_flight);
    permits.belong_to(1);
    let offered = permits.clone();
    let address = keeper::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits, permits, (1, saved))
    });
    address.send(Ping).await.unwrap();
    (address, offered)
}

fn lend(permits: &Arc<Permits>) -> Option<Lease> {
    permits.lend(&"m".into(), None, None)
}

#[actix_rt::test]
async fn while_nothing_is_wrong_keys_are_lent_in_turn_without_asking() {
    let (provider, permits) = offering(&["a", "b"], limits()).await;

    let keys: Vec<_> = (0..3).map(|_| lend(&permits).unwrap().key.expose().to_owned()).collect();
    let asked = lease(&provider, &[]).await.unwrap();

    assert_eq!(keys, ["a", "b", "a"]);
    assert_eq!(asked.key.expose(), "b", "who asks has the next turn");
    assert_eq!(permits.taken(), 1);
}

#[actix_rt::test]
async fn a_session_is_lent_the_key_that_it_would_be_given() {
    let (provider, permits) = offering(&["a", "b", "c"], limits()).await;

    for session in (0..32).map(|number| Some(Session(number))) {
        let lent = permits.lend(&"m".into(), None, session).unwrap();
        let (reply, answer) = oneshot::channel();
        let request =
            LeaseKey { model: "m".into(), profile: None, session, tried: vec![], held: None, reply };
        provider.do_send(request);
        assert_eq!(answer.await.unwrap().unwrap().key.id(), lent.key.id());
    }
}

#[actix_rt::test]
async fn a_failure_ends_the_offer_before_the_actor_hears_of_it() {
    let troubles = [
        CallOutcome::RateLimited { after: None, scope: Scope::Key },
        CallOutcome::Rejected { scope: Scope::Model },
    ];
    for outcome in troubles {
        let (provider, permits) = offering(&["a", "b"], limits()).await;

        lend(&permits).unwrap().finish(outcome);
        assert!(lend(&permits).is_none(), "{outcome:?}, unread");

        provider.send(Ping).await.unwrap();
        assert!(lend(&permits).is_none(), "{outcome:?}, while the key rests");
        assert_eq!(lease(&provider, &[]).await.unwrap().key.expose(), "b");
    }
}

#[actix_rt::test]
async fn the_offer_stands_again_when_the_failure_is_over() {
    let limits = Limits { cooldown: Duration::from_millis(1), ..limits() };
    let (provider, permits) = offering(&["a"], limits).await;

    lend(&permits).unwrap().finish(CallOutcome::Failed);
    provider.send(Ping).await.unwrap();
    lend(&permits)
        .expect("one failure is no reason")
        .finish(CallOutcome::RateLimited { after: None, scope: Scope::Key });
    provider.send(Ping).await.unwrap();
    actix_rt::time::sleep(Duration::from_millis(20)).await;
    lease(&provider, &[]).await.unwrap().finish(CallOutcome::Answered);
    provider.send(Ping).await.unwrap();

    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn nobody_overtakes_those_who_wait() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = offering(&["a"], limits).await;
    let only = lend(&permits).unwrap();
    assert!(lend(&permits).is_none(), "there is none left");

    let (reply, answer) = oneshot::channel();
    provider.do_send(LeaseKey {
        model: "m".into(),
        profile: None,
        session: None,
        tried: vec![],
        held: None,
        reply,
    });
    provider.send(Ping).await.unwrap();
    only.finish(CallOutcome::Answered);
    assert!(lend(&permits).is_none());

    let waited = answer.await.unwrap().unwrap();
    provider.send(Ping).await.unwrap();
    drop(waited);
    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn what_was_learnt_is_to_be_had_of_the_actor_alone() {
    let (provider, permits) = offering(&["a"], limits()).await;

    lend(&permits).unwrap().learn(vec![Edit::param("top_p").unwrap()]);
    assert!(lend(&permits).is_none(), "unread");
    provider.send(Ping).await.unwrap();

    assert!(lend(&permits).is_none());
    assert!(lease(&provider, &[]).await.unwrap().remembered.is_some());
}

#[actix_rt::test]
async fn one_that_was_replaced_offers_nothing_and_reads_nothing() {
    let (old, permits) = offering(&["a"], limits()).await;
    let lent = lend(&permits).unwrap();

    permits.belong_to(2);
    permits.withdraw();
    lent.finish(CallOutcome::Rejected { scope: Scope::Key });
    old.send(Ping).await.unwrap();

    assert!(lend(&permits).is_none());
    assert!(permits.told().is_some(), "its successor's to read");
}

#[actix_rt::test]
async fn a_provider_that_is_gone_offers_nothing() {
    let (provider, permits) = offering(&["a"], limits()).await;
    assert!(lend(&permits).is_some());

    drop(provider);

    while lend(&permits).is_some() {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn whoever_has_a_permit_gets_another_key_without_waiting_for_one() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = offering(&["a", "b"], limits).await;
    let mut first = lend(&permits).unwrap();
    first.report(CallOutcome::RateLimited { after: None, scope: Scope::Key });

    let (reply, answer) = oneshot::channel();
    let (tried, held) = (vec![first.key.id()], first.held());
    provider.do_send(LeaseKey { model: "m".into(), profile: None, session: None, tried, held, reply });
    let second = answer.await.unwrap().unwrap().after(first);

    assert_eq!((second.key.expose(), permits.taken()), ("b", 1));
    drop(second);
    assert_eq!(permits.taken(), 0);
}

#[actix_rt::test]
async fn a_permit_of_another_provider_is_none_here() {
    let limits = Limits { provider_in_flight: 1, provider_queue: 0, ..limits() };
    let (provider, _) = offering(&["a"], limits.clone()).await;
    let (_other, others) = offering(&["a"], limits).await;
    let _held = lease(&provider, &[]).await.unwrap();

    let (reply, answer) = oneshot::channel();
    let held = lend(&others).unwrap().held();
    provider.do_send(LeaseKey {
        model: "m".into(),
        profile: None,
        session: None,
        tried: vec![],
        held,
        reply,
    });

    assert!(answer.await.unwrap().is_err());
}

#[actix_rt::test]
async fn who_comes_when_a_permit_is_free_waits_behind_those_who_wait() {
    let limits = Limits { provider_in_flight: 1, ..limits() };
    let (provider, permits) = offering(&["a"], limits).await;
    let quiet = permits.take().unwrap();
    let ask = || {
        let (reply, answer) = oneshot::channel();
        let (model, tried) = ("m".into(), vec![]);
        provider.do_send(LeaseKey { model, profile: None, session: None, tried, held: None, reply });
        answer
    };

    let first = ask();
    assert_eq!(view(&provider).await.waiting, 1);
    drop(quiet);
    let mut second = ask();
    assert_eq!(view(&provider).await.waiting, 1);

    let first = first.await.unwrap().unwrap();
    assert!(second.try_recv().is_err(), "there is one permit");
    drop(first);
    assert!(second.await.unwrap().is_ok());
}

fn elsewhere(keys: &[&str]) -> Arc<ProviderSettings> {
    let mut settings = Arc::unwrap_or_clone(provider("p").keys(keys).build());
    settings.base_url = "http://127.0.0.1:2/v1".into();
    Arc::new(settings)
}

#[actix_rt::test]
async fn what_began_before_a_reload_says_nothing_of_another_upstream() {
    let (provider, permits) = offering(&["a", "b"], limits()).await;
    let before: Vec<_> = (0..10).map(|_| lend(&permits).unwrap()).collect();
    let taught = lend(&permits).unwrap();

    provider.do_send(Reconfigure { settings: elsewhere(&["a", "b"]), limits: limits() });
    provider.send(Ping).await.unwrap();
    taught.learn(vec![Edit::param("top_p").unwrap()]);
    taught.finish(CallOutcome::Rejected { scope: Scope::Key });
    before.into_iter().for_each(|lease| lease.finish(CallOutcome::Failed));

    let view = view(&provider).await;
    assert!(!view.breaker_open && view.lessons.is_empty());
    assert!(view.keys.iter().all(|key| key.state == "ready"), "{:?}", view.keys);
    assert!(lend(&permits).is_some());
}

#[actix_rt::test]
async fn whatever_was_saved_only_configured_keys_are_lent() {
    let (old, new) = (provider("p").keys(&["old"]).build(), elsewhere(&["new"]));
    let saved = Snapshot::new(ProviderHealth::new(&old, &limits()));
    let permits = Permits::new(8);
    permits.belong_to(1);
    let provider = keeper::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(new, limits(), permits, (1, saved))
    });

    assert_eq!(lease(&provider, &[]).await.unwrap().key.expose(), "new");
}

#[actix_rt::test]
async fn one_that_was_replaced_saves_nothing_when_it_hears_of_a_reload_late() {
    let settings = provider("p").keys(&["a"]).build();
    let saved = Snapshot::new(ProviderHealth::new(&settings, &limits()));
    let permits = Permits::new(8);
    permits.belong_to(2);
    let kept = saved.clone();
    let late = keeper::start(&Arbiter::new().handle(), "p", MAILBOX, move || {
        Provider::new(settings, limits(), permits, (1, saved))
    });

    late.do_send(Reconfigure { settings: provider("p").keys(&["a", "b"]).build(), limits: limits() });
    late.send(Ping).await.unwrap();

    assert_eq!(kept.load().ring.view(0).len(), 1);
}

#[actix_rt::test]
async fn when_what_was_learnt_holds_no_longer_the_offer_stands_again() {
    let limits = Limits { healing_ttl: Duration::from_millis(20), ..limits() };
    let (provider, permits) = offering(&["a"], limits).await;
    lend(&permits).unwrap().learn(vec![Edit::param("top_p").unwrap()]);

    while lend(&permits).is_none() {
        provider.send(Ping).await.unwrap();
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(view(&provider).await.lessons.is_empty());
}
