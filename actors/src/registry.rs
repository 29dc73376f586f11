//! Holds the addresses of the running actors, as published by the supervisor.

mod signature_access;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;
use tokio::sync::broadcast;

pub use self::signature_access::ScopedSignatures;
use crate::catalog::Catalog;
use crate::history::HistoryHandle;
use crate::ledger::series::SharedSeries;
use crate::ledger::{EventQueue, FinishedRequest, Ledger};
use crate::provider::{Permits, Provider};
use crate::routing::Routes;
use crate::signatures::SignatureStore;

/// The addresses at one moment. Load the registry again for every message: a restarted actor has a new address.
pub struct Registry {
    pub ledger: Addr<Ledger>,
    pub catalog: Addr<Catalog>,
    pub(crate) event_queue: EventQueue,
    /// Publishes each request that has ended. A subscriber that is slow loses the oldest of them and learns how many.
    pub finished: broadcast::Sender<Arc<FinishedRequest>>,
    /// The counters and histograms of all requests that have ended.
    pub series: SharedSeries,
    /// What happened to requests, also before this process started.
    pub history: HistoryHandle,
    pub signatures: Addr<SignatureStore>,
    /// The routing tables.
    pub routes: Arc<Routes>,
    pub(crate) providers: BTreeMap<Arc<str>, ProviderHandle>,
    /// The number of restarts. When it changes, a request that waits for an answer from a replaced actor must ask
    /// again.
    pub generation: u64,
}

/// A provider's address and its concurrency permits.
#[derive(Clone)]
pub(crate) struct ProviderHandle {
    pub(crate) address: Addr<Provider>,
    pub(crate) permits: Arc<Permits>,
}

impl Registry {
    /// The address of this provider's actor.
    pub fn provider(&self, name: &str) -> Option<&Addr<Provider>> {
        self.providers.get(name).map(|handle| &handle.address)
    }

    /// The names and addresses of all providers.
    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &Addr<Provider>)> {
        self.providers.iter().map(|(name, handle)| (name, &handle.address))
    }

    pub(crate) fn handle(&self, name: &str) -> Option<&ProviderHandle> {
        self.providers.get(name)
    }
}
