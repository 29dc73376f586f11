//! Exports what is worth keeping of a provider, and imports it into another process.

use actix::{Handler, Message, MessageResult};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::health::ExportedHealth;
use super::learned_rules::ExportedRules;
use super::{Provider, ProviderHealth};
use crate::clock::{self, ImportClock, Millis};
use crate::observe::Observe;
use crate::settings::ProviderSettings;

/// The health and the learned rules of one provider. Contains no key and no address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedProvider {
    /// Identifies the upstream: nothing is known about another one under the same name.
    upstream: String,
    health: ExportedHealth,
    learned_rules: Vec<ExportedRules>,
}

/// Adds exported state that is `elapsed` milliseconds old. What this process has learned itself is kept.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ImportState {
    pub(crate) exported: ExportedProvider,
    pub(crate) elapsed: Millis,
}

impl ProviderHealth {
    pub(super) fn export(&self, settings: &ProviderSettings, now: Millis) -> ExportedProvider {
        ExportedProvider {
            upstream: upstream_digest(settings),
            health: self.health.export(&settings.name, now),
            learned_rules: self.learned_rules.export(now),
        }
    }

    pub(super) fn import(
        &mut self,
        exported: ExportedProvider,
        settings: &ProviderSettings,
        clock: ImportClock,
    ) {
        // The keys are the same, whatever the upstream.
        self.health.import_disabled(&exported.health, &settings.name);
        if exported.upstream == upstream_digest(settings) {
            self.health.import(exported.health, &settings.name, clock);
            self.learned_rules.import(exported.learned_rules, clock);
        }
    }
}

/// A hash of the values that [`is_another_upstream`](super::is_another_upstream) compares. The base URL may contain
/// credentials.
fn upstream_digest(settings: &ProviderSettings) -> String {
    let ProviderSettings { base_url, api, azure, messages_form, passthrough, .. } = settings;
    let digest = Sha256::digest(format!("{:?}", (base_url, api, azure, messages_form, passthrough)));
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Handler<Observe<ExportedProvider>> for Provider {
    type Result = MessageResult<Observe<ExportedProvider>>;

    fn handle(&mut self, _: Observe<ExportedProvider>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(self.known.export(&self.settings, clock::boot()))
    }
}

impl Handler<ImportState> for Provider {
    type Result = ();

    fn handle(&mut self, ImportState { exported, elapsed }: ImportState, _: &mut Self::Context) {
        self.catch_up();
        let now = clock::boot();
        self.known.import(exported, &self.settings, ImportClock::new(now, elapsed));
        self.known.health.forget_old(now);
        if self.permits.is_current(self.incarnation) {
            self.saved.store(self.known.clone());
        }
        self.set_fast_path();
    }
}

#[cfg(test)]
mod tests;
