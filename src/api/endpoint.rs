//! The common part of the endpoints for model replies: admission, the body, and the response.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

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
use vandamme_protocol::request::{self, RequestHead};
use vandamme_protocol::vocabulary::ErrorKind;

use super::body::{self, Unreadable};
use super::render_error;
use super::session;
use super::{access, guarded, shared};
use crate::caller::{self, Caller};
use crate::failure::{CANCELLED, busy_wait};
use crate::gateway::{Admission, Bound, Gateway, LiveConfig};
use crate::proxy::{
    self, ClientHeaders, DeferredReply, FailedRun, Origin, ProxyReply, ProxyRequest, ReplyForm, RouteSteps,
    RouteTrace, RunProgress, Targets, UpstreamCall,
};
use crate::request_id::RequestId;

const HOP: HeaderName = HeaderName::from_static("x-vdm-hop");
/// The answer to a request without the gateway's key. It does not name the header `x-api-key`: to an error with that word
/// Claude Code answers "Not logged in" and hides the message (seen with 2.1.332).
pub(super) const INVALID_KEY: &str = "invalid API key: this gateway requires its own key; set the client's API key or token to the gateway's PROXY_API_KEY or to one of its client-keys";
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
    guarded(api, &id, Box::pin(call.serve(&mut payload))).await
}

/// One request at an endpoint.
struct EndpointRequest {
    api: Api,
    upstream_call: UpstreamCall,
    id: RequestId,
    gateway: Arc<Gateway>,
    request: HttpRequest,
}

/// A refused request: status, kind, message.
pub(super) struct Refused(pub(super) u16, pub(super) ErrorKind, pub(super) String);

impl Refused {
    pub(super) fn response(self, api: Api, id: &RequestId) -> HttpResponse {
        let Self(status, kind, message) = self;
        let mut response = render_error::shaped(api, (status, kind), &message, id.as_str());
        if status == 503 {
            render_error::retry_after(&mut response, busy_wait());
        }
        if matches!(status, 401 | 403 | CANCELLED) {
            render_error::final_refusal(&mut response);
        }
        if status == 415 {
            // RFC 9110, section 15.5.16: which codings a request may use.
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            render_error::final_refusal(&mut response);
        }
        if matches!(status, 408 | 413 | CANCELLED) {
            // The rest of the body may still arrive.
            response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
        }
        response
    }
}

/// A request that is served.
pub(super) struct Admitted {
    pub(super) admission: Admission,
    /// `None` if the gateway requires no key.
    pub(super) caller: Option<Caller>,
}

/// Decides about admission, before the body is read.
pub(super) fn admitted(request: &HttpRequest, gateway: &Gateway) -> Result<Admitted, Refused> {
    let headers = request.headers();
    let live = gateway.live_config();
    let caller = if live.access.are_required() {
        let caller = caller::identify(headers, &live.access);
        // The dashboard's token counter and playground.
        if caller.is_none() && session::level(request, gateway).is_none() {
            return Err(Refused(401, ErrorKind::Authentication, INVALID_KEY.to_owned()));
        }
        caller
    } else {
        let refusal = access::refusal(request, gateway);
        refusal.map_or(Ok(None), |message| Err(Refused(403, ErrorKind::Permission, message)))?
    };
    if headers.contains_key(&HOP) {
        let message =
            "this request has already passed through a gateway: the base URL of a provider leads back here";
        return Err(Refused(508, ErrorKind::Api, message.to_owned()));
    }
    if is_compressed(headers) {
        let message = "compressed request bodies are not supported: send the body without content-encoding";
        return Err(Refused(415, ErrorKind::InvalidRequest, message.to_owned()));
    }
    if !gateway.is_ready() {
        return Err(Refused(503, ErrorKind::Api, "the gateway is shutting down".to_owned()));
    }
    let busy = || Refused(503, ErrorKind::Api, "too many requests are in flight".to_owned());
    let admission = gateway.admit().ok_or_else(|| {
        gateway.counters.refuse(Bound::InFlight);
        busy()
    })?;
    Ok(Admitted { admission, caller })
}

/// Whether the body has a content coding. Names of codings ignore case (RFC 9110, section 8.4.1), and an empty list has none.
fn is_compressed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING);
    let mut codings =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// A request that is served.
struct Accepted {
    request: Box<ProxyRequest>,
    admission: Admission,
    steps: RouteSteps,
}

