//! `POST /v1/messages/count_tokens` and `POST /v1/responses/input_tokens`: counts the tokens of a request.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use vandamme_actors::settings::Api;
use vandamme_protocol::convert::Dropped;

use super::body;
use super::cloud_request::{CloudCall, OfCloud};
use super::endpoint::{self, Admitted, Refused};
use super::{guarded, shared};
use crate::gateway::Gateway;
use crate::proxy::{self, ClientHeaders, Count, Origin, ProxyRequest, RouteTrace, Targets, UpstreamCall};
use crate::request_id::RequestId;

/// Marks the number as an estimate of the gateway.
const ESTIMATE: HeaderName = HeaderName::from_static("x-vdm-estimate");

/// Of a Messages request.
pub(super) async fn count(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(Api::Messages, None, request, payload, gateway).await
}

/// Of a request in a cloud's form.
pub(super) async fn count_of_cloud(
    cloud: &CloudCall,
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(Api::Messages, Some(cloud), request, payload, gateway).await
}

/// Of a request of the Responses API.
pub(super) async fn count_input(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve(Api::Responses, None, request, payload, gateway).await
}

async fn serve(
    api: Api,
    cloud: Option<&CloudCall>,
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let handler = async {
        match answer(api, cloud, &request, &mut payload, &gateway, &id).await {
            Ok(response) => response,
            Err(refused) => refused.response(api, &id),
        }
    };
    guarded(api, &id, handler).await
}

async fn answer(
    api: Api,
    cloud: Option<&CloudCall>,
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
    let (body, head, headers, query) = match cloud {
        None => {
            let read = endpoint::read(request, payload, gateway, caller.as_ref(), UpstreamCall::Count);
            let (body, head) = read.await?;
            let headers = ClientHeaders::Received(request.clone());
            (body, head, headers, request.query_string().to_owned())
        }
        Some(cloud) => {
            let OfCloud { body, headers } = endpoint::read_of_cloud(cloud, request, payload, gateway).await?;
            let head = endpoint::parsed(&body, None, gateway, caller.as_ref())?;
            (body, head, headers, String::new())
        }
    };
    let role = proxy::role(&gateway.registry.load().routes, request.headers(), &head.model, &body);
    let counted = ProxyRequest {
        id: id.shared(),
        api,
        upstream_call: UpstreamCall::Count,
        targets: Targets::FirstOnly,
        role,
        body,
        head,
        headers,
        query,
        peer: request.peer_addr().map(|peer| peer.ip()),
        caller,
        trace: RouteTrace::default(),
        chat_body: None,
        replaced: Dropped::default(),
        origin: Origin::Client,
        span: None,
    };
    let count = match api {
        Api::Messages | Api::ChatCompletions => proxy::count(gateway, counted).await,
        Api::Responses => proxy::count_input(gateway, counted).await,
    };
    Ok(match count {
        Ok(Count::Counted { status, headers, body }) => {
            endpoint::whole(status, headers, in_words_of(api, body), id)
        }
        Ok(Count::Estimated(tokens)) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ESTIMATE, HeaderValue::from_static("1"));
            let body = format!("{{\"input_tokens\":{tokens}}}").into();
            endpoint::whole(200, headers, in_words_of(api, body), id)
        }
        Err(failure) => failure.response(api, id.as_str()),
    })
}

/// A count in the form of the client's API. That of Responses names its object.
fn in_words_of(api: Api, count: Bytes) -> Bytes {
    match (api, count.trim_ascii().strip_prefix(b"{")) {
        (Api::Responses, Some(members)) if !members.starts_with(b"}") && !has_object(&count) => {
            [b"{\"object\":\"response.input_tokens\",", members].concat().into()
        }
        (Api::Messages | Api::ChatCompletions | Api::Responses, _) => count,
    }
}

fn has_object(count: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Count {
        object: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Count>(count).is_ok_and(|count| count.object.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_form_of_the_clients_api() {
        let of = |api, count: &'static str| in_words_of(api, Bytes::from_static(count.as_bytes()));
        let ours = r#"{"object":"response.input_tokens","input_tokens":3}"#;
        for count in [r#"{"input_tokens":3}"#, ours] {
            assert_eq!(of(Api::Responses, count), ours);
            assert_eq!(of(Api::Messages, count), count);
        }
    }
}
