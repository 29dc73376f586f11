//! The end of the gateway: all workers drain, then the master exits.

use std::time::{Duration, Instant};

use super::worker::{DrainLimit, Role};
use super::{Master, refused};
use crate::process::control::ControlReply;
use crate::process::control::listener::Caller;

/// The longest silence of a worker while the gateway stops: it must not keep the gateway from stopping.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// After an order to end at once, error events reach the clients within this time.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// A caller gets the last known number of requests in flight when the worker does not report it by then.
const ANSWER: Duration = Duration::from_secs(1);

/// The longest wait for the threads of the control socket to send the last answers.
const LAST_ANSWER: Duration = Duration::from_secs(2);
const LAST_ANSWER_CHECK: Duration = Duration::from_millis(10);

/// A shutdown in progress.
pub(super) struct ShutdownProgress {
    callers: Vec<Waiting>,
    /// When what still runs is killed.
    deadline: Option<Instant>,
}

/// A caller that waits for the end.
struct Waiting {
    caller: Caller,
    since: Instant,
    /// The number of requests in flight that it was last sent.
    reported: Option<usize>,
}

impl Waiting {
    fn report(&mut self, in_flight: usize) {
        if self.reported != Some(in_flight) {
            self.reported = Some(in_flight);
            self.caller.send(ControlReply::Stopping { in_flight });
        }
    }
}

impl Master {
    /// Stops for a caller that waits for the end.
    pub(super) fn stop_for(&mut self, caller: Caller, limit: DrainLimit) {
        let is_new = self.shutdown.is_none();
        self.stop(limit);
        let in_flight = self.in_flight();
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.callers.retain(|waiting| waiting.caller.waits());
            let mut waiting = Waiting { caller, since: Instant::now(), reported: None };
            // The number of a worker that drains already is known.
            if !is_new {
                waiting.report(in_flight);
            }
            shutdown.callers.push(waiting);
        }
    }

    /// Drains all workers within this limit. A later call can only shorten it.
    pub(super) fn stop(&mut self, limit: DrainLimit) {
        if self.shutdown.is_none() {
            self.notify_stopping();
            if let Some(caller) = self.restart.take().and_then(super::RestartProgress::into_caller) {
                caller.send(refused("the gateway is stopping"));
            }
            self.respawn.cancel();
            // New connections are refused.
            self.bound = None;
            self.shutdown = Some(ShutdownProgress { callers: vec![], deadline: None });
        }
        for worker in &mut self.workers {
            match worker.role {
                Role::Starting(_) => worker.discard(),
                Role::Serving => worker.drain(limit),
                Role::Draining(DrainLimit::Now) => {}
                // After a second restart it still serves idle connections; the order ends that.
                Role::Draining(DrainLimit::Unlimited | DrainLimit::Configured) => worker.drain(limit),
            }
        }
        if let Some(shutdown) = &mut self.shutdown
            && limit == DrainLimit::Now
        {
            shutdown.deadline.get_or_insert(Instant::now() + LAST_WORDS);
        }
        if self.workers.is_empty() {
            self.end = Some(Ok(()));
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.workers.iter().map(|worker| worker.in_flight).sum()
    }

    /// A worker has reported what it still serves.
    pub(super) fn report_progress(&mut self) {
        let in_flight = self.in_flight();
        let Some(shutdown) = &mut self.shutdown else { return };
        shutdown.callers.iter_mut().for_each(|waiting| waiting.report(in_flight));
    }

    /// Before the process ends: callers that have had no answer get one.
    pub(super) fn answer_callers(&mut self) {
        let Some(shutdown) = &mut self.shutdown else { return };
        for waiting in shutdown.callers.iter_mut().filter(|waiting| waiting.reported.is_none()) {
            waiting.report(0);
        }
        let until = Instant::now() + LAST_ANSWER;
        while Instant::now() < until && shutdown.callers.iter().any(|waiting| waiting.caller.has_unsent()) {
            std::thread::sleep(LAST_ANSWER_CHECK);
        }
    }

    pub(super) fn check_shutdown(&mut self, now: Instant) {
        let in_flight = self.in_flight();
        let Some(shutdown) = &mut self.shutdown else { return };
        for waiting in &mut shutdown.callers {
            if waiting.reported.is_none() && now.saturating_duration_since(waiting.since) >= ANSWER {
                waiting.report(in_flight);
            }
        }
        if shutdown.deadline.is_some_and(|deadline| deadline <= now) {
            shutdown.deadline = None;
            for worker in self.workers.iter().filter(|worker| worker.exited.is_none()) {
                log::warn!("worker {} has not ended and is killed", worker.raw_pid());
                worker.kill();
            }
        }
    }
}
