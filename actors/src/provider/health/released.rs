//! Property test: whatever happens to leases, no mark outlives its lease, and a healthy upstream is called with the
//! first request.

use proptest::collection::vec;
use proptest::prelude::*;

use super::condition::Availability;
use super::*;
use crate::clock::ImportClock;
use crate::outcome::LimitScope;
use crate::testing::{limits, provider};

const KEYS: [&str; 3] = ["one", "two", "three"];
const MODELS: [&str; 3] = ["m0", "m1", "m2"];
/// Longer than any rest and the ramp after it.
const PAST_EVERY_REST: Millis = 400_000;
/// The time on the boot clock at which another process starts, some minutes after its boot.
const ANOTHER_BOOT: Millis = 500_000;

#[derive(Clone, Debug)]
enum Step {
    Choose(KeyRequest),
    /// The lease at this index reports, and continues or ends.
    Report(usize, Outcome, AfterReport),
    /// The client disconnects.
    Drop(usize),
    Delay(Millis),
    /// A reload with these keys.
    Reload(Vec<&'static str>),
    /// The provider's actor is replaced. Its leases report to the new one.
    Replace,
    /// Another process continues with the exported state, on another boot clock. No lease reports to it.
    NewProcess(Millis),
}

#[derive(Clone, Debug)]
struct KeyRequest {
    model: &'static str,
    session: Option<Session>,
    size: Size,
    alternatives: Alternatives,
    patience: Patience,
    chance: f64,
}

/// The owner of the keys that the provider uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Gateway,
    /// Each client brings its own key (`!PASSTHRU`).
    Client,
}

#[derive(Clone, Copy, Debug)]
enum AfterReport {
    Continues,
    Ends,
}

/// The data with which a lease reports.
#[derive(Clone, Debug)]
struct OpenLease {
    key: KeyId,
    model: &'static str,
    began: Millis,
    request: u64,
    size: Size,
    /// 0 if the lease is not a probe, as in production.
    lease: u64,
    incarnation: u64,
}

struct Bench {
    health: Health,
    owner: Owner,
    now: Millis,
    count: u64,
    incarnation: u64,
    leases: Vec<OpenLease>,
}

fn keys(names: &[&str]) -> Vec<ApiKey> {
    provider("p").keys(names).build().keys.clone()
}

impl Bench {
    fn new(owner: Owner) -> Self {
        let keys = match owner {
            Owner::Gateway => keys(&KEYS),
            Owner::Client => vec![],
        };
        let health = Health::new(&keys, &limits());
        Self { health, owner, now: 1_000_000, count: 0, incarnation: 1, leases: vec![] }
    }

    fn choose(&mut self, wanted: &KeyRequest) -> Choice {
        self.count += 1;
        let KeyRequest { model, session, size, alternatives, patience, chance } = *wanted;
        let (now, lease) = (self.now, self.count);
        let tried = &[];
        let request = Request { now, model, session, tried, size, alternatives, patience, lease, chance };
        match self.owner {
            Owner::Gateway => self.health.choose(&request),
            Owner::Client => self.health.choose_client_key(&request, Some(ApiKey::new(""))),
        }
    }

    fn take(&mut self, wanted: &KeyRequest) {
        let Choice::Key(Chosen { key, is_probe, .. }) = self.choose(wanted) else { return };
        self.leases.push(OpenLease {
            key: key.id(),
            model: wanted.model,
            began: self.now,
            request: self.count,
            size: wanted.size,
            lease: if is_probe { self.count } else { 0 },
            incarnation: self.incarnation,
        });
    }

    fn report(&mut self, taken: &OpenLease, outcome: Outcome) {
        let OpenLease { key, model, began, request, size, lease, incarnation } = *taken;
        let lease = if incarnation == self.incarnation { lease } else { 0 };
        let outcome = match self.owner {
            Owner::Gateway => outcome,
            Owner::Client => outcome.without_key(),
        };
        let (model, at, message) = (model.into(), self.now, "".into());
        self.health.note(&Report { outcome, key, model, began, at, request, size, lease, message }, 0.5);
    }

    fn run(&mut self, step: &Step) {
        let index = |index: usize| (!self.leases.is_empty()).then(|| index % self.leases.len());
        match step {
            Step::Choose(wanted) => self.take(wanted),
            Step::Report(at, outcome, afterwards) => {
                let Some(at) = index(*at) else { return };
                self.report(&self.leases[at].clone(), *outcome);
                match afterwards {
                    AfterReport::Continues => self.leases[at].began = self.now,
                    AfterReport::Ends => drop(self.leases.remove(at)),
                }
            }
            Step::Drop(at) => {
                let Some(at) = index(*at) else { return };
                let taken = self.leases.remove(at);
                self.report(&taken, Outcome::Cancelled);
            }
            Step::Delay(millis) => self.now += millis,
            Step::Reload(_) if self.owner == Owner::Client => {}
            Step::Reload(names) => self.health = self.health.with_keys(&keys(names), &limits()),
            Step::Replace => {
                self.incarnation += 1;
                self.health.release_all();
            }
            Step::NewProcess(elapsed) => {
                let exported = self.health.export("p", self.now);
                let keys: Vec<_> = self.health.keys.iter().map(|key| key.key.clone()).collect();
                self.health = Health::new(&keys, &limits());
                self.leases.clear();
                self.count = 0;
                self.incarnation += 1;
                self.now = ANOTHER_BOOT + self.now % 1_000;
                self.health.import(exported, "p", ImportClock::new(self.now, *elapsed));
            }
        }
    }

    fn marks(&mut self) -> usize {
        self.health.conditions().filter(|condition| condition.is_probed()).count()
    }

