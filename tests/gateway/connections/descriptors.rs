//! Open files: as many as the system allows, and what still works when there are no more.

use std::process::Command;

use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// Sets the limit of open files of a running process, as `prlimit` writes it: `soft:hard`.
fn limit(pid: u32, limits: &str) {
    let set =
        Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={limits}")]).status();
    assert!(set.expect("prlimit is there").success());
}

#[cfg(target_os = "linux")]
fn soft_and_hard(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().expect("a limit"), words.next().expect("a limit"))
}

#[test]
#[cfg(target_os = "linux")]
fn the_soft_limit_is_raised_at_start() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).after_shell("ulimit -Sn 256").start();
    let (soft, hard) = soft_and_hard(gateway.worker());
    assert_eq!(soft, hard);
}

#[test]
fn a_hard_limit_that_is_too_low_is_told_and_kept() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).after_shell("ulimit -n 100").start();
    gateway.run.await_log("LimitNOFILE=");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("LimitNOFILE=")).unwrap_or_else(|| panic!("{log}"));
    for word in ["(100)", "limits.connections is 10000", "raise it to 14176", "ulimit -n"] {
        assert!(line.contains(word), "{line}");
    }
    // (100 - 80) / 2 connections.
    let _held: Vec<_> = (0..10).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    upstream.request(9);
    for _ in 0..10 {
        assert_eq!(gateway.ask("hi").status(), 503);
        assert_eq!(gateway.get("/health").status(), 200);
    }
    assert!(!gateway.log().contains("as many open files"), "{}", gateway.log());
}

#[test]
#[cfg(target_os = "linux")]
fn health_answers_when_no_more_files_can_be_opened() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let pid = gateway.worker();
    let held: Vec<_> = (0..10).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    upstream.request(9);
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux").count();
    limit(pid, &format!("{open}:"));
    let _silent: Vec<_> = (0..40).map(|_| connect(gateway.address)).collect();
    gateway.run.await_log("as many open files as the system allows");
    for _ in 0..10 {
        assert_eq!(gateway.get("/health").status(), 200);
        assert_eq!(gateway.ask("hi").status(), 503);
    }
    assert!(held.iter().enumerate().all(|(number, _)| !upstream.is_closed(number)), "no stream was cut");
    limit(pid, &format!("{}:", open + 500));
    gateway.run.await_log("the process can open files again");
    let _more = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(10);
}
