//! The common part of the endpoints for model replies: admission, the body, and the response.

mod admission;
mod reading;

use std::pin::pin;
use std::sync::Arc;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::{Either, select};
use vandamme_actors::ledger::{CANCELLED_MESSAGE, RequestEnd};
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::settings::Api;
use vandamme_protocol::convert::Dropped;
use vandamme_protocol::request::RequestHead;
use vandamme_protocol::vocabulary::ErrorKind;

use self::admission::AdmittedBody;
pub(super) use self::admission::{Admitted, INVALID_KEY, Refused, admitted, authorized};
use self::reading::{RequestBody, too_large};
pub(super) use self::reading::{WholeRequest, model_name, parsed, read, read_of_cloud};
use super::body;
use super::cloud_request::{CloudCall, OfCloud};
use super::render_error;
use super::{guarded, shared};
use crate::caller::Caller;
use crate::failure::CANCELLED;
use crate::gateway::{Admission, Gateway};
use crate::proxy::{
    self, ClientHeaders, DeferredReply, FailedRun, Origin, ProxyReply, ProxyRequest, ReplyForm, RouteSteps,
    RouteTrace, RunProgress, Targets, UpstreamCall,
};
use crate::request_id::RequestId;

/// How the model name was routed; only with `route-header`.
const ROUTE: HeaderName = HeaderName::from_static("x-vdm-route");

/// Answers a request to an endpoint of `api`.
pub(super) async fn serve(
    api: Api,
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    serve_call(api, UpstreamCall::Reply, request, payload, gateway).await
}

/// Answers a request that leads to this kind of call.
pub(super) async fn serve_call(
    api: Api,
    upstream_call: UpstreamCall,
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let call = EndpointRequest { api, upstream_call, id: id.clone(), gateway, request };
    // A future of 11 KB, which actix-web would move six times on the way to its first poll (9,000 instructions).
    guarded(api, &id, Box::pin(call.serve(RequestBody::Arriving(&mut payload)))).await
}

/// Answers a request to an endpoint of `api` that has no HTTP body of its own: `request` is the one that has opened the
/// connection, on which the body has arrived.
pub(super) async fn serve_whole(
    api: Api,
    request: HttpRequest,
    whole: WholeRequest,
    gateway: Arc<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let upstream_call = UpstreamCall::Reply;
    let call = EndpointRequest { api, upstream_call, id: id.clone(), gateway, request };
    guarded(api, &id, Box::pin(call.serve(RequestBody::Whole(whole)))).await
}

/// Answers a request to an endpoint of a cloud, as one of the Messages API.
pub(super) async fn serve_cloud(
    cloud: &CloudCall,
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let (api, id) = (Api::Messages, RequestId::new());
    let gateway = shared(&gateway);
    let call = EndpointRequest { api, upstream_call: UpstreamCall::Reply, id: id.clone(), gateway, request };
    let body = RequestBody::OfCloud { cloud, payload: &mut payload };
    guarded(api, &id, Box::pin(call.serve(body))).await
}

/// One request at an endpoint.
struct EndpointRequest {
    api: Api,
    upstream_call: UpstreamCall,
    id: RequestId,
    gateway: Arc<Gateway>,
    request: HttpRequest,
}

/// A request whose body has arrived.
struct ReadRequest {
    body: Bytes,
    head: RequestHead<'static>,
    headers: ClientHeaders,
    query: String,
}

/// A request that is served.
struct Accepted {
    request: Box<ProxyRequest>,
    admission: Admission,
    steps: RouteSteps,
}

impl EndpointRequest {
    async fn serve(self, body: RequestBody<'_>) -> HttpResponse {
        let metrics = self.gateway.live_config().settings.request_metrics;
        let entry = RequestRecorder::open(self.id.shared(), self.gateway.registry.clone(), metrics);
        let mut entry = Box::new(entry);
        let cancellation = entry.cancellation();
        let read = match select(pin!(self.read_request(body)), pin!(cancellation.cancelled())).await {
            Either::Left((read, _)) => read,
            Either::Right(((), _)) => Err(cancelled()),
        };
        match read {
            Ok(accepted) => {
                entry.set_summary(accepted.request.summary(&self.gateway.live_config()));
                self.answer(accepted, entry).await
            }
            Err(refused) => {
                // The only parts of the summary that are known without the body.
                entry.record.request.api = Some(self.api);
                entry.record.request.endpoint = self.upstream_call.endpoint();
                entry.record.request.span = proxy::request_span(&self.gateway, self.request.headers());
                entry.record.end = match refused.0 {
                    CANCELLED => RequestEnd::cancelled_by_operator(),
                    _ => RequestEnd::Failed { kind: refused.1.anthropic(), message: refused.2.clone() },
                };
                let response = refused.response(self.api, &self.id);
                entry.record.status = response.status().as_u16();
                entry.sent(size_of(&response));
                response
            }
        }
    }

