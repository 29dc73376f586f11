//! `vdm server status`, `stop`, `reload` and `restart`: commands for a running gateway, over its control socket.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::Pid;
use serde::Serialize;
use serde_json::json;

use super::description::{described, reload_report, requests, reset_report};
use crate::cli::exit_code::Exit;
use crate::cli::options::{GatewayOptions, Naming};
use crate::cli::print_to_stderr;
use crate::config::Config;
use crate::process::control::client::{self, Answers, Running};
use crate::process::control::{self, ControlCommand, ControlReply, ResetTarget};
use crate::process::sessions::Member;

/// Between two checks whether a gateway is back.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for an answer, other than for the end of requests in flight.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which gateway, and the form of the output.
#[derive(Args, Debug)]
pub(in crate::cli) struct GatewayArgs {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    order: GatewayArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct StopArgs {
    #[command(flatten)]
    order: GatewayArgs,
    /// Abort requests in flight
    #[arg(long)]
    now: bool,
    /// How long to wait for the gateway to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RestartArgs {
    #[command(flatten)]
    order: GatewayArgs,
    /// How long to wait for the new program to serve
    #[arg(long, value_name = "SECONDS", default_value_t = 70)]
    timeout: u32,
}

impl GatewayArgs {
    /// Finds the gateway; prints an error if there is none.
    fn find(&self) -> Result<Running, Exit> {
        let overrides = self.gateway.overrides();
        // Other errors of the configuration do not matter here.
        let (host, port) =
            Config::listener(&overrides).unwrap_or_else(|| (Ipv4Addr::LOCALHOST.to_string(), 8082));
        if let Some(running) = client::find(&host, port) {
            return Ok(running);
        }
        if let Some(running) = self.only_other(&host, port) {
            print_only_other(&host, port, &running);
            return Ok(running);
        }
        Err(self.not_found(&host, port))
    }

    /// The only running gateway, when the command line names none.
    fn only_other(&self, host: &str, port: u16) -> Option<Running> {
        match self.gateway.naming() {
            Naming::Host | Naming::Port => None,
            Naming::Configuration => client::only_other(host, port),
        }
    }

    fn not_found(&self, host: &str, port: u16) -> Exit {
        self.print_json(&json!({"running": false}));
        match client::held(host, port) {
            Some(socket) => print_to_stderr(format_args!(
                "vdm: the gateway at {host}, port {port} does not answer on {}: it hangs or has another version; stop it with a signal\n",
                socket.display()
            )),
            None => print_to_stderr(format_args!(
                "vdm: no gateway of yours is running at {host}, port {port}{}\n",
                others()
            )),
        }
        Exit::Failed
    }

    fn send_command(
        &self,
        running: &Running,
        command: ControlCommand,
    ) -> Result<(Answers, ControlReply), Exit> {
        self.send_command_within(running, command, None)
    }

    /// With the longest wait for the answer, other than the usual one.
    fn send_command_within(
        &self,
        running: &Running,
        command: ControlCommand,
        patience: Option<Duration>,
    ) -> Result<(Answers, ControlReply), Exit> {
        let answer = client::ask(&running.socket, command).and_then(|mut answers| {
            patience.map_or(Ok(()), |patience| answers.wait_at_most(patience))?;
            let said = answers.next()?;
            Ok((answers, said))
        });
        match answer {
            Ok((_, Some(ControlReply::Refused(lines)))) => {
                self.print_json(&json!({"refused": lines}));
                lines.iter().for_each(|line| print_to_stderr(format_args!("vdm: {line}\n")));
                Err(Exit::Failed)
            }
            Ok((answers, Some(said))) => Ok((answers, said)),
            Ok((_, None)) => Err(self.lost(running, "it exited before it answered")),
            Err(error) => Err(self.lost(running, &error.to_string())),
        }
    }

    fn lost(&self, running: &Running, why: &str) -> Exit {
        print_to_stderr(format_args!(
            "vdm: the gateway at {} does not answer: {why}\n",
            running.status.url()
        ));
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
        let answer = self
            .find()
            .and_then(|running| Ok((self.send_command(&running, ControlCommand::Reload)?.1, running)));
        match answer {
            Ok((ControlReply::Reloaded(reloaded), running)) => {
                self.print_json(&reloaded);
                self.print(&reload_report(&reloaded, &running));
                reloaded.warnings.iter().for_each(|line| print_to_stderr(format_args!("warning: {line}\n")));
                Exit::Ok
            }
            Ok((
                ControlReply::Status(_)
                | ControlReply::Joined { .. }
                | ControlReply::HealthReset(_)
                | ControlReply::DashboardLink { .. }
                | ControlReply::Stopping { .. }
                | ControlReply::Restarted(_)
                | ControlReply::Refused(_),
                running,
            )) => self.lost(&running, "unexpected answer"),
            Err(exit) => {
                if exit == Exit::Failed {
                    print_to_stderr(format_args!("vdm: nothing was changed\n"));
                }
                exit
            }
        }
    }

    pub(in crate::cli) fn reset_health(&self, target: ResetTarget) -> Exit {
        let answer = self.find().and_then(|running| {
            Ok((self.send_command(&running, ControlCommand::ResetHealth(target))?.1, running))
        });
        match answer {
            Ok((ControlReply::HealthReset(reset), _)) => {
                self.print_json(&reset);
                self.print(&reset_report(&reset));
                Exit::Ok
            }
            Ok((
                ControlReply::Status(_)
                | ControlReply::Joined { .. }
                | ControlReply::Reloaded(_)
                | ControlReply::DashboardLink { .. }
                | ControlReply::Stopping { .. }
                | ControlReply::Restarted(_)
                | ControlReply::Refused(_),
                running,
            )) => self.lost(&running, "unexpected answer"),
            Err(exit) => exit,
        }
    }

