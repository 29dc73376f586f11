//! Requests for OpenAI's other endpoints, such as embeddings, images and audio: the client's bytes, with the model that the route
//! names.

use actix_web::http::Method;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::Api;

use super::ProxyRequest;
use super::upstream_request::{ReplyPath, UpstreamRequest};
use super::upstream_url::UpstreamUrl;

/// Builds the request for one target.
///
/// # Errors
/// For the client: the target has no such endpoint.
pub(super) fn build(
    request: &ProxyRequest,
    lease: &Lease,
    endpoint: OpenAiEndpoint,
) -> Result<UpstreamRequest, String> {
    let (provider, model) = (&lease.provider, &lease.model);
    match provider.api {
        Api::ChatCompletions | Api::Responses => {}
        Api::Messages => return Err(not_there(request, lease, endpoint)),
    }
    let url = UpstreamUrl::endpoint(provider, endpoint, model);
    let body = request.head.with_model(&request.body, model);
    Ok(UpstreamRequest::new(lease, Method::POST, url, body, ReplyPath::Endpoint(endpoint)))
}

/// The target's provider speaks Anthropic's API.
fn not_there(request: &ProxyRequest, lease: &Lease, endpoint: OpenAiEndpoint) -> String {
    format!(
        "model: '{}' leads to provider '{}', whose Anthropic API has no /{}; send a model of a provider with OpenAI's API, such as openai:MODEL",
        request.head.model,
        lease.provider.name,
        endpoint.path()
    )
}
