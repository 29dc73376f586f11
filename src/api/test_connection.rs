//! `GET /test-connection`: sends a short question to a provider, which costs a few tokens.

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::vocabulary::ErrorKind;

use super::access;
use super::endpoint::{self, Refused};
use super::report::uncached;
use super::{guarded, shared};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::probe::{self, ProbeOutcome, ProbeResult};
use crate::request_id::RequestId;
use crate::timestamp::rfc3339;

/// The result, in the shape of the Python original.
#[derive(Debug, Serialize)]
pub(super) struct TestReport {
    status: &'static str,
    message: String,
    provider: String,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_used: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u128>,
    /// The status that a client would receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<String>,
}

pub(super) async fn test(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let handler = async {
        let _admission = match endpoint::admitted(&request, &gateway) {
            Ok(admission) => admission,
            Err(refused) => return refused.response(Api::Messages, &id),
        };
        if let Some(message) = access::refusal_to_spend(&request, &gateway) {
            return Refused(403, ErrorKind::Permission, message).response(Api::Messages, &id);
        }
        let (mut provider, mut model) = (None, None);
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            match &*name {
                "provider" if !value.is_empty() => provider = Some(value.into_owned()),
                "model" if !value.is_empty() => model = Some(value.into_owned()),
                _ => {}
            }
        }
        let named = [provider.as_deref(), model.as_deref()].into_iter().flatten();
        if let Err(message) =
            named.into_iter().try_for_each(|name| endpoint::model_name(name, &gateway.live_config(), None))
        {
            return Refused(400, ErrorKind::InvalidRequest, message).response(Api::Messages, &id);
        }
        let routes = gateway.registry.load().routes.clone();
        let provider = match routes.provider(provider.as_deref()) {
            Ok(provider) => provider,
            Err(reason) => {
                let failure = Failure::Unroutable(reason);
                return failure.response(Api::Messages, id.as_str());
            }
        };
        render_result(provider, probe::provider(&gateway, provider, model.as_deref()).await)
    };
    uncached(guarded(Api::Messages, &id, handler).await)
}

fn render_result(provider: &ProviderSettings, probe: ProbeResult) -> HttpResponse {
    let report = TestReport::new(provider, probe);
    let status = if report.is_failure() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    HttpResponse::build(status).json(report)
}

impl TestReport {
    pub(super) fn new(provider: &ProviderSettings, probe: ProbeResult) -> Self {
        let name = provider.name.to_string();
        let blank = Self {
            status: "success",
            message: format!("Successfully connected to {name} API"),
            provider: name.clone(),
            timestamp: rfc3339(SystemTime::now()),
            model_used: probe.model,
            response_id: None,
            auth_mode: None,
            elapsed_ms: Some(probe.elapsed.as_millis()),
            upstream_status: None,
            error_type: None,
            suggestions: vec![],
        };
        match probe.outcome {
            ProbeOutcome::Answered { response_id } => Self { response_id, ..blank },
            ProbeOutcome::Skipped => Self {
                status: "skipped",
                message: format!("{name} needs a key from each client; there is none to test with"),
                auth_mode: Some("passthrough"),
                elapsed_ms: None,
                ..blank
            },
            ProbeOutcome::Failed { status, kind, message } => Self {
                status: "failed",
                message,
                upstream_status: Some(status),
                error_type: Some(kind),
                suggestions: suggestions(provider),
                ..blank
            },
        }
    }

    fn is_failure(&self) -> bool {
        self.error_type.is_some()
    }
}

fn suggestions(provider: &ProviderSettings) -> Vec<String> {
    let name = &provider.name;
    let variable = name.to_ascii_uppercase().replace('-', "_");
    vec![
        format!("Check that {variable}_API_KEY is a key of {name} that may use this model"),
        format!("Check that {} is where {name} answers ({variable}_BASE_URL)", provider.base_url),
        format!("Name another model: /test-connection?provider={name}&model=…"),
        "Check /health for the state of every key".to_owned(),
    ]
}
