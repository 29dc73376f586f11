//! The gateway under test: a real `vdm` with a master, its configuration file, its commands and its log.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Trouble;
use crate::listener::free_port;

const PATIENCE: Duration = Duration::from_secs(30);
/// The exit code of a gateway whose port is in use.
const PORT_TAKEN: i32 = 3;
/// Before a master is started once more, as `RestartSec=` of a unit.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Requests in progress; a flood exceeds it.
pub(crate) const IN_FLIGHT: usize = 300;

pub(crate) struct Gateway {
    binary: PathBuf,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    master: Mutex<Child>,
    upstream_port: u16,
}

/// What the processes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Gateway {
    pub(crate) fn start(binary: &Path, upstream_port: u16) -> Result<Self, Trouble> {
        // A short path, because it contains the control socket.
        let directory = std::env::temp_dir().join(format!("vdm-chaos-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let port = free_port()?;
        fs::write(directory.join("chaos.toml"), configuration(0, upstream_port))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let master = Mutex::new(start_master(binary, address, &directory)?);
        let gateway = Self { binary: binary.to_owned(), address, directory, master, upstream_port };
        gateway.await_ready()?;
        Ok(gateway)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the master, and starts it again as a service manager does, until its port is free. Returns when it serves.
    pub(crate) fn kill_master(&self) -> Result<(), Trouble> {
        let mut master = self.child();
        master.kill()?;
        master.wait()?;
        *master = start_master(&self.binary, self.address, &self.directory)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(ended) = master.try_wait()? {
                if ended.code() != Some(PORT_TAKEN) {
                    return Err(format!("the master that was started again ended with {ended}").into());
                }
                thread::sleep(RESTART_PAUSE);
                *master = start_master(&self.binary, self.address, &self.directory)?;
            }
            // The worker of the killed master does not answer here.
            if self.status().is_ok_and(|status| status["pid"] == master.id()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the master that was started again does not serve within {} s", PATIENCE.as_secs())
            .into())
    }

    /// The permits that requests hold or wait for, as `/health` reports them.
    pub(crate) fn permits(&self) -> Result<u64, Trouble> {
        let reply = self.request("GET", "/health?format=json")?;
        let (_, body) = reply.split_once("\r\n\r\n").ok_or("no body")?;
        let health: Value = serde_json::from_str(body)?;
        let providers = health["providers"].as_object().ok_or("no providers")?.values();
        let taken = |provider: &Value| Some(provider["in_flight"].as_u64()? + provider["waiting"].as_u64()?);
        Ok(providers.map(|provider| taken(provider).ok_or("no numbers")).sum::<Result<u64, _>>()?)
    }

    fn await_ready(&self) -> Result<(), Trouble> {
        let until = Instant::now() + PATIENCE;
        while !self.request("GET", "/health").is_ok_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            if Instant::now() > until {
                return Err(format!("the gateway does not serve:\n{}", self.log()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn master(&self) -> u32 {
        self.child().id()
    }

    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// One request on a connection of its own; the reply as text.
    pub(crate) fn request(&self, method: &str, target: &str) -> Result<String, Trouble> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    /// Writes a configuration that differs in a key, an alias and a provider from the ones before and after it.
    pub(crate) fn configure(&self, generation: u64) -> Result<(), Trouble> {
        self.write(&configuration(generation, self.upstream_port))
    }

    pub(crate) fn write(&self, content: &str) -> Result<(), Trouble> {
        Ok(fs::write(self.directory.join("chaos.toml"), content)?)
    }

    /// Runs `vdm server COMMAND`; its output if it exits with 0.
    pub(crate) fn server(&self, command: &[&str]) -> Result<String, Trouble> {
        let mut vdm = Command::new(&self.binary);
        vdm.arg("server").args(command).args(["--port", &self.address.port().to_string()]);
        vdm.args(["--config", "chaos.toml"]).stdin(Stdio::null());
        let output = environment(&mut vdm, &self.directory).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let (out, errors) = (text(&output.stdout), text(&output.stderr));
        Err(format!("vdm server {} ended with {}: {out} {errors}", command.join(" "), output.status).into())
    }

    pub(crate) fn status(&self) -> Result<Value, Trouble> {
        Ok(serde_json::from_str(&self.server(&["status", "--json"])?)?)
    }

    /// The process that serves.
    pub(crate) fn worker(&self) -> Result<u32, Trouble> {
        let status = self.status()?;
        let pid = status["worker"]["pid"].as_u64().ok_or_else(|| format!("no worker: {status}"))?;
        Ok(u32::try_from(pid)?)
    }

    /// Waits until there is a worker that is not this one.
    pub(crate) fn await_other_worker(&self, than: u32) -> Result<u32, Trouble> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.worker() {
                Ok(worker) if worker != than => return Ok(worker),
                found if Instant::now() > until => {
                    return Err(format!("no new worker after {} s: {found:?}", PATIENCE.as_secs()).into());
                }
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _stopped = self.server(&["stop", "--now"]);
        let mut master = self.child();
        let _killed = master.kill();
        let _reaped = master.wait();
        drop(master);
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self, Trouble> {
        let entries = |name: &str| fs::read_dir(format!("/proc/{process}/{name}")).map(Iterator::count);
        Ok(Self {
            resident_kib: crate::process_table::resident(process)?,
            descriptors: entries("fd")?,
            threads: entries("task")?,
        })
    }
}

/// Starts a master, which appends to the log.
fn start_master(binary: &Path, address: SocketAddr, directory: &Path) -> Result<Child, Trouble> {
    let log = File::options().create(true).append(true).open(directory.join("log"))?;
    // The master ends with the thread that starts it, which is the main thread.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(binary).args(["server", "start"]);
    command.args(["--port", &address.port().to_string(), "--config", "chaos.toml"]);
    command.stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
    Ok(environment(&mut command, directory).spawn()?)
}

/// Sends a signal by its short name.
pub(crate) fn signal(process: u32, name: &str) -> Result<(), Trouble> {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    if sent.success() { Ok(()) } else { Err(format!("SIG{name} was not sent to {process}").into()) }
}

fn environment<'a>(command: &'a mut Command, directory: &Path) -> &'a mut Command {
    command.current_dir(directory).env_clear().env("HOME", directory).env("XDG_RUNTIME_DIR", directory);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default())
}

fn configuration(generation: u64, port: u16) -> String {
    let provider = |name: &str, rest: &str| {
        format!(
            "[{name}]\napi-key = \"sk-chaos-{generation}\"\nbase-url = \"http://127.0.0.1:{port}{rest}\"\n"
        )
    };
    let extra = if generation % 2 == 1 { provider("extra", "/v1") } else { String::new() };
    let limits = format!("[limits]\nin-flight = {IN_FLIGHT}\nidle-timeout = 6\ndrain = 60\nbody-grace = 5\n");
    [
        limits,
        provider("anthropic", ""),
        provider("openai", "/v1"),
        provider("badmessages", "") + "api-format = \"anthropic\"\n",
        provider("badchat", "/v1") + "api-format = \"openai\"\n",
        extra,
        format!("[openai.aliases]\nchaos = \"answers-{generation}\"\n"),
    ]
    .concat()
}
