//! Who can be written to right now: the addresses of the living actors, published by the supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Addr;

use crate::catalog::Catalog;
use crate::ledger::{Diary, Ledger};
use crate::provider::{Permits, Provider};
use crate::router::Routes;
use crate::signatures::Thoughts;

/// The addresses of one moment. Read it anew for every message: an actor started anew has a new address.
pub struct Roster {
    pub ledger: Addr<Ledger>,
    pub catalog: Addr<Catalog>,
    pub(crate) diary: Diary,
    pub thoughts: Addr<Thoughts>,
    /// The routers' tables.
    pub routes: Arc<Routes>,
    pub(crate) providers: BTreeMap<Arc<str>, Post>,
    /// Counts the restarts, so that somebody who waits for an answer can tell that it will not come.
    pub generation: u64,
}

/// Where a provider's keys are to be had.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) address: Addr<Provider>,
    pub(crate) permits: Arc<Permits>,
}

impl Roster {
    pub fn provider(&self, name: &str) -> Option<&Addr<Provider>> {
        self.providers.get(name).map(|post| &post.address)
    }

    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &Addr<Provider>)> {
        self.providers.iter().map(|(name, post)| (name, &post.address))
    }

    pub(crate) fn post(&self, name: &str) -> Option<&Post> {
        self.providers.get(name)
    }
}
