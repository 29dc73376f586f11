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
    /// What happened to requests, also before this process started.
    pub history: HistoryHandle,
    /// The counters and histograms of all requests that have ended.
    pub series: SharedSeries,
    pub signatures: Addr<SignatureStore>,
    /// The routing tables.
    pub routes: Arc<Routes>,
    pub(crate) providers: BTreeMap<Arc<str>, ProviderHandle>,
    /// The number of replaced actors.
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

    /// How many permits of each provider the requests in flight hold; providers without any are left out.
    pub fn permits_in_use(&self) -> BTreeMap<String, usize> {
        let taken = self.providers.iter().map(|(name, handle)| (name.to_string(), handle.permits.taken()));
        taken.filter(|(_, taken)| *taken > 0).collect()
    }

    /// Requests of earlier processes hold so many permits, by provider. A later call replaces all of them.
    pub fn set_permits_elsewhere(&self, permits: &BTreeMap<String, usize>) {
        for (name, handle) in &self.providers {
            handle.permits.set_elsewhere(permits.get(&**name).copied().unwrap_or_default());
        }
    }

    pub(crate) fn handle(&self, name: &str) -> Option<&ProviderHandle> {
        self.providers.get(name)
    }
}
