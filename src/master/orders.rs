//! The commands of users, over the control socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::worker::{DrainLimit, Role};
use super::{Master, MasterEvent, refused};
use crate::process::channel::messages::{StartFailure, WorkerOrder};
use crate::process::control::listener::{self, Caller, ControlOperator, Order, Submission};
use crate::process::control::{
    self, ControlCommand, ControlReply, DrainingWorker, ResetTarget, State, Status, WorkerStatus,
};
use crate::process::systemd;

/// A worker answers a question about its status within this time; the command line waits longer.
const STATUS_PATIENCE: Duration = Duration::from_millis(1500);
/// The longest that a control connection waits for the master itself.
const MASTER_PATIENCE: Duration = Duration::from_secs(5);
/// Commands of each kind that wait for the worker.
const WAITING: usize = 64;
const BUSY: &str = "the gateway is busy with other orders; try again";

/// What the serving worker has been asked.
#[derive(Default)]
pub(super) struct Queries {
    statuses: Vec<(SyncSender<Status>, Instant)>,
    /// Those who requested reloads, in their order; `None` for a signal.
    reloads: VecDeque<Option<Caller>>,
    /// Those who requested resets of health, in their order.
    resets: VecDeque<Caller>,
    /// Those who requested links to the dashboard, in their order.
    links: VecDeque<Caller>,
    /// What the worker last reported.
    pub(super) last: Option<Status>,
}

impl Queries {
    /// The worker that was asked has ended.
    pub(super) fn worker_lost(&mut self) {
        for caller in self.reloads.drain(..).flatten() {
            caller.send(refused("the worker ended before it had reloaded; the next one reads the configuration when it starts"));
        }
        for caller in self.resets.drain(..) {
            caller.send(refused("the worker ended before it had reset the health; try again"));
        }
        for caller in self.links.drain(..) {
            caller.send(refused("the worker ended before it had made a link; try again"));
        }
    }
}

impl Master {
    pub(super) fn execute(&mut self, order: Order) {
        let Order { ask, process, reply } = order;
        match ask {
            ControlCommand::Stop => self.stop_for(reply, DrainLimit::Configured),
            ControlCommand::StopNow => self.stop_for(reply, DrainLimit::Now),
            ControlCommand::Join
            | ControlCommand::Reload
            | ControlCommand::ResetHealth(_)
            | ControlCommand::DashboardLink
                if self.shutdown.is_some() =>
            {
                reply.send(refused("the gateway is stopping"));
            }
            ControlCommand::Join => reply.send(self.join(process)),
            ControlCommand::Reload => self.reload(Some(reply)),
            ControlCommand::ResetHealth(target) => self.reset_health(target, reply),
            ControlCommand::DashboardLink => self.make_link(reply),
            ControlCommand::Restart => self.begin_restart(Some(reply)),
            // Answered before it becomes an order.
            ControlCommand::Status => {}
        }
    }

    /// A gateway that `vdm wrap` did not start accepts a join but does not track it.
    fn join(&mut self, process: Option<i32>) -> ControlReply {
        let joined = match (&mut self.launch.sessions, process) {
            (Some(sessions), Some(process)) => sessions.join(process),
            (Some(_), None) => Err("the system does not report which process joins"),
            (None, _) => Ok(()),
        };
        let address = self.queries.last.as_ref().map(|status| status.address);
        match (joined, address) {
            (Ok(()), Some(address)) => ControlReply::Joined { address },
            (Ok(()), None) => refused("the gateway does not serve yet"),
            (Err(refusal), _) => refused(refusal),
        }
    }

    pub(super) fn reload(&mut self, caller: Option<Caller>) {
        let is_full = self.queries.reloads.len() >= WAITING;
        let refusal = match self.serving() {
            Some(_) if is_full => BUSY,
            Some(worker) => {
                worker.send(WorkerOrder::Reload);
                systemd::reloading(systemd::RELOADING);
                self.queries.reloads.push_back(caller);
                return;
            }
            None => "no worker serves at the moment; the next one reads the configuration when it starts",
        };
        match caller {
            Some(caller) => caller.send(refused(refusal)),
            None => log::warn!("not reloaded: {refusal}"),
        }
    }

    pub(super) fn answer_reload(&mut self, reply: ControlReply) {
        self.notify_ready();
        if let Some(Some(caller)) = self.queries.reloads.pop_front() {
            caller.send(reply);
        }
    }

    fn reset_health(&mut self, target: ResetTarget, caller: Caller) {
        let is_full = self.queries.resets.len() >= WAITING;
        match self.serving() {
            Some(_) if is_full => caller.send(refused(BUSY)),
            Some(worker) => {
                worker.send(WorkerOrder::ResetHealth(target));
                self.queries.resets.push_back(caller);
            }
            None => caller.send(refused("no worker serves at the moment; try again")),
        }
    }

