//! Which processes there are.

use std::fs;

use super::{restart, runs};
use crate::support::await_that;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// The zombies among the children of a process.
fn zombies(parent: u32) -> usize {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let is_zombie = |stat: &String| {
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        words.next() == Some("Z") && words.next() == Some(&parent.to_string())
    };
    stats.filter(is_zombie).count()
}

/// Requirement: the master waits for every process that is its child, as process 1 of a container must.
#[test]
fn the_master_leaves_no_zombies() {
    // The shell starts a child, then becomes the master.
    let gateway = Gateway::bare().after_shell("sleep 0.1 & true").start();
    let is_clean = || zombies(gateway.run.pid()) == 0;
    std::thread::sleep(std::time::Duration::from_millis(300));
    await_that("the master has waited for the shell's child", is_clean);
    restart(&gateway);
    await_that("the master has waited for its worker", is_clean);
}

/// Requirement: the master works as process 1.
#[test]
fn the_master_can_be_process_1() {
    let unshare = ["unshare", "--pid", "--fork", "--user", "--map-root-user", "--kill-child"];
    let works = std::process::Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system does not allow a PID namespace");
        return;
    }
    let upstream = Upstream::openai();
    let gateway =
        Gateway::before(&upstream).after_shell(&format!("exec {} \"$0\" \"$@\"", unshare.join(" "))).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(gateway.status()["pid"], 1);
    restart(&gateway);
    assert_eq!((gateway.status()["pid"].as_u64(), gateway.ask("hi").status()), (Some(1), 200));
    assert!(gateway.server(&["stop", "--now"]).status().expect("vdm is built").code().is_some());
}

/// Requirement: `--no-master` serves in one process, whose restart ends and starts it.
#[test]
fn without_a_master_there_is_one_process() {
    let upstream = Upstream::openai();
    let mut gateway = Gateway::before(&upstream).argument("--no-master").start();
    let status = gateway.status();
    assert_eq!((&status["pid"], &status["worker"]), (&gateway.run.pid().into(), &serde_json::Value::Null));
    let told = restart(&gateway);
    assert_eq!(told["pid"], gateway.run.pid());
    assert_eq!(gateway.ask("hi").status(), 200);
    gateway.run.signal("USR2");
    await_that("it has started twice again", || gateway.log().matches("listens on").count() == 3);
    await_that("it serves", || gateway.status()["running"] == true);
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

/// Requirement: `vdm server status` prints the processes.
#[test]
fn status_prints_the_processes() {
    let gateway = Gateway::bare().start();
    let (master, worker) = (gateway.run.pid(), gateway.worker());
    let output = gateway.server(&["status"]).output().expect("vdm is built");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(&format!("processes: master {master}, worker {worker}\n")), "{told}");
    assert!(runs(worker));
}

/// Requirement: `--pid-file` contains the number of the master, and is removed at the end.
#[test]
fn a_pid_file_is_there_while_the_gateway_runs() {
    let mut gateway = Gateway::bare().argument("--pid-file").argument("vdm.pid").start();
    let file = gateway.run.path("vdm.pid");
    let content = || fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(content(), format!("{}\n", gateway.run.pid()));
    restart(&gateway);
    assert_eq!(content(), format!("{}\n", gateway.run.pid()));
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
    assert!(!file.exists());
}
