//! `vdm server restart`: a worker of the program on disk replaces the old worker; then the master execs the new binary. Until
//! the new worker serves, nothing changes.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::worker::{DrainLimit, Role, Worker};
use super::{BoundListeners, Master, START_TIMEOUT, refused};
use crate::process::channel::messages::{Hello, StartFailure, StartReason, WorkerOrder};
use crate::process::control::listener::Caller;
use crate::process::control::{ControlReply, State};
use crate::process::systemd;

/// The longest time for the old worker to hand its state over.
const STATE_PATIENCE: Duration = Duration::from_secs(2);
/// The longest wait for connections to the control socket to end.
const CONVERSATIONS: Duration = Duration::from_secs(1);
/// The most workers that drain at the same time; the oldest one is ended for another one.
const MOST_DRAINING: usize = 8;

/// A restart in progress.
pub(super) struct RestartProgress {
    caller: Option<Caller>,
    step: Step,
    hello: Option<Hello>,
    /// A listener at a changed address.
    bound: Option<BoundListeners>,
}

/// How far a restart is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The new worker reads its configuration.
    Checking { since: Instant },
    /// The old worker hands its state over.
    Exporting { since: Instant },
    /// The new worker starts to serve.
    Starting { since: Instant },
    /// The new worker serves; the master executes the new program next.
    Committed { since: Instant },
}

impl RestartProgress {
    pub(super) fn is_committed(&self) -> bool {
        matches!(self.step, Step::Committed { .. })
    }

    pub(super) fn bound(&self) -> Option<&BoundListeners> {
        self.bound.as_ref()
    }

    /// The connections of others than the caller end when another program is executed. They are few and short.
    pub(super) fn waits_for(&self, conversations: usize) -> bool {
        match self.step {
            Step::Committed { since } if since.elapsed() < CONVERSATIONS => {
                conversations > usize::from(self.caller.is_some())
            }
            Step::Committed { .. }
            | Step::Checking { .. }
            | Step::Exporting { .. }
            | Step::Starting { .. } => false,
        }
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    pub(super) fn into_caller(self) -> Option<Caller> {
        self.caller
    }

    fn refuse(self, lines: Vec<String>) {
        lines.iter().for_each(|line| log::error!("not restarted, nothing has changed: {line}"));
        if let Some(caller) = self.caller {
            caller.send(ControlReply::Refused(lines));
        }
    }
}

impl Master {
    pub(super) fn begin_restart(&mut self, caller: Option<Caller>) {
        if let Some(refusal) = self.restart_refusal() {
            match caller {
                Some(caller) => caller.send(refused(refusal)),
                None => log::warn!("not restarted: {refusal}"),
            }
            return;
        }
        let step = Step::Checking { since: Instant::now() };
        let restart = RestartProgress { caller, step, hello: None, bound: None };
        match self.spawn(StartReason::Restart) {
            Ok(()) => {
                systemd::reloading("restarting");
                self.restart = Some(restart);
            }
            Err(failure) => restart.refuse(failure.lines),
        }
    }

    fn restart_refusal(&self) -> Option<&'static str> {
        if self.launch.sessions.is_some() {
            return Some(
                "a gateway that `vdm wrap` has started goes with its sessions, and is started by them",
            );
        }
        if self.shutdown.is_some() {
            return Some("the gateway is stopping");
        }
        if self.queries.last.is_none() {
            return Some("the gateway does not serve yet");
        }
        self.restart.as_ref().map(|_| "a restart is in progress")
    }

    /// The new worker's configuration is valid.
    pub(super) fn on_candidate_hello(&mut self, hello: Hello) {
        let Some(restart) = &mut self.restart else { return };
        let is_same = self.bound.as_ref().is_some_and(|bound| bound.is_at(&hello.host, hello.port));
        if !is_same {
            match BoundListeners::new(&hello.host, hello.port) {
                Ok(bound) => restart.bound = Some(bound),
                Err(line) => {
                    let line = self.bind_refusal(&hello, line);
                    self.kill_candidate();
                    self.abort_restart(Some(StartFailure { lines: vec![line], exit_code: 3 }), "");
                    return;
                }
            }
        }
        restart.hello = Some(hello);
        restart.step = Step::Exporting { since: Instant::now() };
        match self.serving() {
            Some(worker) => worker.send(WorkerOrder::ExportState),
            None => self.continue_restart(),
        }
    }

