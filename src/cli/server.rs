//! `vdm server start`; the commands for a running gateway are in [`running`].

mod daemon;
mod description;
mod last_good;
mod running;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::Args;

use self::last_good::{LastGood, Loaded};
pub(super) use self::running::{GatewayArgs, RestartArgs, StatusArgs, StopArgs, others, print_only_other};
use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::summary::{log_summary, log_warnings, summary};
use super::{print_to_stderr, report_errors};
use crate::config::{Config, ForSessions, Overrides, Verbose};
use crate::master::{
    self, BoundListeners, Launch, LogFile, PidFile, Program, TAKEOVER_FLAG, Takeover, WORKER_FLAG,
};
use crate::process::channel::Channel;
use crate::process::channel::messages::{Hello, StartFailure, StartReason, WorkerMessage, WorkerOrder};
use crate::process::sessions::Sessions;
use crate::process::systemd::PassedSockets;
use crate::serve::{self, Ending, Origin, ReloadOn, Supervision};
use crate::telemetry::{LogFormat, LogOutput, LogTarget};
use crate::terminal::Style;
use crate::{process, telemetry};

/// Tells a worker, and the program that replaces a master, the address of the passed socket.
const PASSED_FLAG: &str = "--passed";

#[derive(Args, Debug)]
pub(super) struct Start {
    /// Address or host name to listen on; overrides HOST and the files
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port to listen on, 0 for any free one; overrides PORT and the files
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    options: ConfigOptions,
    /// Log at DEBUG level; overrides LOG_LEVEL
    #[arg(short, long)]
    verbose: bool,
    /// Print no start message; warnings are logged
    #[arg(short, long)]
    quiet: bool,
    /// Log to systemd's journal, as vandamme-proxy
    #[arg(long)]
    systemd: bool,
    /// Reload the configuration when one of its files changes
    #[arg(long)]
    reload: bool,
    /// Run in the background, log to a file, and write a PID file
    #[arg(long)]
    daemon: bool,
    /// Log file of --daemon [default: HOST-PORT.log in ~/.local/state/vandamme]
    #[arg(long, value_name = "FILE", requires = "daemon")]
    log_file: Option<PathBuf>,
    /// Write the process id of the gateway to this file
    #[arg(long, visible_alias = "pidfile", value_name = "FILE", overrides_with = "pid_file")]
    pid_file: Option<PathBuf>,
    /// Serve in one process, without a master that replaces a failed worker
    #[arg(long, conflicts_with_all = ["daemon", "pid_file", "sessions"])]
    no_master: bool,
    /// Run for the sessions of this name (used by `vdm wrap`)
    #[arg(long, hide = true, value_name = "NAME")]
    sessions: Option<String>,
    /// Run as the daemon that another process has started
    #[arg(long, hide = true)]
    detached: bool,
    /// The address of a socket that the service manager has passed; it takes the place of the configured one
    #[arg(long, hide = true, value_name = "ADDRESS")]
    passed: Option<SocketAddr>,
    /// Run as the worker of a master
    #[arg(long, hide = true)]
    worker: bool,
    /// Use the configuration that the master sends, if the one on disk is invalid
    #[arg(long, hide = true)]
    last_good: bool,
    /// Continue for the master that this process executed before
    #[arg(long, hide = true)]
    takeover: bool,
}

impl Start {
    pub(super) fn run(self) -> Exit {
        if self.worker {
            return self.work();
        }
        // Read at the start, because an update may replace the file while the gateway runs.
        let program = match Program::of_process() {
            Ok(program) => program,
            Err(error) => {
                return failed(&format!("the path of this program is unknown: {error}"), Exit::Internal);
            }
        };
        if self.daemon && !self.detached {
            return self.daemonize(&program);
        }
        if self.no_master {
            return self.serve_alone(&program);
        }
        self.supervise(program)
    }

    /// Runs the master process.
    fn supervise(self, program: Program) -> Exit {
        if self.sessions.is_some() || self.detached {
            process::leave_terminal();
        }
        let takeover = if self.takeover { Takeover::Yes } else { Takeover::No };
        let log_target = self.log_target();
        let passed = match BoundListeners::passed() {
            Ok(passed) => passed,
            Err(refusal) => return failed(&refusal, Exit::Bind),
        };
        let mut arguments = arguments();
        if let Some(address) = passed.as_ref().and_then(BoundListeners::address) {
            arguments.extend([PASSED_FLAG.into(), address.to_string().into()]);
        }
        let starter = if self.detached && !self.takeover { Channel::from_stdin().ok() } else { None };
        let log = if self.sessions.is_some() || self.detached { LogFile::Own } else { LogFile::Users };
        let launch = Launch {
            program,
            arguments,
            sessions: self.sessions.map(|name| Sessions::new(name, Instant::now())),
            pid_file: self.pid_file.map(PidFile::new),
            starter: starter.as_ref().and_then(|starter| starter.try_clone().ok()),
            log,
            log_target,
            passed,
            takeover,
        };
        match master::run(launch) {
            Ok(()) => Exit::Ok,
            Err(failure) => {
                failure.lines.iter().for_each(|line| print_to_stderr(format_args!("vdm: {line}\n")));
                let exit = Exit::from_number(failure.exit_code);
                if let Some(starter) = starter {
                    // A starter that is gone does not wait for it.
                    let _ = starter.send(&Err::<(), StartFailure>(failure), &[], &[]);
                }
                exit
            }
        }
    }