    fn make_link(&mut self, caller: Caller) {
        let is_full = self.queries.links.len() >= WAITING;
        match self.serving() {
            Some(_) if is_full => caller.send(refused(BUSY)),
            Some(worker) => {
                worker.send(WorkerOrder::DashboardLink);
                self.queries.links.push_back(caller);
            }
            None => caller.send(refused("no worker serves at the moment; try again")),
        }
    }

    pub(super) fn answer_link(&mut self, reply: ControlReply) {
        if let Some(caller) = self.queries.links.pop_front() {
            caller.send(reply);
        }
    }

    pub(super) fn answer_reset(&mut self, reply: ControlReply) {
        if let Some(caller) = self.queries.resets.pop_front() {
            caller.send(reply);
        }
    }

    pub(super) fn ask_status(&mut self, answer: SyncSender<Status>) {
        if self.queries.statuses.len() < WAITING {
            self.queries.statuses.push((answer, Instant::now()));
        }
        // While it drains, the worker that served last answers.
        let draining = || self.workers.iter().rev().find(|worker| matches!(worker.role, Role::Draining(_)));
        match self.serving().or_else(draining) {
            Some(worker) => worker.send(WorkerOrder::Status),
            None => self.answer_all_statuses(),
        }
    }

    pub(super) fn answer_status(&mut self, status: Status) {
        self.queries.last = Some(status);
        for (answer, _) in std::mem::take(&mut self.queries.statuses) {
            if let Some(status) = self.status(State::Running) {
                let _ = answer.try_send(status);
            }
        }
    }

    pub(super) fn check_queries(&mut self, now: Instant) {
        let is_late = |(_, since): &(_, Instant)| now.saturating_duration_since(*since) > STATUS_PATIENCE;
        if self.queries.statuses.iter().any(is_late) {
            self.answer_all_statuses();
        }
    }

    /// Without the worker.
    fn answer_all_statuses(&mut self) {
        for (answer, _) in std::mem::take(&mut self.queries.statuses) {
            if let Some(status) = self.status(State::Starting) {
                let _ = answer.try_send(status);
            }
        }
    }

    /// What is known of the gateway, for a worker in this state.
    pub(super) fn status(&self, state: State) -> Option<Status> {
        let last = self.queries.last.clone()?;
        let draining = self.workers.iter().filter(|worker| matches!(worker.role, Role::Draining(_)));
        let draining = draining.map(|worker| DrainingWorker {
            pid: worker.raw_pid(),
            in_flight: worker.in_flight,
            connections: worker.connections,
        });
        let worker = WorkerStatus {
            pid: self.serving().map(super::Worker::raw_pid),
            replacements: self.replacements,
            draining: draining.collect(),
        };
        let state = if self.shutdown.is_some() { State::Stopping } else { state };
        let in_flight = if self.shutdown.is_some() { self.in_flight() } else { last.in_flight };
        Some(Status {
            pid: std::process::id(),
            uptime_seconds: self.since.elapsed().as_secs(),
            wrapped: self.launch.sessions.is_some(),
            worker: Some(worker),
            state,
            in_flight,
            ..last
        })
    }

    /// Opens the control socket. A gateway without one serves requests, unless it is for sessions, which could not join it.
    pub(super) fn open_control(&mut self) -> Result<(), StartFailure> {
        let Some(address) = self.queries.last.as_ref().map(|status| status.address) else { return Ok(()) };
        let sessions = self.launch.sessions.as_ref();
        let name = sessions
            .map_or_else(|| control::name(address), |sessions| control::name_for_sessions(sessions.name()));
        match listener::open(&name, self.operator()) {
            Ok(control) => self.control = Some(control),
            Err(error) if sessions.is_some() => {
                return Err(StartFailure::internal(format!("there is no control socket: {error}")));
            }
            Err(error) => log::warn!(
                "without a control socket `vdm server` finds this gateway only by its signals: {error}"
            ),
        }
        Ok(())
    }

    pub(super) fn operator(&self) -> Arc<dyn ControlOperator> {
        Arc::new(MasterOperator(self.sender.clone()))
    }
}

/// Passes commands from the control socket to the master.
struct MasterOperator(SyncSender<MasterEvent>);

impl ControlOperator for MasterOperator {
    fn status(&self) -> Option<Status> {
        let (answer, status) = sync_channel(1);
        self.0.try_send(MasterEvent::Status(answer)).ok()?;
        status.recv_timeout(MASTER_PATIENCE).ok()
    }

    fn submit(&self, order: Order) -> Submission {
        self.0.try_send(MasterEvent::Order(order)).map_or(Submission::Refused, |()| Submission::Taken)
    }
}
