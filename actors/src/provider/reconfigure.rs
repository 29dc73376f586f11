//! Applies new settings to a provider. Its knowledge about unchanged keys and an unchanged upstream is kept.

use std::sync::Arc;

use actix::{Handler, Message};

use super::{Provider, ProviderHealth};
use crate::settings::{Limits, ProviderSettings};

/// Applies these settings, starting with the next lease.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ReconfigureProvider {
    pub(crate) settings: Arc<ProviderSettings>,
    pub(crate) limits: Limits,
}

/// Whether the settings describe another upstream under the same name; nothing is known about that one.
pub(crate) fn is_another_upstream(before: &ProviderSettings, after: &ProviderSettings) -> bool {
    let upstream = |settings: &ProviderSettings| {
        let ProviderSettings { base_url, api, azure, messages_form, passthrough, .. } = settings;
        (base_url.clone(), *api, azure.clone(), messages_form.clone(), *passthrough)
    };
    upstream(before) != upstream(after)
}

impl ProviderHealth {
    /// The part of the knowledge that remains valid when the settings change from the first to the second.
    pub(crate) fn for_settings(
        &self,
        before: &ProviderSettings,
        after: &ProviderSettings,
        limits: &Limits,
    ) -> Self {
        if is_another_upstream(before, after) {
            // The operator's decision is about the key, not about the upstream.
            let new = Self::new(after, limits);
            return Self { health: new.health.with_disabled_keys_of(&self.health), ..new };
        }
        let mut known = self.clone();
        known.health = self.health.with_keys(&after.keys, limits);
        known.learned_rules.set_ttl(limits.learned_rules_ttl);
        known
    }
}

impl Handler<ReconfigureProvider> for Provider {
    type Result = ();

    fn handle(
        &mut self,
        ReconfigureProvider { settings, limits }: ReconfigureProvider,
        context: &mut Self::Context,
    ) {
        // Apply all reports so far to the old settings.
        self.catch_up();
        self.known = self.known.for_settings(&self.settings, &settings, &limits);
        self.settings = settings;
        self.limits = limits;
        // A replaced incarnation may handle this message late, and never gets later ones.
        if self.permits.is_current(self.incarnation) {
            self.saved.store(self.known.clone());
            self.permits.fast_path.set_turn(self.known.health.turn());
        }
        self.publish_source(context);
        self.serve_waiting(context);
    }
}
