//! Facts about this process, for the dashboard: the configured values that hold, the uptime, and the open connections.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use vandamme_actors::snapshot::Snapshot;

use super::Gateway;
use crate::config::{self, ConfigValue};

/// Counts the open client connections.
type ConnectionCount = Box<dyn Fn() -> usize + Send + Sync>;

pub(super) struct ProcessFacts {
    /// The configured values that hold now, each with its place.
    values: Snapshot<Vec<ConfigValue>>,
    started: Instant,
    connections: OnceLock<ConnectionCount>,
}

impl ProcessFacts {
    pub(super) fn new(values: Vec<ConfigValue>) -> Self {
        Self { values: Snapshot::new(values), started: Instant::now(), connections: OnceLock::new() }
    }

    pub(super) fn replace_values(&self, values: Vec<ConfigValue>) {
        self.values.store(config::values_in_use(&self.values.load(), values));
    }
}

impl Gateway {
    /// The configured values that hold now, each with its place; the ids of keys instead of the keys.
    pub(crate) fn values(&self) -> Arc<Vec<ConfigValue>> {
        self.facts.values.load()
    }

    /// The time since this process started to serve.
    pub(crate) fn uptime(&self) -> Duration {
        self.facts.started.elapsed()
    }

    /// Called once, before the first connection.
    pub(crate) fn counts_connections(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        self.facts.connections.get_or_init(|| Box::new(count));
    }

    /// The open client connections; `None` for a gateway without a listener.
    pub(crate) fn connections(&self) -> Option<usize> {
        self.facts.connections.get().map(|count| count())
    }
}
