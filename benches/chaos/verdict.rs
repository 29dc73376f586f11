//! The state of the processes before and after the load, and the table.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::gateway::{Gateway, Usage};
use crate::history::{History, Summary};
use crate::load::World;
use crate::process_table::children;

/// An old worker drains for 60 s at most; idle connections to an upstream are kept for 4 s.
const QUIET_PATIENCE: Duration = Duration::from_secs(75);
/// Above the baseline, KiB: what an allocator keeps after a flood.
const WORKER_SLACK: u64 = 48 * 1024;
const MASTER_SLACK: u64 = 8 * 1024;

/// The position of every panic that the feature `faults` causes.
const INJECTED_PANIC: &str = "panicked at actors/src/faults.rs";

/// Both processes without load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Baseline {
    pub(crate) master: Usage,
    pub(crate) worker: Usage,
}

impl Baseline {
    pub(crate) fn of(gateway: &Gateway) -> Result<Self, Trouble> {
        Ok(Self { master: Usage::of(gateway.master())?, worker: Usage::of(gateway.worker()?)? })
    }

    /// Waits until the processes use no more than before. What stays is a violation.
    pub(crate) fn await_return(&self, gateway: &Gateway, history: &History) -> Result<Self, Trouble> {
        let until = Instant::now() + QUIET_PATIENCE;
        loop {
            let excess = self.excess(gateway)?;
            if excess.is_empty() || Instant::now() > until {
                excess.into_iter().for_each(|line| history.violate(line));
                return Self::of(gateway);
            }
            sleep(Duration::from_millis(500));
        }
    }

    fn excess(&self, gateway: &Gateway) -> Result<Vec<String>, Trouble> {
        let (now, status) = (Self::of(gateway)?, gateway.status()?);
        let processes = children(gateway.master())?.len();
        let mut excess = Vec::new();
        let mut limit = |what: &str, found: u64, most: u64| {
            if found > most {
                excess.push(format!("without load: {found} {what}, {most} expected"));
            }
        };
        limit("worker processes", processes as u64, 1);
        limit("draining workers", status["worker"]["draining"].as_array().map_or(0, Vec::len) as u64, 0);
        // The status command itself is none.
        limit("requests in flight", status["in_flight"].as_u64().unwrap_or(u64::MAX), 0);
        limit("permits of providers", gateway.permits()?, 0);
        // A control connection may be open.
        limit("descriptors of the worker", now.worker.descriptors as u64, self.worker.descriptors as u64 + 2);
        limit("descriptors of the master", now.master.descriptors as u64, self.master.descriptors as u64 + 2);
        limit("threads of the worker", now.worker.threads as u64, self.worker.threads as u64 + 1);
        limit("threads of the master", now.master.threads as u64, self.master.threads as u64 + 1);
        limit("KiB in the worker", now.worker.resident_kib, self.worker.resident_kib + WORKER_SLACK);
        limit("KiB in the master", now.master.resident_kib, self.master.resident_kib + MASTER_SLACK);
        Ok(excess)
    }
}

/// Checks the log and the upstream's calls.
pub(crate) fn check_rest(gateway: &Gateway, world: &World) {
    let log = gateway.log();
    for line in log.lines().filter(|line| line.contains(" ERROR ") && !is_explained(line)) {
        world.history.violate(format!("log: {line}"));
    }
    let panics = log.lines().filter(|line| line.contains(INJECTED_PANIC)).count() as u64;
    let injected = world.history.counted("panics");
    if panics > injected {
        world.history.violate(format!("log: {panics} injected panics, {injected} in the schedule"));
    }
    let lost = world.history.lost();
    for id in world.upstream.leftover_calls() {
        if !lost.contains(&id) {
            world.history.violate(format!("the upstream was called for request {id} after its end"));
        }
    }
    if world.upstream.active() > 0 {
        world.history.violate(format!("{} calls are still active at the upstream", world.upstream.active()));
    }
}

/// What the schedule causes: garbage, faults of actors, kills, and invalid configurations.
fn is_explained(line: &str) -> bool {
    if line.contains("panicked at ") {
        return line.contains(INJECTED_PANIC);
    }
    const CAUSES: [&str; 7] = [
        "actix_http::h1::dispatcher stream error: request parse error",
        "panic_guard actor ",
        "does not respond; restarted",
        "; starting another",
        "the configuration on disk is invalid",
        "not reloaded, nothing has changed",
        "not restarted, nothing has changed",
    ];
    CAUSES.iter().any(|cause| line.contains(cause))
}

pub(crate) fn print(summary: &Summary, (before, after): (&Baseline, &Baseline)) {
    println!("| what | count |\n|---|---|");
    for (what, count) in &summary.counts {
        println!("| {what} | {count} |");
    }
    println!("\n| process | before | after |\n|---|---|---|");
    let text = |usage: Usage| {
        format!("{} KiB, {} descriptors, {} threads", usage.resident_kib, usage.descriptors, usage.threads)
    };
    println!("| master | {} | {} |", text(before.master), text(after.master));
    println!("| worker | {} | {} |", text(before.worker), text(after.worker));
    if summary.violations.is_empty() {
        println!("\nno violation");
        return;
    }
    println!("\n{} violations:", summary.violations.len());
    summary.violations.iter().for_each(|line| println!("* {line}"));
    println!("\ntimes of the faults:");
    summary.timeline.iter().for_each(|line| println!("{line}"));
}
