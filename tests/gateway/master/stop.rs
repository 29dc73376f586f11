//! The end of a gateway with several workers.

use super::{restart, runs};
use crate::process_control::paused;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};

/// Requirement: `stop` drains all workers within `limits.drain`, and a second signal ends them at once.
#[test]
fn stop_ends_workers_that_still_drain() {
    for signals in [1, 2] {
        let (upstream, _) = paused();
        let drain = if signals == 1 { 0.5 } else { 600.0 };
        let mut gateway = Gateway::before(&upstream).limit("drain", drain).start();
        let first = gateway.worker();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        restart(&gateway);
        assert!(runs(first));

        for _ in 0..signals {
            gateway.run.signal("TERM");
            gateway.run.await_refusal(gateway.address);
        }

        assert!(!exchange.finish().error_type().is_empty());
        assert_eq!(gateway.run.wait().code(), Some(0));
        assert!(!runs(first), "{}", gateway.log());
    }
}

/// Requirement: a restart that is in progress does not keep the gateway from stopping.
#[test]
fn a_restart_is_given_up_for_a_stop() {
    let mut gateway = Gateway::bare().start();
    gateway.run.signal("USR2");
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}
