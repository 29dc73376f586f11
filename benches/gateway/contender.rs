//! The contenders, and how each of them is started in front of the scripted upstream.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::Trouble;
use crate::arguments::Build;
use crate::listener::free_port;
use crate::process::{Farewell, Process, directory};
use crate::{meter, nginx};

/// More connections than any row opens.
const HIGH_LIMITS: &str = "[limits]
connections = 40000
in-flight = 20000
provider-in-flight = 20000
";

/// The limits with which a gateway starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Those of a gateway without configuration.
    Default,
    /// So high that no row reaches them.
    High,
}

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

    /// Starts nginx, the bare proxy, or this gateway.
    pub(crate) fn start(self, ours: &Build, to: (SocketAddr, Limits)) -> Result<Running, Trouble> {
        let (upstream, limits) = to;
        match self {
            Self::Nginx => nginx(upstream),
            Self::Bare => bare(upstream),
            Self::Ours => gateway(ours, (upstream, limits)),
        }
        .map_err(|trouble| format!("{}: {trouble}", self.name()).into())
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

fn nginx(upstream: SocketAddr) -> Result<Running, Trouble> {
    let (port, directory) = (free_port()?, directory()?);
    let file = directory.join("nginx.conf");
    fs::write(&file, nginx::configuration(&directory, port, upstream.port()))?;
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(&directory).arg("-c").arg(&file);
    Ok(Running { process: Process::start(&command, directory, (port, Farewell::Terminate))? })
}

pub(crate) fn bare(upstream: SocketAddr) -> Result<Running, Trouble> {
    start_bare(this_program()?, upstream)
}

/// The bare proxy under callgrind. Counting is off until `callgrind_control` switches it on.
pub(crate) fn counted_bare(upstream: SocketAddr) -> Result<Running, Trouble> {
    let mut command = callgrind();
    command.arg(std::env::current_exe()?);
    start_bare(command, upstream)
}

/// A gateway of any build.
pub(crate) fn gateway(build: &Build, to: (SocketAddr, Limits)) -> Result<Running, Trouble> {
    let running = start_gateway((Command::new(&build.binary), &[]), build, to);
    running.map_err(|trouble| format!("{}: {trouble}", build.name).into())
}

/// A gateway of any build in one process, under callgrind. Counting is off until `callgrind_control` switches it on.
pub(crate) fn counted_gateway(build: &Build, upstream: SocketAddr) -> Result<Running, Trouble> {
    let mut command = callgrind();
    command.arg(&build.binary);
    let running = start_gateway((command, &["--no-master"]), build, (upstream, Limits::High));
    running.map_err(|trouble| format!("{} under valgrind: {trouble}", build.name).into())
}

fn callgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=counted"]);
    command.arg("--separate-threads=yes");
    // Callgrind counts each repetition of `rep movs` and `rep stos`; with these the C library uses them for no size in use here.
    let unused = "0x10000000";
    command.env(
        "GLIBC_TUNABLES",
        format!("glibc.cpu.x86_rep_movsb_threshold={unused}:glibc.cpu.x86_rep_stosb_threshold={unused}"),
    );
    command
}

fn start_bare(mut command: Command, upstream: SocketAddr) -> Result<Running, Trouble> {
    let port = free_port()?;
    command.args(["bare", &port.to_string(), &upstream.to_string()]);
    Ok(Running { process: Process::start(&command, directory()?, (port, Farewell::Kill))? })
}

fn start_gateway(
    (mut command, options): (Command, &[&str]),
    build: &Build,
    (upstream, limits): (SocketAddr, Limits),
) -> Result<Running, Trouble> {
    let (port, directory) = (free_port()?, directory()?);
    let file = directory.join("bench.toml");
    let limits = if limits == Limits::High { HIGH_LIMITS } else { "" };
    let responses = format!(
        "[responses]\napi-format = 'responses'\napi-key = 'sk-bench'\nbase-url = 'http://{upstream}/v1'\n"
    );
    let bedrock = format!(
        "[bedrock-bench]\napi-format = 'bedrock'\nauth-mode = 'aws'\nregion = 'us-east-1'\nbase-url = 'http://{upstream}'\n"
    );
    // Builds before clouds, or before the Responses API, are compared without their rows.
    for sections in [&[limits, &responses, &bedrock][..], &[limits, &responses], &[limits]] {
        fs::write(&file, sections.concat())?;
        let mut check = Command::new(&build.binary);
        if check.args(["config", "validate", "--config"]).arg(&file).output()?.status.success() {
            break;
        }
    }
    command.args(["server", "start", "--port", &port.to_string(), "--config"]).arg(&file).args(options);
    command.env("HOME", &directory);
    if let Some(library) = &build.preload {
        command.env("LD_PRELOAD", library);
    }
    // Like nginx, which writes no access log here.
    command.env("LOG_LEVEL", "WARNING");
    command.envs(build.environment.iter().map(|(variable, value)| (variable, value)));
    command.env("ANTHROPIC_API_KEY", "sk-bench").env("ANTHROPIC_BASE_URL", format!("http://{upstream}"));
    command.env("AWS_ACCESS_KEY_ID", "AKIABENCH").env("AWS_SECRET_ACCESS_KEY", "bench");
    command.env("OPENAI_API_KEY", "sk-bench").env("OPENAI_BASE_URL", format!("http://{upstream}/v1"));
    Ok(Running { process: Process::start(&command, directory, (port, Farewell::Kill))? })
}
