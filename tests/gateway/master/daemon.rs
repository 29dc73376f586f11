//! `vdm server start --daemon`.

use std::fs;
use std::process::Command;

use super::runs;
use crate::support::await_that;
use crate::support::gateway::{PORT_TAKEN, free_port, fresh_directory};

/// Requirement: `--daemon` returns when the gateway serves; the log and the PID file are where the user finds them.
#[test]
fn a_daemon_serves_in_the_background() {
    let directory = fresh_directory();
    let runtime = std::env::temp_dir().join(format!("vdm-daemon-{}", std::process::id()));
    fs::create_dir_all(&runtime).expect("a writable directory");
    let port = free_port();
    let vdm = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(["server"]).args(arguments).args(["--port", &port.to_string()]);
        command.env_clear().env("HOME", &directory).env("XDG_RUNTIME_DIR", &runtime).current_dir(&directory);
        command.output().expect("vdm is built")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let started = vdm(&["start", "--daemon"]);

    assert_eq!(started.status.code(), Some(0), "{}", text(&started.stderr));
    let state = directory.join(".local/state/vandamme");
    let (log, pid_file) =
        (state.join(format!("127.0.0.1-{port}.log")), state.join(format!("127.0.0.1-{port}.pid")));
    assert!(text(&started.stderr).contains(log.to_str().expect("ASCII")), "{}", text(&started.stderr));
    let pid: u32 = fs::read_to_string(&pid_file).expect("a PID file").trim().parse().expect("a number");
    assert!(fs::read_to_string(&log).expect("a log").contains("listens on"));
    let status: serde_json::Value = serde_json::from_slice(&vdm(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(status["pid"], pid);
    assert!(vdm(&["restart"]).status.success());
    let again = vdm(&["start", "--daemon"]);
    assert_eq!(again.status.code(), Some(PORT_TAKEN));
    assert!(text(&again.stderr).contains("is already in use"), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(&pid_file).expect("the first one's").trim(), pid.to_string());
    assert!(vdm(&["stop"]).status.success());
    await_that("the daemon ends", || !runs(pid) && !pid_file.exists());
    fs::write(directory.join("vandamme-config.toml"), "prot = 1\n").expect("a writable directory");
    let wrong = vdm(&["start", "--daemon"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("prot: there is no such key"), "{}", text(&wrong.stderr));
    for directory in [directory, runtime] {
        fs::remove_dir_all(directory).expect("ours");
    }
}
