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
    // Their errors have the shape of Chat Completions.
    endpoint::serve_call(Api::ChatCompletions, UpstreamCall::Endpoint(endpoint), request, payload, gateway)
        .await
}
