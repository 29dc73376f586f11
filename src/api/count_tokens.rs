//! `POST /v1/messages/count_tokens`: counts the tokens of a request.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;
use vandamme_protocol::convert::Dropped;

use super::body;
use super::endpoint::{self, Admitted, Refused};
use super::{guarded, shared};
use crate::gateway::Gateway;
use crate::proxy::{self, ClientHeaders, Count, Origin, ProxyRequest, RouteTrace, Targets, UpstreamCall};
use crate::request_id::RequestId;

/// Marks the number as an estimate of the gateway.
const ESTIMATE: HeaderName = HeaderName::from_static("x-vdm-estimate");

pub(super) async fn count(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let handler = async {
        match answer(&request, &mut payload, &gateway, &id).await {
            Ok(response) => response,
            Err(refused) => refused.response(Api::Messages, &id),
        }
    };
    guarded(Api::Messages, &id, handler).await
}

async fn answer(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Arc<Gateway>,
    id: &RequestId,
) -> Result<HttpResponse, Refused> {
    let admitted = endpoint::admitted(request, gateway);
    if admitted.is_err() {
        body::drain(request, payload, &gateway.live_config().settings.limits).await;
    }
    let Admitted { admission: _admission, caller } = admitted?;
    let (body, head) =
        endpoint::read(request, payload, gateway, caller.as_ref(), UpstreamCall::Count).await?;
    let role = proxy::role(&gateway.registry.load().routes, request.headers(), &head.model, &body);
    let counted = ProxyRequest {
        id: id.shared(),
        api: Api::Messages,
        upstream_call: UpstreamCall::Count,
        targets: Targets::FirstOnly,
        role,
        body,
        head,
        headers: ClientHeaders::Received(request.clone()),
        query: request.query_string().to_owned(),
        peer: request.peer_addr().map(|peer| peer.ip()),
        caller,
        trace: RouteTrace::default(),
        chat_body: None,
        replaced: Dropped::default(),
        origin: Origin::Client,
        span: None,
    };
    Ok(match proxy::count(gateway, counted).await {
        Ok(Count::Counted { status, headers, body }) => endpoint::whole(status, headers, body, id),
        Ok(Count::Estimated(tokens)) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ESTIMATE, HeaderValue::from_static("1"));
            endpoint::whole(200, headers, format!("{{\"input_tokens\":{tokens}}}").into(), id)
        }
        Err(failure) => failure.response(Api::Messages, id.as_str()),
    })
}
