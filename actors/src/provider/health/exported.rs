//! Exports the health of a provider, and imports it into another process.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::{ExportedCondition, HealthCondition};
use super::{HOST_MODELS, Health, RAMP};
use crate::clock::{ImportClock, Millis, Offset};

/// The health of a provider. Keys are identified by [`ApiKey::digest`](crate::secret::ApiKey::digest).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::provider) struct ExportedHealth {
    keys: Vec<ExportedKey>,
    /// The most recently used first.
    models: Vec<ExportedModel>,
    host: ExportedCondition,
    /// Models that have shown a fault of the host, with the time.
    host_faults: Vec<(String, Offset)>,
    ramp: Option<Offset>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedKey {
    key: String,
    /// An operator has disabled it.
    #[serde(default)]
    disabled: bool,
    whole: ExportedCondition,
    /// The most recently used first.
    models: Vec<ExportedModel>,
}

/// The condition of a model, of the whole provider or with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExportedModel {
    pub(super) model: String,
    pub(super) used: Offset,
    pub(super) condition: ExportedCondition,
}

impl Health {
    pub(in crate::provider) fn export(&self, provider: &str, now: Millis) -> ExportedHealth {
        let keys = self.keys.iter().map(|key| ExportedKey {
            key: key.key.digest(provider),
            disabled: key.is_disabled,
            whole: key.whole.export(now),
            models: key.models.export(now),
        });
        let faults = self.host_faults.iter();
        ExportedHealth {
            keys: keys.collect(),
            models: self.models.export(now),
            host: self.host.export(now),
            host_faults: faults.map(|(model, at)| (model.to_string(), Offset::from_time(*at, now))).collect(),
            ramp: self.ramp.map(|since| Offset::from_time(since, now)),
        }
    }

    /// Disables the keys that were disabled in the exporting process.
    pub(in crate::provider) fn import_disabled(&mut self, exported: &ExportedHealth, provider: &str) {
        for exported in exported.keys.iter().filter(|exported| exported.disabled) {
            let known = self.keys.iter_mut().filter(|key| key.key.digest(provider) == exported.key);
            known.for_each(|key| key.is_disabled = true);
        }
    }

    /// Adds the exported health. What calls of this process have shown stays as it is.
    pub(in crate::provider) fn import(
        &mut self,
        exported: ExportedHealth,
        provider: &str,
        clock: ImportClock,
    ) {
        let cap = self.pauses.cap;
        for exported in exported.keys {
            let same = |key: &&mut super::KeyHealth| key.key.digest(provider) == exported.key;
            let Some(key) = self.keys.iter_mut().find(same) else { continue };
            import_condition(&mut key.whole, exported.whole, clock, cap);
            key.models.import(exported.models, clock, cap);
        }
        self.models.import(exported.models, clock, cap);
        if self.host.is_unknown() && self.host_faults.is_empty() {
            let faults = exported.host_faults.into_iter().take(HOST_MODELS + 1);
            self.host_faults = faults.map(|(model, at)| (Arc::from(model), clock.past(at))).collect();
            self.ramp = exported.ramp.map(|since| clock.until(since, cap.saturating_add(RAMP)));
            import_condition(&mut self.host, exported.host, clock, cap);
        }
    }
}

fn import_condition(
    known: &mut HealthCondition,
    exported: ExportedCondition,
    clock: ImportClock,
    cap: Duration,
) {
    if known.is_unknown() {
        *known = exported.import(clock, cap);
    }
}
