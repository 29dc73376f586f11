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
use super::health::{AffinityHash, Size, preferred_index};
use super::lease::{Lease, LeaseEvent, LeaseSource, Permits};
use super::{Provider, client_key};
use crate::secret::ApiKey;
use crate::settings::{Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// Above this number of unread events the router asks the actor, which reads them.
const MAX_UNREAD: usize = 1024;

/// The fast path of one provider, shared by all incarnations of its actor.
pub(super) struct FastPath {
    source: Snapshot<Option<FastPathSource>>,
    gate: Gate,
    /// Counts the keys that were taken in turn.
    turn: AtomicUsize,
}

/// The actor and the settings that leases come from.
struct FastPathSource {
    settings: Arc<ProviderSettings>,
    keys: Vec<ApiKey>,
    /// Weak, since a retired actor must end with its last lease.
    owner: WeakAddr<Provider>,
    incarnation: u64,
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

    /// A request calls this before it queues the event.
    pub(super) fn before_report(&self, event: &LeaseEvent) {
        if is_adverse(event) {
            self.gate.before_failure_is_queued();
        }
    }

    /// The actor calls this before it acts on the event.
    pub(super) fn before_read(&self, event: &LeaseEvent) {
        if is_adverse(event) {
            self.gate.before_failure_is_handled();
        }
    }

    /// The number of keys taken in turn.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    pub(super) fn set_turn(&self, turn: usize) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    fn key(&self, source: &FastPathSource, session: Option<AffinityHash>) -> Option<ApiKey> {
        let at = match session {
            Some(session) => preferred_index(session, source.keys.iter().map(ApiKey::id)),
            None => self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(source.keys.len()),
        };
        source.keys.get(at?).cloned()
    }
}

impl Permits {
    /// A lease for one request; `None` if the fast path is closed.
    pub(crate) fn lend(
        self: &Arc<Self>,
        model: &Arc<str>,
        profile: Option<&Arc<Profile>>,
        (session, size): (Option<AffinityHash>, Size),
    ) -> Option<Lease> {
        let fast_path = &self.fast_path;
        if self.unread() > MAX_UNREAD {
            return None;
        }
        let source = fast_path.source.load();
        let source = source.as_ref().as_ref().filter(|source| self.is_current(source.incarnation))?;
        if !fast_path.gate.is_open_for(source.incarnation) {
            return None;
        }
        let owner = source.owner.upgrade().filter(Addr::connected)?;
        let permit = self.take()?;
        let key = fast_path.key(source, session)?;
        let lease_source = LeaseSource { owner, incarnation: source.incarnation, permits: self.clone() };
        let lease = Lease::new(source.settings.clone(), model.clone(), key, size, lease_source);
        Some(lease.with_permit(Some(permit)).with_profile(profile.cloned()))
    }
}

/// Whether the event can change which key or fixups other requests get.
fn is_adverse(event: &LeaseEvent) -> bool {
    match event {
        LeaseEvent::Report { report, .. } => report.outcome.is_adverse(),
        LeaseEvent::LearnedRule { .. } => true,
    }
}