    /// Chooses a key for the first request, with no other target left.
    fn choose_without_alternative(&mut self, model: &'static str, size: Size) -> Choice {
        let session = None;
        let (alternatives, patience) = (Alternatives::None, Patience::HasWaited);
        self.choose(&KeyRequest { model, session, size, alternatives, patience, chance: 0.9 })
    }

    /// Whether the upstream's own wait is running for a key.
    fn has_upstream_wait(&self, model: &str, size: Size) -> bool {
        let is_waiting =
            |known: &Condition| matches!(known.availability(self.now, size), Availability::Waiting { .. });
        self.health
            .keys
            .iter()
            .any(|key| is_waiting(&key.whole) || key.models.get(model).is_some_and(is_waiting))
    }
}

fn size() -> impl Strategy<Value = Size> {
    (1_usize..5, 1_u64..5).prop_map(|(body, tokens)| Size { body: body * 500, max_tokens: tokens * 500 })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let wait = prop_oneof![1..6_u64, 6..61_u64, 61..2000_u64];
    let scope = prop_oneof![Just(LimitScope::Model), Just(LimitScope::Account)];
    let limit = (wait, scope)
        .prop_map(|(wait, scope)| Outcome::RateLimited { wait: Some(Duration::from_secs(wait)), scope });
    prop_oneof![3 => proptest::sample::select(Outcome::ALL.to_vec()), 1 => limit]
}

fn wanted() -> impl Strategy<Value = KeyRequest> {
    let model = proptest::sample::select(MODELS.to_vec());
    let session = proptest::option::of((0..5_u64).prop_map(|session| Session(session * 7_919)));
    let alternatives = prop_oneof![Just(Alternatives::None), Just(Alternatives::Left)];
    let patience = prop_oneof![Just(Patience::MayWait), Just(Patience::HasWaited)];
    (model, session, size(), alternatives, patience, 0.0..1.0).prop_map(
        |(model, session, size, alternatives, patience, chance)| KeyRequest {
            model,
            session,
            size,
            alternatives,
            patience,
            chance,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let afterwards = prop_oneof![1 => Just(AfterReport::Continues), 3 => Just(AfterReport::Ends)];
    prop_oneof![
        8 => wanted().prop_map(Step::Choose),
        6 => (0_usize..99, outcome(), afterwards).prop_map(|(at, outcome, then)| Step::Report(at, outcome, then)),
        2 => (0_usize..99).prop_map(Step::Drop),
        4 => prop_oneof![0..3_000_u64, 3_000..90_000_u64, 90_000..400_000_u64].prop_map(Step::Delay),
        1 => proptest::sample::subsequence(KEYS.to_vec(), 1..=3).prop_map(Step::Reload),
        1 => Just(Step::Replace),
        1 => (0..100_000_u64).prop_map(Step::NewProcess),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: proptest::test_runner::RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_mark_outlives_its_lease(
        owner in prop_oneof![3 => Just(Owner::Gateway), 1 => Just(Owner::Client)],
        steps in vec(step(), 1..120),
        ends in vec(outcome(), 8),
    ) {
        let mut bench = Bench::new(owner);
        steps.iter().for_each(|step| bench.run(step));
        for (index, taken) in std::mem::take(&mut bench.leases).into_iter().enumerate() {
            let end = if index % 2 == 0 { ends[index / 2 % ends.len()] } else { Outcome::Cancelled };
            bench.report(&taken, end);
        }
        prop_assert_eq!(bench.marks(), 0);

        // Right away: only the upstream's own wait refuses a request, and only a request of comparable size.
        for model in MODELS {
            let large = Size { body: 2500, max_tokens: 2500 };
            let choice = bench.choose_without_alternative(model, large);
            let is_key = matches!(choice, Choice::Key(_));
            prop_assert!(is_key || bench.has_upstream_wait(model, large), "{:?}", choice);
            let choice = bench.choose_without_alternative(model, Size::default());
            prop_assert!(matches!(choice, Choice::Key(_)), "{:?}", choice);
        }
        bench.health.release_all();

        // After every rest, with another target left: every session gets the key that it prefers.
        bench.now += PAST_EVERY_REST;
        for (model, session) in MODELS.into_iter().flat_map(|model| (0..5).map(move |session| (model, session))) {
            let session = Session(session * 7_919);
            let own = preferred_index(session, bench.health.keys.iter().map(|key| key.key.id()));
            let own = own.map(|at| bench.health.keys[at].key.id());
            let (alternatives, patience) = (Alternatives::Left, Patience::MayWait);
            let wanted = KeyRequest { model, session: Some(session), size: Size::default(), alternatives, patience, chance: 0.9 };
            let before = bench.leases.len();
            bench.take(&wanted);
            prop_assert_eq!(bench.leases.len(), before + 1, "the target was passed over");
            let taken = bench.leases.remove(before);
            prop_assert!(owner == Owner::Client || Some(taken.key) == own, "the session got another key");
            bench.now += 1000;
            bench.report(&taken, Outcome::Answered);
        }
        prop_assert_eq!(bench.marks(), 0);
    }
}

#[test]
fn a_short_wait_that_is_over_leaves_no_mark() {
    let mut bench = Bench::new(Owner::Gateway);
    let size = Size::default();
    let (alternatives, patience) = (Alternatives::None, Patience::MayWait);
    let wanted =
        KeyRequest { model: "m0", session: Some(Session(1)), size, alternatives, patience, chance: 0.5 };
    bench.take(&wanted);
    let limited = Outcome::RateLimited { wait: Some(Duration::from_secs(2)), scope: LimitScope::Model };
    bench.run(&Step::Report(0, limited, AfterReport::Ends));
    bench.now += 3000;
    bench.take(&wanted);
    bench.run(&Step::Drop(0));
    assert_eq!(bench.marks(), 0, "there was nothing to probe");
}