    /// Runs a worker process.
    fn work(self) -> Exit {
        let Ok(channel) = Channel::from_stdin() else {
            return failed("--worker is for vdm itself", Exit::Usage);
        };
        let is_free = self.takes_any_port();
        let reload = self.reload_on();
        let (log_target, passed, message) = (self.log_target(), self.passed, self.start_message());
        let last_good = if self.last_good { LastGood::Sent } else { LastGood::None };
        let overrides = self.overrides();
        let Loaded { config, errors } = match last_good::load(&overrides, last_good, &channel) {
            Ok(loaded) => loaded,
            Err(errors) => {
                let lines = errors.iter().map(ToString::to_string).collect();
                return report(&channel, lines, Exit::from_config_errors(&errors));
            }
        };
        let hello = Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: config.host.clone(),
            port: if is_free { 0 } else { config.port },
            log_level: config.log.level.to_string(),
            log_format: config.log.format.clone(),
            liveness_seconds: config.settings.limits.worker_liveness.as_secs_f64(),
        };
        // If the master is gone, no order follows.
        let _ = channel.send(&WorkerMessage::Hello(hello), &[], &[]);
        let Some(assignment) = await_start(&channel) else { return Exit::Failed };
        let Assignment { reason, listeners, state } = assignment;
        let logs = telemetry::start(config.log.level, log_target.with_format(&config.log.format));
        let config_errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        report_fallback(&config_errors);
        // The start message has been printed before the worker failed.
        if reason != StartReason::Respawn {
            announce(&config, &listeners, passed, message);
        }
        let Ok(reporting) = channel.try_clone() else { return Exit::Internal };
        let supervision = Supervision::Master { channel, state };
        let origin = Origin { overrides, supervision, reload, config_errors };
        let served = serve::serve(listeners, config, origin);
        drop(logs);
        match served {
            Ok(_) => Exit::Ok,
            Err(line) => report(&reporting, vec![line], Exit::Internal),
        }
    }

    /// Serves without a master.
    fn serve_alone(mut self, program: &Program) -> Exit {
        let (reload, log_target, message) = (self.reload_on(), self.log_target(), self.start_message());
        let (passed, kept) = match passed_and_kept() {
            Ok(passed) => passed,
            Err(refusal) => return failed(&refusal, Exit::Bind),
        };
        self.passed = kept.address();
        let overrides = self.overrides();
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return report_errors(&errors),
        };
        let logs = telemetry::start(config.log.level, log_target.with_format(&config.log.format));
        telemetry::report_missing_journal();
        let listeners = match passed.map_or_else(|| BoundListeners::new(&config.host, config.port), Ok) {
            Ok(bound) => bound.listeners,
            Err(refusal) => return failed(&refusal, Exit::Bind),
        };
        announce(&config, &listeners, kept.address(), message);
        let supervision = Supervision::Users;
        let origin = Origin { overrides, supervision, reload, config_errors: vec![] };
        let served = serve::serve(listeners, config, origin);
        drop(logs);
        match served {
            Ok(Ending::Stopped) => Exit::Ok,
            Ok(Ending::Restart) => again(program, &kept),
            Err(refusal) => failed(&refusal, Exit::Internal),
        }
    }

    /// A gateway for sessions takes any free port, unless one is given.
    fn takes_any_port(&self) -> bool {
        self.sessions.is_some() && self.port.is_none()
    }

    fn reload_on(&self) -> ReloadOn {
        if self.reload { ReloadOn::FileChange } else { ReloadOn::Command }
    }

    fn log_target(&self) -> LogTarget {
        if self.systemd { LogTarget::Systemd } else { LogTarget::Stderr }
    }

    fn start_message(&self) -> StartMessage {
        if self.quiet { StartMessage::LeftOut } else { StartMessage::Printed }
    }

    fn overrides(self) -> Overrides {
        // What follows from the address (own requests, trusted names) follows from the one in use.
        let passed = self.passed;
        Overrides {
            host: passed.map(|address| address.ip().to_string()).or(self.host),
            port: passed.map(|address| address.port()).or(self.port),
            config: self.options.config,
            verbose: self.verbose.then_some(Verbose),
            sessions: self.sessions.map(|_| ForSessions),
            ..Overrides::of_process()
        }
    }
}

