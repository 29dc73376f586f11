//! Forgets the health of a provider on an operator's order.

use super::{CallReport, Health, HealthCondition};
use crate::clock::Millis;
use crate::secret::KeyId;

/// The part of a provider's health that is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetScope {
    /// All keys, all models and the host.
    Provider,
    /// One key, for all models.
    Key(KeyId),
}

impl Health {
    /// Clears the health of everything in this scope. Calls that started earlier have no effect. Returns the keys.
    pub(in crate::provider) fn reset(&mut self, scope: ResetScope, now: Millis) -> Vec<KeyId> {
        let mut keys = vec![];
        for key in &mut self.keys {
            let id = key.key.id();
            if scope == ResetScope::Provider || scope == ResetScope::Key(id) {
                key.whole = HealthCondition::default();
                key.models = Default::default();
                key.reset = now;
                keys.push(id);
            }
        }
        if scope == ResetScope::Provider {
            self.models = Default::default();
            self.host = HealthCondition::default();
            self.host_faults.clear();
            self.ramp = None;
            self.reset = now;
        }
        keys
    }

    /// Whether the call of this report started before the last reset.
    pub(super) fn is_from_before_reset(&self, report: &CallReport) -> bool {
        let key = self.keys.iter().find(|key| key.key.id() == report.key);
        let reset = key.map_or(self.reset, |key| key.reset.max(self.reset));
        reset > 0 && report.began <= reset
    }
}
