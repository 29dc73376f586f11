//! Simulates a day of mixed faults in virtual time: 3 providers with 3 keys and 5 models each, and clients that retry
//! as Claude Code does. Health, retry policy and budget are the production code.
//!
//! | file | holds |
//! |---|---|
//! | `timeline` | virtual time |
//! | `upstream` | the ground truth: faults, with their start and end |
//! | `clients` | sessions, programs and batches |
//! | `gateway` | the loop of the proxy run, and the provider's leases |
//! | `audit` | the checks after every decision, and the counters |

mod audit;
mod clients;
mod gateway;
mod timeline;
mod upstream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use self::audit::Audit;
use self::clients::ClientRequest;
use self::gateway::Exchange;
use self::timeline::Timeline;
use self::upstream::SimulatedUpstream;
use super::{AffinityHash, Health, Size, preferred_index};
use crate::clock::{ImportClock, Millis};
use crate::retry::{RecentFailures, RetryBudget};
use crate::secret::ApiKey;
use crate::testing::{limits, provider};

const PROVIDERS: usize = 3;
const KEYS: usize = 3;
const MODELS: usize = 5;
/// The providers that serve a model, in order.
const CHAINS: [&[usize]; MODELS] = [&[0, 1, 2], &[1, 0], &[2, 0], &[0], &[1]];
const MAX_RETRIES: u32 = 2;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;
/// The start of the day on the boot clock.
const START: Millis = 10 * HOUR;

struct World {
    time: Timeline,
    rng: RefCell<Rng>,
    upstream: RefCell<SimulatedUpstream>,
    models: [Arc<str>; MODELS],
    providers: Vec<SimulatedProvider>,
    recent: RecentFailures,
    audit: RefCell<Audit>,
}

struct SimulatedProvider {
    health: RefCell<Health>,
    keys: Vec<ApiKey>,
    budget: RetryBudget,
    leases: Cell<u64>,
    incarnation: Cell<u64>,
}

