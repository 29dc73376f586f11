//! `GET /health`: YAML as the Python original writes it, JSON on request. Callers without access see only the status.

pub(super) mod probes;

use std::time::SystemTime;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Serialize, Serializer};
use vandamme_actors::settings::PartialProvider;

use super::report::{self, Tree, wants_json};
use crate::gateway::Gateway;
use crate::timestamp::rfc3339;
use crate::views;
use crate::views::providers::ProviderReport;

const NO_PROVIDER: &str = "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY or another {PROVIDER}_API_KEY and restart";

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
    let providers = views::providers::read(gateway).await;
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
