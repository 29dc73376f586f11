//! What the doors share behind which a model answers: admission, the body, and the reply in whatever shape it comes.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::FutureExt as _;
use vandamme_actors::ledger::{End, Entry};
use vandamme_actors::settings::Api;
use vandamme_protocol::request::{self, Head, Streaming};
use vandamme_protocol::vocabulary::ErrorKind;

use super::body::{self, Unreadable};
use super::render_error::{self, REQUEST_ID};
use super::request_id::RequestId;
use super::{access, caller, guarded, shared};
use crate::gateway::{Admission, Gateway, Terms};
use crate::proxy::{self, Endpoint, Failure, LateReply, Question, Reply, Targets, Trail};

const HOP: &str = "x-vdm-hop";
/// The answer to a request without the gateway's key. It does not name the header `x-api-key`: to an error with that word
/// Claude Code answers "Not logged in" and hides the message (seen with 2.1.332).
pub(super) const INVALID_KEY: &str = "invalid API key: this gateway requires its own key; set the client's API key or token to the gateway's PROXY_API_KEY";
/// How the model name was routed; only with `route-header`.
const ROUTE: HeaderName = HeaderName::from_static("x-vdm-route");

/// Answers a request that came by `api`.
pub(super) async fn serve(
    api: Api,
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let door = Door { api, id: id.clone(), gateway, request };
    guarded(api, &id, door.serve(&mut payload)).await
}

/// One request at the door.
struct Door {
    api: Api,
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
            render_error::retry_after(&mut response, render_error::busy_wait());
        }
        if matches!(status, 401 | 403) {
            render_error::final_refusal(&mut response);
        }
        if status == 415 {
            // RFC 9110, section 15.5.16: which codings a request may use.
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            render_error::final_refusal(&mut response);
        }
        if matches!(status, 408 | 413) {
            // The rest of the body may still arrive.
            response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
        }
        response
    }
}

/// What is decided before the body is read.
pub(super) fn admitted(request: &HttpRequest, gateway: &Gateway) -> Result<Admission, Refused> {
    let headers = request.headers();
    match &gateway.terms().proxy_key {
        Some(key) if caller::presents(headers, key) => {}
        Some(_) => {
            return Err(Refused(401, ErrorKind::Authentication, INVALID_KEY.to_owned()));
        }
        None => {
            if let Some(message) = access::refusal(request, gateway) {
                return Err(Refused(403, ErrorKind::Permission, message));
            }
        }
    }
    if headers.contains_key(HOP) {
        let message =
            "this request has already passed through a gateway: the base URL of a provider leads back here";
        return Err(Refused(508, ErrorKind::Api, message.to_owned()));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "compressed request bodies are not supported: send the body without content-encoding";
        return Err(Refused(415, ErrorKind::InvalidRequest, message.to_owned()));
    }
    if !gateway.is_ready() {
        return Err(Refused(503, ErrorKind::Api, "the gateway is shutting down".to_owned()));
    }
    let busy = || Refused(503, ErrorKind::Api, "too many requests are in flight".to_owned());
    gateway.admit().ok_or_else(busy)
}

impl Door {
    async fn serve(self, payload: &mut web::Payload) -> HttpResponse {
        let metrics = self.gateway.terms().settings.request_metrics;
        let mut entry = Entry::open(self.id.shared(), self.gateway.roster.clone(), metrics);
        match self.question(payload).await {
            Ok((question, admission)) => {
                entry.asked(question.asked());
                self.answer(question, admission, entry).await
            }
            Err(refused) => {
                entry.record.status = self.api.status(refused.0);
                entry.record.end = End::Failed { kind: refused.1.anthropic(), message: refused.2.clone() };
                refused.response(self.api, &self.id)
            }
        }
    }

    async fn question(&self, payload: &mut web::Payload) -> Result<(Question, Admission), Refused> {
        let terms = self.gateway.terms();
        let limits = &terms.settings.limits;
        let admission = match admitted(&self.request, &self.gateway) {
            Ok(admission) => admission,
            Err(refused) => {
                body::drain(&self.request, payload, limits).await;
                return Err(refused);
            }
        };
        let (body, head) = read(&self.request, payload, &self.gateway).await?;
        let trail = match self.gateway.terms().settings.route_header {
            true => Trail::begin(&self.gateway.roster.load().routes, &head.model),
            false => Trail::default(),
        };
        let question = Question {
            id: self.id.shared(),
            api: self.api,
            endpoint: Endpoint::Reply,
            targets: Targets::WithFallbacks,
            body,
            head,
            headers: self.request.headers().clone(),
            query: self.request.query_string().to_owned(),
            peer: self.request.peer_addr().map(|peer| peer.ip()),
            committed: Rc::new(Cell::new(false)),
            trail,
        };
        Ok((question, admission))
    }

