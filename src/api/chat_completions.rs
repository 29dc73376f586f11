//! `POST /v1/chat/completions`: the Chat Completions API.

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;

use super::endpoint;
use super::render_error::REQUEST_ID;
use crate::gateway::Gateway;

/// The header with the request's id in OpenAI's API, which its SDKs read.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let mut response = endpoint::serve(Api::ChatCompletions, request, payload, gateway).await;
    let headers = response.headers_mut();
    if let Some(id) = headers.get(REQUEST_ID).cloned()
        && !headers.contains_key(X_REQUEST_ID)
    {
        headers.insert(X_REQUEST_ID, id);
    }
    response
}
