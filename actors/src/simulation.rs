//! Simulates the tree of actors in virtual time, on one thread: the supervisor, a router, the providers, the ledger and
//! the signature store. They are the production code; the upstreams are scripts.
//!
//! | file | holds |
//! |---|---|
//! | `threads` | the threads that the supervisor starts |
//! | `upstream` | the ground truth: which calls fail, and when |
//! | `clients` | the requests, with the loop of the proxy run |
//! | `operator` | reloads, and the faults of the actors |
//! | `checks` | the checks during a schedule and at its end |
//!
//! One seed decides the whole schedule. A failure prints the seed and the trace.

mod checks;
mod clients;
mod operator;
mod threads;
mod upstream;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use actix_rt::System;
use actix_rt::time::sleep;
use fastrand::Rng;

use self::checks::Checks;
use self::operator::Configuration;
use self::upstream::SimulatedUpstream;
use crate::clock::virtual_time::{self, VirtualTime};
use crate::clock::{self, Millis};
use crate::faults::{InjectedFault, inject};
use crate::registry::Registry;
use crate::snapshot::Snapshot;
use crate::supervisor::{ActorName, Supervisor};
use crate::testing::{provider, settings};

const PROVIDERS: [&str; 3] = ["p", "q", "r"];
const KEYS: usize = 3;
const MODELS: [&str; 3] = ["m0", "m1", "m2"];
/// The time in which requests start and faults happen.
const HORIZON: Millis = 5_000;
/// The number of seeds if `SIM_SEEDS` names none.
const SEEDS: u64 = 1_000;

/// One schedule.
struct World {
    rng: RefCell<Rng>,
    supervisor: Addr<Supervisor>,
    registry: Snapshot<Registry>,
    upstream: RefCell<SimulatedUpstream>,
    configuration: RefCell<Configuration>,
    /// Counts the reloads.
    reloads: Cell<u64>,
    checks: RefCell<Checks>,
    trace: Trace,
    start: Millis,
}

/// The events of a schedule, readable after it has panicked.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<String>>);

impl World {
    fn new(seed: u64, trace: Trace) -> Rc<Self> {
        let mut rng = Rng::with_seed(seed);
        fastrand::seed(rng.u64(..));
        let start = clock::boot();
        let upstream = SimulatedUpstream::random(&mut rng, start);
        let configuration = Configuration::random(&mut rng);
        let threads = threads::start_threads(rng.u64(..));
        let (supervisor, registry) = Supervisor::start_tree_on(configuration.settings(), threads);
        let world = Rc::new(Self {
            rng: RefCell::new(rng),
            supervisor,
            registry,
            upstream: RefCell::new(upstream),
            configuration: RefCell::new(configuration),
            reloads: Cell::new(0),
            checks: RefCell::default(),
            trace,
            start,
        });
        world.note_permits();
        world
    }

    fn note(&self, event: std::fmt::Arguments<'_>) {
        if virtual_time::now().is_none() {
            // The failed schedule is being dropped.
            return;
        }
        let mut trace = self.trace.0.borrow_mut();
        writeln!(trace, "{:>6} {event}", clock::boot().saturating_sub(self.start))
            .expect("a string takes every text");
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.borrow_mut())
    }
}

async fn run_schedule(seed: u64, trace: Trace) {
    let _virtual = VirtualTime::start();
    let world = World::new(seed, trace);
    let requests = world.draw(|rng| rng.usize(5..40));
    let faults = world.draw(|rng| rng.usize(0..8));
    let tasks: Vec<_> = (0..requests)
        .map(|number| actix_rt::spawn(clients::send_request(world.clone(), number)))
        .chain((0..faults).map(|_| actix_rt::spawn(operator::disturb(world.clone()))))
        .collect();
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    // Replaced actors end, and the supervisor replaces those that hang.
    sleep(Duration::from_secs(4)).await;
    checks::check_end(&world).await;
}

fn paused_runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime without I/O starts")
}

/// Runs one schedule and returns its trace. A panic carries the seed and the trace.
fn simulate(seed: u64) -> String {
    let trace = Trace::default();
    let schedule = std::panic::catch_unwind(AssertUnwindSafe(|| {
        System::with_tokio_rt(paused_runtime).block_on(run_schedule(seed, trace.clone()));
    }));
    let events = std::mem::take(&mut *trace.0.borrow_mut());
    if let Err(panic) = schedule {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
        panic!("seed {seed}: {text}\n{events}to repeat it: SIM_SEED={seed}");
    }
    events
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Over random schedules of requests, upstream faults, reloads, panics and hung actors: every request is answered, no
/// permit and no waiting request is left, a replaced provider keeps its knowledge, no request is refused
/// unnecessarily, and the ledger counts each request once.
///
/// `SIM_SEEDS=20000` runs more schedules, `SIM_SEED=7` one; both together name the first seed and their number.
#[test]
fn random_schedules_break_no_rule() {
    let first = number_from("SIM_SEED");
    let count = number_from("SIM_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let seeds = first.unwrap_or_default()..first.unwrap_or_default() + count;
    let halves = [0, 1].map(|half| {
        let seeds = seeds.clone().filter(move |seed| seed % 2 == half);
        std::thread::spawn(move || seeds.for_each(|seed| drop(simulate(seed))))
    });
    for half in halves {
        if let Err(panic) = half.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A failure can be repeated: the same seed gives the same events at the same times.
#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..25 {
        let (one, other) = (simulate(seed), simulate(seed));
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

/// The schedules reach what they are for.
#[test]
fn the_schedules_contain_every_kind_of_event() {
    let traces: String = (0..100).map(simulate).collect();
    for event in [
        "served",
        "refused",
        "disconnects",
        "rate limited",
        "busy",
        "passed over",
        "another key",
        "repeats",
        "next target",
        "panics",
        "hangs",
        "restarts",
        "reload",
        "removed",
        "is given up",
        "floods",
        "recalls",
        "keeps its state",
        "unroutable",
        "no lease",
        "is disabled",
        "all keys are disabled",
    ] {
        assert!(traces.contains(event), "no schedule has: {event}");
    }
}

/// A hung actor is replaced after the watch interval and the patience for one ping, however many others hang.
#[test]
fn actors_that_hang_together_are_replaced_together() {
    System::with_tokio_rt(paused_runtime).block_on(async {
        let _virtual = VirtualTime::start();
        let settings = settings(PROVIDERS.map(|name| provider(name).build()).to_vec());
        let replaced_within = settings.limits.watch_interval + settings.limits.watch_patience;
        let (_supervisor, registry) = Supervisor::start_tree_on(settings, threads::start_threads(1));
        for name in PROVIDERS {
            let name = ActorName::Provider(name.into());
            inject(&registry.load(), &name, InjectedFault::Hang(Duration::from_secs(10)));
        }
        sleep(replaced_within + Duration::from_millis(1)).await;
        assert_eq!(registry.load().generation, 3);
    });
}
