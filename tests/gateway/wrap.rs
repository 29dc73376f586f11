//! `vdm wrap`, `claude.vdm` and `codex.vdm` with a script as the tool and a real gateway.

mod codex;
mod sharing;
mod tool;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::gateway::free_port;

/// A user with a home, a runtime directory and tools. The path is short enough for a socket.
struct User {
    home: PathBuf,
    port: u16,
}

impl User {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("vdm-{}-wrap-{name}", std::process::id()));
        fs::create_dir_all(home.join("bin")).expect("a writable directory");
        for link in ["claude.vdm", "codex.vdm"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vdm"), home.join(link)).expect("a link");
        }
        Self { home, port: free_port() }
    }

    /// Installs this shell script as `claude`.
    fn with_claude(name: &str, script: &str) -> Self {
        let user = Self::new(name);
        user.tool("claude", script);
        user
    }

    fn tool(&self, name: &str, script: &str) {
        let path = self.home.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a writable directory");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.home.join("bin")).chain(std::env::split_paths(&path));
        command.current_dir(&self.home).env_clear().env("HOME", &self.home).stdin(Stdio::null());
        command.env("PATH", std::env::join_paths(paths).expect("no colon in it"));
        command.env("XDG_RUNTIME_DIR", &self.home).env("PORT", self.port.to_string());
        command.env("VDM", env!("CARGO_BIN_EXE_vdm"));
        command
    }

    fn wrap(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_vdm"));
        command.arg("wrap").args(arguments);
        command
    }

    /// `claude.vdm`, as a link to `vdm`.
    fn claude_vdm(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("./claude.vdm");
        command.args(arguments);
        command
    }

    /// A session that has reported its gateway's address, and runs until it is released.
    fn session(&self, name: &str) -> Session {
        self.session_by(self.claude_vdm(&[name]), name)
    }

    fn session_by(&self, mut command: Command, name: &str) -> Session {
        let child = command.spawn().expect("vdm is built");
        let mut session = Session { child, url: String::new(), go: self.home.join(format!("{name}.go")) };
        let told = self.home.join(format!("{name}.url"));
        session.url = await_some("the session's address", || {
            fs::read_to_string(&told).ok().filter(|url| url.ends_with('\n'))
        });
        session.url.truncate(session.url.trim_end().len());
        session
    }

    /// The running gateways in the runtime directory.
    fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.join("vandamme")).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
    }

    fn await_no_gateway(&self) {
        await_some("the end of the gateway", || self.sockets().is_empty().then_some(()));
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for socket in self.sockets() {
            if thread::panicking() {
                let log = fs::read_to_string(socket.with_extension("log")).unwrap_or_default();
                eprintln!("--- what {} said ---\n{log}", socket.display());
            }
        }
        let _removed = fs::remove_dir_all(&self.home);
    }
}

/// A tool that writes its gateway's address to the file of its first argument, and waits for another file.
const WAITING: &str =
    "echo $ANTHROPIC_BASE_URL > $1.part; mv $1.part $1.url; until [ -e $1.go ]; do sleep 0.05; done; exit 7";

struct Session {
    child: Child,
    url: String,
    go: PathBuf,
}

impl Session {
    fn leave(mut self) -> ExitStatus {
        fs::write(&self.go, "").expect("a writable directory");
        self.child.wait().expect("our child")
    }

    fn is_served(&self) -> bool {
        is_served(&self.url)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn is_served(url: &str) -> bool {
    let address = url.strip_prefix("http://").expect("a URL").parse().expect("an address");
    std::net::TcpStream::connect(address).is_ok()
        && crate::support::client::Call::new(address, "GET", "/health").reply().status() == 200
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("vdm is built");
    (status.code(), text(&stdout), text(&stderr))
}

fn await_some<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} never came");
        thread::sleep(Duration::from_millis(20));
    }
}