impl EndpointRequest {
    async fn serve(self, payload: &mut web::Payload) -> HttpResponse {
        let metrics = self.gateway.live_config().settings.request_metrics;
        let entry = RequestRecorder::open(self.id.shared(), self.gateway.registry.clone(), metrics);
        let mut entry = Box::new(entry);
        let cancellation = entry.cancellation();
        let read = match select(pin!(self.read_request(payload)), pin!(cancellation.cancelled())).await {
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

    async fn read_request(&self, payload: &mut web::Payload) -> Result<Accepted, Refused> {
        let live = self.gateway.live_config();
        let limits = &live.settings.limits;
        let Admitted { admission, caller } = match admitted(&self.request, &self.gateway) {
            Ok(admitted) => admitted,
            Err(refused) => {
                body::drain(&self.request, payload, limits).await;
                return Err(refused);
            }
        };
        let (body, head) =
            read(&self.request, payload, &self.gateway, caller.as_ref(), self.upstream_call).await?;
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
            headers: ClientHeaders::Received(self.request.clone()),
            query: self.request.query_string().to_owned(),
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
                return streamed(event_stream(), AdmittedBody { body, _admission: admission }, &id);
            }
        };
        match outcome {
            Ok(ProxyReply::Streaming { headers, body }) => {
                streamed(headers, AdmittedBody { body, _admission: admission }, &id)
            }
            Ok(ProxyReply::Raw { status, headers, body }) => {
                let body = BoxBody::new(AdmittedBody { body, _admission: admission });
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

/// Reads the body, and parses its head.
pub(super) async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
    caller: Option<&Caller>,
    upstream_call: UpstreamCall,
) -> Result<(Bytes, RequestHead<'static>), Refused> {
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let body = match body::read(payload, request.headers(), limits).await {
        Ok(body) => body,
        Err(Unreadable::TooLarge) => {
            gateway.counters.refuse(Bound::RequestBody);
            body::drain(request, payload, limits).await;
            let message = format!("the request body has more than {} bytes", limits.request_body);
            return Err(Refused(413, ErrorKind::TooLarge, message));
        }
        Err(Unreadable::TooSlow) => {
            gateway.counters.refuse(Bound::BodyMinRate);
            let message = "the request body did not arrive in time".to_owned();
            return Err(Refused(408, ErrorKind::Timeout, message));
        }
        Err(Unreadable::Broken) => {
            let message = "the request body ended before its end".to_owned();
            return Err(Refused(400, ErrorKind::InvalidRequest, message));
        }
    };
    // The length is checked before the name is copied.
    let head = match upstream_call.endpoint() {
        Some(_) => head_of_endpoint(&body, request.headers()),
        None => request::head(&body).map_err(|error| error.to_string()),
    };
    let head = head.and_then(|head| {
        model_name(&head.model, &live, caller)?;
        Ok(head.into_owned())
    });
    head.map(|head| (body, head)).map_err(|message| Refused(400, ErrorKind::InvalidRequest, message))
}

/// The head of a JSON body, or of a form.
fn head_of_endpoint<'b>(body: &'b [u8], headers: &HeaderMap) -> Result<RequestHead<'b>, String> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match request::form_boundary(content_type.unwrap_or_default()) {
        None => request::head(body).map_err(|error| error.to_string()),
        Some(boundary) => {
            let head = boundary.and_then(|boundary| request::form_head(body, &boundary));
            head.map_err(|error| error.to_string())
        }
    }
}

/// Checks that a model name may be stored and shown: it has an allowed length and contains no key.
pub(super) fn model_name(name: &str, live: &LiveConfig, caller: Option<&Caller>) -> Result<(), String> {
    let (length, most) = (name.len(), live.settings.limits.model_name);
    if length > most {
        return Err(format!("model: the name has {length} bytes; {most} are allowed (limits.model-name)"));
    }
    let is_key = live.secrets.found_plainly_in(name.as_bytes());
    if is_key || live.gateway_keys.are_in(name.as_bytes(), caller) {
        return Err("model: the name contains an API key; send the name of a model".to_owned());
    }
    Ok(())
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

/// A reply that counts as in flight until it is sent.
struct AdmittedBody<B> {
    body: B,
    _admission: Admission,
}

impl<B: MessageBody + Unpin> MessageBody for AdmittedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(task)
    }
}
