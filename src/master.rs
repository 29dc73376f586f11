//! The master process: it owns the listener, the control socket and the sessions of `vdm wrap`, and runs one worker process
//! that serves. It is small and has no async runtime, so that it stays when a worker fails.

mod handover;
mod lifecycle;
mod listeners;
mod orders;
mod pid_file;
mod program;
mod respawn;
mod restart;
mod shutdown;
mod start;
mod supervision;
mod worker;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

pub(crate) use self::handover::TAKEOVER_FLAG;
use self::lifecycle::Notices;
pub(crate) use self::listeners::BoundListeners;
use self::orders::Queries;
pub(crate) use self::pid_file::PidFile;
pub(crate) use self::program::Program;
use self::respawn::Backoff;
use self::restart::RestartProgress;
use self::shutdown::ShutdownProgress;
pub(crate) use self::worker::WORKER_FLAG;
use self::worker::{Closed, DrainLimit, Role, Worker};
use crate::process::channel::Channel;
use crate::process::channel::messages::{Hello, StartFailure, StartReason, WorkerMessage};
use crate::process::control::listener::{Control, Order};
use crate::process::control::{ControlReply, Status};
use crate::process::sessions::Sessions;
use crate::process::{self, SignalRequest, Terminal};
use crate::telemetry::{LogGuard, LogTarget};

/// Maximum number of queued events.
const EVENTS: usize = 1024;
/// Maximum wait for the next event.
const TICK: Duration = Duration::from_millis(500);
/// Time in which a new worker must serve; otherwise it has failed.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The exit code of an internal error.
const INTERNAL: u8 = 70;
/// Maximum size of a log file that the gateway owns, in bytes.
const LOG: u64 = 8 << 20;

/// How the master is started.
pub(crate) struct Launch {
    pub(crate) program: Program,
    /// The arguments for the same program again, without those that only a master or a worker gets.
    pub(crate) arguments: Vec<OsString>,
    /// The gateway stops when the last of the sessions exits.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) pid_file: Option<PidFile>,
    /// The process that has started this one as a daemon, and waits until it serves.
    pub(crate) starter: Option<Channel>,
    /// Whether the log is emptied when it is too long.
    pub(crate) log: LogFile,
    pub(crate) log_target: LogTarget,
    /// Sockets that the service manager has passed.
    pub(crate) passed: Option<BoundListeners>,
    /// Whether this program replaces another one in the same process.
    pub(crate) takeover: Takeover,
}

/// Where the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFile {
    /// stderr of the user; never truncated.
    Users,
    /// A file that the gateway owns; truncated when it exceeds its maximum size.
    Own,
}

/// Whether this program replaces another one in the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takeover {
    No,
    /// Its state is in the channel at stdin.
    Yes,
}

/// What happens to the master.
enum MasterEvent {
    Signal(i32),
    Message { pid: Pid, message: Box<WorkerMessage>, attachment: Vec<u8> },
    Closed { pid: Pid },
    Order(Order),
    Status(SyncSender<Status>),
}

struct Master {
    launch: Launch,
    sender: SyncSender<MasterEvent>,
    bound: Option<BoundListeners>,
    control: Option<Control>,
    workers: Vec<Worker>,
    respawn: Backoff,
    restart: Option<RestartProgress>,
    shutdown: Option<ShutdownProgress>,
    queries: Queries,
    notices: Notices,
    /// What the serving worker reported at its start.
    hello: Option<Hello>,
    /// What the next worker begins with.
    state: Vec<u8>,
    /// How often a worker was replaced because it failed.
    replacements: u64,
    terminal: Option<Terminal>,
    since: Instant,
    logs: Option<LogGuard>,
    end: Option<Result<(), StartFailure>>,
}

/// Runs the gateway until it is stopped.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(launch: Launch) -> Result<(), StartFailure> {
    let (sender, events) = sync_channel(EVENTS);
    watch_signals(&sender)
        .map_err(|error| StartFailure::internal(format!("signals cannot be handled: {error}")))?;
    let mut master = match launch.takeover {
        Takeover::Yes => Master::take_over(launch, sender)?,
        Takeover::No => {
            let mut master = Master::new(launch, sender);
            master.spawn(StartReason::First)?;
            master
        }
    };
    let end = master.run(&events);
    master.answer_callers();
    if let Some(pid_file) = &master.launch.pid_file {
        pid_file.remove();
    }
    end
}

fn watch_signals(events: &SyncSender<MasterEvent>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD])?;
    let events = events.clone();
    let thread = thread::Builder::new().name("signals".to_owned());
    let watch = move || signals.forever().all(|signal| events.send(MasterEvent::Signal(signal)).is_ok());
    thread.spawn(watch).map(drop)
}

impl StartFailure {
    fn internal(line: String) -> Self {
        Self { lines: vec![line], exit_code: INTERNAL }
    }
}

