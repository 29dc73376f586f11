//! The runs: chaos, hand-over and soak.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::Trouble;
use crate::arguments::{Arguments, Mode};
use crate::faults::{ActorFaults, Driver, Fault};
use crate::gateway::Gateway;
use crate::history::History;
use crate::load::{Load, World};
use crate::order::Mix;
use crate::upstream::Upstream;
use crate::verdict::{self, Baseline};
use crate::{Verdict, soak};

const WARM_UP: Duration = Duration::from_secs(4);
/// The requirement of the hand-over.
const REQUESTS: u64 = 50_000;
const HAND_OVERS: u64 = 10;
/// The hand-over ends after this time, whatever it has counted.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(30 * 60);

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Trouble> {
    let upstream = Arc::new(Upstream::start()?);
    let gateway = Gateway::start(&arguments.binary, upstream.port)?;
    let world = World { address: gateway.address, upstream, history: Arc::new(History::new()) };
    let actor_faults = ActorFaults::of(&gateway)?;
    eprintln!("seed {}, pid {}, actor faults: {actor_faults:?}", arguments.seed, gateway.master());
    warm_up(&world, arguments.seed)?;
    let before = Baseline::of(&gateway)?;
    let rng = Rng::with_seed(arguments.seed);
    let mut driver = Driver {
        gateway: &gateway,
        world: &world,
        rng,
        generation: 0,
        actor_faults,
        serves_since: Instant::now(),
    };
    match arguments.mode {
        Mode::Chaos => chaos(&mut driver, arguments)?,
        Mode::HandOver => hand_over(&mut driver, arguments.seed)?,
        Mode::Soak => soak::run(&gateway, &world, arguments)?,
    }
    world.history.note("the load has ended");
    let after = before.await_return(&gateway, &world.history)?;
    verdict::check_rest(&gateway, &world);
    let summary = world.history.conclude();
    if !summary.violations.is_empty() {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos.log");
        std::fs::write(path, gateway.log())?;
        println!("the log of the gateway is in {path}");
    }
    println!("seed {}\n", arguments.seed);
    verdict::print(&summary, (&before, &after));
    Ok(if summary.violations.is_empty() { Verdict::Held } else { Verdict::Violated })
}

/// Every code path once, so that the baseline contains what is allocated once.
fn warm_up(world: &World, seed: u64) -> Result<(), Trouble> {
    let load =
        Load { mix: Mix::Soak, clients: 50, seed, pause: Duration::from_millis(50), requests: usize::MAX };
    let crowd = load.start(world);
    sleep(WARM_UP);
    crowd.stop()?;
    // Idle connections to the upstream are closed after 4 s.
    sleep(Duration::from_secs(6));
    Ok(())
}

fn chaos(driver: &mut Driver<'_>, arguments: &Arguments) -> Result<(), Trouble> {
    for round in 0..arguments.rounds {
        let faults = Fault::round(&mut driver.rng, driver.actor_faults);
        let load = Load {
            mix: Mix::Chaos { longest: (arguments.seconds / 3).clamp(1, 40) },
            clients: 50,
            seed: arguments.seed.wrapping_add(round),
            pause: Duration::from_millis(200),
            requests: usize::MAX,
        };
        let crowd = load.start(driver.world);
        let began = Instant::now();
        let share = Duration::from_secs(arguments.seconds) / u32::try_from(faults.len() + 1)?;
        for (number, fault) in (1_u32..).zip(faults) {
            // Up to a third earlier or later than evenly spaced.
            let due = share.mul_f64(f64::from(number) + (driver.rng.f64() - 0.5) / 1.5);
            sleep(due.saturating_sub(began.elapsed()));
            driver.cause(fault);
        }
        sleep(Duration::from_secs(arguments.seconds).saturating_sub(began.elapsed()));
        crowd.stop()?;
        driver.world.history.count("rounds");
    }
    Ok(())
}

/// Reloads and restarts in turn, until the required numbers are reached.
fn hand_over(driver: &mut Driver<'_>, seed: u64) -> Result<(), Trouble> {
    let short = Load { mix: Mix::Short, clients: 16, seed, pause: Duration::ZERO, requests: usize::MAX };
    let streams =
        Load { mix: Mix::Streams, clients: 12, seed: !seed, pause: Duration::ZERO, requests: usize::MAX };
    let crowds = [short.start(driver.world), streams.start(driver.world)];
    let history = Arc::clone(&driver.world.history);
    let before = history.counted("requests");
    let began = Instant::now();
    let is_done = || {
        history.counted("requests") - before >= REQUESTS
            && history.counted("reloads") >= HAND_OVERS
            && history.counted("restarts") >= HAND_OVERS
    };
    while !is_done() && began.elapsed() < HAND_OVER_PATIENCE {
        for fault in [Fault::Reload, Fault::Restart] {
            sleep(Duration::from_secs(4));
            driver.cause(fault);
            if driver.world.upstream.active() == 0 {
                history.violate(format!("no stream was open at {fault:?}"));
            }
        }
    }
    if !is_done() {
        history.violate("the hand-over did not reach its numbers in time".to_owned());
    }
    crowds.into_iter().try_for_each(crate::load::Crowd::stop)
}
