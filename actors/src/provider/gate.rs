//! Decides whether the router may take a lease without asking the provider's actor.
//!
//! The gate has two states, and every thread may move it:
//!
//! | state | who enters it | leases come from |
//! |---|---|---|
//! | open for one incarnation of the actor | that actor, when it has read every report and has nothing to decide | the fast path |
//! | closed | the actor, when it has something to decide; any request, with the report of a failure | the actor |
//!
//! Two guarantees follow, which `actors/tests/lease_gate.rs` checks in every interleaving of the threads:
//!
//! * A request that has reported a failure finds the gate closed until the actor has read that report.
//! * An actor that has been replaced cannot open the gate for its successor.

use super::sync::{AtomicU64, AtomicUsize, Ordering};

const CLOSED: u64 = 0;

pub(super) struct Gate {
    /// [`CLOSED`], or the incarnation that opened the gate, plus one.
    opened_by: AtomicU64,
    /// Failures that requests have reported and the actor has not read.
    unread_failures: AtomicUsize,
}

impl Gate {
    /// A closed gate.
    pub(super) fn new() -> Self {
        Self { opened_by: AtomicU64::new(CLOSED), unread_failures: AtomicUsize::new(0) }
    }

    /// Opens the gate for leases of this incarnation.
    pub(super) fn open(&self, incarnation: u64) {
        self.opened_by.store(incarnation + 1, Ordering::SeqCst);
    }

    pub(super) fn close(&self) {
        self.opened_by.store(CLOSED, Ordering::SeqCst);
    }

    /// A request calls this before it queues the report of a failure.
    pub(super) fn before_failure_is_queued(&self) {
        self.unread_failures.fetch_add(1, Ordering::SeqCst);
    }

    /// The actor calls this after it has taken the report of a failure from the queue, and before it acts on it. The gate is
    /// closed first: otherwise a request could find it open between the two steps.
    pub(super) fn before_failure_is_handled(&self) {
        self.close();
        self.unread_failures.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the router may take a lease of this incarnation.
    ///
    /// The count is loaded first. In the other order the actor could close the gate and lower the count between the two
    /// loads, and the request would find it open while the actor still acts on the failure.
    pub(super) fn is_open_for(&self, incarnation: u64) -> bool {
        self.unread_failures.load(Ordering::SeqCst) == 0
            && self.opened_by.load(Ordering::SeqCst) == incarnation + 1
    }
}
