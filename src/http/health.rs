//! `GET /health`: YAML as the Python original writes it, JSON on request. Strangers see the status alone.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Serialize, Serializer};
use vandamme_actors::observe::Observe;
use vandamme_actors::provider::{LessonView, ProviderView};
use vandamme_actors::settings::{Api, PartialProvider};

use super::report::{self, rfc3339, scalar, wants_json};
use crate::gateway::Gateway;

const NO_PROVIDER: &str = "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY or another {PROVIDER}_API_KEY and restart";
/// An actor that does not answer within this is shown as such.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a health check tells.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    version: &'static str,
    api_key_valid: bool,
    client_api_key_validation: bool,
    default_provider: Option<String>,
    active_provider: Option<String>,
    #[serde(serialize_with = "by_name")]
    providers: Vec<ProviderHealth>,
    incomplete_providers: Vec<String>,
}

#[derive(Serialize)]
struct ProviderHealth {
    #[serde(skip)]
    name: String,
    api_format: &'static str,
    base_url: String,
    auth_mode: &'static str,
    models_url: Option<String>,
    api_key_hash: String,
    demo: bool,
    /// `None` when its actor does not answer.
    in_flight: Option<usize>,
    waiting: Option<usize>,
    breaker: Option<&'static str>,
    keys: Vec<KeyHealth>,
    /// What requests go without since the provider has refused it.
    healed: Vec<Healed>,
}

#[derive(Serialize)]
struct KeyHealth {
    id: String,
    state: &'static str,
}

#[derive(Serialize)]
struct Healed {
    model: String,
    /// The line of configuration that would have spared the refusal.
    rule: String,
    /// Until it is forgotten.
    seconds_left: u64,
}

/// A map, as in the YAML, in registry order.
fn by_name<S: Serializer>(providers: &[ProviderHealth], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(providers.iter().map(|provider| (&provider.name, provider)))
}

pub(super) async fn health(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let now = rfc3339(SystemTime::now());
    let usable = !gateway.terms().settings.providers.is_empty();
    let (status, message) = match (gateway.is_ready(), usable) {
        (false, _) => ("draining", Some("the gateway is shutting down")),
        (true, false) => ("degraded", Some(NO_PROVIDER)),
        (true, true) => ("healthy", None),
    };
    let details = if report::may_read(&request, &gateway) { Some(details(&gateway).await) } else { None };
    let health = Health { status, timestamp: now, message, details };
    report::uncached(if wants_json(&request) {
        HttpResponse::Ok().json(&health)
    } else {
        report::in_yaml("health", &health.timestamp, health.yaml())
    })
}

async fn details(gateway: &Gateway) -> Details {
    let terms = gateway.terms();
    let settings = &terms.settings;
    let mut providers = vec![];
    for settings in &settings.providers {
        let roster = gateway.roster.load();
        let view = match roster.provider(&settings.name) {
            Some(provider) => provider.send(Observe::new()).timeout(PATIENCE).await.ok(),
            None => None,
        };
        providers.push(ProviderHealth::new(settings, view));
    }
    let default = settings.default_provider.as_ref().map(ToString::to_string);
    Details {
        version: env!("CARGO_PKG_VERSION"),
        api_key_valid: settings.providers.iter().any(|provider| !provider.demo),
        client_api_key_validation: terms.proxy_key.is_some(),
        default_provider: default.clone(),
        active_provider: default,
        providers,
        incomplete_providers: settings.partial.iter().map(incomplete).collect(),
    }
}

fn incomplete(PartialProvider { name, missing }: &PartialProvider) -> String {
    format!("{name}: set {missing}")
}

impl ProviderHealth {
    fn new(settings: &vandamme_actors::settings::ProviderSettings, view: Option<ProviderView>) -> Self {
        let breaker = |view: &ProviderView| if view.breaker_open { "open" } else { "closed" };
        let keys = view.as_ref().map(|view| &view.keys).into_iter().flatten();
        let lessons = view.as_ref().map(|view| &view.lessons).into_iter().flatten();
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
            breaker: view.as_ref().map(breaker),
            keys: keys.map(|key| KeyHealth { id: key.id.to_string(), state: key.state }).collect(),
            healed: lessons.map(Healed::new).collect(),
        }
    }

    fn yaml(&self, out: &mut String) {
        let optional = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let lines = [
            ("api_format", self.api_format.to_owned()),
            ("base_url", scalar(&self.base_url)),
            ("auth_mode", self.auth_mode.to_owned()),
            ("models_url", optional(self.models_url.as_deref().map(scalar))),
            ("api_key_hash", scalar(&self.api_key_hash)),
            ("demo", self.demo.to_string()),
            ("in_flight", optional(self.in_flight.map(|count| count.to_string()))),
            ("waiting", optional(self.waiting.map(|count| count.to_string()))),
            ("breaker", optional(self.breaker.map(str::to_owned))),
        ];
        let _ = writeln!(out, "  {}:", scalar(&self.name));
        for (name, value) in lines {
            let _ = writeln!(out, "    {name}: {value}");
        }
        let _ = writeln!(out, "    keys:{}", if self.keys.is_empty() { " []" } else { "" });
        for KeyHealth { id, state } in &self.keys {
            let _ = writeln!(out, "      - id: {}\n        state: {state}", scalar(id));
        }
        let _ = writeln!(out, "    healed:{}", if self.healed.is_empty() { " []" } else { "" });
        for Healed { model, rule, seconds_left } in &self.healed {
            let (model, rule) = (scalar(model), scalar(rule));
            let _ = writeln!(
                out,
                "      - model: {model}\n        rule: {rule}\n        seconds_left: {seconds_left}"
            );
        }
    }
}

impl Healed {
    fn new(LessonView { model, edit, left }: &LessonView) -> Self {
        Self { model: model.to_string(), rule: edit.to_string(), seconds_left: left.as_secs() }
    }
}

impl Health {
    fn yaml(&self) -> String {
        let comment = match self.status {
            "healthy" => "All systems operational",
            _ => "System running with configuration issues",
        };
        let mut out = format!(
            "# Health Check Report\n\n# Generated: {time}\n\n# Status: {comment}\n\n#\n\nstatus: {}\n\ntimestamp: {}\n",
            self.status,
            scalar(&self.timestamp),
            time = self.timestamp,
        );
        if let Some(message) = self.message {
            let _ = writeln!(out, "\nmessage: {}", scalar(message));
        }
        if let Some(details) = &self.details {
            details.yaml(&mut out);
        }
        out
    }
}

impl Details {
    fn yaml(&self, out: &mut String) {
        let name = |name: &Option<String>| name.as_deref().map_or_else(|| "null".to_owned(), scalar);
        let _ = write!(
            out,
            "\nversion: {}\n\napi_key_valid: {}\n\nclient_api_key_validation: {}\n\ndefault_provider: {}\n\nactive_provider: {}\n",
            scalar(self.version),
            self.api_key_valid,
            self.client_api_key_validation,
            name(&self.default_provider),
            name(&self.active_provider),
        );
        let _ = writeln!(out, "\nproviders:{}", if self.providers.is_empty() { " {}" } else { "" });
        self.providers.iter().for_each(|provider| provider.yaml(out));
        if !self.incomplete_providers.is_empty() {
            let _ = writeln!(out, "\nincomplete_providers:");
            for line in &self.incomplete_providers {
                let _ = writeln!(out, "  - {}", scalar(line));
            }
        }
    }
}
