//! Stores conditions by model, for the most recently used models.

use std::collections::HashMap;
use std::sync::Arc;

use super::condition::HealthCondition;
use crate::clock::Millis;

/// Clients choose model names, so their number must be bounded.
const MOST: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct ModelConditions(HashMap<Arc<str>, ModelEntry>);

#[derive(Clone, Debug)]
struct ModelEntry {
    condition: HealthCondition,
    used: Millis,
}

impl ModelConditions {
    pub(super) fn get(&self, model: &str) -> Option<&HealthCondition> {
        self.0.get(model).map(|entry| &entry.condition)
    }

    pub(super) fn get_mut(&mut self, model: &str) -> Option<&mut HealthCondition> {
        self.0.get_mut(model).map(|entry| &mut entry.condition)
    }

    /// The condition of this model. If the map is full, the least recently used model is removed.
    pub(super) fn entry(&mut self, model: &Arc<str>, now: Millis) -> &mut HealthCondition {
        if self.0.len() >= MOST && !self.0.contains_key(model) {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.used).map(|(model, _)| model.clone());
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let entry = self.0.entry(model.clone());
        let entry = entry.or_insert_with(|| ModelEntry { condition: HealthCondition::default(), used: now });
        entry.used = now;
        &mut entry.condition
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &HealthCondition)> {
        self.0.iter().map(|(model, entry)| (model, &entry.condition))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut HealthCondition> {
        self.0.values_mut().map(|entry| &mut entry.condition)
    }

    pub(super) fn are_clear(&self) -> bool {
        self.0.values().all(|entry| entry.condition.is_clear())
    }

    pub(super) fn forget_old(&mut self, now: Millis) {
        self.0.retain(|_, entry| !entry.condition.is_forgotten(now));
    }
}
