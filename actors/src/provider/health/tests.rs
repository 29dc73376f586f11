//! Tests the eight rules of health with explicit times.

mod sessions;
mod waits;

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::outcome::LimitScope;
use crate::testing::{limits, provider};

const MODEL: &str = "m";

/// A provider's health with a clock and a counter for requests and leases.
struct Bench {
    health: Health,
    now: Millis,
    count: u64,
}

/// A request that got a key.
#[derive(Clone, Debug)]
struct LeasedCall {
    key: KeyId,
    model: &'static str,
    began: Millis,
    number: u64,
    is_known_to_fail: bool,
    size: Size,
}

fn bench(keys: &[&str]) -> Bench {
    let limits = Limits { cooldown: Duration::from_secs(5), ..limits() };
    Bench { health: Health::new(&provider("p").keys(keys).build().keys, &limits), now: 1_000_000, count: 0 }
}

fn id(text: &str) -> KeyId {
    ApiKey::new(text).id()
}

fn limited(seconds: impl Into<Option<u64>>) -> Outcome {
    Outcome::RateLimited { wait: seconds.into().map(Duration::from_secs), scope: LimitScope::Model }
}

impl Bench {
    fn request(&mut self, set: impl FnOnce(&mut KeyRequest<'_>)) -> (KeyChoice, u64, Size) {
        self.count += 1;
        let mut request = KeyRequest {
            now: self.now,
            model: MODEL,
            session: None,
            tried: &[],
            size: Size { body: 1000, max_tokens: 100 },
            alternatives: Alternatives::None,
            patience: SessionWait::MayWait,
            lease: self.count,
            chance: 0.5,
        };
        set(&mut request);
        (self.health.choose(&request), self.count, request.size)
    }

    fn take_with(
        &mut self,
        model: &'static str,
        set: impl FnOnce(&mut KeyRequest<'_>),
    ) -> Result<LeasedCall, KeyChoice> {
        let began = self.now;
        let (choice, number, size) = self.request(|request| {
            request.model = model;
            set(request);
        });
        let KeyChoice::Key(Chosen { key, is_known_to_fail, .. }) = choice else { return Err(choice) };
        Ok(LeasedCall { key: key.id(), model, began, number, is_known_to_fail, size })
    }

    fn take_without(&mut self, tried: KeyId) -> Result<LeasedCall, KeyChoice> {
        let leaked: &'static [KeyId] = vec![tried].leak();
        self.take_with(MODEL, |request| request.tried = leaked)
    }

    fn take(&mut self) -> LeasedCall {
        self.take_with(MODEL, |_| {}).expect("a key")
    }

    fn report(&mut self, taken: &LeasedCall, outcome: Outcome) -> Vec<StateChange> {
        let &LeasedCall { key, model, began, number, size, .. } = taken;
        let report = CallReport {
            outcome,
            key,
            model: model.into(),
            began,
            at: self.now,
            request: number,
            size,
            lease: number,
            message: "why".into(),
        };
        self.health.note(&report, 0.0)
    }

    fn fail(&mut self, model: &'static str, outcome: Outcome) {
        let taken = self.take_with(model, |_| {}).expect("a key");
        self.report(&taken, outcome);
    }

    fn advance(&mut self, seconds: u64) {
        self.now += seconds * 1000;
    }

    fn take_with_alternative(&mut self) -> Result<LeasedCall, KeyChoice> {
        self.take_with(MODEL, |request| request.alternatives = Alternatives::Left)
    }
}

#[test]
fn keys_take_turns_and_a_session_keeps_its_own() {
    let mut bench = bench(&["a", "b", "c"]);
    let keys = [(); 4].map(|()| bench.take().key);
    assert_eq!(keys, [id("a"), id("b"), id("c"), id("a")]);
    let mut used = HashSet::new();
    for session in 0..32 {
        let keys = [(); 3].map(|()| {
            bench.take_with(MODEL, |request| request.session = Some(AffinityHash(session))).unwrap().key
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        used.insert(keys[0]);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn a_lone_key_is_never_refused_for_a_guess_and_other_models_have_no_cooldown() {
    for outcome in [
        limited(None),
        Outcome::OutOfCredit,
        Outcome::KeyRejected,
        Outcome::KeyForbidden,
        Outcome::Overloaded,
        Outcome::ServerError,
        Outcome::BrokenReply,
        Outcome::Unreachable,
        Outcome::Silent,
    ] {
        let mut bench = bench(&["a"]);
        for _ in 0..20 {
            bench.fail("broken", outcome);
            bench.take_with("broken", |_| {}).expect("the key is called anyway");
            bench.take_with("fine", |_| {}).expect("another model");
        }
        if outcome.treatment().key == KeyEffect::LimitsModel {
            assert!(!bench.take_with("fine", |_| {}).unwrap().is_known_to_fail);
        }
    }
}

#[test]
fn a_limited_key_is_skipped_for_its_model_only() {
    let mut bench = bench(&["a", "b"]);
    bench.fail(MODEL, limited(None));
    assert_eq!([bench.take().key, bench.take().key], [id("b"); 2]);
    let others: HashSet<_> = (0..4).map(|_| bench.take_with("other", |_| {}).unwrap().key).collect();
    assert_eq!(others.len(), 2);
}

#[test]
fn three_limited_models_order_the_key_last_and_never_refuse() {
    let mut bench = bench(&["a", "b"]);
    for model in ["x", "y", "z"] {
        let taken = bench.take_with(model, |_| {}).unwrap();
        let taken = LeasedCall { key: id("a"), ..taken };
        bench.report(&taken, limited(None));
    }
    assert_eq!([(); 3].map(|()| bench.take().key), [id("b"); 3]);
    bench.take_without(id("b")).expect("the last key");
}

#[test]
fn a_cooldown_doubles_with_each_failure_up_to_a_minute() {
    let mut bench = bench(&["a", "b"]);
    let mut pauses = vec![];
    for _ in 0..6 {
        bench.health.set_turn(0);
        let taken = bench.take();
        assert_eq!(taken.key, id("a"));
        bench.report(&taken, limited(None));
        let started = bench.now;
        while bench.health.keys[0].models.get(MODEL).unwrap().availability(bench.now, Size::default())
            > condition::Availability::Recovering
        {
            bench.now += 100;
        }
        pauses.push((bench.now - started) / 1000);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
}

#[test]
fn no_credit_is_a_cooldown_of_the_key_for_five_minutes() {
    let mut bench = bench(&["a", "b"]);
    bench.fail(MODEL, Outcome::OutOfCredit);
    for _ in 0..2 {
        assert_eq!(bench.take_with("other", |_| {}).unwrap().key, id("b"));
    }
    bench.advance(299);
    assert_eq!([bench.take().key, bench.take().key], [id("b"); 2]);
    bench.advance(1);
    assert!([bench.take().key, bench.take().key].contains(&id("a")));
}

#[test]
fn a_rejected_key_is_called_if_it_is_the_only_one_and_not_while_another_waits() {
    let mut bench = bench(&["dead", "busy"]);
    let dead = bench.take();
    bench.report(&dead, Outcome::KeyRejected);
    let busy = bench.take();
    bench.report(&busy, limited(30));
    assert!(matches!(bench.take_with(MODEL, |_| {}), Err(KeyChoice::RateLimited { .. })));
    let last = bench.take_without(id("busy")).unwrap();
    assert!(last.key == id("dead") && last.is_known_to_fail);
}

#[test]
fn a_model_that_fails_three_requests_is_passed_over_while_another_target_is_left() {
    for outcome in [Outcome::ServerError, Outcome::Overloaded, Outcome::BrokenReply] {
        let mut bench = bench(&["a"]);
        (0..2).for_each(|_| bench.fail(MODEL, outcome));
        bench.take_with_alternative().expect("two failures are too few");
        bench.fail(MODEL, outcome);
        assert!(matches!(bench.take_with_alternative(), Err(KeyChoice::PassedOver)), "{outcome:?}");
        let last = bench.take();
        assert!(last.is_known_to_fail, "{outcome:?}: no better key is left");
        bench.take_with("other", |request| request.alternatives = Alternatives::Left).expect("another model");
        bench.advance(5);
        let probe = bench.take_with_alternative().expect("its cooldown is over");
        assert!(matches!(bench.take_with_alternative(), Err(KeyChoice::PassedOver)), "one at a time");
        assert!(!bench.take().is_known_to_fail, "without another target it counts as an ordinary model");
        bench.report(&probe, Outcome::Answered);
        for _ in 0..3 {
            bench.take_with_alternative().expect("the model works again");
        }
    }
}

#[test]
fn repeats_of_one_request_count_once() {
    let mut bench = bench(&["a"]);
    let taken = bench.take();
    (0..5).for_each(|_| drop(bench.report(&taken, Outcome::ServerError)));
    bench.take_with_alternative().expect("there was only one request");
}

#[test]
fn repeats_that_interleave_count_once_too() {
    let mut bench = bench(&["a"]);
    let two = [bench.take(), bench.take()];
    for taken in two.iter().cycle().take(6) {
        bench.report(taken, Outcome::ServerError);
    }
    bench.take_with_alternative().expect("there were only two requests");
}

#[test]
fn the_host_has_a_cooldown_when_it_fails_on_two_models_and_comes_back_by_a_growing_share() {
    for outcome in [Outcome::Unreachable, Outcome::Silent] {
        let mut bench = bench(&["a"]);
        bench.fail("x", outcome);
        bench.fail("x", outcome);
        bench.take_with_alternative().expect("one model is not enough");
        for model in ["y", "x", "y"] {
            bench.fail(model, outcome);
        }
        assert!(matches!(bench.take_with_alternative(), Err(KeyChoice::PassedOver)), "{outcome:?}");
        bench.take();
        bench.advance(60);
        let answered = bench.take();
        bench.report(&answered, Outcome::Answered);
        let share = |bench: &mut Bench| {
            let served = (0..1000).filter(|&session| {
                let taken = bench.take_with(MODEL, |request| {
                    (request.alternatives, request.session) =
                        (Alternatives::Left, Some(AffinityHash(session)));
                });
                taken.is_ok()
            });
            served.count()
        };
        assert!(share(&mut bench) >= 900, "the pause ended long ago");
    }
}

#[test]
fn calls_from_before_the_last_change_have_no_effect() {
    let mut bench = bench(&["a", "b"]);
    let late_success = bench.take();
    let late_failure = LeasedCall { key: late_success.key, ..bench.take() };
    let limited_one = LeasedCall { key: late_success.key, ..bench.take() };
    bench.advance(1);
    bench.report(&limited_one, limited(None));
    bench.advance(1);
    bench.report(&late_success, Outcome::Answered);
    assert_eq!([bench.take().key, bench.take().key], [id("b"); 2], "the success is older than the cooldown");
    bench.advance(5);
    let probe = LeasedCall { key: id("a"), ..bench.take() };
    bench.report(&probe, Outcome::Answered);
    bench.report(&late_failure, limited(None));
    assert!(
        [bench.take().key, bench.take().key].contains(&id("a")),
        "the failure is older than the recovery"
    );
}

#[test]
fn failures_caused_by_the_request_change_nothing() {
    let mut bench = bench(&["a", "b"]);
    let harmless = Outcome::ALL.into_iter().filter(|outcome| !outcome.is_adverse());
    for outcome in harmless.filter(|&outcome| outcome != Outcome::Answered) {
        (0..20).for_each(|_| bench.fail(MODEL, outcome));
    }
    assert!(bench.health.is_clear(bench.now));
}

#[test]
fn models_are_bounded() {
    let mut bench = bench(&["a"]);
    for number in 0..600 {
        let model: &'static str = format!("m{number}").leak();
        for _ in 0..3 {
            bench.fail(model, Outcome::ServerError);
        }
        bench.fail(model, limited(None));
    }
    assert!(bench.health.models_view(bench.now).len() <= 256);
    assert!(bench.health.keys_view(bench.now)[0].models.len() <= 256);
    bench.advance(3600);
    bench.health.forget_old(bench.now);
    assert!(bench.health.is_clear(bench.now));
}

#[test]
fn each_change_is_reported_once() {
    let mut bench = bench(&["a", "b"]);
    let taken = bench.take();
    let changes = bench.report(&taken, limited(None));
    assert!(
        matches!(&changes[..], [StateChange { into: SubjectState::CoolingDown { .. }, .. }]),
        "{changes:?}"
    );
    bench.advance(5);
    let probe = LeasedCall { key: taken.key, ..bench.take() };
    let changes = bench.report(&probe, Outcome::Answered);
    assert!(matches!(&changes[..], [StateChange { into: SubjectState::Preferred, .. }]), "{changes:?}");
    let other = bench.take();
    assert_eq!(bench.report(&other, Outcome::Answered), []);
}

#[test]
fn the_state_of_a_key_survives_a_reload_that_keeps_it() {
    let mut bench = bench(&["a", "b"]);
    bench.fail(MODEL, Outcome::KeyRejected);
    bench.health = bench.health.with_keys(&provider("p").keys(&["c", "a"]).build().keys, &limits());
    assert_eq!([bench.take().key, bench.take().key], [id("c"); 2]);
}

#[test]
fn a_success_that_began_before_failures_does_not_erase_them() {
    let mut bench = bench(&["a"]);
    let slow = bench.take();
    for _ in 0..2 {
        bench.advance(1);
        bench.fail(MODEL, Outcome::ServerError);
    }
    bench.report(&slow, Outcome::Answered);
    bench.advance(1);
    bench.fail(MODEL, Outcome::ServerError);
    assert!(
        bench.take_with_alternative().is_err(),
        "three requests in a row failed after the slow one started"
    );

    let mut bench = self::bench(&["a"]);
    for _ in 0..2 {
        bench.fail(MODEL, Outcome::ServerError);
    }
    bench.advance(1);
    let taken = bench.take();
    bench.report(&taken, Outcome::Answered);
    bench.fail(MODEL, Outcome::ServerError);
    assert!(bench.take_with_alternative().is_ok(), "a success separates the failures");
}
/// Requirement: a reset clears the health of a provider or of one key, and calls from before it carry no evidence.
#[test]
fn a_reset_makes_keys_as_good_as_new() {
    let mut bench = bench(&["a", "b"]);
    for _ in 0..2 {
        bench.fail(MODEL, limited(100));
    }
    assert!(matches!(bench.take_with(MODEL, |_| {}), Err(KeyChoice::RateLimited { .. })));
    let from_before = bench.count;
    assert_eq!(bench.health.reset(ResetScope::Key(id("b")), bench.now), [id("b")]);
    bench.advance(1);
    assert_eq!(bench.take().key, id("b"));
    assert!(bench.take_without(id("b")).is_err(), "the other key still waits");
    assert_eq!(bench.health.reset(ResetScope::Provider, bench.now), [id("a"), id("b")]);
    assert!(bench.health.is_clear(bench.now));
    bench.advance(1);
    let late = LeasedCall {
        key: id("a"),
        model: MODEL,
        began: bench.now - 2_000,
        number: from_before,
        is_known_to_fail: false,
        size: Size { body: 1000, max_tokens: 100 },
    };
    assert_eq!(bench.report(&late, limited(100)), []);
    assert!(bench.health.is_clear(bench.now));
    bench.fail(MODEL, limited(100));
    assert!(!bench.health.is_clear(bench.now), "later calls count");
}

proptest! {
    /// Requirement (issue 16, 6): whatever happens, a disabled key is never lent, all others are, and only a provider whose keys
    /// are all disabled refuses for that reason.
    #[test]
    fn a_disabled_key_is_never_lent(
        steps in proptest::collection::vec((0..3_usize, any::<bool>(), 0..4_u8), 1..60),
    ) {
        let names = ["a", "b", "c"];
        let mut bench = bench(&names);
        let mut disabled = HashSet::new();
        for (key, is_switched, event) in steps {
            if is_switched {
                let is_disabled = disabled.insert(id(names[key])) || !disabled.remove(&id(names[key]));
                let to = if is_disabled { KeySwitch::Disabled } else { KeySwitch::Enabled };
                prop_assert!(bench.health.switch_key(id(names[key]), to));
            }
            bench.advance(1);
            match bench.take_with(MODEL, |_| {}) {
                Ok(taken) => {
                    prop_assert!(!disabled.contains(&taken.key));
                    let outcomes =
                        [Outcome::Answered, Outcome::ServerError, Outcome::KeyRejected, Outcome::OutOfCredit];
                    bench.report(&taken, outcomes[usize::from(event)]);
                }
                Err(KeyChoice::Disabled) => prop_assert_eq!(disabled.len(), names.len()),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            prop_assert_eq!(disabled.len() == names.len(), bench.health.are_all_disabled());
        }
    }
}
