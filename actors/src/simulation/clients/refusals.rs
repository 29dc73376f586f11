//! Checks whether a request that was refused could have been served.

use super::leasing::Unleased;
use super::{Run, provider_number};
use crate::clock;
use crate::outcome::{Outcome, Retry};
use crate::provider::{LeaseRefusal, NoLease};
use crate::routing::{Route, Target};
use crate::secret::KeyId;
use crate::simulation::MODELS;
use crate::simulation::upstream::CallTarget;

impl Run<'_> {
    fn target(&self, target: &Target, key: KeyId) -> CallTarget {
        let model = MODELS.iter().position(|model| **model == *target.model).expect("a known model");
        CallTarget { provider: provider_number(target), key, model }
    }

    /// Only the upstream's own wait, a bound, or a fault of the actor refuses a lease.
    pub(super) fn check_no_lease(&self, target: &Target, tried: &[KeyId], error: &Unleased) {
        let Unleased::Refused(NoLease { provider, refusal, .. }) = error else { return };
        let (world, now) = (self.world, clock::boot());
        let untried: Vec<_> =
            provider.keys.iter().map(|key| key.id()).filter(|key| !tried.contains(key)).collect();
        let was_disabled = |key: &KeyId| world.checks.borrow().was_disabled(&provider.name, *key);
        match refusal {
            LeaseRefusal::RateLimited { .. } => {
                let upstream = world.upstream.borrow();
                let is_limited =
                    untried.iter().any(|&key| upstream.is_limited(self.target(target, key), now));
                assert!(is_limited, "refused for a wait that the upstream does not require: {target:?}");
            }
            LeaseRefusal::AllTried => {
                assert!(untried.iter().all(was_disabled), "a key is left: {untried:?}");
            }
            LeaseRefusal::Disabled => {
                let keys = provider.keys.iter().map(|key| key.id());
                assert!(
                    keys.clone().count() > 0 && keys.clone().all(|key| was_disabled(&key)),
                    "{untried:?}"
                );
            }
            LeaseRefusal::Busy => {
                let registry = world.registry.load();
                let permits = registry.handle(&provider.name).map(|handle| handle.permits.taken());
                // After a reload the registry may have another provider of this name.
                let is_same = self.reloads == world.reloads.get();
                // The wait can end in the millisecond in which the last lease is returned.
                let is_in_use = permits != Some(0) || world.checks.borrow().was_returned(&provider.name, now);
                assert!(!is_same || is_in_use, "busy without a request in flight");
            }
            LeaseRefusal::PassedOver => {}
        }
    }

    /// A request that failed for good: no other target of its route would have served it, or the design allows the
    /// failure.
    pub(super) fn check_refusal(&self, route: &Route) {
        if self.request.own_fault.is_some() {
            return;
        }
        let own = Target { provider: route.provider.clone(), model: route.model.clone() };
        for target in std::iter::once(&own).chain(&route.fallbacks) {
            if let Some(key) = self.served_by(target) {
                panic!(
                    "{}:{} would have served the request with {key}: {:?}",
                    target.provider.name, target.model, self.tried
                );
            }
        }
    }

    /// A key with which this target would serve the request, unless the design allows the failure.
    fn served_by(&self, target: &Target) -> Option<KeyId> {
        let provider = provider_number(target);
        let mut calls = self.tried.calls.iter().filter(|call| call.target.provider == provider);
        let is_refused = self.tried.refused.iter().any(|(refused, _)| *refused == provider);
        let is_about_keys = |outcome: Outcome| outcome.treatment().retry == Retry::NextKey;
        let is_allowed = is_refused
            || self.tried.is_over_budget
            || self.tried.calls.len() >= 6
            || calls.any(|call| call.is_known_to_fail || !is_about_keys(call.outcome));
        if is_allowed {
            return None;
        }
        let upstream = self.world.upstream.borrow();
        target.provider.keys.iter().map(|key| key.id()).find(|&key| {
            let was_disabled = self.world.checks.borrow().was_disabled(&target.provider.name, key);
            let target = self.target(target, key);
            let is_tried = self.tried.calls.iter().any(|call| call.target == target);
            !is_tried && !was_disabled && upstream.outcome(target, clock::boot()) == Outcome::Answered
        })
    }
}
