//! `GET /health`: YAML as the Python original writes it, JSON on request. Callers without access see only the status.

pub(super) mod probes;

use std::time::{Duration, SystemTime};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Serialize, Serializer};
use vandamme_actors::observe::Observe;
use vandamme_actors::provider::{ConditionView, KeyView, LearnedRuleView, ModelView, ProviderView};
use vandamme_actors::settings::{Api, PartialProvider};

use super::report::{self, Tree, wants_json};
use crate::gateway::Gateway;
use crate::timestamp::rfc3339;

const NO_PROVIDER: &str = "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY or another {PROVIDER}_API_KEY and restart";
/// An actor that does not answer within this time is reported as not answering.
const PATIENCE: Duration = Duration::from_secs(1);

/// The content of a health report.
#[derive(Serialize)]
struct HealthReport {
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    details: Option<HealthDetails>,
}

#[derive(Serialize)]
struct HealthDetails {
    version: &'static str,
    api_key_valid: bool,
    client_api_key_validation: bool,
    default_provider: Option<String>,
    active_provider: Option<String>,
    #[serde(serialize_with = "by_name")]
    providers: Vec<ProviderReport>,
    incomplete_providers: Vec<String>,
}

#[derive(Serialize)]
struct ProviderReport {
    #[serde(skip)]
    name: String,
    api_format: &'static str,
    base_url: String,
    auth_mode: &'static str,
    models_url: Option<String>,
    api_key_hash: String,
    demo: bool,
    /// `None` if its actor does not answer.
    in_flight: Option<usize>,
    waiting: Option<usize>,
    #[serde(flatten)]
    state: HealthState,
    keys: Vec<KeyReport>,
    /// Models that are used last, because they failed.
    models: Vec<ModelHealth>,
    /// What is removed from requests, because the provider has refused it.
    healed: Vec<Healed>,
}

#[derive(Serialize)]
struct KeyReport {
    id: String,
    /// The state in one word, as in the first versions.
    state: &'static str,
    #[serde(flatten)]
    condition: HealthState,
    /// Models for which this key is used last.
    models: Vec<ModelHealth>,
}

#[derive(Serialize)]
struct ModelHealth {
    model: String,
    #[serde(flatten)]
    state: HealthState,
}

/// Whether it is preferred, and why not.
#[derive(Serialize)]
struct HealthState {
    preferred: bool,
    reason: Option<&'static str>,
    since: Option<String>,
    until: Option<String>,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct Healed {
    model: String,
    /// The line of configuration that avoids the refusal.
    rule: String,
    /// The time until the rule expires.
    seconds_left: u64,
}

/// A map, as in the YAML, in registry order.
fn by_name<S: Serializer>(providers: &[ProviderReport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(providers.iter().map(|provider| (&provider.name, provider)))
}

pub(super) async fn health(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let now = rfc3339(SystemTime::now());
    let details = details(&gateway).await;
    let usable = !details.providers.is_empty();
    let (status, message) = match (gateway.is_ready(), usable) {
        (false, _) => ("draining", Some("the gateway is shutting down")),
        (true, false) => ("degraded", Some(NO_PROVIDER)),
        (true, true) => details.status(),
    };
    let details = report::may_read(&request, &gateway).then_some(details);
    let health = HealthReport { status, timestamp: now, message, details };
    report::uncached(if wants_json(&request) {
        HttpResponse::Ok().json(&health)
    } else {
        match health.yaml() {
            Ok(text) => report::in_yaml("health", &health.timestamp, text),
            Err(error) => {
                log::error!("the health report cannot be written: {error}");
                HttpResponse::InternalServerError().finish()
            }
        }
    })
}

async fn details(gateway: &Gateway) -> HealthDetails {
    let live = gateway.live_config();
    let settings = &live.settings;
    let registry = gateway.registry.load();
    let views = settings.providers.iter().map(|settings| {
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
    let providers = futures_util::future::join_all(views).await;
    let default = settings.default_provider.as_ref().map(ToString::to_string);
    HealthDetails {
        version: env!("CARGO_PKG_VERSION"),
        api_key_valid: settings.providers.iter().any(|provider| !provider.demo),
        client_api_key_validation: live.access.are_required(),
        default_provider: default.clone(),
        active_provider: default,
        providers,
        incomplete_providers: settings.partial.iter().map(incomplete).collect(),
    }
}

fn incomplete(PartialProvider { name, missing }: &PartialProvider) -> String {
    format!("{name}: set {missing}")
}

impl ProviderReport {
    fn new(settings: &vandamme_actors::settings::ProviderSettings, view: Option<ProviderView>) -> Self {
        let keys = view.as_ref().map(|view| &view.keys).into_iter().flatten();
        let models = view.as_ref().map(|view| &view.models[..]).unwrap_or_default();
        let rules = view.as_ref().map(|view| &view.learned_rules).into_iter().flatten();
        Self {
            name: settings.name.to_string(),
            api_format: match settings.api {
                Api::Messages => "anthropic",
                Api::ChatCompletions => "openai",
            },
            base_url: settings.base_url.clone(),
            auth_mode: if settings.passthrough { "passthrough" } else { "api_key" },
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

impl HealthDetails {
    /// The overall status: `degraded` if a key or a model is not preferred, `unhealthy` if a provider has no preferred one.
    fn status(&self) -> (&'static str, Option<&'static str>) {
        if self.providers.iter().any(|provider| !provider.is_usable()) {
            return ("unhealthy", Some("a provider or all of its keys fail; see providers"));
        }
        if self.providers.iter().all(ProviderReport::is_whole) {
            return ("healthy", None);
        }
        ("degraded", Some("a key or a model fails; see providers"))
    }
}

impl ProviderReport {
    fn is_usable(&self) -> bool {
        let keys = self.keys.is_empty() || self.keys.iter().any(|key| key.condition.preferred);
        self.state.preferred && keys
    }

    fn is_whole(&self) -> bool {
        let is_key_whole = |key: &KeyReport| key.condition.preferred && key.models.is_empty();
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

/// Members of the report that YAML omits if they are empty.
const OPTIONAL: [&str; 5] = ["reason", "since", "until", "last_error", "incomplete_providers"];

impl HealthReport {
    fn yaml(&self) -> serde_json::Result<String> {
        let comment = match self.status {
            "healthy" => "All systems operational",
            _ => "System running with configuration issues",
        };
        let time = &self.timestamp;
        let sections = Tree::from_value(self)?.without_empty(&OPTIONAL).into_sections();
        Ok(format!(
            "# Health Check Report\n\n# Generated: {time}\n\n# Status: {comment}\n\n#\n\n{}",
            report::yaml(&sections)
        ))
    }
}
