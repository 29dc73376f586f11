//! A provider under other settings: what it knows holds for what has not changed.

use std::sync::Arc;

use actix::{Handler, Message};

use super::{Provider, ProviderHealth};
use crate::settings::{Limits, ProviderSettings};

/// Everything from the next lease on goes by these settings.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Reconfigure {
    pub(crate) settings: Arc<ProviderSettings>,
    pub(crate) limits: Limits,
}

/// Whether it is another upstream, of which nothing is known, under the same name.
pub(crate) fn is_another(before: &ProviderSettings, after: &ProviderSettings) -> bool {
    (&before.base_url, before.api, &before.azure, before.passthrough)
        != (&after.base_url, after.api, &after.azure, after.passthrough)
}

impl ProviderHealth {
    /// What of it holds when the settings change from the first to the second.
    pub(crate) fn under(
        &self,
        (before, after): (&ProviderSettings, &ProviderSettings),
        limits: &Limits,
    ) -> Self {
        if is_another(before, after) {
            return Self::new(after, limits);
        }
        let mut known = self.clone();
        known.health = self.health.with_keys(&after.keys, limits);
        known.learned_rules.keep_for(limits.healing_ttl);
        known
    }
}

impl Handler<Reconfigure> for Provider {
    type Result = ();

    fn handle(&mut self, Reconfigure { settings, limits }: Reconfigure, context: &mut Self::Context) {
        // What requests have shown so far they have shown of the old ones.
        self.catch_up();
        self.known = self.known.under((&self.settings, &settings), &limits);
        self.settings = settings;
        self.limits = limits;
        // One that was replaced may hear of it late, and of later ones never.
        if self.permits.belongs_to(self.incarnation) {
            self.saved.store(self.known.clone());
            self.permits.fast_path.set_turn(self.known.health.turn());
        }
        self.serve(context);
        self.serve_waiting(context);
    }
}
