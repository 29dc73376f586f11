//! The number of tokens of a request: counted by the provider if it can, otherwise estimated. It never causes a completion
//! and has no rate limit, because Claude Code uses it to decide when to compact.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::routing::Route;
use vandamme_actors::settings::{Api, MessagesForm, ProviderSettings};
use vandamme_protocol::convert::client;
use vandamme_protocol::tokens;

use super::attempt::Answered;
use super::run::{Served, serve_request};
use super::run_record::RunRecord;
use super::{ProxyRequest, Targets, UpstreamCall, images};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// After this time, repeats included, the client gets an estimate.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) enum Count {
    /// The provider's own answer.
    Counted {
        status: u16,
        headers: HeaderMap,
        body: Bytes,
    },
    Estimated(u64),
}

/// Counts a Messages request.
pub(crate) async fn count(gateway: &Arc<Gateway>, request: ProxyRequest) -> Result<Count, Failure> {
    let route = request.route(gateway).map_err(Failure::Unroutable)?;
    count_on(gateway, request, route).await
}

/// Counts a request of the Responses API: the provider does if it has that API, and as for the Messages request that it becomes
/// otherwise.
pub(crate) async fn count_input(gateway: &Arc<Gateway>, request: ProxyRequest) -> Result<Count, Failure> {
    let route = request.route(gateway).map_err(Failure::Unroutable)?;
    let messages = as_messages(&request, &route);
    if route.provider.api_for(Api::Responses, &route.model) != Api::Responses {
        return count_on(gateway, messages?, route).await;
    }
    // The provider may know more than the gateway can convert.
    let estimated = || messages.as_ref().map_err(Clone::clone).and_then(estimated);
    let mut forwarded = request;
    forwarded.upstream_call = UpstreamCall::Endpoint(OpenAiEndpoint::ResponsesInputTokens);
    counted(gateway, forwarded, route, estimated).await
}

/// The Messages request that is counted in place of one of the Responses API.
fn as_messages(request: &ProxyRequest, route: &Route) -> Result<ProxyRequest, Failure> {
    let target = client::responses::MessagesTarget {
        provider: &route.provider.name,
        model: &route.model,
        requested_model: &request.head.model,
        upstream: client::responses::UpstreamKind::Messages,
    };
    let translated = client::responses::request(&request.body, &target);
    let translated = translated.map_err(|error| Failure::Malformed(error.to_string()))?;
    let messages = request.with_body(translated.body.into());
    let mut messages =
        messages.ok_or_else(|| Failure::Malformed("the request body is not valid JSON".to_owned()))?;
    messages.api = Api::Messages;
    Ok(messages)
}

async fn count_on(
    gateway: &Arc<Gateway>,
    mut request: ProxyRequest,
    route: Arc<Route>,
) -> Result<Count, Failure> {
    if let Some(described) = images::counted(gateway, &request, &route) {
        request = *described;
    }
    if route.provider.api != Api::Messages {
        return estimated(&request);
    }
    let body = request.body.clone();
    counted(gateway, request, route, || estimate(&body)).await
}

/// Asks the provider. What it does not count is estimated.
async fn counted(
    gateway: &Arc<Gateway>,
    mut request: ProxyRequest,
    route: Arc<Route>,
    estimated: impl Fn() -> Result<Count, Failure>,
) -> Result<Count, Failure> {
    let provider = route.provider.clone();
    request.targets = Targets::Resolved(route);
    // The ledger does not record counts.
    let record = RunRecord::new(&request.id, None, &request.trace);
    let Ok(served) = timeout(PATIENCE, serve_request(gateway, &request, record)).await else {
        return estimated();
    };
    match served {
        Ok(Served { answered, lease }) => {
            // The host works. This says nothing about the model or the key's limits.
            let lease_provider = lease.provider.name.clone();
            lease.finish(Outcome::RequestRefused);
            match *answered {
                Answered::Buffered { status, headers, body, .. } if has_count(&body) => {
                    Ok(Count::Counted { status, headers, body })
                }
                Answered::Buffered { .. } => {
                    let (id, provider) = (&request.id, &lease_provider);
                    log::warn!(
                        REQUEST_ID:% = id, PROVIDER = provider.as_ref();
                        "{id} {provider} counts tokens without input_tokens; the client gets an estimate"
                    );
                    estimated()
                }
                Answered::Opened { .. } | Answered::Raw { .. } => estimated(),
            }
        }
        Err(failure) if is_the_requests_own(&provider, failure.status()) => Err(failure),
        Err(_) => estimated(),
    }
}

fn estimated(request: &ProxyRequest) -> Result<Count, Failure> {
    estimate(&request.body)
}

fn estimate(body: &[u8]) -> Result<Count, Failure> {
    let tokens = tokens::messages(body).map(Count::Estimated);
    tokens.map_err(|error| Failure::Malformed(error.to_string()))
}

/// Whether a provider's answer has a number of tokens, in whatever form JSON writes it.
fn has_count(body: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    answer["input_tokens"].as_f64().is_some_and(|count| count >= 0.0)
}

/// Whether a provider's refusal is about the request or the key, not about counting or a temporary condition. Bedrock counts for
/// some models only, some of which it says with status 400 (docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html), and
/// has a permission for it.
fn is_the_requests_own(provider: &ProviderSettings, status: u16) -> bool {
    match provider.messages_form {
        MessagesForm::InvokeModel { .. } => matches!(status, 401 | 413),
        MessagesForm::Native | MessagesForm::RawPredict { .. } => matches!(status, 400 | 401 | 403 | 413),
    }
}
