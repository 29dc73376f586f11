//! `vdm server start --daemon`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::runs;
use crate::support::await_that;
use crate::support::gateway::{PORT_TAKEN, free_port, fresh_directory};

/// Requirement: `--daemon` returns when the gateway serves; the log and the PID file are where the user finds them.
#[test]
fn a_daemon_serves_in_the_background() {
    let directory = fresh_directory();
    let runtime = std::env::temp_dir().join(format!("vdm-daemon-{}", std::process::id()));
    fs::create_dir_all(&runtime).expect("a writable directory");
    let at = |port: u16, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(["server"]).args(arguments).args(["--port", &port.to_string()]);
        command.env_clear().env("HOME", &directory).env("XDG_RUNTIME_DIR", &runtime).current_dir(&directory);
        command.output().expect("vdm is built")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    // Another process may take the port in the meantime.
    let started = (0..5).find_map(|_| {
        let port = free_port();
        let started = at(port, &["start", "--daemon"]);
        (started.status.code() != Some(PORT_TAKEN)).then_some((port, started))
    });

    let (port, started) = started.expect("a port stays free long enough");
    let vdm = |arguments: &[&str]| at(port, arguments);

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
    empties_its_log(&log);
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

/// Requirement (issue 15): a log that the gateway owns is emptied when it exceeds 8 MiB, not before, and is written further.
fn empties_its_log(log: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(log).expect("a log");
    let length = || fs::metadata(log).expect("a log").len();
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    file.write_all(&line.repeat(7 << 10)).expect("space");
    // Twice the interval of the check.
    thread::sleep(Duration::from_secs(1));
    assert!(length() > 7 << 20, "{}", length());
    file.write_all(&line.repeat(2 << 10)).expect("space");
    await_that("the log is emptied", || length() < 1 << 20);
    file.write_all(b"later\n").expect("space");
    assert!(fs::read_to_string(log).expect("text").ends_with("later\n"));
}
