//! The master executes another program in its own process: the state and the descriptors go through a channel that the new
//! program has as its stdin. The process keeps its number, its children and its sockets.

use std::collections::BTreeMap;
use std::io::Result;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::SyncSender;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::worker::{DrainLimit, Role, Worker};
use super::{BoundListeners, Launch, Master, MasterEvent};
use crate::process::channel::Channel;
use crate::process::channel::messages::{Hello, StartFailure, WorkerOrder};
use crate::process::control::listener::{self, Control};
use crate::process::control::{ControlReply, State, Status};

/// The flag of a program that continues for the one before it.
pub(crate) const TAKEOVER_FLAG: &str = "--takeover";

/// The state of a master. What a program of another version does not know is ignored; what it misses has a default.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct MasterState {
    host: String,
    port: u16,
    hello: Option<Hello>,
    status: Option<Status>,
    control: Option<PathBuf>,
    workers: Vec<WorkerState>,
    /// The number of workers that replaced a failed one.
    replacements: u64,
    /// What the descriptors are, in their order.
    descriptors: Vec<Slot>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WorkerState {
    pid: i32,
    /// `None` for the one that serves.
    draining: Option<DrainLimit>,
    in_flight: usize,
    connections: usize,
    #[serde(default)]
    permits: BTreeMap<String, usize>,
}

/// What a worker has reported of its requests.
struct Load {
    in_flight: usize,
    connections: usize,
    permits: BTreeMap<String, usize>,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Slot {
    Stdin,
    Listener,
    Control,
    /// The one who requested the restart waits here.
    Caller,
    /// The channel of the worker at this place in the list.
    Worker(usize),
}

/// A worker without the threads of its channel.
struct Detached {
    pid: Pid,
    role: Role,
    channel: Channel,
}

impl Master {
    /// After a restart: executes the new program. Returns only if that is not due or not possible.
    pub(super) fn replace_program(&mut self) {
        if !self.restart.as_ref().is_some_and(super::RestartProgress::is_committed) {
            return;
        }
        let conversations = self.control.as_ref().map_or(0, Control::conversations);
        if self.restart.as_ref().is_some_and(|restart| restart.waits_for(conversations)) {
            return;
        }
        // The end of a worker that has been waited for, and the start of one, are handled by this program.
        let is_changing =
            |worker: &Worker| worker.exited.is_some() || matches!(worker.role, Role::Starting(_));
        if self.workers.iter().any(is_changing) {
            return;
        }
        let load = |worker: &Worker| Load {
            in_flight: worker.in_flight,
            connections: worker.connections,
            permits: worker.permits.clone(),
        };
        let loads: Vec<_> = self.workers.iter().map(load).collect();
        let detached: Vec<Detached> = self
            .workers
            .drain(..)
            .map(|worker| {
                let (pid, role, channel) = worker.detach();
                Detached { pid, role, channel }
            })
            .collect();
        // The last lines of this program.
        self.logs = None;
        let error = match self.execute_program(&detached, &loads) {
            Ok(never) => never,
            Err(error) => error,
        };
        if let Some(hello) = self.hello.clone() {
            self.start_logs(&hello);
        }
        log::error!("the master cannot execute the new program and continues with the old one: {error}");
        for Detached { pid, role, channel } in detached {
            self.adopt(pid, role, channel);
        }
        self.finish_restart();
    }

