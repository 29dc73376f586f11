//! The concurrency permits of workers that drain. Their requests still run at the upstreams, so they count against the limits of
//! the worker that serves.

use std::collections::BTreeMap;

use super::Master;
use super::worker::{Role, Worker};
use crate::process::channel::messages::WorkerOrder;

impl Master {
    /// Reports the permits of the workers that drain to the worker that serves, if they have changed. A worker that has ended
    /// holds none.
    pub(super) fn share_permits(&mut self) {
        let elsewhere = sum(&self.workers);
        if elsewhere == self.permits_elsewhere {
            return;
        }
        if let Some(serving) = self.serving() {
            serving.send(WorkerOrder::PermitsElsewhere(elsewhere.clone()));
            self.permits_elsewhere = elsewhere;
        }
    }

    /// The same for a worker that has not been told anything.
    pub(super) fn share_permits_anew(&mut self) {
        self.permits_elsewhere.clear();
        self.share_permits();
    }
}

fn sum(workers: &[Worker]) -> BTreeMap<String, usize> {
    let mut sum = BTreeMap::new();
    for worker in workers.iter().filter(|worker| matches!(worker.role, Role::Draining(_))) {
        for (provider, permits) in &worker.permits {
            *sum.entry(provider.clone()).or_default() += permits;
        }
    }
    sum
}
