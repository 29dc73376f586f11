//! Lends leases without a message to the provider's actor while every key is equally good.
//!
//! A message to the actor wakes two threads, which costs a quarter of a small request (measured). Most of the time its
//! answer is known, because no key has a cooldown and no request waits. Then the fast path is open, and the router takes a lease
//! directly. The first failure closes the fast path before the failed request continues. From then on every request
//! asks the actor, until the actor opens the fast path again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Addr, WeakAddr};

use super::gate::Gate;
use super::health::{AffinityHash, preferred_index};
use super::{Provider, client_key};
use crate::secret::ApiKey;
use crate::settings::ProviderSettings;
use crate::snapshot::Snapshot;

/// The fast path of one provider, shared by all incarnations of its actor.
pub(super) struct FastPath {
    source: Snapshot<Option<FastPathSource>>,
    gate: Gate,
    /// Counts the keys that were taken in turn.
    turn: AtomicUsize,
}

/// The actor and the settings that leases come from.
pub(super) struct FastPathSource {
    pub(super) settings: Arc<ProviderSettings>,
    keys: Vec<ApiKey>,
    /// Weak, since a retired actor must end with its last lease.
    owner: WeakAddr<Provider>,
    pub(super) incarnation: u64,
}

impl FastPathSource {
    /// The actor, if it is still running.
    pub(super) fn owner(&self) -> Option<Addr<Provider>> {
        self.owner.upgrade().filter(Addr::connected)
    }
}

impl Default for FastPath {
    fn default() -> Self {
        Self { source: Snapshot::new(None), gate: Gate::new(), turn: AtomicUsize::new(0) }
    }
}

impl FastPath {
    /// Makes this actor and these settings the source of leases.
    pub(super) fn set_source(
        &self,
        settings: &Arc<ProviderSettings>,
        owner: &Addr<Provider>,
        incarnation: u64,
    ) {
        let keys =
            if settings.passthrough { client_key(&[]).into_iter().collect() } else { settings.keys.clone() };
        let settings = settings.clone();
        self.source.store(Some(FastPathSource { settings, keys, owner: owner.downgrade(), incarnation }));
    }

    /// Lends nothing until the next call of [`set_source`](Self::set_source).
    pub(super) fn suspend(&self) {
        self.source.store(None);
    }

    /// Lets the router take leases of this incarnation.
    pub(super) fn open(&self, incarnation: u64) {
        self.gate.open(incarnation);
    }

    /// Sends every request to the actor.
    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// A request calls this before it queues the report of a failure.
    pub(super) fn before_failure_is_queued(&self) {
        self.gate.before_failure_is_queued();
    }

    /// The actor calls this before it acts on the report of a failure.
    pub(super) fn before_failure_is_handled(&self) {
        self.gate.before_failure_is_handled();
    }

    /// The source of leases, while there is one. It lends only if [`is_open_for`](Self::is_open_for) its incarnation.
    pub(super) fn source(&self) -> Arc<Option<FastPathSource>> {
        self.source.load()
    }

    pub(super) fn is_open_for(&self, incarnation: u64) -> bool {
        self.gate.is_open_for(incarnation)
    }

    /// The number of keys taken in turn.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    pub(super) fn set_turn(&self, turn: usize) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// The key for the next request of this session.
    pub(super) fn key(&self, source: &FastPathSource, session: Option<AffinityHash>) -> Option<ApiKey> {
        let at = match session {
            Some(session) => preferred_index(session, source.keys.iter().map(ApiKey::id)),
            None => self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(source.keys.len()),
        };
        source.keys.get(at?).cloned()
    }
}
