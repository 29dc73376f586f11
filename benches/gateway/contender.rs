//! The contenders, and how each of them is started in front of the scripted upstream.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::Trouble;
use crate::listener::free_port;
use crate::process::{Farewell, Process, directory};
use crate::{meter, nginx};

/// The gateway of this build.
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_vdm");
/// More connections than any row opens.
const LIMITS: &str = "[limits]
connections = 40000
in-flight = 20000
provider-in-flight = 20000
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Nginx,
    Bare,
    Ours,
}

/// A running contender.
pub(crate) struct Running {
    process: Process,
}

/// The scripted upstream.
pub(crate) fn upstream() -> Result<Running, Trouble> {
    let port = free_port()?;
    let mut command = this_program()?;
    command.args(["upstream", &port.to_string()]);
    Ok(Running { process: Process::start(&command, directory()?, (port, Farewell::Kill))? })
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::Bare, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Bare => "bare proxy",
            Self::Ours => "vdm",
        }
    }

    pub(crate) fn start(self, upstream: SocketAddr) -> Result<Running, Trouble> {
        let port = free_port()?;
        let process = match self {
            Self::Nginx => start_nginx(port, upstream),
            Self::Bare => {
                let mut command = this_program()?;
                command.args(["bare", &port.to_string(), &upstream.to_string()]);
                Process::start(&command, directory()?, (port, Farewell::Kill))
            }
            Self::Ours => start_gateway(OURS, port, upstream),
        };
        Ok(Running { process: process.map_err(|trouble| format!("{}: {trouble}", self.name()))? })
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address
    }

    pub(crate) fn cpu(&self) -> Result<Duration, Trouble> {
        meter::cpu(self.process.id())
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// In KiB.
    pub(crate) fn resident(&self) -> Result<u64, Trouble> {
        meter::resident(self.process.id())
    }

    pub(crate) fn ready_after(&self) -> Duration {
        self.process.ready_after
    }
}

fn this_program() -> Result<Command, Trouble> {
    Ok(Command::new(std::env::current_exe()?))
}

fn start_nginx(port: u16, upstream: SocketAddr) -> Result<Process, Trouble> {
    let directory = directory()?;
    let file = directory.join("nginx.conf");
    fs::write(&file, nginx::configuration(&directory, port, upstream.port()))?;
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(&directory).arg("-c").arg(&file);
    Process::start(&command, directory, (port, Farewell::Terminate))
}

/// A gateway of any build.
pub(crate) fn gateway(binary: &str, upstream: SocketAddr) -> Result<Running, Trouble> {
    let process = start_gateway(binary, free_port()?, upstream);
    Ok(Running { process: process.map_err(|trouble| format!("{binary}: {trouble}"))? })
}

/// A gateway of any build in one process, under callgrind. It counts nothing until it is told to.
pub(crate) fn counted_gateway(binary: &str, upstream: SocketAddr) -> Result<Running, Trouble> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=counted", binary]);
    // Callgrind counts each repetition of `rep movs` and `rep stos`; with these the C library uses them for no size in use here.
    let unused = "0x10000000";
    command.env(
        "GLIBC_TUNABLES",
        format!("glibc.cpu.x86_rep_movsb_threshold={unused}:glibc.cpu.x86_rep_stosb_threshold={unused}"),
    );
    let process = start_gateway_as(command, &["--no-master"], (free_port()?, upstream));
    Ok(Running { process: process.map_err(|trouble| format!("{binary} under valgrind: {trouble}"))? })
}

fn start_gateway(binary: &str, port: u16, upstream: SocketAddr) -> Result<Process, Trouble> {
    start_gateway_as(Command::new(binary), &[], (port, upstream))
}

fn start_gateway_as(
    mut command: Command,
    options: &[&str],
    (port, upstream): (u16, SocketAddr),
) -> Result<Process, Trouble> {
    let directory = directory()?;
    let file = directory.join("bench.toml");
    fs::write(&file, LIMITS)?;
    command.args(["server", "start", "--port", &port.to_string(), "--config"]).arg(&file).args(options);
    command.env("HOME", &directory);
    // Like nginx, which writes no access log here.
    command.env("LOG_LEVEL", "WARNING");
    command.env("ANTHROPIC_API_KEY", "sk-bench").env("ANTHROPIC_BASE_URL", format!("http://{upstream}"));
    command.env("OPENAI_API_KEY", "sk-bench").env("OPENAI_BASE_URL", format!("http://{upstream}/v1"));
    Process::start(&command, directory, (port, Farewell::Kill))
}