    async fn read_request(&self, body: RequestBody<'_>) -> Result<Accepted, Refused> {
        let live = self.gateway.live_config();
        let limits = &live.settings.limits;
        let Admitted { admission, caller } = match admitted(&self.request, &self.gateway) {
            Ok(admitted) => admitted,
            Err(refused) => {
                if let RequestBody::Arriving(payload) | RequestBody::OfCloud { payload, .. } = body {
                    body::drain(&self.request, payload, limits).await;
                }
                return Err(refused);
            }
        };
        let read = self.read_body_and_head(body, caller.as_ref()).await?;
        let ReadRequest { body, head, headers, query } = read;
        let registry = self.gateway.registry.load();
        // Roles choose a model for a conversation.
        let role = match self.upstream_call {
            UpstreamCall::Reply => proxy::role(&registry.routes, self.request.headers(), &head.model, &body),
            UpstreamCall::Count | UpstreamCall::Models | UpstreamCall::Endpoint(_) => None,
        };
        let (trace, steps) = match self.gateway.live_config().settings.route_header {
            true => RouteTrace::new(&registry.routes, &head.model, role.as_ref()),
            false => (RouteTrace::default(), RouteSteps::default()),
        };
        let request = ProxyRequest {
            id: self.id.shared(),
            api: self.api,
            upstream_call: self.upstream_call,
            targets: Targets::WithFallbacks,
            role,
            body,
            head,
            headers,
            query,
            peer: self.request.peer_addr().map(|peer| peer.ip()),
            caller,
            trace,
            chat_body: None,
            replaced: Dropped::default(),
            origin: Origin::Client,
            span: proxy::request_span(&self.gateway, self.request.headers()),
        };
        Ok(Accepted { request: Box::new(request), admission, steps })
    }

    async fn read_body_and_head(
        &self,
        body: RequestBody<'_>,
        caller: Option<&Caller>,
    ) -> Result<ReadRequest, Refused> {
        let query = self.request.query_string().to_owned();
        match body {
            RequestBody::Arriving(payload) => {
                let (body, head) =
                    read(&self.request, payload, &self.gateway, caller, self.upstream_call).await?;
                let headers = ClientHeaders::Received(self.request.clone());
                Ok(ReadRequest { body, head, headers, query })
            }
            RequestBody::OfCloud { cloud, payload } => {
                let OfCloud { body, headers } =
                    read_of_cloud(cloud, &self.request, payload, &self.gateway).await?;
                let head = parsed(&body, None, &self.gateway, caller)?;
                // The query of a cloud means nothing to another upstream.
                Ok(ReadRequest { body, head, headers, query: String::new() })
            }
            RequestBody::Whole(WholeRequest { body, headers }) => {
                if body.len() > self.gateway.live_config().settings.limits.request_body {
                    return Err(too_large(&self.gateway));
                }
                let head = parsed(&body, None, &self.gateway, caller)?;
                Ok(ReadRequest { body, head, headers: ClientHeaders::Own(headers), query })
            }
        }
    }

    async fn answer(self, accepted: Accepted, entry: Box<RequestRecorder>) -> HttpResponse {
        let Accepted { request, admission, steps } = accepted;
        let gateway = self.gateway.clone();
        let mut response = self.respond(request, admission, entry).await;
        if let Some(route) = steps.header(&gateway.live_config().secrets) {
            response.headers_mut().insert(ROUTE, route);
        }
        response
    }

    async fn respond(
        self,
        request: Box<ProxyRequest>,
        admission: Admission,
        entry: Box<RequestRecorder>,
    ) -> HttpResponse {
        let Self { api, id, gateway, .. } = self;
        let live = gateway.live_config();
        let limits = &live.settings.limits;
        let outcome = match proxy::start(gateway, request, entry, limits.head_patience).await {
            RunProgress::Finished(outcome) => outcome,
            RunProgress::Running(run, early) => {
                let body = DeferredReply::new(api, run, early, limits.ping_interval);
                return streamed(event_stream(), AdmittedBody::new(body, admission), &id);
            }
        };
        match outcome {
            Ok(ProxyReply::Streaming { headers, body }) => {
                streamed(headers, AdmittedBody::new(body, admission), &id)
            }
            Ok(ProxyReply::Raw { status, headers, body }) => {
                let body = BoxBody::new(AdmittedBody::new(body, admission));
                with_request_id(response_of(status, headers, body), &id)
            }
            Ok(ProxyReply::Buffered { status, headers, form, body }) => {
                let response = body_of(status, headers, body);
                let response = match form {
                    ReplyForm::Stream => as_events(response),
                    ReplyForm::Whole => response,
                };
                with_request_id(response, &id)
            }
            Err(failed) => failed_response(failed, api, &id),
        }
    }
}

/// The request was cancelled while its body arrived.
fn cancelled() -> Refused {
    Refused(CANCELLED, ErrorKind::Api, CANCELLED_MESSAGE.to_owned())
}

/// The failure as a response, as the ledger records it.
fn failed_response(failed: FailedRun, api: Api, id: &RequestId) -> HttpResponse {
    let response = failed.failure().clone().response(api, id.as_str());
    failed.close(response.status().as_u16(), size_of(&response));
    response
}

/// The size of a response's body.
fn size_of(response: &HttpResponse) -> usize {
    match response.body().size() {
        BodySize::Sized(size) => usize::try_from(size).unwrap_or(usize::MAX),
        BodySize::None | BodySize::Stream => 0,
    }
}

fn streamed<B>(headers: HeaderMap, body: B, id: &RequestId) -> HttpResponse
where
    B: MessageBody + 'static,
{
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body));
    *response.headers_mut() = headers;
    with_request_id(as_events(response), id)
}

fn as_events(mut response: HttpResponse) -> HttpResponse {
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Otherwise nginx and its derivatives buffer the events.
    own.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

pub(super) fn whole(status: u16, headers: HeaderMap, body: Bytes, id: &RequestId) -> HttpResponse {
    with_request_id(body_of(status, headers, body), id)
}

fn body_of(status: u16, headers: HeaderMap, body: Bytes) -> HttpResponse {
    response_of(status, headers, BoxBody::new(body))
}

fn response_of(status: u16, headers: HeaderMap, body: BoxBody) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, body);
    *response.headers_mut() = headers;
    response
}

fn with_request_id(mut response: HttpResponse, id: &RequestId) -> HttpResponse {
    render_error::identify(&mut response, id.as_str());
    response
}

fn event_stream() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers
}