impl SimulatedProvider {
    fn new(number: usize) -> Self {
        let names: Vec<_> = (0..KEYS).map(|key| format!("provider-{number}-key-{key}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let keys = provider("p").keys(&names).build().keys.clone();
        let mut limits = limits();
        (limits.cooldown, limits.cooldown_cap) = (Duration::from_secs(5), Duration::from_secs(300));
        let health = RefCell::new(Health::new(&keys, &limits));
        let (leases, incarnation) = (Cell::new(0), Cell::new(1));
        Self { health, keys, budget: RetryBudget::default(), leases, incarnation }
    }

    /// Replaces the provider's actor.
    fn replace(&self) {
        let mut limits = limits();
        (limits.cooldown, limits.cooldown_cap) = (Duration::from_secs(5), Duration::from_secs(300));
        self.incarnation.set(self.incarnation.get() + 1);
        let mut health = self.health.borrow_mut();
        *health = health.with_keys(&self.keys, &limits);
        health.release_all();
    }

    /// Replaces the process: the next one imports the health that this one has exported.
    fn replace_process(&self, now: Millis) {
        self.replace();
        let mut limits = limits();
        (limits.cooldown, limits.cooldown_cap) = (Duration::from_secs(5), Duration::from_secs(300));
        let mut health = self.health.borrow_mut();
        let exported = health.export("p", now);
        *health = Health::new(&self.keys, &limits);
        health.import(exported, "p", ImportClock::new(now, 0));
    }
}

impl World {
    fn new(seed: u64) -> Rc<Self> {
        let mut rng = Rng::with_seed(seed);
        let upstream = SimulatedUpstream::random_day(&mut rng);
        Rc::new(Self {
            time: Timeline::new(START),
            rng: RefCell::new(rng),
            upstream: RefCell::new(upstream),
            models: std::array::from_fn(|model| format!("m{model}").into()),
            providers: (0..PROVIDERS).map(SimulatedProvider::new).collect(),
            recent: RecentFailures::default(),
            audit: RefCell::new(Audit::default()),
        })
    }

    fn fraction(&self) -> f64 {
        self.rng.borrow_mut().f64()
    }

    fn chance(&self, share: f64) -> bool {
        self.fraction() < share
    }

    fn pick(&self, count: usize) -> usize {
        self.rng.borrow_mut().usize(0..count)
    }

    async fn pause(&self, from: Millis, to: Millis) {
        let pause = self.rng.borrow_mut().u64(from..=to);
        self.time.sleep_until(self.time.now() + pause).await;
    }

    fn marks(&self) -> usize {
        let marks = |provider: &SimulatedProvider| {
            provider.health.borrow_mut().conditions().filter(|known| known.is_probed()).count()
        };
        self.providers.iter().map(marks).sum()
    }

    fn count(&self, name: &'static str) -> u64 {
        self.audit.borrow().total(name)
    }
}

/// Replaces a provider's actor, or its process, from time to time.
async fn replacements(world: Rc<World>) {
    loop {
        world.pause(40 * MINUTE, 80 * MINUTE).await;
        let provider = world.pick(PROVIDERS);
        if world.chance(0.5) {
            world.providers[provider].replace();
        } else {
            world.providers[provider].replace_process(world.time.now());
        }
        world.audit.borrow_mut().count_replacement(provider);
    }
}

/// Sends requests for each model to an upstream that is healthy again: the first call must serve each of them.
fn first_requests(world: &Rc<World>, size: Size) {
    let calls = world.count("calls");
    for model in 0..MODELS {
        for session in [None, Some(AffinityHash(1)), Some(AffinityHash(99)), Some(AffinityHash(12_345_678))] {
            let world = world.clone();
            world.clone().time.spawn(async move {
                let request =
                    ClientRequest { model, session, size, disconnects_at: Millis::MAX, own_fault: None };
                let answer = Exchange::new(&world, &request).answer().await;
                assert!(answer.is_ok(), "m{model} is not served: {answer:?}");
                world.audit.borrow_mut().count("first requests");
            });
        }
    }
    world.time.run_until(world.time.now() + 2 * MINUTE);
    assert_eq!(world.count("first requests"), 4 * MODELS as u64);
    assert_eq!(world.count("calls") - calls, 4 * MODELS as u64, "the first call does not serve each request");
    world.audit.borrow_mut().forget("first requests");
}

fn simulate(seed: u64) {
    let began = std::time::Instant::now();
    let world = World::new(seed);
    clients::start(&world);
    world.time.spawn(replacements(world.clone()));
    world.time.run_until(START + DAY);
    world.audit.borrow().print(seed, world.upstream.borrow().faults);

    // The day ends during faults: every client disconnects, and every fault ends.
    assert_eq!(world.marks(), 0, "a lease leaves a mark");
    let cooling = world.providers.iter().filter(|known| !known.health.borrow().is_clear(world.time.now()));
    assert_eq!(
        cooling.count(),
        PROVIDERS,
        "the day must end while every provider has a condition on cooldown"
    );
    world.upstream.borrow_mut().heal();
    // No refused request was small enough for its wait to apply to these.
    first_requests(&world, Size { body: 1, max_tokens: 1 });
    world.time.advance(6 * MINUTE);
    first_requests(&world, Size { body: 1_000_000, max_tokens: 64_000 });
    assert_eq!(world.marks(), 0, "a probe leaves a mark");
    world.audit.borrow().check();
    println!("simulated in {:?}", began.elapsed());
}

/// For another day: `SIM_SEED=7 cargo test …`.
#[test]
fn a_day_of_mixed_faults_refuses_no_request_unnecessarily() {
    simulate(1);
}

#[test]
fn sessions_are_spread_over_all_keys() {
    let keys = SimulatedProvider::new(0).keys;
    let places =
        (0..100).filter_map(|session| preferred_index(AffinityHash(session), keys.iter().map(ApiKey::id)));
    let counts = places.fold([0; KEYS], |mut counts, at| {
        counts[at] += 1;
        counts
    });
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
}