    async fn answer(self, question: Question, admission: Admission, entry: Entry) -> HttpResponse {
        let (trail, gateway) = (question.trail.clone(), self.gateway.clone());
        let mut response = self.replied(question, admission, entry).await;
        if let Some(route) = trail.header(&gateway.terms().secrets) {
            response.headers_mut().insert(ROUTE, route);
        }
        response
    }

    async fn replied(self, question: Question, admission: Admission, entry: Entry) -> HttpResponse {
        let Self { api, id, gateway, .. } = self;
        let terms = gateway.terms();
        let limits = &terms.settings.limits;
        let (streaming, committed) = (question.head.delivery, question.committed.clone());
        let exchange = AssertUnwindSafe(proxy::answer(gateway.clone(), question, entry)).catch_unwind();
        let mut exchange = Box::pin(exchange.map(|outcome| outcome.unwrap_or(Err(Failure::Panicked))));
        let outcome = match streaming {
            Streaming::No => exchange.await,
            Streaming::Yes => match timeout(limits.head_patience, &mut exchange).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => {
                    committed.set(true);
                    let late = LateReply::new(api, exchange, limits.ping_interval);
                    return streamed(event_stream(), Admitted { body: late, _admission: admission }, &id);
                }
            },
        };
        match outcome {
            Ok(Reply::Streamed { headers, body }) => {
                streamed(headers, Admitted { body, _admission: admission }, &id)
            }
            Ok(Reply::Whole { status, headers, body }) => whole(status, headers, body, &id),
            Err(failure) => failure.response(api, id.as_str()),
        }
    }
}

/// The body, and what of it must be known.
pub(super) async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
) -> Result<(Bytes, Head<'static>), Refused> {
    let terms = gateway.terms();
    let limits = &terms.settings.limits;
    let body = match body::read(payload, request.headers(), limits).await {
        Ok(body) => body,
        Err(Unreadable::TooLarge) => {
            body::drain(request, payload, limits).await;
            let message = format!("the request body has more than {} bytes", limits.request_body);
            return Err(Refused(413, ErrorKind::TooLarge, message));
        }
        Err(Unreadable::TooSlow) => {
            let message = "the request body did not arrive in time".to_owned();
            return Err(Refused(408, ErrorKind::Timeout, message));
        }
        Err(Unreadable::Broken) => {
            let message = "the request body ended before its end".to_owned();
            return Err(Refused(400, ErrorKind::InvalidRequest, message));
        }
    };
    // A name that is too long is not even copied.
    let head = request::head(&body).map_err(|error| error.to_string()).and_then(|head| {
        model_name(&head.model, &terms)?;
        Ok(head.into_owned())
    });
    head.map(|head| (body, head)).map_err(|message| Refused(400, ErrorKind::InvalidRequest, message))
}

/// Checks that a model name may be stored and shown: it is bounded and contains no key.
pub(super) fn model_name(name: &str, terms: &Terms) -> Result<(), String> {
    let (length, most) = (name.len(), terms.settings.limits.model_name);
    if length > most {
        return Err(format!("model: the name has {length} bytes; {most} are allowed (limits.model-name)"));
    }
    if terms.secrets.found_plainly_in(name.as_bytes()) {
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
    named(as_events(response), id)
}

fn as_events(mut response: HttpResponse) -> HttpResponse {
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Otherwise nginx and its relatives buffer the events.
    own.insert(header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

pub(super) fn whole(status: u16, headers: HeaderMap, body: Bytes, id: &RequestId) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    *response.headers_mut() = headers;
    // A whole reply that became a stream is treated as one by everybody on its way.
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    named(if is_stream { as_events(response) } else { response }, id)
}

fn named(mut response: HttpResponse, id: &RequestId) -> HttpResponse {
    if !response.headers().contains_key(REQUEST_ID)
        && let Ok(value) = HeaderValue::from_str(id.as_str())
    {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn event_stream() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers
}

/// A reply that counts as in flight until it has been sent.
struct Admitted<B> {
    body: B,
    _admission: Admission,
}

impl<B: MessageBody + Unpin> MessageBody for Admitted<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(task)
    }
}
