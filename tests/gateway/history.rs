//! The history: what is kept of requests, how it is read, and what it survives.

mod command;
mod disk;
mod endpoints;
mod ends;

use serde_json::Value;

use crate::support::await_that;
use crate::support::gateway::{Gateway, Setup, fresh_directory};
use crate::support::upstream::Upstream;

/// A gateway whose history is in a directory that outlives it.
fn before(upstream: &Upstream) -> (Setup, std::path::PathBuf) {
    let directory = fresh_directory();
    let setup = Gateway::before(upstream).env("VDM_STATE_DIR", directory.display().to_string());
    (setup, directory)
}

/// The rows of `/api/ui/usage` with this query.
fn usage(gateway: &Gateway, query: &str) -> Vec<Value> {
    let reply = gateway.get(&format!("/api/ui/usage?{query}"));
    assert_eq!(reply.status(), 200, "{reply}");
    reply.json()["rows"].as_array().cloned().unwrap_or_default()
}

/// How many requests the history has.
fn requests(gateway: &Gateway) -> u64 {
    usage(gateway, "").iter().filter_map(|row| row["requests"].as_u64()).sum()
}

/// Waits until the history has this many requests.
fn await_requests(gateway: &Gateway, count: u64) {
    await_that("the history has all requests", || requests(gateway) >= count);
    assert_eq!(requests(gateway), count);
}
