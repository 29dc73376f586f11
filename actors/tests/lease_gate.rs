//! Model-checks the gate of the lease fast path: loom runs every interleaving of the threads.

#![expect(clippy::unwrap_used, reason = "a poisoned lock fails its test")]

use std::collections::VecDeque;

use loom::sync::{Arc, Mutex};
use loom::thread;

/// The gate's types: here loom's instead of the standard library's.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
}

#[path = "../src/provider/gate.rs"]
mod gate;

use gate::Gate;

const FIRST: u64 = 0;
const SECOND: u64 = 1;

/// The state that requests and the actor share: the gate, the queue of reports, and the reports that the actor has read.
struct Provider {
    gate: Gate,
    reports: Mutex<VecDeque<u32>>,
    handled: Mutex<Vec<u32>>,
}

impl Provider {
    fn opened(incarnation: u64) -> Arc<Self> {
        let gate = Gate::new();
        gate.open(incarnation);
        Arc::new(Self { gate, reports: Mutex::default(), handled: Mutex::default() })
    }

    fn report(&self, failure: u32) {
        self.gate.before_failure_is_queued();
        self.reports.lock().unwrap().push_back(failure);
    }

    /// The actor's work for each message: it reads all reports, and opens the gate if none is left.
    fn catch_up(&self) {
        loop {
            let Some(failure) = self.reports.lock().unwrap().pop_front() else { break };
            self.gate.before_failure_is_handled();
            self.handled.lock().unwrap().push(failure);
        }
        self.gate.open(FIRST);
    }
}

#[test]
fn after_a_reported_failure_the_fast_path_stays_closed_until_the_actor_has_read_it() {
    loom::model(|| {
        let provider = Provider::opened(FIRST);
        provider.report(1);
        let request = {
            let provider = provider.clone();
            thread::spawn(move || {
                provider.report(2);
                if provider.gate.is_open_for(FIRST) {
                    assert!(provider.handled.lock().unwrap().contains(&2), "the report is unread");
                }
            })
        };
        provider.catch_up();
        request.join().unwrap();

        provider.catch_up();
        assert!(provider.gate.is_open_for(FIRST), "every report has been read");
    });
}

#[test]
fn a_replaced_actor_cannot_open_the_gate_of_its_successor() {
    loom::model(|| {
        let provider = Provider::opened(FIRST);
        let replaced = {
            let provider = provider.clone();
            thread::spawn(move || provider.catch_up())
        };
        provider.gate.close();
        assert!(!provider.gate.is_open_for(SECOND));
        replaced.join().unwrap();
        assert!(!provider.gate.is_open_for(SECOND), "the successor has not opened it");

        provider.gate.open(SECOND);
        assert!(provider.gate.is_open_for(SECOND));
        assert!(!provider.gate.is_open_for(FIRST));
    });
}
