//! A process of the benchmark. It has a directory and a log, and ends with the benchmark, however that ends.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Trouble;

/// valgrind takes some seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Farewell {
    /// By SIGKILL: it has nothing to clean up.
    Kill,
    /// By its own signal, because it must stop its children.
    Terminate,
}

pub(crate) struct Process {
    child: Child,
    farewell: Farewell,
    directory: PathBuf,
    pub(crate) address: SocketAddr,
    /// The time from the start to the first 200 on `/health`.
    pub(crate) ready_after: Duration,
}

impl Farewell {
    fn signal(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
        }
    }
}

impl Process {
    /// Runs `command` in `directory` until dropped, and waits until it answers on `port`.
    ///
    /// Call this on the main thread: the process ends when the thread that started it ends.
    pub(crate) fn start(
        command: &Command,
        directory: PathBuf,
        (port, farewell): (u16, Farewell),
    ) -> Result<Self, Trouble> {
        let log = File::create(directory.join("log"))?;
        let mut guarded = Command::new("setpriv");
        guarded.arg("--pdeathsig").arg(farewell.signal()).arg(command.get_program()).args(command.get_args());
        guarded.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        guarded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        guarded.current_dir(&directory).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let began = Instant::now();
        let child = guarded.spawn().map_err(|error| format!("setpriv (of util-linux): {error}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Self { child, farewell, directory, address, ready_after: Duration::ZERO };
        process.await_ready(began)?;
        process.ready_after = began.elapsed();
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn await_ready(&mut self, began: Instant) -> Result<(), Trouble> {
        while !is_ready(self.address) {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("a process ended with {status}: {}", self.log()).into());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("a process does not answer on {}: {}", self.address, self.log()).into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The content of its log.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let signal = format!("-{}", self.farewell.signal());
        let _sent = Command::new("kill").args([&signal, &self.child.id().to_string()]).status();
        let _reaped = self.child.wait();
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// An empty directory for one process.
pub(crate) fn directory() -> Result<PathBuf, Trouble> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut status = [0; 13];
    asked.and_then(|()| stream.read_exact(&mut status)).is_ok() && status == *b"HTTP/1.1 200 "
}
