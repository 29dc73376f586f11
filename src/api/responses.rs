//! `/v1/responses`: the Responses API, over HTTP and as a WebSocket.

mod websocket;

use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;

use super::endpoint;
use crate::gateway::Gateway;

pub(super) use self::websocket::connect;

pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    endpoint::serve(Api::Responses, request, payload, gateway).await
}
