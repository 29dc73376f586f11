//! A worker that ends unexpectedly, or hangs, is replaced.

use std::time::{Duration, Instant};

use super::load::{Load, Reuse};
use super::{runs, signal};
use crate::process_control::paused;
use crate::support::await_that;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// Requirement: a worker that is killed is replaced at once; the socket stays open, so only requests in flight are lost.
#[test]
fn a_killed_worker_costs_the_requests_in_flight_and_no_other() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let worker = gateway.worker();
    let load = Load::start(&gateway, 3, Reuse::NewConnections);
    load.await_more(20);

    signal(worker, "KILL");

    load.await_more(20);
    let (lost, _) = load.finish();
    assert!(lost.len() <= 3, "each client had one request in flight: {lost:?}");
    assert_ne!(gateway.worker(), worker);
    let log = gateway.run.await_log("was killed by signal 9 (SIGKILL); starting another");
    assert_eq!(log.matches("was killed by signal").count(), 1, "{log}");
    let status = gateway.status();
    assert_eq!((&status["worker"]["restarts"], &status["pid"]), (&1.into(), &gateway.run.pid().into()));
    assert_eq!(gateway.stop().matches("listens on").count(), 1, "the start message is for the start");
}

/// Requirement: a worker that fails again and again is replaced after waits that grow.
#[test]
fn a_worker_that_fails_again_and_again_is_replaced_more_and_more_slowly() {
    let gateway = Gateway::bare().start();
    for (turn, told) in ["starting another", "another in 0.1 s", "another in 0.2 s"].iter().enumerate() {
        signal(gateway.worker(), "KILL");
        let log = gateway.run.await_log(told);
        assert_eq!(log.matches("was killed by signal 9").count(), turn + 1, "{log}");
    }
    gateway.worker();
    assert_eq!(gateway.get("/health").status(), 200);
}

/// Requirement: a worker that cannot start at first ends the master with its exit code; nothing is started again.
#[test]
fn a_worker_that_fails_at_the_first_start_ends_the_gateway() {
    let finished = Gateway::bare().toml("prot = 1").run_to_end();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.output);
    assert_eq!(finished.output.matches("prot").count(), 1, "told once: {}", finished.output);
}

/// Requirement: a worker that does not answer is killed and replaced.
#[test]
fn a_worker_that_hangs_is_replaced() {
    let gateway = Gateway::bare().limit("worker-liveness", 2).start();
    let worker = gateway.worker();

    signal(worker, "STOP");

    gateway.run.await_log(&format!("worker {worker} has not answered for 2 s and is killed"));
    await_that("another worker serves", || gateway.worker() != worker);
    assert_eq!(gateway.get("/health").status(), 200);
    assert!(!runs(worker));
}

/// Requirement: status answers although the worker hangs, and a hung worker does not keep `stop` from working.
#[test]
fn a_hung_worker_keeps_neither_status_nor_stop_from_working() {
    let mut gateway = Gateway::bare().limit("worker-liveness", 4).start();
    signal(gateway.worker(), "STOP");

    assert_eq!(gateway.status()["state"], "starting");
    let began = Instant::now();
    let stop = gateway.server(&["stop"]).output().expect("vdm is built");

    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(gateway.run.wait().code(), Some(0));
}

/// Requirement: when the master is killed, its worker finishes its requests and exits, and the port is free.
#[test]
fn a_worker_without_a_master_finishes_and_exits() {
    let (upstream, events) = paused();
    let gateway = Gateway::before(&upstream).start();
    let worker = gateway.worker();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");

    signal(gateway.run.pid(), "KILL");

    gateway.run.await_log("the master process is gone");
    await_that("the port is free", || std::net::TcpListener::bind(gateway.address).is_ok());
    assert!(runs(worker));
    upstream.permit();
    assert_eq!(exchange.finish().body, events.concat());
    await_that("the worker exits", || !runs(worker));
}

/// Requirement: signals to the process group of a terminal concern the master; a worker ignores them.
#[test]
fn a_worker_ignores_signals_that_only_the_master_handles() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let mut gateway = Gateway::before(&upstream).start();
    let worker = gateway.worker();
    for name in ["INT", "TERM", "HUP", "USR2"] {
        signal(worker, name);
    }
    assert_eq!((gateway.get("/health").status(), gateway.worker()), (200, worker));
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}