    /// A one-time link to the gateway's dashboard. The token is in the fragment, which browsers do not send.
    pub(in crate::cli) fn dashboard_link(&self) -> Result<String, Exit> {
        let running = self.find()?;
        let (_, said) = self.send_command(&running, ControlCommand::DashboardLink)?;
        let ControlReply::DashboardLink { token } = said else {
            return Err(self.lost(&running, "unexpected answer"));
        };
        let mut address = running.status.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        let link = format!("{}://{address}/dashboard/login#token={token}", running.status.scheme());
        self.print_json(&json!({"url": link}));
        self.print(&link);
        Ok(link)
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
                    print_to_stderr(format_args!(
                        "vdm: {url} (pid {pid}) is stopping; {} in flight\n",
                        requests(in_flight)
                    ));
                    left = Some(in_flight);
                }
                Ok(Some(_)) | Err(_) => {
                    let left = left.map(|left| format!(" with {} in flight", requests(left)));
                    print_to_stderr(format_args!(
                        "vdm: {url} (pid {pid}) is still stopping{}; `vdm server stop --now` aborts them\n",
                        left.unwrap_or_default()
                    ));
                    return Err(Exit::Failed);
                }
            }
        }
    }
}

impl StatusArgs {
    pub(in crate::cli) fn run(self) -> Exit {
        match self.order.find() {
            Ok(Running { status, .. }) => {
                self.order.print_json(&PrintedStatus { running: true, status: &status });
                self.order.print(&described(&status));
                Exit::Ok
            }
            Err(exit) => exit,
        }
    }
}

#[derive(Serialize)]
struct PrintedStatus<'a> {
    running: bool,
    #[serde(flatten)]
    status: &'a control::Status,
}

impl StopArgs {
    pub(in crate::cli) fn run(self) -> Exit {
        self.stop().err().unwrap_or(Exit::Ok)
    }

    fn stop(&self) -> Result<(), Exit> {
        let until = Instant::now() + Duration::from_secs(self.timeout.into());
        let running = self.order.find()?;
        let process = i32::try_from(running.status.pid).ok().and_then(Pid::from_raw).map(Member::new);
        let command = if self.now { ControlCommand::StopNow } else { ControlCommand::Stop };
        let (mut answers, said) = self.order.send_command(&running, command)?;
        report_in_flight(&running, &said);
        self.order.await_end(&running, &mut answers, until)?;
        let (pid, url) = (running.status.pid, running.status.url());
        while process.as_ref().is_some_and(Member::lives) {
            if Instant::now() >= until {
                print_to_stderr(format_args!(
                    "vdm: process {pid} has closed its control socket but has not exited\n"
                ));
                return Err(Exit::Failed);
            }
            sleep(PAUSE);
        }
        self.order.print_json(&json!({"stopped": true, "pid": pid}));
        self.order.print(&format!("{url} (pid {pid}) has stopped"));
        Ok(())
    }
}

impl RestartArgs {
    pub(in crate::cli) fn run(self) -> Exit {
        self.restart().err().unwrap_or(Exit::Ok)
    }

    fn restart(&self) -> Result<(), Exit> {
        let patience = Duration::from_secs(self.timeout.into());
        let until = Instant::now() + patience;
        let running = self.order.find()?;
        let (mut answers, said) =
            self.order.send_command_within(&running, ControlCommand::Restart, Some(patience))?;
        let status = match said {
            ControlReply::Restarted(status) => *status,
            said @ (ControlReply::Stopping { .. }
            | ControlReply::Status(_)
            | ControlReply::Joined { .. }
            | ControlReply::Reloaded(_)
            | ControlReply::HealthReset(_)
            | ControlReply::DashboardLink { .. }
            | ControlReply::Refused(_)) => {
                // A gateway without a master stops first.
                report_in_flight(&running, &said);
                self.order.await_end(&running, &mut answers, until)?;
                await_return(&running, until)?
            }
        };
        self.order.print_json(&PrintedStatus { running: true, status: &status });
        self.order.print(&described(&status));
        Ok(())
    }
}

/// Waits until a gateway without a master serves again.
fn await_return(running: &Running, until: Instant) -> Result<control::Status, Exit> {
    let until = until.max(Instant::now() + PATIENCE);
    while Instant::now() < until {
        // By its process: it may listen on another port now.
        let is_back =
            |new: &control::Status| new.pid == running.status.pid && new.started != running.status.started;
        if let Some(new) = client::running().into_iter().find(|new| is_back(&new.status)) {
            return Ok(new.status);
        }
        sleep(PAUSE);
    }
    let url = running.status.url();
    print_to_stderr(format_args!("vdm: {url} has stopped and did not start again; see its log\n"));
    Err(Exit::Failed)
}

fn report_in_flight(running: &Running, said: &ControlReply) {
    if let ControlReply::Stopping { in_flight: left @ 1.. } = said {
        let (pid, url) = (running.status.pid, running.status.url());
        print_to_stderr(format_args!("vdm: {url} (pid {pid}) is stopping; {} in flight\n", requests(*left)));
    }
}

/// Reports that a command uses another gateway than the configured one.
pub(in crate::cli) fn print_only_other(host: &str, port: u16, running: &Running) {
    let (pid, url) = (running.status.pid, running.status.url());
    print_to_stderr(format_args!(
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

/// A closed pipe is not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
