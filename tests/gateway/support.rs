//! The test helpers: a scripted upstream, the real binary, and a client that reports every byte.
//!
//! Nothing here shares code with the gateway, so one bug cannot hide in both. Only the upstream is simulated, over
//! real sockets.

pub(crate) mod canned;
pub(crate) mod chat;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod grammar;
pub(crate) mod reply;
pub(crate) mod responses;
pub(crate) mod tls;
pub(crate) mod tls_client;
pub(crate) mod upstream;
pub(crate) mod websocket;
pub(crate) mod wire;

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for an expected event. Long, because it is reached only if a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until this holds.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
