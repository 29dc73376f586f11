//! The providers with their keys: configuration and health.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde::Serialize;
use vandamme_actors::observe::Observe;
use vandamme_actors::provider::{ConditionView, KeyView, LearnedRuleView, ModelView, ProviderView};
use vandamme_actors::settings::{Api, CloudIdentity, ProviderSettings};

use crate::gateway::Gateway;
use crate::timestamp::rfc3339;

/// An actor that does not answer within this time is reported as not answering.
const PATIENCE: Duration = Duration::from_secs(1);

/// All providers, in registry order.
pub(crate) async fn read(gateway: &Gateway) -> Vec<ProviderReport> {
    let live = gateway.live_config();
    let registry = gateway.registry.load();
    let reports = live.settings.providers.iter().map(|settings| {
        let asked =
            registry.provider(&settings.name).map(|provider| provider.send(Observe::new()).timeout(PATIENCE));
        async move {
            let view = match asked {
                Some(asked) => asked.await.ok(),
                None => None,
            };
            ProviderReport::new(settings, view)
        }
    });
    join_all(reports).await
}

#[derive(Debug, Serialize)]
pub(crate) struct ProviderReport {
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) api_format: &'static str,
    /// The APIs that its requests can use, in the words of `api-format`.
    pub(crate) apis: Vec<&'static str>,
    pub(crate) base_url: String,
    pub(crate) auth_mode: &'static str,
    pub(crate) models_url: Option<String>,
    pub(crate) api_key_hash: String,
    pub(crate) demo: bool,
    /// `None` if its actor does not answer.
    pub(crate) in_flight: Option<usize>,
    pub(crate) waiting: Option<usize>,
    #[serde(flatten)]
    pub(crate) state: HealthState,
    pub(crate) keys: Vec<KeyReport>,
    /// Models that are used last, because they failed.
    pub(crate) models: Vec<ModelHealth>,
    /// What is removed from requests, because the provider has refused it.
    pub(crate) healed: Vec<Healed>,
}

#[derive(Debug, Serialize)]
pub(crate) struct KeyReport {
    pub(crate) id: String,
    /// The state in one word, as in the first versions.
    pub(crate) state: &'static str,
    #[serde(flatten)]
    pub(crate) condition: HealthState,
    /// Models for which this key is used last.
    pub(crate) models: Vec<ModelHealth>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelHealth {
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) state: HealthState,
}

/// Whether it is preferred, and why not.
#[derive(Debug, Serialize)]
pub(crate) struct HealthState {
    pub(crate) preferred: bool,
    pub(crate) reason: Option<&'static str>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) last_error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Healed {
    pub(crate) model: String,
    /// The line of configuration that avoids the refusal.
    pub(crate) rule: String,
    /// The time until the rule expires.
    pub(crate) seconds_left: u64,
}

impl ProviderReport {
    fn new(settings: &ProviderSettings, view: Option<ProviderView>) -> Self {
        let keys = view.as_ref().map(|view| &view.keys).into_iter().flatten();
        let models = view.as_ref().map(|view| &view.models[..]).unwrap_or_default();
        let rules = view.as_ref().map(|view| &view.learned_rules).into_iter().flatten();
        Self {
            name: settings.name.to_string(),
            api_format: settings.api.name(),
            apis: settings.apis().into_iter().map(Api::name).collect(),
            base_url: settings.base_url.clone(),
            auth_mode: match &settings.identity {
                Some(CloudIdentity::Aws(_)) => "aws",
                Some(CloudIdentity::Google(_)) => "google",
                None if settings.passthrough => "passthrough",
                None => "api_key",
            },
            models_url: settings.models_url.clone(),
            api_key_hash: match settings.keys.first() {
                Some(key) => format!("sha256:{}", key.id()),
                None => "sha256:PASSTHRU".to_owned(),
            },
            demo: settings.demo,
            in_flight: view.as_ref().map(|view| view.in_flight),
            waiting: view.as_ref().map(|view| view.waiting),
            state: view.as_ref().map_or_else(HealthState::unknown, |view| HealthState::new(&view.host)),
            keys: keys.map(KeyReport::new).collect(),
            models: models.iter().map(ModelHealth::new).collect(),
            healed: rules.map(Healed::new).collect(),
        }
    }
}

impl ProviderReport {
    pub(crate) fn is_usable(&self) -> bool {
        let keys = self.keys.is_empty() || self.keys.iter().any(|key| key.condition.preferred);
        self.state.preferred && keys
    }

    pub(crate) fn is_whole(&self) -> bool {
        // An operator's decision is not a failure.
        let is_key_whole =
            |key: &KeyReport| key.state == "disabled" || (key.condition.preferred && key.models.is_empty());
        self.is_usable() && self.models.is_empty() && self.keys.iter().all(is_key_whole)
    }
}

impl HealthState {
    fn new(view: &ConditionView) -> Self {
        let time = |millis: u64| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        Self {
            preferred: view.is_preferred(),
            reason: view.reason,
            since: view.since.map(time),
            until: view.until.map(time),
            last_error: view.last_error.as_deref().map(str::to_owned),
        }
    }

    /// The provider's actor does not answer.
    fn unknown() -> Self {
        let reason = Some("the gateway's own provider actor does not answer");
        Self { preferred: false, reason, since: None, until: None, last_error: None }
    }
}

impl KeyReport {
    fn new(KeyView { id, state, condition, models }: &KeyView) -> Self {
        let models = models.iter().map(ModelHealth::new).collect();
        Self { id: id.to_string(), state, condition: HealthState::new(condition), models }
    }
}

impl ModelHealth {
    fn new(ModelView { model, condition }: &ModelView) -> Self {
        Self { model: model.to_string(), state: HealthState::new(condition) }
    }
}

impl Healed {
    fn new(LearnedRuleView { model, fixup, left }: &LearnedRuleView) -> Self {
        Self { model: model.to_string(), rule: fixup.line(model), seconds_left: left.as_secs() }
    }
}
