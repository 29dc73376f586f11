//! Workers that end or hang, and what follows.

use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, WaitStatus, wait};

use super::worker::{Closed, Role, Worker};
use super::{Master, START_TIMEOUT, TICK, shutdown};
use crate::process::channel::messages::{Hello, StartFailure, StartReason};

impl Master {
    /// Notes which processes have exited. As process 1 of a container, the master waits for orphans as well.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(worker) = self.worker(pid) {
                worker.exited = Some(status);
            }
        }
        self.handle_ended();
    }

    /// Handles workers that have exited and whose channel is drained.
    pub(super) fn handle_ended(&mut self) {
        let over = |worker: &mut Worker| worker.exited.is_some() && worker.closed == Closed::Yes;
        let ended: Vec<Worker> = self.workers.extract_if(.., over).collect();
        for worker in ended {
            let served = worker.since.elapsed();
            let end = worker.exited.map_or_else(|| "ended".to_owned(), described);
            let failure = worker.failure.clone();
            match worker.role {
                Role::Starting(_) if self.shutdown.is_some() => {}
                Role::Starting(StartReason::First) => {
                    self.end = Some(Err(first_failure(failure, &worker, &end)))
                }
                Role::Starting(StartReason::Restart) => self.abort_restart(failure, &end),
                Role::Starting(StartReason::Respawn) => {
                    let lines = failure.map_or_else(Vec::new, |failure| failure.lines);
                    lines.iter().for_each(|line| log::error!("the new worker cannot start: {line}"));
                    self.schedule_respawn(&worker, &end, Duration::ZERO);
                }
                Role::Serving => {
                    let lines = failure.map_or_else(Vec::new, |failure| failure.lines);
                    lines.iter().for_each(|line| log::error!("the worker cannot serve: {line}"));
                    self.schedule_respawn(&worker, &end, served);
                }
                Role::Draining(_) => log::info!("worker {} {end}", worker.raw_pid()),
            }
        }
        self.share_permits();
        if self.shutdown.is_some() && self.workers.is_empty() && self.end.is_none() {
            self.end = Some(Ok(()));
        }
    }

    pub(super) fn schedule_respawn(&mut self, worker: &Worker, end: &str, served: Duration) {
        let pid = worker.raw_pid();
        self.queries.worker_lost();
        if self.shutdown.is_some() {
            log::warn!("worker {pid} {end} before its requests were finished");
            return;
        }
        self.replacements += 1;
        let wait = self.respawn.failed(served, Instant::now());
        if wait.is_zero() {
            log::error!("worker {pid} {end}; starting another");
        } else {
            log::error!("worker {pid} {end}; starting another in {} s", wait.as_secs_f64());
        }
    }

    /// Kills workers that hang. Their ends follow as events.
    pub(super) fn check_workers(&mut self, now: Instant) {
        let liveness = self.hello.as_ref().map_or(START_TIMEOUT, Hello::liveness);
        let is_stopping = self.shutdown.is_some();
        for worker in self.workers.iter_mut().filter(|worker| worker.exited.is_none()) {
            let patience = match worker.role {
                Role::Starting(_) => START_TIMEOUT,
                Role::Serving | Role::Draining(_) if is_stopping => liveness.min(shutdown::PATIENCE),
                Role::Serving | Role::Draining(_) => liveness,
            };
            if let Some(silence) = worker.check(now, 2 * TICK, patience) {
                log::error!(
                    "worker {} has not answered for {} s and is killed (limits.worker-liveness)",
                    worker.raw_pid(),
                    silence.as_secs()
                );
                worker.heard();
                worker.kill();
            }
        }
    }
}

impl Hello {
    fn liveness(&self) -> Duration {
        Duration::try_from_secs_f64(self.liveness_seconds).unwrap_or(START_TIMEOUT)
    }
}

fn first_failure(failure: Option<StartFailure>, worker: &Worker, end: &str) -> StartFailure {
    failure.unwrap_or_else(|| {
        StartFailure::internal(format!("the worker process {} {end} before it served", worker.raw_pid()))
    })
}

fn described(status: WaitStatus) -> String {
    if let Some(signal) = status.terminating_signal() {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("unknown");
        return format!("was killed by signal {signal} ({name})");
    }
    format!("exited with code {}", status.exit_status().unwrap_or_default())
}