impl Master {
    fn new(launch: Launch, sender: SyncSender<MasterEvent>) -> Self {
        Self {
            launch,
            sender,
            bound: None,
            control: None,
            workers: vec![],
            respawn: Backoff::default(),
            restart: None,
            shutdown: None,
            queries: Queries::default(),
            notices: Notices::new(),
            hello: None,
            state: vec![],
            replacements: 0,
            terminal: Terminal::of_process(),
            since: Instant::now(),
            logs: None,
            end: None,
        }
    }

    fn run(&mut self, events: &Receiver<MasterEvent>) -> Result<(), StartFailure> {
        // The program before this one may have missed some.
        self.reap();
        loop {
            let event = events.recv_timeout(self.tick());
            // A panic must not end the gateway. It has been logged.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                match event {
                    Ok(event) => self.handle(event),
                    // This process has a sender itself, so the channel stays connected.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.replace_program(),
                }
                self.run_due_checks();
            }));
            if let Some(end) = self.end.take() {
                return end;
            }
        }
    }

    fn tick(&self) -> Duration {
        if self.restart.as_ref().is_some_and(RestartProgress::is_committed) {
            return Duration::from_millis(1);
        }
        let wait = self.respawn.wait(Instant::now()).map_or(TICK, |wait| wait.min(TICK));
        wait.min(self.notices.wait())
    }

    fn handle(&mut self, event: MasterEvent) {
        match event {
            MasterEvent::Signal(SIGCHLD) => self.reap(),
            MasterEvent::Signal(signal) => self.handle_signal(signal),
            MasterEvent::Message { pid, message, attachment } => {
                self.handle_message(pid, *message, attachment)
            }
            MasterEvent::Closed { pid } => {
                if let Some(worker) = self.worker(pid) {
                    worker.closed = Closed::Yes;
                }
                self.handle_ended();
            }
            MasterEvent::Order(order) => self.execute(order),
            MasterEvent::Status(answer) => self.ask_status(answer),
        }
    }

    fn handle_signal(&mut self, signal: i32) {
        let notice = match signal {
            SIGHUP => Terminal::hangup(self.terminal.as_ref()),
            SIGUSR2 => SignalRequest::Restart,
            _ => SignalRequest::Stop,
        };
        match notice {
            SignalRequest::Stop if self.shutdown.is_some() => self.stop(DrainLimit::Now),
            SignalRequest::Stop => self.stop(DrainLimit::Configured),
            SignalRequest::Reload => self.reload(None),
            SignalRequest::Restart => self.begin_restart(None),
        }
    }

    fn handle_message(&mut self, pid: Pid, message: WorkerMessage, attachment: Vec<u8>) {
        let Some(worker) = self.worker(pid) else { return };
        worker.heard();
        let role = worker.role;
        match message {
            WorkerMessage::Hello(hello) => {
                if let Role::Starting(reason) = role {
                    self.on_hello(pid, reason, hello);
                }
            }
            WorkerMessage::Failed(failure) => worker.failure = Some(failure),
            WorkerMessage::Ready(status) => {
                if let Role::Starting(reason) = role {
                    self.serve(pid, reason, *status);
                }
            }
            WorkerMessage::Pong => {}
            WorkerMessage::Status(status) => self.answer_status(*status),
            WorkerMessage::Reloaded(reply) => self.answer_reload(reply),
            WorkerMessage::HealthReset(reply) => self.answer_reset(reply),
            WorkerMessage::DashboardLink(reply) => self.answer_link(reply),
            WorkerMessage::State => {
                if role == Role::Serving {
                    self.state = attachment;
                    self.continue_restart();
                }
            }
            WorkerMessage::Draining { in_flight, connections } => {
                (worker.in_flight, worker.connections) = (in_flight, connections);
                self.report_progress();
            }
        }
    }

    /// Runs all periodic checks.
    fn run_due_checks(&mut self) {
        let now = Instant::now();
        if self.shutdown.is_none()
            && self.respawn.take(now)
            && let Err(failure) = self.spawn(StartReason::Respawn)
        {
            failure.lines.iter().for_each(|line| log::error!("{line}"));
            self.respawn.failed(Duration::ZERO, now);
        }
        self.check_workers(now);
        self.check_restart(now);
        self.check_shutdown(now);
        self.check_queries(now);
        self.check_notices(now);
        if self.launch.log == LogFile::Own {
            // If the file cannot be emptied, it grows.
            let _ = process::bound_output(LOG);
        }
        if self.launch.sessions.as_mut().is_some_and(|sessions| sessions.are_over(now))
            && self.shutdown.is_none()
        {
            self.stop(DrainLimit::Configured);
        }
    }

    fn worker(&mut self, pid: Pid) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.pid == pid)
    }

    fn serving(&self) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.role == Role::Serving && worker.exited.is_none())
    }
}

/// For replies that a worker has not given.
fn refused(line: &str) -> ControlReply {
    ControlReply::Refused(vec![line.to_owned()])
}
