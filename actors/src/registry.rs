//! Who can be written to right now: the addresses of the living actors, published by the supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;

use crate::catalog::Catalog;
use crate::ledger::{EventQueue, Ledger};
use crate::provider::{Permits, Provider};
use crate::router::Routes;
use crate::signatures::SignatureStore;

/// The addresses of one moment. Read it anew for every message: an actor started anew has a new address.
pub struct Registry {
    pub ledger: Addr<Ledger>,
    pub catalog: Addr<Catalog>,
    pub(crate) event_queue: EventQueue,
    pub signatures: Addr<SignatureStore>,
    /// The routers' tables.
    pub routes: Arc<Routes>,
    pub(crate) providers: BTreeMap<Arc<str>, ProviderHandle>,
    /// Counts the restarts, so that somebody who waits for an answer can tell that it will not come.
    pub generation: u64,
}

/// Where a provider's keys are to be had.
#[derive(Clone)]
pub(crate) struct ProviderHandle {
    pub(crate) address: Addr<Provider>,
    pub(crate) permits: Arc<Permits>,
}

impl Registry {
    pub fn provider(&self, name: &str) -> Option<&Addr<Provider>> {
        self.providers.get(name).map(|handle| &handle.address)
    }

    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &Addr<Provider>)> {
        self.providers.iter().map(|(name, handle)| (name, &handle.address))
    }

    pub(crate) fn handle(&self, name: &str) -> Option<&ProviderHandle> {
        self.providers.get(name)
    }
}
