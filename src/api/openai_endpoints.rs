//! OpenAI's endpoints beside those for conversations: embeddings, images, audio and others, passed through by the model of the
//! request.

use actix_web::{HttpRequest, HttpResponse, Route, web};
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::settings::Api;

use super::endpoint;
use crate::gateway::Gateway;
use crate::proxy::UpstreamCall;

/// The handler of an endpoint.
pub(super) fn route(endpoint: OpenAiEndpoint) -> [Route; 1] {
    let handler = move |request: HttpRequest, payload: web::Payload, gateway: web::Data<Gateway>| {
        serve(endpoint, request, payload, gateway)
    };
    [web::post().to(handler)]
}

pub(super) async fn serve(
    endpoint: OpenAiEndpoint,
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    // Errors have the same shape in both of OpenAI's APIs.
    let api = match endpoint {
        OpenAiEndpoint::ResponsesCompact | OpenAiEndpoint::ResponsesInputTokens => Api::Responses,
        OpenAiEndpoint::Embeddings
        | OpenAiEndpoint::Completions
        | OpenAiEndpoint::Moderations
        | OpenAiEndpoint::ImageGenerations
        | OpenAiEndpoint::ImageEdits
        | OpenAiEndpoint::ImageVariations
        | OpenAiEndpoint::Speech
        | OpenAiEndpoint::Transcriptions
        | OpenAiEndpoint::Translations
        | OpenAiEndpoint::Rerank => Api::ChatCompletions,
    };
    endpoint::serve_call(api, UpstreamCall::Endpoint(endpoint), request, payload, gateway).await
}
