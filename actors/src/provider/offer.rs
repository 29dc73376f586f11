//! What a provider lends without being asked: any key, to whoever comes, as long as nothing is wrong with it.
//!
//! To ask its actor costs two threads a wake-up, a fourth of what a small request costs altogether (measured).
//! Most of the time the answer is known: no key rests, no breaker has tripped, nobody waits. Then the router takes a lease
//! itself. At the first failure the offer ends, before the request that failed goes on, and everybody asks the actor until
//! it knows better.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::{Addr, WeakAddr};

use super::key_ring::{self, Session};
use super::lease::{CallOutcome, Lease, Permits, Told};
use super::{Provider, client_key};
use crate::secret::ApiKey;
use crate::settings::{Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// As much may be unread; beyond, the actor is asked, and reads them.
const UNREAD: usize = 1024;

/// The offer of one provider, whichever actor makes it.
pub(super) struct Counter {
    offer: Snapshot<Option<Offer>>,
    /// What the actor thinks.
    stands: AtomicBool,
    /// What the actor has not heard of and may end the offer.
    troubles: AtomicUsize,
    /// Counts those who took a key in turn.
    turn: AtomicUsize,
}

struct Offer {
    settings: Arc<ProviderSettings>,
    keys: Vec<ApiKey>,
    /// Weak: an actor ends with its last lease.
    owner: WeakAddr<Provider>,
    incarnation: u64,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            offer: Snapshot::new(None),
            stands: AtomicBool::new(false),
            troubles: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Counter {
    /// From now on it is this actor with these settings that lends.
    pub(super) fn open(&self, settings: &Arc<ProviderSettings>, owner: &Addr<Provider>, incarnation: u64) {
        let keys =
            if settings.passthrough { client_key(&[]).into_iter().collect() } else { settings.keys.clone() };
        let settings = settings.clone();
        self.offer.store(Some(Offer { settings, keys, owner: owner.downgrade(), incarnation }));
    }

    /// Nothing is lent until it is opened again.
    pub(super) fn close(&self) {
        self.offer.store(None);
    }

    /// The actor finds nothing wrong.
    pub(super) fn stand(&self) {
        self.stands.store(true, Ordering::SeqCst);
    }

    /// Whoever wants a key must ask the actor.
    pub(super) fn fall(&self) {
        self.stands.store(false, Ordering::SeqCst);
    }

    /// A request is about to tell this.
    pub(super) fn hear(&self, told: &Told) {
        if is_trouble(told) {
            self.troubles.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The actor is about to deal with it.
    pub(super) fn deal_with(&self, told: &Told) {
        if is_trouble(told) {
            self.fall();
            self.troubles.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// How many keys have been taken in turn.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    pub(super) fn set_turn(&self, turn: usize) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.stands.load(Ordering::SeqCst) && self.troubles.load(Ordering::SeqCst) == 0
    }

    fn key(&self, offer: &Offer, session: Option<Session>) -> Option<ApiKey> {
        let at = match session {
            Some(session) => key_ring::preferred(session, offer.keys.iter().map(ApiKey::id)),
            None => self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(offer.keys.len()),
        };
        offer.keys.get(at?).cloned()
    }
}

impl Permits {
    /// A lease for one request, if there is nothing to ask the actor.
    pub(crate) fn lend(
        self: &Arc<Self>,
        model: &Arc<str>,
        profile: Option<&Arc<Profile>>,
        session: Option<Session>,
    ) -> Option<Lease> {
        let counter = &self.counter;
        if !counter.is_open() || self.unread() > UNREAD {
            return None;
        }
        let offer = counter.offer.load();
        let offer = offer.as_ref().as_ref().filter(|offer| self.belongs_to(offer.incarnation))?;
        let owner = offer.owner.upgrade().filter(Addr::connected)?;
        let permit = self.take()?;
        let key = counter.key(offer, session)?;
        let owner = (owner, offer.incarnation, self.clone());
        let lease = Lease::new(offer.settings.clone(), model.clone(), key, owner);
        Some(lease.holding(Some(permit)).under(profile.cloned()))
    }
}

/// Whether others may have to get something else than this request got.
fn is_trouble(told: &Told) -> bool {
    let Told::Report(report) = told else { return true };
    match report.outcome {
        CallOutcome::Answered | CallOutcome::Cancelled => false,
        CallOutcome::RateLimited { .. }
        | CallOutcome::Rejected { .. }
        | CallOutcome::Overloaded
        | CallOutcome::Failed => true,
    }
}
