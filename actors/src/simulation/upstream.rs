//! The ground truth of the simulated providers: which calls fail, and when.

use std::time::Duration;

use fastrand::Rng;

use super::{HORIZON, KEYS, MODELS, PROVIDERS};
use crate::clock::Millis;
use crate::outcome::{LimitScope, Outcome};
use crate::secret::{ApiKey, KeyId};

/// The target of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallTarget {
    pub(super) provider: usize,
    pub(super) key: KeyId,
    pub(super) model: usize,
}

/// A fault of a part of a provider, for some time.
#[derive(Clone, Debug)]
struct SimulatedFault {
    provider: usize,
    /// `None`: every key.
    key: Option<KeyId>,
    /// `None`: every model.
    model: Option<usize>,
    outcome: Outcome,
    from: Millis,
    until: Millis,
}

/// The faults of one schedule.
pub(super) struct SimulatedUpstream {
    faults: Vec<SimulatedFault>,
}

pub(super) fn key_name(provider: usize, key: usize) -> String {
    format!("{}-key-{key}", PROVIDERS[provider])
}

pub(super) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())]
}

impl SimulatedUpstream {
    pub(super) fn random(rng: &mut Rng, start: Millis) -> Self {
        let count = rng.usize(0..12);
        Self { faults: (0..count).map(|_| SimulatedFault::random(rng, start)).collect() }
    }

    /// The outcome of a call that the provider decides on at `now`. The waits that it names are exact.
    pub(super) fn outcome(&self, target: CallTarget, now: Millis) -> Outcome {
        let fault = self.faults.iter().find(|fault| fault.concerns(target) && fault.is_active(now));
        fault.map_or(Outcome::Answered, |fault| fault.outcome_at(now))
    }

    /// Whether a rate limit refuses the call now.
    pub(super) fn is_limited(&self, target: CallTarget, now: Millis) -> bool {
        // The wait is rounded to milliseconds, and the answer arrives within the millisecond.
        let mut faults = self.faults.iter().filter(|fault| fault.concerns(target));
        faults.any(|fault| {
            matches!(fault.outcome, Outcome::RateLimited { .. })
                && (fault.from..=fault.until + 1).contains(&now)
        })
    }
}

impl SimulatedFault {
    fn random(rng: &mut Rng, start: Millis) -> Self {
        // The first outcome is a success, the second the request's own fault, the last two do not come from upstreams.
        let outcome = pick(rng, &Outcome::ALL[2..17]);
        let of_key = outcome.without_key() != outcome;
        let provider = rng.usize(0..PROVIDERS.len());
        let key = of_key.then(|| ApiKey::new(key_name(provider, rng.usize(0..KEYS))).id());
        let is_of_model =
            matches!(outcome, Outcome::RateLimited { scope: LimitScope::Model, .. } | Outcome::KeyForbidden);
        let model = (is_of_model || !of_key && rng.bool()).then(|| rng.usize(0..MODELS.len()));
        let from = start + rng.u64(0..HORIZON);
        let longest = if of_key { 3_000 } else { 6_000 };
        Self { provider, key, model, outcome, from, until: from + rng.u64(200..longest) }
    }

    fn concerns(&self, target: CallTarget) -> bool {
        self.provider == target.provider
            && self.key.is_none_or(|key| key == target.key)
            && self.model.is_none_or(|model| model == target.model)
    }

    fn is_active(&self, now: Millis) -> bool {
        (self.from..self.until).contains(&now)
    }

    fn outcome_at(&self, now: Millis) -> Outcome {
        let Outcome::RateLimited { scope, .. } = self.outcome else { return self.outcome };
        Outcome::RateLimited { wait: Some(Duration::from_millis(self.until - now)), scope }
    }
}

impl SimulatedUpstream {
    /// Ends every fault.
    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }
}
