//! `NOTIFY_SOCKET` and `WATCHDOG_USEC`.

use std::process::Command;
use std::time::{Duration, Instant};

use super::Receiver;
use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Piece, Upstream};

/// Requirement: READY=1 once the gateway serves; a reload sends RELOADING=1 with the monotonic time, and READY=1 when it is over,
/// whether the configuration is valid or not; the end sends STOPPING=1.
#[test]
fn systemd_is_notified_of_each_state() {
    let manager = Receiver::new();
    let gateway = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).start();
    let ready = format!("READY=1\nSTATUS=serving on http://{}\n", gateway.address);
    assert_eq!(manager.receive_within(Duration::from_secs(5)), Some(ready.clone()));

    for content in ["[limits]\nmodel-name = 100\n", "[limits]\nno-such-key = 1\n"] {
        gateway.run.write("test.toml", content);
        gateway.run.signal("HUP");
        let reloading = manager.await_one("RELOADING=1\nMONOTONIC_USEC=");
        let time = reloading.split("MONOTONIC_USEC=").nth(1).and_then(|rest| rest.lines().next());
        assert!(time.is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0)), "{reloading}");
        assert_eq!(manager.await_one("READY=1"), ready);
    }
    gateway.run.signal("TERM");
    assert_eq!(manager.await_one("STOPPING=1"), "STOPPING=1\nSTATUS=shutting down; requests in flight: 0\n");
    assert!(!gateway.stop().contains("cannot be notified"));
}

/// Requirement: a restart in the same process is a reload for systemd, which would end a process that reports STOPPING=1.
#[test]
fn a_restart_is_no_stop() {
    let manager = Receiver::new();
    let gateway = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).start();
    manager.await_one("READY=1");
    let restarted = gateway.server(&["restart"]).output().expect("vdm is built");
    assert!(restarted.status.success(), "{restarted:?}");
    let mut seen = String::new();
    while !seen.contains("READY=1") {
        seen.push_str(&manager.receive_within(crate::support::PATIENCE).expect("ready again"));
    }
    assert!(seen.contains("RELOADING=1") && !seen.contains("STOPPING=1"), "{seen}");
}

/// Requirement: a drain that takes long is not cut off by TimeoutStopSec=: the time is extended, and the status counts the requests.
#[test]
fn a_drain_extends_the_time_to_stop() {
    let events = anthropic::text(&["first", "second"]);
    let mut pieces: Vec<Piece> = events[..4].iter().cloned().map(Piece::Bytes).collect();
    pieces.push(Piece::Permit);
    pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let manager = Receiver::new();
    let gateway = Gateway::before(&upstream).env("NOTIFY_SOCKET", manager.path()).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");

    gateway.run.signal("TERM");

    manager.await_one("EXTEND_TIMEOUT_USEC=20000000\nSTATUS=shutting down; requests in flight: 1\n");
    upstream.permit();
    let mut gateway = gateway;
    assert!(gateway.run.wait().success());
}

/// Requirement: the watchdog is notified at half of its interval, and only in the process that it is meant for.
#[test]
fn the_watchdog_is_notified_while_the_gateway_works() {
    let manager = Receiver::new();
    let watched = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "600000");
    let gateway = watched.start();
    for _ in 0..3 {
        manager.await_one("WATCHDOG=1");
    }
    drop(gateway);

    let manager = Receiver::new();
    let others = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "100000");
    let gateway = others.env("WATCHDOG_PID", "1").start();
    manager.await_one("READY=1");
    assert_eq!(manager.receive_within(Duration::from_millis(500)), None);
    drop(gateway);
}

/// Requirement: a master notifies the watchdog only while a worker serves. One that cannot start any is started anew by systemd.
#[test]
fn the_watchdog_is_not_notified_while_no_worker_serves() {
    let manager = Receiver::new();
    let watched = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "400000");
    let gateway = watched.start();
    manager.await_one("WATCHDOG=1");
    // Each time the master waits longer before it starts another worker.
    let worker = || {
        let status = gateway.server(&["status", "--json"]).output().expect("vdm is built");
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        status["worker"]["pid"].as_u64()
    };
    let until = Instant::now() + crate::support::PATIENCE;
    while !gateway.log().contains("starting another in 1.6 s") {
        assert!(Instant::now() < until, "{}", gateway.log());
        while manager.receive_within(Duration::from_millis(1)).is_some() {}
        let Some(pid) = worker() else { continue };
        let _killed = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        std::thread::sleep(Duration::from_millis(50));
    }
    while manager.receive_within(Duration::from_millis(1)).is_some() {}
    let next = manager.receive_within(Duration::from_millis(1000));
    assert!(next.is_none(), "{next:?}");
    manager.await_one("READY=1");
    manager.await_one("WATCHDOG=1");
}

/// Requirement: the watchdog depends on the threads that serve, not on a timer: while one of them hangs, it is not notified, and
/// `/health/live` fails.
#[cfg(feature = "faults")]
#[test]
fn the_watchdog_is_not_notified_while_a_thread_hangs() {
    let manager = Receiver::new();
    let watched = Gateway::bare().env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "1000000");
    let gateway = watched.argument("--no-master").start();
    manager.await_one("WATCHDOG=1");
    let hang = gateway.call("POST", "/faults/hang?actor=router&seconds=6").reply();
    assert_eq!(hang.status(), 204);
    let log = gateway.run.await_log("the watchdog is not notified");
    assert!(log.contains("worker thread"), "{log}");
    while manager.receive_within(Duration::from_millis(1)).is_some() {}
    assert_eq!(manager.receive_within(Duration::from_millis(1500)), None);
    manager.await_one("WATCHDOG=1");
}

/// Requirement: a notification that fails is reported once and costs nothing else.
#[test]
fn a_missing_service_manager_is_one_warning() {
    let gateway =
        Gateway::bare().env("NOTIFY_SOCKET", "/absent/socket").env("WATCHDOG_USEC", "100000").start();
    gateway.run.await_log("cannot be notified at NOTIFY_SOCKET");
    gateway.run.signal("HUP");
    gateway.run.await_log("reloaded");
    assert_eq!(gateway.stop().matches("cannot be notified").count(), 1);
}
