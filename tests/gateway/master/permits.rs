//! The concurrency limit of a provider across a restart.

use std::thread;
use std::time::Duration;

use super::{restart, runs, signal};
use crate::process_control::paused;
use crate::support::await_that;
use crate::support::client::{Exchange, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

/// A gateway with one request in flight, which is the limit, at a worker that drains.
fn at_the_limit(upstream: &Upstream) -> (Gateway, Exchange, u32) {
    let limits = Gateway::before(upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 120);
    let gateway = limits.start();
    let worker = gateway.worker();
    let mut first = gateway.messages(&prompt(MODEL, "one")).open();
    first.event_named("content_block_delta");
    restart(&gateway);
    (gateway, first, worker)
}

/// Requirement (design §6): requests of an old worker count against the limits of the new one until they end, also after a
/// second restart.
#[test]
fn requests_of_an_old_worker_count_in_the_new_one() {
    let (upstream, events) = paused();
    let (gateway, first, _) = at_the_limit(&upstream);
    restart(&gateway);
    let second = gateway.messages(&prompt(MODEL, "two")).send();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(upstream.count(), 1, "the second request waits for the permit of the first");

    upstream.permit();
    assert_eq!(first.finish().body, events.concat());

    upstream.permit();
    assert_eq!(second.finish().body, events.concat());
    assert_eq!(upstream.count(), 2);
}

/// Requirement (issue 15): an old worker that dies holds no permits.
#[test]
fn an_old_worker_that_dies_holds_no_permits() {
    let (upstream, events) = paused();
    let (gateway, _first, old) = at_the_limit(&upstream);
    let second = gateway.messages(&prompt(MODEL, "two")).send();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(upstream.count(), 1);

    signal(old, "KILL");

    await_that("the old worker has ended", || !runs(old));
    upstream.request(1);
    upstream.permit();
    assert_eq!(second.finish().body, events.concat());
}
