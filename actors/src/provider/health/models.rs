//! Stores conditions by model, for the most recently used models.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;
use super::exported::ExportedModel;
use crate::clock::{ImportClock, Millis, Offset};

/// Clients choose model names, so their number must be bounded.
const MOST: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct ModelConditions(HashMap<Arc<str>, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    condition: Condition,
    used: Millis,
}

impl ModelConditions {
    pub(super) fn get(&self, model: &str) -> Option<&Condition> {
        self.0.get(model).map(|entry| &entry.condition)
    }

    pub(super) fn get_mut(&mut self, model: &str) -> Option<&mut Condition> {
        self.0.get_mut(model).map(|entry| &mut entry.condition)
    }

    /// The condition of this model. If the map is full, the least recently used model is removed.
    pub(super) fn entry(&mut self, model: &Arc<str>, now: Millis) -> &mut Condition {
        if self.0.len() >= MOST && !self.0.contains_key(model) {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.used).map(|(model, _)| model.clone());
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let entry = self.0.entry(model.clone());
        let entry = entry.or_insert_with(|| Entry { condition: Condition::default(), used: now });
        entry.used = now;
        &mut entry.condition
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Condition)> {
        self.0.iter().map(|(model, entry)| (model, &entry.condition))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Condition> {
        self.0.values_mut().map(|entry| &mut entry.condition)
    }

    /// The models, the most recently used first.
    pub(super) fn export(&self, now: Millis) -> Vec<ExportedModel> {
        let mut models: Vec<_> = self.0.iter().collect();
        models.sort_by(|(one, of_one), (other, of_other)| (of_other.used, one).cmp(&(of_one.used, other)));
        let export = |(model, entry): (&Arc<str>, &Entry)| ExportedModel {
            model: model.to_string(),
            used: Offset::from_time(entry.used, now),
            condition: entry.condition.export(now),
        };
        models.into_iter().map(export).collect()
    }

    /// Adds the models that are not known yet, as long as the map has room.
    pub(super) fn import(&mut self, models: Vec<ExportedModel>, clock: ImportClock, cap: Duration) {
        for ExportedModel { model, used, condition } in models {
            if self.0.len() >= MOST {
                return;
            }
            self.0
                .entry(model.into())
                .or_insert_with(|| Entry { condition: condition.import(clock, cap), used: clock.past(used) });
        }
    }

    pub(super) fn are_clear(&self) -> bool {
        self.0.values().all(|entry| entry.condition.is_clear())
    }

    pub(super) fn forget_old(&mut self, now: Millis) {
        self.0.retain(|_, entry| !entry.condition.is_forgotten(now));
    }
}
