//! Chooses the key of a request.

use std::time::Duration;

use super::condition::{Availability, HealthCondition, ProbeKind};
use super::{Health, KeyHealth, LIMITED_MODELS, Size};
use crate::clock::Millis;
use crate::retry::SESSION_WAIT;
use crate::secret::{ApiKey, KeyId};

/// Identifies requests that should get the same key: a hash of their session and their caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinityHash(pub u64);

/// Whether another target can serve the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alternatives {
    /// This provider is the last target.
    #[default]
    None,
    /// Another target is left.
    Left,
}

/// Whether a request can wait for its session's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::provider) enum SessionWait {
    #[default]
    MayWait,
    /// The request has waited already.
    HasWaited,
}

/// A request for a key.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct KeyRequest<'r> {
    pub(in crate::provider) now: Millis,
    pub(in crate::provider) model: &'r str,
    pub(in crate::provider) session: Option<AffinityHash>,
    pub(in crate::provider) tried: &'r [KeyId],
    pub(in crate::provider) size: Size,
    pub(in crate::provider) alternatives: Alternatives,
    pub(in crate::provider) patience: SessionWait,
    /// The lease that the request will get.
    pub(in crate::provider) lease: u64,
    /// A random number in 0..1, used if the request has no session.
    pub(in crate::provider) chance: f64,
}

#[derive(Clone, Debug)]
pub(in crate::provider) enum KeyChoice {
    Key(Chosen),
    /// The time at which the session's own key is available again.
    WaitUntil(Millis),
    /// Another target is better.
    PassedOver,
    /// The upstream's own wait, for every key that is left.
    RateLimited {
        wait: Duration,
    },
    /// Every key has been tried for this request.
    AllTried,
    /// An operator has disabled every key.
    Disabled,
}

#[derive(Clone, Debug)]
pub(in crate::provider) struct Chosen {
    pub(in crate::provider) key: ApiKey,
    /// No better key was left, so it gets one call.
    pub(in crate::provider) is_known_to_fail: bool,
    /// The request is a probe: other requests skip what it probes.
    pub(in crate::provider) is_probe: bool,
}

/// The index of the key that this session prefers.
pub(in crate::provider) fn preferred_index(
    session: AffinityHash,
    keys: impl Iterator<Item = KeyId>,
) -> Option<usize> {
    keys.enumerate().max_by_key(|&(_, key)| session.weight(key)).map(|(at, _)| at)
}