/// The sockets that the service manager has passed, and copies for a program that replaces this one.
fn passed_and_kept() -> Result<(Option<BoundListeners>, PassedSockets), String> {
    let passed = BoundListeners::passed()?;
    let listeners = passed.as_ref().map(|bound| &bound.listeners[..]).unwrap_or_default();
    let kept = PassedSockets::new(listeners)
        .map_err(|error| format!("a socket of LISTEN_FDS cannot be used: {error}"))?;
    Ok((passed, kept))
}

/// Whether there is a start message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartMessage {
    Printed,
    LeftOut,
}

/// Prints the start message, or logs it if the log goes to the journal.
fn announce(config: &Config, listeners: &[TcpListener], passed: Option<SocketAddr>, message: StartMessage) {
    let bound: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    if passed.is_some() {
        let addresses: Vec<_> = bound.iter().map(ToString::to_string).collect();
        log::info!(
            "serving on {}, passed by the service manager (LISTEN_FDS); the configured host and port have no effect",
            addresses.join(", ")
        );
    }
    if message == StartMessage::LeftOut {
        return log_warnings(config);
    }
    let Some(&bound) = bound.first() else {
        log::warn!("cannot determine the listener's address");
        return;
    };
    match LogOutput::current().format {
        LogFormat::Console => print_to_stderr(format_args!("{}", summary(config, bound, Style::of_stderr()))),
        LogFormat::Journal | LogFormat::Prioritized | LogFormat::Json => log_summary(config, bound),
    }
}

/// The arguments of this process, without those that only one kind of process gets.
fn arguments() -> Vec<OsString> {
    let own = |argument: &OsString| argument == WORKER_FLAG || argument == TAKEOVER_FLAG;
    std::env::args_os().skip(1).filter(|argument| !own(argument)).collect()
}

/// Logs that the last good configuration is in use, and why.
fn report_fallback(config_errors: &[String]) {
    for line in config_errors {
        log::error!("the configuration on disk is invalid: {line}");
    }
    if !config_errors.is_empty() {
        log::warn!(
            "this worker uses the last good configuration; correct the one on disk, then run `vdm server reload`"
        );
    }
}

/// What the master gives a worker that may serve.
struct Assignment {
    reason: StartReason,
    /// At least one.
    listeners: Vec<TcpListener>,
    /// Of an earlier worker.
    state: Vec<u8>,
}

/// Waits until the master lets this worker serve; `None` if it does not.
fn await_start(channel: &Channel) -> Option<Assignment> {
    loop {
        let packet = channel.receive::<WorkerOrder>().ok()??;
        if let Some(WorkerOrder::Start(reason)) = packet.message {
            let listeners = packet.descriptors.into_iter().map(TcpListener::from).collect();
            return Some(Assignment { reason, listeners, state: packet.attachment });
        }
    }
}

/// Reports to the master why this worker cannot start.
fn report(channel: &Channel, lines: Vec<String>, exit: Exit) -> Exit {
    let failure = StartFailure { lines, exit_code: exit.number() };
    // If the master has exited, no process reads it.
    let _ = channel.send(&WorkerMessage::Failed(failure), &[], &[]);
    exit
}

fn failed(line: &str, exit: Exit) -> Exit {
    print_to_stderr(format_args!("vdm: {line}\n"));
    exit
}

/// Replaces this program by a new one with the same arguments; process, terminal and supervisor stay the same.
fn again(program: &Program, kept: &PassedSockets) -> Exit {
    let mut command = Command::new(program.on_disk());
    let failed = match kept.pass_on(command.args(std::env::args_os().skip(1))) {
        Ok(_passed) => process::become_program(&mut command),
        Err(error) => error,
    };
    print_to_stderr(format_args!("vdm: the gateway has stopped and cannot be restarted: {failed}\n"));
    Exit::Internal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_vdm_refuses_has_its_own_exit_code() {
        let exit = |name: &str, text: &str| {
            let environment = [(name.to_owned(), text.to_owned())].into();
            let overrides =
                Overrides { environment, working_directory: "/absent".into(), ..Overrides::default() };
            report_errors(&Config::load(&overrides).unwrap_err())
        };
        assert_eq!(exit("PORT", "abc"), Exit::Failed);
        assert_eq!(exit("OPENAI_API_KEY", "!OAUTH"), Exit::Usage);
    }
}
