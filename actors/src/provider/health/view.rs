//! Builds the part of `/health` that shows a provider's health.

use std::sync::Arc;

use super::condition::HealthCondition;
use super::{Health, KeyHealth};
use crate::clock::{self, Millis};
use crate::outcome::Outcome;
use crate::secret::KeyId;

/// Whether a condition is preferred, and the reason if not. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionView {
    /// `None` if the condition is preferred.
    pub reason: Option<&'static str>,
    pub since: Option<Millis>,
    pub until: Option<Millis>,
    /// The upstream's error in short.
    pub last_error: Option<Arc<str>>,
}

/// The state of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: KeyId,
    /// `ready`, `cooling`, `rejected`, `out of credit` or `disabled`.
    pub state: &'static str,
    pub condition: ConditionView,
    /// Models for which this key is not preferred.
    pub models: Vec<ModelView>,
}

/// The state of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelView {
    pub model: Arc<str>,
    pub condition: ConditionView,
}

impl ConditionView {
    /// Whether requests prefer it.
    pub fn is_preferred(&self) -> bool {
        self.reason.is_none()
    }

    fn new(condition: &HealthCondition, now: Millis) -> Self {
        let Some(cooldown) = condition.cooldown().filter(|cooldown| cooldown.until > now) else {
            return Self::default();
        };
        let wall = |time: Millis| clock::wall().saturating_add(time).saturating_sub(now);
        Self {
            reason: Some(cooldown.cause.label()),
            since: Some(wall(cooldown.since)),
            until: Some(wall(cooldown.until)),
            last_error: (!cooldown.message.is_empty()).then(|| cooldown.message.clone()),
        }
    }
}

fn models<'m>(
    models: impl Iterator<Item = (&'m Arc<str>, &'m HealthCondition)>,
    now: Millis,
) -> Vec<ModelView> {
    let view = |(model, condition): (&Arc<str>, &HealthCondition)| ModelView {
        model: model.clone(),
        condition: ConditionView::new(condition, now),
    };
    let mut views: Vec<_> = models.map(view).filter(|view| !view.condition.is_preferred()).collect();
    views.sort_by(|one, other| one.model.cmp(&other.model));
    views
}

impl Health {
    pub(in crate::provider) fn keys_view(&self, now: Millis) -> Vec<KeyView> {
        self.keys.iter().map(|key| key.view(now)).collect()
    }

    /// The models that are not preferred.
    pub(in crate::provider) fn models_view(&self, now: Millis) -> Vec<ModelView> {
        models(self.models.iter(), now)
    }

    pub(in crate::provider) fn host_view(&self, now: Millis) -> ConditionView {
        ConditionView::new(&self.host, now)
    }
}

impl KeyHealth {
    fn view(&self, now: Millis) -> KeyView {
        let cooling = self.whole.cooldown().filter(|cooldown| cooldown.until > now);
        let state = match cooling.map(|cooldown| cooldown.cause) {
            None => "ready",
            Some(Outcome::RateLimited { .. }) => "cooling",
            Some(Outcome::OutOfCredit) => "out of credit",
            Some(_) => "rejected",
        };
        let condition = ConditionView::new(&self.whole, now);
        let (state, condition) = match self.is_disabled {
            true => ("disabled", ConditionView { reason: Some("disabled by an operator"), ..condition }),
            false => (state, condition),
        };
        KeyView { id: self.key.id(), state, condition, models: models(self.models.iter(), now) }
    }
}
