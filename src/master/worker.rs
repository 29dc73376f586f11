//! A worker process as its master sees it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Result;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use super::MasterEvent;
use super::program::Program;
use crate::process::channel::Channel;
use crate::process::channel::messages::{StartFailure, StartReason, WorkerMessage, WorkerOrder};
use crate::process::systemd;

/// The flag with which a master starts its workers.
pub(crate) const WORKER_FLAG: &str = "--worker";
/// The flag of a worker to which the master sends the last good configuration.
pub(crate) const LAST_GOOD_FLAG: &str = "--last-good";
/// Orders that wait while a worker does not read.
const ORDERS: usize = 64;
/// Between two pings.
const LONGEST_PING_INTERVAL: Duration = Duration::from_secs(2);

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has not reported that it serves.
    Starting(StartReason),
    Serving,
    /// It accepts no more connections.
    Draining(DrainLimit),
}

/// How long a worker may drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DrainLimit {
    Unlimited,
    /// `limits.drain`
    Configured,
    Now,
}

/// Whether the worker's end of the channel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    No,
    Yes,
}

/// An order with what is sent along.
struct Outgoing {
    order: WorkerOrder,
    attachment: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A worker process with the threads of its channel.
pub(super) struct Worker {
    pub(super) pid: Pid,
    pub(super) role: Role,
    /// Since when it has that role.
    pub(super) since: Instant,
    pub(super) in_flight: usize,
    pub(super) connections: usize,
    /// The permits of each provider that its requests hold, as it last reported them.
    pub(super) permits: BTreeMap<String, usize>,
    /// Why it cannot start.
    pub(super) failure: Option<StartFailure>,
    /// The process has exited.
    pub(super) exited: Option<WaitStatus>,
    /// All of its messages have arrived.
    pub(super) closed: Closed,
    channel: Channel,
    outgoing: SyncSender<Outgoing>,
    /// Its drop ends the reading thread.
    _waker: UnixStream,
    threads: [JoinHandle<()>; 2],
    silence: Silence,
}

/// How long a worker has not answered, without the time in which the master itself did not run.
#[derive(Debug)]
struct Silence {
    total: Duration,
    measured: Instant,
    pinged: Instant,
}

impl Worker {
    /// Starts a worker process.
    ///
    /// # Errors
    /// If the program cannot be executed.
    pub(super) fn spawn(
        program: &Program,
        file: &Path,
        arguments: &[OsString],
        reason: StartReason,
        events: &SyncSender<MasterEvent>,
    ) -> Result<Self> {
        let (channel, theirs) = Channel::pair()?;
        let mut command = Command::new(file);
        command.arg0(program.name()).args(arguments).arg(WORKER_FLAG).stdin(theirs);
        // The master alone notifies the service manager.
        for name in systemd::VARIABLES {
            command.env_remove(name);
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::other("the system gave the process no number"))?;
        Self::attach(pid, Role::Starting(reason), channel, events)
    }

    /// Takes a worker process over, from this program or the one before it.
    ///
    /// # Errors
    /// If the system has no thread or descriptor to give.
    pub(super) fn attach(
        pid: Pid,
        role: Role,
        channel: Channel,
        events: &SyncSender<MasterEvent>,
    ) -> Result<Self> {
        let (waker, wake) = UnixStream::pair()?;
        let (outgoing, orders) = sync_channel(ORDERS);
        let (reading, writing, events) = (channel.try_clone()?, channel.try_clone()?, events.clone());
        let builder = || thread::Builder::new().name("worker-channel".to_owned());
        let threads = [
            builder().spawn(move || read(pid, &reading, &wake, &events))?,
            builder().spawn(move || write(&writing, &orders))?,
        ];
        let now = Instant::now();
        let silence = Silence { total: Duration::ZERO, measured: now, pinged: now };
        let (since, in_flight, connections) = (now, 0, 0);
        Ok(Self {
            pid,
            role,
            since,
            in_flight,
            connections,
            permits: BTreeMap::new(),
            failure: None,
            exited: None,
            closed: Closed::No,
            channel,
            outgoing,
            _waker: waker,
            threads,
            silence,
        })
    }

