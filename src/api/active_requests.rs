//! `GET /metrics/active-requests`: the requests in flight, newest first, in the Python original's format. [`stream`] sends
//! the same as events.

pub(super) mod stream;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::ledger::{Active, ActiveView};
use vandamme_actors::observe::Observe;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Api, Metrics};
use vandamme_protocol::vocabulary::ErrorKind;

use super::logs::{CallRow, millis};
use super::render_error;
use super::report;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// A ledger that does not answer within this time is restarting.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest name of a model in the report, in characters.
const LONGEST_NAME: usize = 300;

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Disabled {
    disabled: bool,
    pub(super) message: &'static str,
    pub(super) suggestion: &'static str,
}

/// The ledger does not answer.
pub(super) const NO_METRICS: Disabled = Disabled {
    disabled: true,
    message: "Request metrics logging is disabled",
    suggestion: "Set LOG_REQUEST_METRICS=true to enable tracking",
};

#[derive(Serialize)]
struct ActiveReport {
    #[serde(flatten)]
    disabled: Option<Disabled>,
    #[serde(rename = "disabled", skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    active_requests: Vec<ActiveRequestRow>,
    /// The time of an event, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<f64>,
}

#[derive(Serialize)]
struct ActiveRequestRow {
    request_id: String,
    /// The name of the client's key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    provider: String,
    /// The name that the client sent, without a provider prefix.
    model: String,
    requested_model: String,
    /// The provider's name of the model.
    resolved_model: String,
    qualified_model: String,
    is_streaming: bool,
    start_time: f64,
    duration_ms: u128,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_creation_tokens: u64,
    tool_uses: u32,
    tool_results: u32,
    tool_calls: u32,
    request_size: usize,
    message_count: u32,
    /// The fields from here on are not in the original's format.
    api: Option<&'static str>,
    session: Option<String>,
    agent: Option<String>,
    /// The role by which `[routing]` has chosen the model.
    role: Option<String>,
    first_event_ms: Option<f64>,
    reply_size: u64,
    calls: Vec<CallRow>,
}

impl ActiveReport {
    fn disabled(why: Disabled) -> Self {
        Self { disabled: Some(why), enabled: None, active_requests: vec![], timestamp: None }
    }

    fn rows(active: &[Active], secrets: &Secrets) -> Self {
        let active_requests = active.iter().map(|active| ActiveRequestRow::new(active, secrets)).collect();
        Self { disabled: None, enabled: Some(false), active_requests, timestamp: None }
    }
}

impl ActiveRequestRow {
    fn new(active: &Active, secrets: &Secrets) -> Self {
        // A client can send any text as the model. Secrets are searched first, because a truncated key would not be found.
        let told = |name: &str| {
            let scrubbed = secrets.scrub(name.chars().take(10 * LONGEST_NAME).collect());
            report::one_line(&scrubbed).chars().take(LONGEST_NAME).collect::<String>()
        };
        let requested = told(&active.request.model);
        let model = requested.split_once(':').map_or(requested.as_str(), |(_, model)| model).to_owned();
        let qualified = if requested.contains(':') {
            requested.clone()
        } else {
            format!("{}:{requested}", active.provider)
        };
        Self {
            request_id: active.request_id.to_string(),
            client: active.request.client.as_ref().map(ToString::to_string),
            provider: active.provider.to_string(),
            model,
            resolved_model: told(&active.model),
            qualified_model: qualified,
            requested_model: requested,
            is_streaming: active.request.streamed,
            start_time: report::epoch_seconds(active.since),
            duration_ms: active.elapsed.as_millis(),
            input_tokens: active.usage.input,
            output_tokens: active.usage.output,
            cache_read_tokens: active.usage.cache_read,
            cache_creation_tokens: active.usage.cache_creation,
            tool_uses: active.request.tools.uses,
            tool_results: active.request.tools.results,
            tool_calls: active.tool_calls,
            request_size: active.request.size,
            message_count: active.request.messages,
            api: active.request.api_word(),
            session: active.request.session.as_deref().map(told),
            agent: active.request.agent.as_deref().map(told),
            role: active.request.role.as_deref().map(str::to_owned),
            first_event_ms: active.first_event.map(millis),
            reply_size: active.reply_size,
            calls: active.calls.iter().map(|call| CallRow::new(call, secrets)).collect(),
        }
    }
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = report::turned_away(&request, &gateway, "running requests", &id) {
        return refusal;
    }
    let live = gateway.live_config();
    if live.settings.request_metrics == Metrics::Off {
        return report::uncached(HttpResponse::Ok().json(ActiveReport::disabled(NO_METRICS)));
    }
    match active(&gateway).await {
        Some(active) => report::uncached(HttpResponse::Ok().json(ActiveReport::rows(&active, &live.secrets))),
        None => render_error::error(
            Api::Messages,
            ErrorKind::Api,
            "the ledger does not answer; try again",
            id.as_str(),
        ),
    }
}

/// The requests in flight, newest first, or `None` while the ledger restarts.
async fn active(gateway: &Gateway) -> Option<Vec<Active>> {
    let ledger = gateway.registry.load().ledger.clone();
    let view = ledger.send(Observe::<ActiveView>::new()).timeout(PATIENCE).await;
    view.ok().map(|ActiveView(active)| active)
}

#[cfg(test)]
mod tests {
    use vandamme_actors::ledger::RequestSummary;
    use vandamme_actors::secret::ApiKey;

    use super::*;

    fn row(requested: &str) -> ActiveRequestRow {
        let request = RequestSummary { model: requested.into(), ..RequestSummary::default() };
        let active = Active { provider: "oa".into(), model: "v/x:free".into(), request, ..Active::default() };
        ActiveRequestRow::new(&active, &Secrets::new([ApiKey::new("canary-0123")]))
    }

    #[test]
    fn a_model_is_reported_under_all_its_names() {
        let names = |requested: &str| {
            let ActiveRequestRow { model, requested_model, resolved_model, qualified_model, .. } =
                row(requested);
            [model, requested_model, resolved_model, qualified_model]
        };
        assert_eq!(names("oa:x:free"), ["x:free", "oa:x:free", "v/x:free", "oa:x:free"]);
        assert_eq!(names("fast"), ["fast", "fast", "v/x:free", "oa:fast"]);
    }

    #[test]
    fn any_text_in_place_of_a_model_is_truncated_and_contains_no_key() {
        assert_eq!(row("a canary-0123\nb").requested_model, "a [key] b");
        assert_eq!(row(&"x".repeat(1 << 20)).requested_model.len(), LONGEST_NAME);
    }
}
