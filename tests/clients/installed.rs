//! The clients that `scripts/check` installed, and how they run.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::gateway::fresh_directory;

/// The program at `path` under `target/clients`, or `None` with a notice if it is missing: a machine without
/// it can run all other tests. In CI a missing program is a failure.
pub(crate) fn client(path: &str) -> Option<PathBuf> {
    // `scripts/clients` installs other versions of Claude Code beside the usual one.
    let path = &match std::env::var("CLAUDE_CODE_FOLDER") {
        Ok(folder) => path.replacen("claude-new", &folder, 1),
        Err(_) => path.to_owned(),
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(path);
    if program.exists() {
        return Some(program);
    }
    let notice = format!("target/clients/{path} is not installed, run `scripts/check clients`");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{notice}");
    // Written directly: output of the print macros is displayed only for failed tests.
    let _written = writeln!(std::io::stderr(), "skipped: {notice}");
    None
}

/// A directory for one run, which is removed when this value is dropped.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { path: fresh_directory() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.path);
    }
}

/// The exit status and the output of a client.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `program` in `home`, with no environment but `PATH`. `prepare` adds variables and
/// arguments.
pub(crate) fn run(program: &Path, home: &Home, prepare: impl FnOnce(&mut Command)) -> Finished {
    let mut command = Command::new(program);
    command.current_dir(&home.path).env_clear().env("HOME", &home.path).env("TMPDIR", &home.path);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepare(&mut command);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let status = wait(&mut child);
    let (stdout, stderr) = (stdout.join().expect("read"), stderr.join().expect("read"));
    let Some(status) = status else {
        panic!("{} did not end in {DEADLINE:?}\n{stdout}\n{stderr}", program.display())
    };
    Finished { status, stdout, stderr }
}

/// Waits for the child to exit. `None` if it was killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("our child");
    child.wait().expect("our child");
    None
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut said = Vec::new();
        pipe.read_to_end(&mut said).expect("a pipe");
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// The time limit of a run, which normally takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);