    /// Returns the error of an execution that has failed.
    fn execute_program(&self, workers: &[Detached], loads: &[Load]) -> Result<std::io::Error> {
        let (ours, theirs) = Channel::pair()?;
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        let mut descriptors: Vec<(Slot, BorrowedFd<'_>)> = vec![(Slot::Stdin, stdin.as_fd())];
        let listeners = self.bound.iter().flat_map(|bound| &bound.listeners);
        descriptors.extend(listeners.map(|listener| (Slot::Listener, listener.as_fd())));
        descriptors.extend(self.control.as_ref().map(|control| (Slot::Control, control.as_fd())));
        let caller = self.restart.as_ref().and_then(super::RestartProgress::caller);
        descriptors.extend(caller.map(|caller| (Slot::Caller, caller.as_fd())));
        let channels = workers.iter().enumerate();
        descriptors.extend(channels.map(|(place, worker)| (Slot::Worker(place), worker.channel.as_fd())));
        let (slots, descriptors): (Vec<_>, Vec<_>) = descriptors.into_iter().unzip();
        ours.send(&self.exported(workers, loads, slots), &[], &descriptors)?;
        let program = &self.launch.program;
        let mut command = Command::new(program.on_disk());
        command.arg0(program.name()).args(&self.launch.arguments).arg(TAKEOVER_FLAG).stdin(theirs);
        let failed = command.exec();
        rustix::stdio::dup2_stdin(&stdin)?;
        Ok(failed)
    }

    fn exported(&self, workers: &[Detached], loads: &[Load], slots: Vec<Slot>) -> MasterState {
        let workers = workers.iter().zip(loads).map(|(worker, load)| {
            let draining = match worker.role {
                Role::Serving => None,
                Role::Draining(limit) => Some(limit),
                // Unreachable: this program waits for its start.
                Role::Starting(_) => Some(DrainLimit::Now),
            };
            let Load { in_flight, connections, ref permits } = *load;
            let pid = worker.pid.as_raw_nonzero().get();
            WorkerState { pid, draining, in_flight, connections, permits: permits.clone() }
        });
        let bound = self.bound.as_ref();
        MasterState {
            host: bound.map(|bound| bound.host.clone()).unwrap_or_default(),
            port: bound.map(|bound| bound.port).unwrap_or_default(),
            hello: self.hello.clone(),
            status: self.queries.last.clone(),
            control: self.control.as_ref().map(|control| control.path().clone()),
            workers: workers.collect(),
            replacements: self.replacements,
            descriptors: slots,
        }
    }

    /// Continues for the program that this process executed before.
    pub(super) fn take_over(
        launch: Launch,
        sender: SyncSender<MasterEvent>,
    ) -> std::result::Result<Self, StartFailure> {
        let failed = |why: &str| {
            StartFailure::internal(format!("the state of the earlier master cannot be taken over: {why}"))
        };
        let received = Channel::from_stdin().and_then(|channel| channel.receive::<MasterState>());
        let packet =
            received.map_err(|error| failed(&error.to_string()))?.ok_or_else(|| failed("it is empty"))?;
        let state = packet.message.ok_or_else(|| failed("it is of another version"))?;
        let mut descriptors: Vec<(Slot, OwnedFd)> =
            state.descriptors.iter().copied().zip(packet.descriptors).collect();
        let mut take = |slot: Slot| {
            let at = descriptors.iter().position(|(known, _)| *known == slot)?;
            Some(descriptors.remove(at).1)
        };
        if let Some(stdin) = take(Slot::Stdin) {
            rustix::stdio::dup2_stdin(&stdin).map_err(|error| failed(&error.to_string()))?;
        }
        let mut master = Self::new(launch, sender);
        let listeners: Vec<_> = std::iter::from_fn(|| take(Slot::Listener)).map(TcpListener::from).collect();
        if listeners.is_empty() {
            return Err(failed("it has no listener"));
        }
        master.bound = Some(BoundListeners { host: state.host, port: state.port, listeners });
        (master.queries.last, master.replacements) = (state.status, state.replacements);
        if let Some(hello) = state.hello {
            master.start_logs(&hello);
            master.hello = Some(hello);
        }
        for (place, worker) in state.workers.into_iter().enumerate() {
            master.adopt_exported(&worker, take(Slot::Worker(place)));
        }
        if let (Some(path), Some(listener)) = (state.control, take(Slot::Control)) {
            match listener::resume(path, listener, master.operator()) {
                Ok(control) => master.control = Some(control),
                Err(error) => log::warn!("the control socket cannot be taken over: {error}"),
            }
        }
        master.announce(take(Slot::Caller));
        Ok(master)
    }

    fn adopt_exported(&mut self, worker: &WorkerState, channel: Option<OwnedFd>) {
        let role = worker.draining.map_or(Role::Serving, Role::Draining);
        let channel = channel.and_then(|channel| Channel::from_descriptor(channel).ok());
        let (Some(pid), Some(channel)) = (Pid::from_raw(worker.pid), channel) else { return };
        self.adopt(pid, role, channel);
        if let Some(adopted) = self.worker(pid) {
            (adopted.in_flight, adopted.connections) = (worker.in_flight, worker.connections);
            adopted.permits.clone_from(&worker.permits);
        }
    }

    fn adopt(&mut self, pid: Pid, role: Role, channel: Channel) {
        match Worker::attach(pid, role, channel, &self.sender) {
            Ok(worker) => self.workers.push(worker),
            // Its channel is closed, so it drains.
            Err(error) => log::error!("worker {} cannot be taken over: {error}", pid.as_raw_nonzero()),
        }
    }

    /// Reports the end of the restart.
    fn announce(&mut self, caller: Option<OwnedFd>) {
        match self.serving() {
            // The earlier program does not pass what is for the next worker.
            Some(worker) => {
                worker.send(WorkerOrder::ExportConfiguration);
                worker.send(WorkerOrder::ExportState);
                self.share_permits_anew();
            }
            None => {
                self.respawn.failed(std::time::Duration::ZERO, std::time::Instant::now());
            }
        }
        log::info!("restarted: vdm {}, master process {}", env!("CARGO_PKG_VERSION"), std::process::id());
        self.notify_ready();
        if let (Some(caller), Some(status)) = (caller, self.status(State::Running)) {
            // The caller may have given up.
            let _ = listener::answer(caller, ControlReply::Restarted(Box::new(status)));
        }
    }
}
