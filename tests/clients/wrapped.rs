//! Real tools started with `claude.vdm` and `vdm wrap`, without other configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::claude_code::{NEW, OLD};
use crate::installed::{self, Finished, Home};
use crate::support::PATIENCE;
use crate::support::gateway::free_port;
use crate::support::upstream::{Answer, Upstream};

const CLAUDE_VDM: &str = "claude.vdm";

/// The directory of the gateways of one test. The path is short enough for a socket.
pub(crate) struct Runtime(PathBuf);

impl Runtime {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vdm-{}-wrapped-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable directory");
        Self(path)
    }

    fn gateways(&self) -> usize {
        let entries = fs::read_dir(self.0.join("vandamme")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sock")).count()
    }

    pub(crate) fn await_gateways(&self, expected: usize) {
        let until = Instant::now() + 2 * PATIENCE;
        while self.gateways() != expected {
            assert!(Instant::now() < until, "{} gateways instead of {expected}", self.gateways());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// The environment of a user who has installed both: the tool on the path, and the link beside `vdm`.
pub(crate) fn prepare(command: &mut Command, runtime: &Runtime, tool: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = tool.parent().expect("in a folder").to_owned();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).expect("no colon in it"));
    command.env("XDG_RUNTIME_DIR", &runtime.0).env("PORT", free_port().to_string());
    for switch in ["DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] {
        command.env(switch, "1");
    }
}

/// `claude.vdm` or `codex.vdm`.
pub(crate) fn link(home: &Home, name: &str) -> PathBuf {
    let link = home.path.join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vdm"), &link).expect("a writable directory");
    link
}

fn claude_vdm(claude: &Path, runtime: &Runtime, home: &Home, arguments: &[&str]) -> Finished {
    installed::run(&link(home, CLAUDE_VDM), home, |command| {
        prepare(command, runtime, claude);
        command.args(arguments);
    })
}

#[test]
fn the_old_version_works_without_configuration() {
    works_without_configuration(OLD, "old");
}

#[test]
fn the_new_version_works_without_configuration() {
    works_without_configuration(NEW, "new");
}

/// Also if Claude Code's own settings name another base URL.
fn works_without_configuration(client: &str, name: &str) {
    let Some(claude) = installed::client(client) else { return };
    let runtime = Runtime::new(name);
    for settings in ["{}", r#"{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}"#] {
        let home = Home::new();
        fs::create_dir(home.path.join(".claude")).expect("a writable directory");
        fs::write(home.path.join(".claude/settings.json"), settings).expect("a writable directory");

        let finished = claude_vdm(&claude, &runtime, &home, &["-p", "Say hello"]);

        assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
        assert!(finished.stdout.contains("> Say hello"), "{finished:#?}");
        assert_eq!(finished.stderr, "");
    }
    runtime.await_gateways(0);
}

#[test]
fn two_sessions_share_a_gateway_and_keep_their_own_exit_codes() {
    let Some(claude) = installed::client(NEW) else { return };
    let runtime = Runtime::new("two");
    let port = free_port().to_string();
    let homes = [Home::new(), Home::new()];
    let run = |home: &Home, arguments: &[&str]| {
        installed::run(&link(home, CLAUDE_VDM), home, |command| {
            prepare(command, &runtime, &claude);
            // Both have the same configuration, which includes the port.
            command.env("PORT", &port).args(arguments);
        })
    };
    let [good, bad] = thread::scope(|scope| {
        let one = scope.spawn(|| run(&homes[0], &["-p", "Say hello"]));
        let other = scope.spawn(|| run(&homes[1], &["-p", "Say hello", "--no-such-option"]));
        [one.join().expect("no panic"), other.join().expect("no panic")]
    });
    assert_eq!((good.status.code(), bad.status.code()), (Some(0), Some(1)), "{good:#?}{bad:#?}");
    runtime.await_gateways(0);
}

#[test]
fn a_killed_session_leaves_no_gateway_running() {
    let Some(claude) = installed::client(NEW) else { return };
    let (runtime, home) = (Runtime::new("killed"), Home::new());
    let upstream = Upstream::anthropic().always(Answer::silence());
    let mut command = Command::new(link(&home, CLAUDE_VDM));
    command.current_dir(&home.path).env_clear().env("HOME", &home.path);
    prepare(&mut command, &runtime, &claude);
    command.env("ANTHROPIC_API_KEY", "sk-test").env("ANTHROPIC_BASE_URL", upstream.base_url());
    let mut claude = command.args(["-p", "Say hello"]).spawn().expect("vdm is built");
    let until = Instant::now() + 2 * PATIENCE;
    while upstream.count() == 0 {
        assert!(Instant::now() < until, "Claude Code never asked");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(runtime.gateways(), 1);

    claude.kill().expect("our child");
    claude.wait().expect("our child");

    runtime.await_gateways(0);
    upstream.closed(0);
}

#[test]
fn openais_sdk_finds_the_gateway_by_its_environment() {
    let Some(python) = installed::client("venv/bin/python") else { return };
    let (runtime, home) = (Runtime::new("openai"), Home::new());
    let script = "from openai import OpenAI\n\
         messages = [{'role': 'user', 'content': 'Say hello'}]\n\
         print(OpenAI().chat.completions.create(model='demo-1', messages=messages).choices[0].message.content)\n\
         raise SystemExit(5)";

    let finished = installed::run(Path::new(env!("CARGO_BIN_EXE_vdm")), &home, |command| {
        prepare(command, &runtime, &python);
        command.args(["wrap", "--openai"]).arg(&python).args(["--", "-c", script]);
    });

    assert_eq!(finished.status.code(), Some(5), "{finished:#?}");
    assert!(finished.stdout.contains("> Say hello"), "{finished:#?}");
    runtime.await_gateways(0);
}