    /// The gateway itself may be the program that uses the port.
    fn bind_refusal(&self, hello: &Hello, line: String) -> String {
        match &self.bound {
            Some(bound) if bound.port == hello.port => format!(
                "the gateway cannot move from host {} to {} while it uses port {}; stop it and start it again",
                bound.host, hello.host, bound.port
            ),
            Some(_) | None => line,
        }
    }

    /// The old worker has handed its state over, or does not do so in time.
    pub(super) fn continue_restart(&mut self) {
        let Some(restart) = &mut self.restart else { return };
        if !matches!(restart.step, Step::Exporting { .. }) {
            return;
        }
        restart.step = Step::Starting { since: Instant::now() };
        if let Some(pid) = self.candidate().map(|worker| worker.pid) {
            self.start(pid, StartReason::Restart);
        }
    }

    /// The new worker serves: the old ones drain.
    pub(super) fn commit_restart(&mut self, pid: Pid) {
        let Some(restart) = &mut self.restart else { return };
        restart.step = Step::Committed { since: Instant::now() };
        self.hello = restart.hello.take().or(self.hello.take());
        let moved = restart.bound.take();
        for worker in &mut self.workers {
            match worker.role {
                Role::Starting(_) => worker.discard(),
                Role::Serving if worker.pid != pid && moved.is_some() => worker.leave(),
                Role::Serving if worker.pid != pid => worker.drain(DrainLimit::Unlimited),
                Role::Draining(DrainLimit::Unlimited) => worker.limit_drain(),
                Role::Serving | Role::Draining(DrainLimit::Configured | DrainLimit::Now) => {}
            }
        }
        let draining = self.workers.iter_mut().filter(|worker| matches!(worker.role, Role::Draining(_)));
        let mut draining: Vec<&mut Worker> = draining.collect();
        let surplus = draining.len().saturating_sub(MOST_DRAINING);
        draining.iter_mut().take(surplus).for_each(|worker| worker.drain(DrainLimit::Now));
        if let Some(bound) = moved {
            self.bound = Some(bound);
            self.control = None;
            // It is not for sessions, so it does not need the socket.
            let _ = self.open_control();
        }
    }

    /// The new worker has failed: the old one stays.
    pub(super) fn abort_restart(&mut self, failure: Option<StartFailure>, end: &str) {
        let Some(restart) = self.restart.take() else { return };
        let unknown = || vec![format!("the new worker {end} before it served")];
        restart.refuse(failure.map_or_else(unknown, |failure| failure.lines));
        self.notify_ready();
    }

    pub(super) fn check_restart(&mut self, now: Instant) {
        let Some(restart) = &self.restart else { return };
        match restart.step {
            Step::Exporting { since } if now.saturating_duration_since(since) > STATE_PATIENCE => {
                self.continue_restart();
            }
            Step::Checking { since } | Step::Starting { since }
                if now.saturating_duration_since(since) > START_TIMEOUT =>
            {
                self.kill_candidate();
                let line = format!("the new worker did not serve within {} s", START_TIMEOUT.as_secs());
                self.abort_restart(Some(StartFailure::internal(line)), "");
            }
            Step::Checking { .. }
            | Step::Exporting { .. }
            | Step::Starting { .. }
            | Step::Committed { .. } => {}
        }
    }

    /// The restart has ended, though the master still executes the old program.
    pub(super) fn finish_restart(&mut self) {
        let caller = self.restart.take().and_then(|restart| restart.caller);
        self.notify_ready();
        if let (Some(caller), Some(status)) = (caller, self.status(State::Running)) {
            caller.send(ControlReply::Restarted(Box::new(status)));
        }
    }

    fn candidate(&self) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.role == Role::Starting(StartReason::Restart))
    }

    /// Its end no longer concerns the restart, or a later one.
    fn kill_candidate(&mut self) {
        let candidate = |worker: &&mut Worker| worker.role == Role::Starting(StartReason::Restart);
        if let Some(candidate) = self.workers.iter_mut().find(candidate) {
            candidate.discard();
        }
    }
}
