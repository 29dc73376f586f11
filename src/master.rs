//! The master process: it owns the listener, the control socket and the sessions of `vdm wrap`, and runs one worker process
//! that serves. It is small and has no async runtime, so that it stays when a worker fails.

mod handover;
mod lifecycle;
mod listeners;
mod orders;
mod program;
mod respawn;
mod restart;
mod shutdown;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use log::LevelFilter;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

pub(crate) use self::handover::TAKEOVER_FLAG;
pub(crate) use self::listeners::Bound;
use self::orders::Queries;
pub(crate) use self::program::Program;
use self::respawn::Backoff;
use self::restart::Restart;
use self::shutdown::Shutdown;
pub(crate) use self::worker::WORKER_FLAG;
use self::worker::{Closed, DrainLimit, Role, Worker};
use crate::process::channel::Channel;
use crate::process::channel::messages::{Hello, StartFailure, StartReason, WorkerMessage, WorkerOrder};
use crate::process::control::listener::{Control, Order};
use crate::process::control::{ControlReply, Status};
use crate::process::sessions::Sessions;
use crate::process::{self, Notice, Terminal};
use crate::telemetry::{self, Logs};

/// Events that wait.
const EVENTS: usize = 1024;
/// The longest wait for the next event.
const TICK: Duration = Duration::from_millis(500);
/// A worker that does not serve by then has failed.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The exit code of an internal error.
const INTERNAL: u8 = 70;
/// The longest log of a gateway for sessions or of a daemon, bytes.
const LOG: u64 = 8 << 20;

/// How the master is started.
pub(crate) struct Launch {
    pub(crate) program: Program,
    /// The arguments for the same program again, without those that only a master or a worker gets.
    pub(crate) arguments: Vec<OsString>,
    /// The gateway stops when the last of the sessions exits.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) pid_file: Option<PathBuf>,
    /// The process that has started this one as a daemon, and waits until it serves.
    pub(crate) starter: Option<Channel>,
    /// Whether the log is emptied when it is too long.
    pub(crate) log: LogFile,
    /// Whether this program replaces another one in the same process.
    pub(crate) takeover: Takeover,
}

/// Where the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFile {
    /// The user decides what becomes of it.
    Users,
    /// It is emptied when it is too long.
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
enum Event {
    Signal(i32),
    Message { pid: Pid, message: Box<WorkerMessage>, attachment: Vec<u8> },
    Closed { pid: Pid },
    Order(Order),
    Status(SyncSender<Status>),
}

struct Master {
    launch: Launch,
    sender: SyncSender<Event>,
    bound: Option<Bound>,
    control: Option<Control>,
    workers: Vec<Worker>,
    respawn: Backoff,
    restart: Option<Restart>,
    shutdown: Option<Shutdown>,
    queries: Queries,
    /// What the serving worker reported at its start.
    hello: Option<Hello>,
    /// What the next worker begins with.
    state: Vec<u8>,
    /// How often a worker was replaced because it failed.
    restarts: u64,
    terminal: Option<Terminal>,
    since: Instant,
    logs: Option<Logs>,
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
    master.write_pid_file()?;
    let end = master.run(&events);
    master.answer_callers();
    master.remove_pid_file();
    end
}

fn watch_signals(events: &SyncSender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD])?;
    let events = events.clone();
    let thread = thread::Builder::new().name("signals".to_owned());
    let watch = move || signals.forever().all(|signal| events.send(Event::Signal(signal)).is_ok());
    thread.spawn(watch).map(drop)
}

impl StartFailure {
    fn internal(line: String) -> Self {
        Self { lines: vec![line], exit_code: INTERNAL }
    }
}