impl AffinityHash {
    /// The rank of this key for this session (rendezvous hashing): when a key is removed, only its own sessions move.
    /// The mixing function is that of SplitMix64.
    fn weight(self, key: KeyId) -> u64 {
        let mut hash = self.0 ^ key.spread();
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    /// A number in 0..1, the same for all requests of the session.
    fn fraction(self) -> f64 {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Health {
    /// Chooses a key for the request and marks what the request probes.
    pub(in crate::provider) fn choose(&mut self, request: &KeyRequest<'_>) -> KeyChoice {
        if self.are_all_disabled() {
            return KeyChoice::Disabled;
        }
        if request.alternatives == Alternatives::Left && self.is_passed_over(request) {
            return KeyChoice::PassedOver;
        }
        let count = self.keys.len();
        let candidates: Vec<_> = (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(|&at| !self.keys[at].is_disabled)
            .filter(|&at| !request.tried.contains(&self.keys[at].key.id()))
            .map(|at| (at, self.keys[at].availability(request)))
            .collect();
        if candidates.is_empty() {
            return KeyChoice::AllTried;
        }
        if let Some(until) = self.session_wait(request, &candidates) {
            return KeyChoice::WaitUntil(until);
        }
        // A session that has waited for its own key must not move because another request was faster.
        let worst = match request.session {
            Some(_) => Availability::Probing(ProbeKind::ShortWait),
            None => Availability::Recovering,
        };
        let usable = candidates.iter().filter(|(_, availability)| *availability <= worst).map(|&(at, _)| at);
        let best = match request.session {
            Some(session) => usable.max_by_key(|&at| session.weight(self.keys[at].key.id())),
            None => usable.into_iter().next(),
        };
        if let Some(at) = best {
            return self.take(at, request);
        }
        if request.alternatives == Alternatives::Left {
            return KeyChoice::PassedOver;
        }
        self.last_resort(request, &candidates)
    }

    /// Like [`Self::choose`], for the client's own key, whose health is unknown.
    pub(in crate::provider) fn choose_client_key(
        &mut self,
        request: &KeyRequest<'_>,
        key: Option<ApiKey>,
    ) -> KeyChoice {
        if request.alternatives == Alternatives::Left && self.is_passed_over(request) {
            return KeyChoice::PassedOver;
        }
        let Some(key) = key else { return KeyChoice::AllTried };
        let is_probe = self.begin_target_probe(request);
        let is_known_to_fail = request.alternatives == Alternatives::None && self.is_failing(request);
        KeyChoice::Key(Chosen { key, is_known_to_fail, is_probe })
    }

    /// Marks the model and the host as probed if another target is left. Returns whether the request is a probe.
    fn begin_target_probe(&mut self, request: &KeyRequest<'_>) -> bool {
        if request.alternatives == Alternatives::None {
            return false;
        }
        let known = [self.models.get_mut(request.model), Some(&mut self.host)];
        let mut is_probe = false;
        for condition in known.into_iter().flatten() {
            is_probe |= condition.availability(request.now, request.size) == Availability::Recovering;
            condition.begin_probe(request.now, request.lease);
        }
        is_probe
    }

    /// Whether the model or the host is known to fail, or its traffic is still ramping up.
    fn is_passed_over(&self, request: &KeyRequest<'_>) -> bool {
        let conditions = [self.models.get(request.model), Some(&self.host)];
        let worst =
            conditions.into_iter().flatten().map(|known| known.availability(request.now, request.size));
        if worst.max().is_some_and(|worst| worst > Availability::Recovering) {
            return true;
        }
        let fraction = request.session.map_or(request.chance, AffinityHash::fraction);
        fraction >= self.share(request.now)
    }

    /// The time at which the session's own key is available again, if the wait is short enough.
    fn session_wait(&self, request: &KeyRequest<'_>, candidates: &[(usize, Availability)]) -> Option<Millis> {
        let session = request.session.filter(|_| request.patience == SessionWait::MayWait)?;
        let own = candidates.iter().max_by_key(|&&(at, _)| session.weight(self.keys[at].key.id()))?;
        let Availability::Waiting { until, .. } = own.1 else { return None };
        let whole = self.keys[own.0].whole.availability(request.now, request.size);
        if matches!(whole, Availability::Refused { .. }) {
            return None;
        }
        (until.saturating_sub(request.now) <= crate::clock::millis(SESSION_WAIT)).then_some(until)
    }

    /// Chooses this key, which is usable.
    fn take(&mut self, at: usize, request: &KeyRequest<'_>) -> KeyChoice {
        if request.session.is_none() {
            self.turn = (at + 1) % self.keys.len();
        }
        let of_key = self.keys[at].begin_probe(request);
        let is_probe = self.begin_target_probe(request) || of_key;
        let is_known_to_fail = request.alternatives == Alternatives::None && self.is_failing(request);
        KeyChoice::Key(Chosen { key: self.keys[at].key.clone(), is_known_to_fail, is_probe })
    }

    /// Whether the model or the host has a cooldown.
    fn is_failing(&self, request: &KeyRequest<'_>) -> bool {
        let known = [self.models.get(request.model), Some(&self.host)].into_iter().flatten();
        known
            .map(|known| known.availability(request.now, request.size))
            .any(|known| known > Availability::Probing(ProbeKind::Other))
    }

    /// Chooses the best key although none is usable, unless the upstream's own wait is running for all of them.
    fn last_resort(&mut self, request: &KeyRequest<'_>, candidates: &[(usize, Availability)]) -> KeyChoice {
        let waits = || {
            candidates.iter().filter_map(|(at, availability)| match availability {
                Availability::Waiting { until, may_check } => Some((*at, *until, *may_check)),
                Availability::Preferred
                | Availability::Recovering
                | Availability::Probing(_)
                | Availability::CoolingDown { .. }
                | Availability::Refused { .. } => None,
            })
        };
        let rank = |availability: Availability| match availability {
            Availability::Preferred | Availability::Recovering | Availability::Probing(_) => Some((0, 0)),
            // An inferred limit has no known end and does not count as known to fail.
            Availability::CoolingDown { until } => Some((u8::from(until > request.now), until)),
            // Calling a refused key would replace the other key's 429 with a 401.
            Availability::Refused { until } => waits().next().is_none().then_some((2, until)),
            Availability::Waiting { .. } => None,
        };
        let ranked = candidates.iter().filter_map(|&(at, availability)| Some((rank(availability)?, at)));
        let best = ranked.min_by_key(|&(rank, at)| {
            (rank, request.session.map(|session| u64::MAX - session.weight(self.keys[at].key.id())))
        });
        if let Some(((rank, _), at)) = best {
            if request.session.is_none() {
                self.turn = (at + 1) % self.keys.len();
            }
            let is_known_to_fail = rank > 0;
            return KeyChoice::Key(Chosen {
                key: self.keys[at].key.clone(),
                is_known_to_fail,
                is_probe: false,
            });
        }
        if let Some((at, _, _)) = waits().find(|&(_, _, may_check)| may_check) {
            self.keys[at].start_check(request);
            let key = self.keys[at].key.clone();
            return KeyChoice::Key(Chosen { key, is_known_to_fail: true, is_probe: false });
        }
        let soonest = waits().map(|(_, until, _)| until).min().unwrap_or(request.now);
        KeyChoice::RateLimited { wait: Duration::from_millis(soonest.saturating_sub(request.now)) }
    }
}

impl KeyHealth {
    /// The key's availability for the request: the worse of the key and the key with this model.
    fn availability(&self, request: &KeyRequest<'_>) -> Availability {
        let whole = self.whole.availability(request.now, request.size);
        let model = self
            .models
            .get(request.model)
            .map_or(Availability::Preferred, |known| known.availability(request.now, request.size));
        let worst = whole.max(model);
        if worst < (Availability::CoolingDown { until: 0 }) && self.seems_limited(request.now) {
            return Availability::CoolingDown { until: request.now };
        }
        worst
    }

    /// Whether several models are limited at once. The limit for all models is only inferred, so it only affects the
    /// order.
    fn seems_limited(&self, now: Millis) -> bool {
        self.models.iter().filter(|(_, known)| known.is_rate_limited(now)).count() >= LIMITED_MODELS
    }

    fn conditions_for(&mut self, model: &str) -> impl Iterator<Item = &mut HealthCondition> {
        [Some(&mut self.whole), self.models.get_mut(model)].into_iter().flatten()
    }

    /// Marks what has just ended its cooldown. Returns whether the request is a probe.
    fn begin_probe(&mut self, request: &KeyRequest<'_>) -> bool {
        let mut is_probe = false;
        for condition in self.conditions_for(request.model) {
            is_probe |= condition.availability(request.now, request.size) == Availability::Recovering;
            condition.begin_probe(request.now, request.lease);
        }
        is_probe
    }

    fn start_check(&mut self, request: &KeyRequest<'_>) {
        self.conditions_for(request.model).for_each(|condition| condition.start_check(request.now));
    }
}
