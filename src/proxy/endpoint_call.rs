//! Requests for OpenAI's other endpoints, such as embeddings, images and audio: the client's bytes, with the model that the route
//! names.

use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::Api;
use vandamme_protocol::openai::compact;
use vandamme_protocol::request::Pieces;

use super::ProxyRequest;
use super::upstream_url::UpstreamUrl;

/// What is sent to one target.
pub(super) enum EndpointCall {
    /// The client's request, to this URL.
    Forwarded(UpstreamUrl, Pieces),
    /// A request of the Responses API in its place, which is translated.
    Summary(Box<ProxyRequest>),
}

/// Builds the request for one target.
///
/// # Errors
/// For the client: the target has no such endpoint.
pub(super) fn build(
    request: &ProxyRequest,
    lease: &Lease,
    endpoint: OpenAiEndpoint,
) -> Result<EndpointCall, String> {
    let (provider, model) = (&lease.provider, &lease.model);
    let upstream_api = provider.api_for(request.api, model);
    let is_there = match endpoint {
        OpenAiEndpoint::ResponsesCompact => upstream_api == Api::Responses,
        OpenAiEndpoint::ResponsesInputTokens
        | OpenAiEndpoint::Embeddings
        | OpenAiEndpoint::Completions
        | OpenAiEndpoint::Moderations
        | OpenAiEndpoint::ImageGenerations
        | OpenAiEndpoint::ImageEdits
        | OpenAiEndpoint::ImageVariations
        | OpenAiEndpoint::Speech
        | OpenAiEndpoint::Transcriptions
        | OpenAiEndpoint::Translations
        | OpenAiEndpoint::Rerank => upstream_api != Api::Messages,
    };
    match (endpoint, is_there) {
        (OpenAiEndpoint::ResponsesCompact, false) => summary(request),
        (_, false) => Err(not_there(request, lease, endpoint)),
        (_, true) => {
            let url = UpstreamUrl::endpoint(provider, endpoint, model);
            Ok(EndpointCall::Forwarded(url, request.for_responses(model)))
        }
    }
}

/// Asks the model itself for a summary of the conversation.
fn summary(request: &ProxyRequest) -> Result<EndpointCall, String> {
    let body = compact::summary_request(&request.body).map_err(|error| error.to_string())?;
    let summary = request.with_body(body.into());
    let summary = summary.ok_or_else(|| "the request body is not valid JSON".to_owned())?;
    Ok(EndpointCall::Summary(Box::new(summary)))
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
