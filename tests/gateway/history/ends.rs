//! Restarts and crashes: what has ended stays in the history.

use serde_json::Value;

use super::{await_requests, before, requests, usage};
use crate::master::load::{Load, Reuse};
use crate::master::{restart, signal};
use crate::support::await_that;
use crate::support::gateway::{Gateway, whole_prompt};
use crate::support::upstream::Upstream;

/// The running totals without the parts that change by themselves.
fn totals(gateway: &Gateway) -> Value {
    gateway.get("/metrics/running-totals?format=json").json()
}

/// Checklist 21: Totals and history are the same after a restart (history on).
#[test]
fn totals_and_history_are_the_same_after_a_restart() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    for model in ["a", "a", "b"] {
        assert_eq!(gateway.messages(&whole_prompt(model, "hi")).reply().status(), 200);
    }
    assert_eq!(gateway.ask("streamed").status(), 200);
    await_requests(&gateway, 4);
    let before = (totals(&gateway), usage(&gateway, "by=model,delivery&since=2026-01-01"));
    gateway.stop();

    let gateway = setup.start();
    assert_eq!((totals(&gateway), usage(&gateway, "by=model,delivery&since=2026-01-01")), before);
    restart(&gateway);
    assert_eq!((totals(&gateway), usage(&gateway, "by=model,delivery&since=2026-01-01")), before);
    assert_eq!(gateway.ask("one more").status(), 200);
    await_requests(&gateway, 5);
    assert_eq!(totals(&gateway)["summary"]["total_requests"], 5);
}

/// Requirement: a restart under load loses no request of the history: both workers write.
#[test]
fn a_restart_under_load_loses_nothing() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    let kept = Load::start(&gateway, 2, Reuse::KeepAlive);
    let new = Load::start(&gateway, 2, Reuse::NewConnections);
    for _ in 0..2 {
        kept.await_more(10);
        restart(&gateway);
    }
    new.await_more(10);
    let mut all = 0;
    for load in [kept, new] {
        let (lost, served) = load.finish();
        assert!(lost.is_empty(), "{lost:?}");
        all += served as u64;
    }
    await_requests(&gateway, all);
    // The totals of this worker, and of those before it.
    await_that("the totals are complete", || {
        gateway.ask("hi");
        all += 1;
        totals(&gateway)["summary"]["total_requests"] == all
    });
}

/// Requirement: after `kill -9` under load, the history has what clients saw, except for the requests of the last moment, and the
/// next worker continues it.
#[test]
fn a_killed_worker_loses_the_last_moment_only() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    let load = Load::start(&gateway, 4, Reuse::KeepAlive);
    load.await_more(50);
    let seen = load.served() as u64;
    await_that("the history has what clients have seen", || requests(&gateway) >= seen);
    load.await_more(5);
    let worker = gateway.worker();
    signal(worker, "KILL");
    await_that("another worker serves", || gateway.status()["worker"]["restarts"] == 1);
    let (lost, served) = load.finish();
    // At most four were in flight when the worker was killed; a few more found no worker.
    assert!(!lost.is_empty());

    let kept = requests(&gateway);
    let served = served as u64;
    assert!(kept >= seen && kept <= served + 4, "{seen} <= {kept} <= {served} + 4");
    let ask = || assert_eq!(gateway.ask("hi").status(), 200);
    ask();
    await_that("the new worker writes to the same history", || requests(&gateway) > kept);
    let integrity = gateway.run.vdm(&["usage", "--json"]).output().expect("vdm is built");
    assert!(integrity.status.success(), "{integrity:?}");
}
