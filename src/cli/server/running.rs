//! `vdm server status`, `stop`, `reload` and `restart`: commands for a running gateway, over its control socket.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::Pid;
use serde::Serialize;
use serde_json::json;

use crate::cli::exit_code::Exit;
use crate::cli::say;
use crate::config::{Config, Overrides};
use crate::process::control::client::{self, Answers, Running};
use crate::process::control::{
    self, ControlCommand, ControlReply, Reloaded, ResetProvider, ResetTarget, State,
};
use crate::process::sessions::Member;

/// Between two checks whether a gateway is back.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for an answer, other than for the end of requests in flight.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which gateway, and the form of the output.
#[derive(Args, Debug)]
pub(in crate::cli) struct Order {
    /// Address or host name of the gateway; overrides HOST and the files
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port of the gateway; overrides PORT and the files
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Configuration file to read host and port from; overrides the other files
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    order: Order,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Stop {
    #[command(flatten)]
    order: Order,
    /// Abort requests in flight
    #[arg(long)]
    now: bool,
    /// How long to wait for the gateway to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Restart {
    #[command(flatten)]
    order: Order,
    /// How long to wait for the gateway to stop and start
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

impl Order {
    /// Finds the gateway; prints an error if there is none.
    fn find(&self) -> Result<Running, Exit> {
        let Self { host, port, config, .. } = self;
        let (host, port, config) = (host.clone(), *port, config.clone());
        let overrides = Overrides { host, port, config, ..Overrides::of_process() };
        // Other mistakes of the configuration do not matter here.
        let (host, port) =
            Config::listener(&overrides).unwrap_or_else(|| (Ipv4Addr::LOCALHOST.to_string(), 8082));
        if let Some(running) = client::find(&host, port) {
            return Ok(running);
        }
        if let Some(running) = self.only_other(&host, port) {
            say_only_other(&host, port, &running);
            return Ok(running);
        }
        Err(self.not_found(&host, port))
    }

    /// The only running gateway, when the command line names none.
    fn only_other(&self, host: &str, port: u16) -> Option<Running> {
        let is_named = self.host.is_some() || self.port.is_some();
        if is_named { None } else { client::only_other(host, port) }
    }

    fn not_found(&self, host: &str, port: u16) -> Exit {
        self.print_json(&json!({"running": false}));
        match client::held(host, port) {
            Some(socket) => say(format_args!(
                "vdm: the gateway at {host}, port {port} does not answer on {}: it hangs or has another version; stop it with a signal\n",
                socket.display()
            )),
            None => {
                say(format_args!("vdm: no gateway of yours is running at {host}, port {port}{}\n", others()))
            }
        }
        Exit::Failed
    }

    fn ask(&self, running: &Running, ask: ControlCommand) -> Result<(Answers, ControlReply), Exit> {
        let answer = client::ask(&running.socket, ask).and_then(|mut answers| {
            let said = answers.next()?;
            Ok((answers, said))
        });
        match answer {
            Ok((_, Some(ControlReply::Refused(lines)))) => {
                self.print_json(&json!({"refused": lines}));
                lines.iter().for_each(|line| say(format_args!("vdm: {line}\n")));
                Err(Exit::Failed)
            }
            Ok((answers, Some(said))) => Ok((answers, said)),
            Ok((_, None)) => Err(self.lost(running, "it exited before it answered")),
            Err(error) => Err(self.lost(running, &error.to_string())),
        }
    }

    fn lost(&self, running: &Running, why: &str) -> Exit {
        say(format_args!("vdm: the gateway at {} does not answer: {why}\n", running.status.url()));
        Exit::Failed
    }

    /// Prints JSON with `--json`.
    fn print_json<T: Serialize>(&self, value: &T) {
        if self.json {
            print(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    fn print(&self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    pub(in crate::cli) fn reload(self) -> Exit {
        let answer =
            self.find().and_then(|running| Ok((self.ask(&running, ControlCommand::Reload)?.1, running)));
        match answer {
            Ok((ControlReply::Reloaded(reloaded), running)) => {
                self.print_json(&reloaded);
                self.print(&reload_report(&reloaded, &running));
                reloaded.warnings.iter().for_each(|line| say(format_args!("warning: {line}\n")));
                Exit::Ok
            }
            Ok((
                ControlReply::Status(_)
                | ControlReply::Joined { .. }
                | ControlReply::HealthReset(_)
                | ControlReply::Stopping { .. }
                | ControlReply::Refused(_),
                running,
            )) => self.lost(&running, "unexpected answer"),
            Err(exit) => {
                if exit == Exit::Failed {
                    say(format_args!("vdm: nothing was changed\n"));
                }
                exit
            }
        }
    }

    pub(in crate::cli) fn reset_health(&self, target: ResetTarget) -> Exit {
        let answer = self
            .find()
            .and_then(|running| Ok((self.ask(&running, ControlCommand::ResetHealth(target))?.1, running)));
        match answer {
            Ok((ControlReply::HealthReset(reset), _)) => {
                self.print_json(&reset);
                for ResetProvider { provider, keys } in &reset.reset {
                    self.print(&format!("{provider}: reset{}", listed(keys)));
                }
                Exit::Ok
            }
            Ok((
                ControlReply::Status(_)
                | ControlReply::Joined { .. }
                | ControlReply::Reloaded(_)
                | ControlReply::Stopping { .. }
                | ControlReply::Refused(_),
                running,
            )) => self.lost(&running, "unexpected answer"),
            Err(exit) => exit,
        }
    }

    /// Waits until the stopping process has exited, and reports progress.
    fn await_end(&self, running: &Running, answers: &mut Answers, until: Instant) -> Result<(), Exit> {
        let (pid, url) = (running.status.pid, running.status.url());
        let mut left = None;
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            let late = patience.is_zero() || answers.wait_at_most(patience).is_err();
            match if late { Ok(Some(ControlReply::Stopping { in_flight: 0 })) } else { answers.next() } {
                Ok(None) => return Ok(()),
                Ok(Some(ControlReply::Stopping { in_flight })) if !late => {
                    say(format_args!(
                        "vdm: {url} (pid {pid}) is stopping; {} in flight\n",
                        requests(in_flight)
                    ));
                    left = Some(in_flight);
                }
                Ok(Some(_)) | Err(_) => {
                    let left = left.map(|left| format!(" with {} in flight", requests(left)));
                    say(format_args!(
                        "vdm: {url} (pid {pid}) is still stopping{}; `vdm server stop --now` aborts them\n",
                        left.unwrap_or_default()
                    ));
                    return Err(Exit::Failed);
                }
            }
        }
    }
}

impl Status {
    pub(in crate::cli) fn run(self) -> Exit {
        match self.order.find() {
            Ok(Running { status, .. }) => {
                self.order.print_json(&Shown { running: true, status: &status });
                self.order.print(&described(&status));
                Exit::Ok
            }
            Err(exit) => exit,
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    running: bool,
    #[serde(flatten)]
    status: &'a control::Status,
}

impl Stop {
    pub(in crate::cli) fn run(self) -> Exit {
        self.stop().err().unwrap_or(Exit::Ok)
    }

    fn stop(&self) -> Result<(), Exit> {
        let until = Instant::now() + Duration::from_secs(self.timeout.into());
        let running = self.order.find()?;
        let process = i32::try_from(running.status.pid).ok().and_then(Pid::from_raw).map(Member::new);
        let ask = if self.now { ControlCommand::StopNow } else { ControlCommand::Stop };
        let (mut answers, said) = self.order.ask(&running, ask)?;
        report_in_flight(&running, &said);
        self.order.await_end(&running, &mut answers, until)?;
        let (pid, url) = (running.status.pid, running.status.url());
        while process.as_ref().is_some_and(Member::lives) {
            if Instant::now() >= until {
                say(format_args!("vdm: process {pid} has closed its control socket but has not exited\n"));
                return Err(Exit::Failed);
            }
            sleep(PAUSE);
        }
        self.order.print_json(&json!({"stopped": true, "pid": pid}));
        self.order.print(&format!("{url} (pid {pid}) has stopped"));
        Ok(())
    }
}

impl Restart {
    pub(in crate::cli) fn run(self) -> Exit {
        self.restart().err().unwrap_or(Exit::Ok)
    }

    fn restart(&self) -> Result<(), Exit> {
        let until = Instant::now() + Duration::from_secs(self.timeout.into());
        let running = self.order.find()?;
        let (mut answers, said) = self.order.ask(&running, ControlCommand::Restart)?;
        report_in_flight(&running, &said);
        self.order.await_end(&running, &mut answers, until)?;
        let until = until.max(Instant::now() + PATIENCE);
        while Instant::now() < until {
            // By its process: it may listen on another port now.
            let is_back = |new: &control::Status| {
                new.pid == running.status.pid && new.started != running.status.started
            };
            if let Some(new) = client::running().into_iter().find(|new| is_back(&new.status)) {
                self.order.print_json(&Shown { running: true, status: &new.status });
                self.order.print(&described(&new.status));
                return Ok(());
            }
            sleep(PAUSE);
        }
        let url = running.status.url();
        say(format_args!("vdm: {url} has stopped and did not start again; see its log\n"));
        Err(Exit::Failed)
    }
}

fn report_in_flight(running: &Running, said: &ControlReply) {
    if let ControlReply::Stopping { in_flight: left @ 1.. } = said {
        let (pid, url) = (running.status.pid, running.status.url());
        say(format_args!("vdm: {url} (pid {pid}) is stopping; {} in flight\n", requests(*left)));
    }
}

fn described(status: &control::Status) -> String {
    let control::Status { pid, version, uptime_seconds, state, in_flight, .. } = status;
    let state = match state {
        State::Running => "is running",
        State::Stopping => "is stopping",
    };
    let mut text = format!(
        "{} {state}: vdm {version}, pid {pid}, for {}, {} in flight",
        status.url(),
        duration(*uptime_seconds),
        requests(*in_flight)
    );
    let is_default = |name: &String| status.default_provider.as_ref() == Some(name);
    let providers = status.providers.iter();
    let providers: Vec<_> = providers
        .map(|name| if is_default(name) { format!("{name} (default)") } else { name.clone() })
        .collect();
    let providers = if providers.is_empty() { "none".to_owned() } else { providers.join(", ") };
    // Writing to a string cannot fail.
    let _ = write!(text, "\nproviders: {providers}");
    text
}

fn reload_report(reloaded: &Reloaded, running: &Running) -> String {
    let Reloaded { changed, needs_restart, .. } = reloaded;
    let mut lines: Vec<String> = changed.iter().map(|line| format!("changed: {line}")).collect();
    lines.extend(needs_restart.iter().map(|line| format!("needs a restart: {line}")));
    if lines.is_empty() {
        lines.push(format!("{} has reloaded; nothing has changed", running.status.url()));
    }
    lines.join("\n")
}

/// The other gateways of this user, one of which may be meant.
/// Reports that a command uses another gateway than the configured one.
pub(in crate::cli) fn say_only_other(host: &str, port: u16, running: &Running) {
    let (pid, url) = (running.status.pid, running.status.url());
    say(format_args!(
        "vdm: no gateway at {host}, port {port}; using the only one that runs: {url} (pid {pid})\n"
    ));
}

/// The running gateways, for the end of a message.
pub(in crate::cli) fn others() -> String {
    let running = client::running();
    let urls: Vec<_> = running
        .iter()
        .map(|Running { status, .. }| format!("{} (pid {})", status.url(), status.pid))
        .collect();
    if urls.is_empty() {
        String::new()
    } else {
        format!("; running: {}; choose one with --port", urls.join(", "))
    }
}

/// The ids of keys, for the end of a line.
fn listed(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!(" (keys {})", keys.join(", ")) }
}

fn requests(count: usize) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        86400.. => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A closed pipe is not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