    /// Ends the threads between two messages. What remains is the process and its channel.
    pub(super) fn detach(self) -> (Pid, Role, Channel) {
        drop((self.outgoing, self._waker));
        for thread in self.threads {
            // A thread that has panicked has left the channel in an unknown state; the worker then counts as hung.
            drop(thread.join());
        }
        (self.pid, self.role, self.channel)
    }

    pub(super) fn raw_pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn enter(&mut self, role: Role) {
        (self.role, self.since) = (role, Instant::now());
    }

    pub(super) fn send(&self, order: WorkerOrder) {
        self.send_with(order, vec![], vec![]);
    }

    /// A worker that takes no more orders hangs, and is killed when it has been silent for too long.
    pub(super) fn send_with(&self, order: WorkerOrder, attachment: Vec<u8>, descriptors: Vec<OwnedFd>) {
        let _ = self.outgoing.try_send(Outgoing { order, attachment, descriptors });
    }

    /// It drains within this limit from now on.
    pub(super) fn drain(&mut self, limit: DrainLimit) {
        let order = match limit {
            DrainLimit::Unlimited => WorkerOrder::Retire,
            DrainLimit::Configured => WorkerOrder::Stop,
            DrainLimit::Now => WorkerOrder::StopNow,
        };
        self.send(order);
        self.enter(Role::Draining(limit));
    }

    /// It drains without a limit, and the gateway listens at another address.
    pub(super) fn leave(&mut self) {
        self.send(WorkerOrder::Leave);
        self.enter(Role::Draining(DrainLimit::Unlimited));
    }

    /// It already drains without a limit, and has `limits.drain` from now on.
    pub(super) fn limit_drain(&mut self) {
        self.send(WorkerOrder::Retire);
        self.enter(Role::Draining(DrainLimit::Configured));
    }

    /// Kills it. The end of the process follows as an event.
    pub(super) fn kill(&self) {
        // It may have exited already; its number is its own until it is waited for.
        let _ = kill_process(self.pid, Signal::KILL);
    }

    /// Kills it. Its end has no consequence.
    pub(super) fn discard(&mut self) {
        self.kill();
        self.enter(Role::Draining(DrainLimit::Now));
    }

    /// It has sent a message.
    pub(super) fn heard(&mut self) {
        self.silence.total = Duration::ZERO;
    }

    /// Sends a ping when one is due. Returns how long the worker has been silent, if that is more than `patience`.
    pub(super) fn check(
        &mut self,
        now: Instant,
        longest_tick: Duration,
        patience: Duration,
    ) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.silence.measured);
        // Time in which the master was suspended does not count; the worker may have been suspended too.
        self.silence.total += passed.min(longest_tick);
        self.silence.measured = now;
        if now.saturating_duration_since(self.silence.pinged) >= (patience / 4).min(LONGEST_PING_INTERVAL) {
            self.silence.pinged = now;
            self.send(WorkerOrder::Ping);
        }
        Some(self.silence.total).filter(|silence| *silence > patience)
    }
}

/// Passes the worker's messages on, until the channel ends or the master detaches.
fn read(pid: Pid, channel: &Channel, wake: &UnixStream, events: &SyncSender<MasterEvent>) {
    loop {
        let mut ready = [PollFd::new(channel, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue;
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        let Ok(Some(packet)) = channel.receive::<WorkerMessage>() else {
            // The last messages come before the end of the process is handled.
            pass_on(MasterEvent::Closed { pid }, wake, events);
            return;
        };
        let Some(message) = packet.message else { continue };
        let message = Box::new(message);
        pass_on(MasterEvent::Message { pid, message, attachment: packet.attachment }, wake, events);
    }
}

/// A master that detaches takes no more events.
fn pass_on(mut event: MasterEvent, wake: &UnixStream, events: &SyncSender<MasterEvent>) {
    while let Err(TrySendError::Full(refused)) = events.try_send(event) {
        event = refused;
        let mut detached = [PollFd::new(wake, PollFlags::IN)];
        let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        if poll(&mut detached, Some(&pause)) != Ok(0) {
            return;
        }
    }
}

fn write(channel: &Channel, orders: &Receiver<Outgoing>) {
    for Outgoing { order, attachment, descriptors } in orders {
        let descriptors: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        if channel.send(&order, &attachment, &descriptors).is_err() {
            return;
        }
    }
}