impl Master {
    fn new(launch: Launch, sender: SyncSender<Event>) -> Self {
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
            hello: None,
            state: vec![],
            restarts: 0,
            terminal: Terminal::of_process(),
            since: Instant::now(),
            logs: None,
            end: None,
        }
    }

    fn run(&mut self, events: &Receiver<Event>) -> Result<(), StartFailure> {
        // The program before this one may have missed some.
        self.reap();
        loop {
            match events.recv_timeout(self.tick()) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => self.replace_program(),
                // Unreachable: this process has a sender itself.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.look();
            if let Some(end) = self.end.take() {
                return end;
            }
        }
    }

    fn tick(&self) -> Duration {
        if self.restart.as_ref().is_some_and(Restart::is_committed) {
            return Duration::from_millis(1);
        }
        self.respawn.wait(Instant::now()).map_or(TICK, |wait| wait.min(TICK))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Signal(SIGCHLD) => self.reap(),
            Event::Signal(signal) => self.handle_signal(signal),
            Event::Message { pid, message, attachment } => self.handle_message(pid, *message, attachment),
            Event::Closed { pid } => {
                if let Some(worker) = self.worker(pid) {
                    worker.closed = Closed::Yes;
                }
                self.bury();
            }
            Event::Order(order) => self.execute(order),
            Event::Status(answer) => self.ask_status(answer),
        }
    }

    fn handle_signal(&mut self, signal: i32) {
        let notice = match signal {
            SIGHUP => Terminal::hangup(self.terminal.as_ref()),
            SIGUSR2 => Notice::Restart,
            _ => Notice::Stop,
        };
        match notice {
            Notice::Stop if self.shutdown.is_some() => self.stop(DrainLimit::Now),
            Notice::Stop => self.stop(DrainLimit::Configured),
            Notice::Reload => self.reload(None),
            Notice::Restart => self.begin_restart(None),
        }
    }

    fn handle_message(&mut self, pid: Pid, message: WorkerMessage, attachment: Vec<u8>) {
        let Some(worker) = self.worker(pid) else { return };
        worker.heard();
        let role = worker.role;
        match message {
            WorkerMessage::Hello(hello) => {
                if let Role::Starting(reason) = role {
                    self.greet(pid, reason, hello);
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

    /// Gives a worker whose configuration is valid the listener.
    fn greet(&mut self, pid: Pid, reason: StartReason, hello: Hello) {
        match reason {
            StartReason::First => {
                self.start_logs(&hello);
                match Bound::new(&hello.host, hello.port) {
                    Ok(bound) => self.bound = Some(bound),
                    Err(line) => {
                        self.end = Some(Err(StartFailure { lines: vec![line], exit_code: 3 }));
                        return;
                    }
                }
                self.hello = Some(hello);
                self.start(pid, reason);
            }
            StartReason::Respawn => {
                self.hello = Some(hello);
                self.start(pid, reason);
            }
            StartReason::Restart => self.greet_candidate(hello),
        }
    }

    /// Lets a worker serve on the listener.
    fn start(&mut self, pid: Pid, reason: StartReason) {
        let bound = self.restart.as_ref().and_then(Restart::bound).or(self.bound.as_ref());
        let listener = bound.map(|bound| bound.listener.try_clone());
        let state = if reason == StartReason::First { vec![] } else { self.state.clone() };
        let Some(worker) = self.workers.iter().find(|worker| worker.pid == pid) else { return };
        match listener {
            Some(Ok(listener)) => {
                worker.send_with(WorkerOrder::Start(reason), state, Some(listener.into()));
            }
            Some(Err(error)) => {
                log::error!("worker {} cannot be given the listener: {error}", worker.raw_pid());
                worker.kill();
            }
            None => worker.kill(),
        }
    }

    /// A worker serves.
    fn serve(&mut self, pid: Pid, reason: StartReason, status: Status) {
        if let Some(worker) = self.worker(pid) {
            worker.enter(Role::Serving);
        }
        self.respawn.cancel();
        self.queries.last = Some(status);
        match reason {
            StartReason::First => {
                if let Err(failure) = self.open_control() {
                    self.end = Some(Err(failure));
                    return;
                }
                self.report_start();
                lifecycle::ready(std::process::id());
            }
            StartReason::Respawn => {
                log::info!("worker {} serves", pid.as_raw_nonzero());
                lifecycle::ready(std::process::id());
            }
            StartReason::Restart => self.commit_restart(pid),
        }
    }

    fn report_start(&mut self) {
        if let Some(starter) = self.launch.starter.take() {
            // A starter that is gone does not wait for it.
            let _ = starter.send(&Ok::<(), StartFailure>(()), &[], &[]);
        }
    }

    /// Starts a worker of this very program, though another one may be on disk by now.
    fn spawn(&mut self, reason: StartReason) -> Result<(), StartFailure> {
        let Launch { program, arguments, .. } = &self.launch;
        let file = if reason == StartReason::Restart { program.on_disk() } else { program.running() };
        let worker = Worker::spawn(program, file, arguments, reason, &self.sender).map_err(|error| {
            StartFailure::internal(format!(
                "the worker process cannot be started: {}: {error}",
                program.on_disk().display()
            ))
        })?;
        self.workers.push(worker);
        Ok(())
    }

    /// Notes which processes have exited. As process 1 of a container, the master waits for orphans as well.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(worker) = self.worker(pid) {
                worker.exited = Some(status);
            }
        }
        self.bury();
    }

    /// Handles the ends of workers all of whose messages have arrived.
    fn bury(&mut self) {
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
                Role::Serving => self.schedule_respawn(&worker, &end, served),
                Role::Draining(_) => log::info!("worker {} {end}", worker.raw_pid()),
            }
        }
        if self.shutdown.is_some() && self.workers.is_empty() && self.end.is_none() {
            self.end = Some(Ok(()));
        }
    }

    fn schedule_respawn(&mut self, worker: &Worker, end: &str, served: Duration) {
        let pid = worker.raw_pid();
        self.queries.worker_lost();
        if self.shutdown.is_some() {
            log::warn!("worker {pid} {end} before its requests were finished");
            return;
        }
        self.restarts += 1;
        let wait = self.respawn.failed(served, Instant::now());
        if wait.is_zero() {
            log::error!("worker {pid} {end}; starting another");
        } else {
            log::error!("worker {pid} {end}; starting another in {} s", wait.as_secs_f64());
        }
    }

    /// What is due.
    fn look(&mut self) {
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

    /// Kills workers that hang. Their ends follow as events.
    fn check_workers(&mut self, now: Instant) {
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

    fn worker(&mut self, pid: Pid) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.pid == pid)
    }

    fn serving(&self) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.role == Role::Serving && worker.exited.is_none())
    }

    fn start_logs(&mut self, hello: &Hello) {
        let level = hello.log_level.parse().unwrap_or(LevelFilter::Info);
        self.logs = Some(telemetry::start(level));
    }

    fn write_pid_file(&self) -> Result<(), StartFailure> {
        let Some(path) = &self.launch.pid_file else { return Ok(()) };
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| StartFailure {
            lines: vec![format!("cannot write the PID file {}: {error}", path.display())],
            exit_code: 1,
        })
    }

    fn remove_pid_file(&self) {
        if let Some(path) = &self.launch.pid_file {
            let _gone_anyway = std::fs::remove_file(path);
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

/// For replies that a worker has not given.
fn refused(line: &str) -> ControlReply {
    ControlReply::Refused(vec![line.to_owned()])
}
