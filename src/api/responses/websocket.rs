//! `GET /v1/responses` as a WebSocket. A client sends one `response.create` frame for each response, with new items only, and
//! gets the events of the reply as frames. Each response is an ordinary request of the Responses API: with its own admission,
//! record, lease and retries. The connection keeps the items of its conversation.
//!
//! A client without a WebSocket uses HTTP, so an upgrade that is not wanted gets 426.

mod inbox;
mod outbox;
mod reply;
mod session;
mod socket_body;

use std::sync::Arc;

use actix_http::ws;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use self::session::Session;
use self::socket_body::SocketBody;
use crate::api::endpoint::{self, Refused};
use crate::api::{access, render_error, shared, wrong_method};
use crate::gateway::{Admission, Bound, Gateway};
use crate::request_id::RequestId;

const API: Api = Api::Responses;
const BETA: HeaderName = HeaderName::from_static("openai-beta");
/// The feature that clients name in `openai-beta`, and its version that the gateway speaks.
const FEATURE: &str = "responses_websockets";
const VERSION: &str = "2026-02-06";

/// Opens a WebSocket.
pub(crate) async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    if !request.head().upgrade() {
        return wrong_method(request, "POST").await;
    }
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let place = match admitted(&request, &gateway, &id) {
        Ok(place) => place,
        Err(refusal) => return *refusal,
    };
    let mut handshake = match ws::handshake(request.head()) {
        Ok(handshake) => handshake,
        Err(error) => return refused(400, &format!("the WebSocket handshake failed: {error}"), &id),
    };
    let session = Session::new(gateway, request, payload, place);
    let response = handshake.message_body(SocketBody::new(session));
    match response {
        Ok(response) => HttpResponse::from(response.map_into_boxed_body()),
        Err(_unreachable) => render_error::error(API, ErrorKind::Api, "internal gateway error", id.as_str()),
    }
}

/// A place among the WebSockets.
fn admitted(
    request: &HttpRequest,
    gateway: &Arc<Gateway>,
    id: &RequestId,
) -> Result<Admission, Box<HttpResponse>> {
    let refusal = |refused: Refused| Box::new(refused.response(API, id));
    endpoint::authorized(request, gateway).map_err(refusal)?;
    if let Some(message) = access::refusal_to_spend(request, gateway) {
        return Err(refusal(Refused(403, ErrorKind::Permission, message)));
    }
    if !gateway.accepts_connections() {
        let message = "the gateway is restarting: connect again".to_owned();
        return Err(refusal(Refused(503, ErrorKind::Api, message)));
    }
    if names_other_version(request.headers()) {
        let message = format!("this gateway speaks {FEATURE}={VERSION} only: use HTTP");
        return Err(Box::new(refused(426, &message, id)));
    }
    gateway.websockets.open(gateway.live_config().settings.limits.websockets).ok_or_else(|| {
        gateway.counters.refuse(Bound::WebSockets);
        let message = "no further WebSocket is accepted (limits.websockets): use HTTP";
        Box::new(refused(426, message, id))
    })
}

/// Whether a client wants another version of the protocol. OpenAI's SDKs name none.
fn names_other_version(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&BETA).filter_map(|value| value.to_str().ok());
    let mut features = values.flat_map(|value| value.split(',').map(str::trim));
    features.any(|feature| {
        let version = feature.strip_prefix(FEATURE).and_then(|rest| rest.strip_prefix('='));
        version.is_some_and(|version| version != VERSION)
    })
}

/// The answer to an upgrade that is not made.
fn refused(status: u16, message: &str, id: &RequestId) -> HttpResponse {
    let mut response = render_error::shaped(API, (status, ErrorKind::InvalidRequest), message, id.as_str());
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        // RFC 9110, section 15.5.22: the protocol to use.
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_another_version_of_the_protocol_is_refused() {
        for (values, other) in [
            (&[][..], false),
            (&["responses_websockets=2026-02-06"], false),
            (&["assistants=v2"], false),
            (&["assistants=v2, responses_websockets=2026-02-06"], false),
            (&["responses_websockets=2026-02-04"], true),
            (&["assistants=v2", "responses_websockets=2027-01-01"], true),
        ] {
            let request = values.iter().fold(TestRequest::default(), |request, value| {
                request.append_header(("openai-beta", *value))
            });
            assert_eq!(names_other_version(request.to_http_request().headers()), other, "{values:?}");
        }
    }
}
