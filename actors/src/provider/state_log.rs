//! The log lines about changes of a provider's state.

use std::sync::Arc;

use vandamme_protocol::compat::Fixup;

use super::Provider;
use super::health::{CooldownKind, StateChange, Subject, SubjectState};
use super::learned_rules::Novelty;
use crate::clock;

impl Provider {
    /// Writes one log line for a change of state.
    pub(super) fn log(&self, StateChange { subject, into }: &StateChange) {
        let name = &self.settings.name;
        let subject = match subject {
            Subject::Key(key) => format!("key {key} of provider '{name}'"),
            Subject::KeyAndModel(key, model) => {
                format!("key {key} of provider '{name}' with model '{model}'")
            }
            Subject::Model(model) => format!("model '{model}' of provider '{name}'"),
            Subject::Host => format!("provider '{name}'"),
        };
        match into {
            SubjectState::Preferred => log::info!("{subject} is preferred again"),
            SubjectState::CoolingDown { kind: CooldownKind::Extended, .. } => {}
            SubjectState::CoolingDown { kind: CooldownKind::New, cause, pause, message } => {
                let last = if message.is_empty() { String::new() } else { format!(": {message}") };
                let pause = pause.as_secs_f64();
                log::warn!("{subject} is not preferred for {pause:.1} s: {}{last}", cause.label());
            }
        }
    }

    /// Stores a learned rule and logs once which configuration would avoid the next refusal.
    pub(super) fn learn(&mut self, model: &Arc<str>, fixup: Fixup) {
        let rule = fixup.line(model);
        if self.known.learned_rules.learn(clock::boot(), model, fixup) == Novelty::New {
            let name = &self.settings.name;
            log::warn!(
                "provider '{name}' refused a part of the requests for '{model}'; further requests are adapted before they are sent. To make this permanent, add under [{name}]: {rule}"
            );
        }
    }
}
