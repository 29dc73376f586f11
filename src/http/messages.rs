//! `POST /v1/messages`: the Messages API.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::FutureExt as _;
use vandamme_actors::ledger::{End, Entry};
use vandamme_protocol::span::{self, Head, Streaming};
use vandamme_protocol::vocabulary::ErrorKind;

use super::body::{self, Unreadable};
use super::error::{self, REQUEST_ID};
use super::request_id::RequestId;
use super::{caller, guarded, shared};
use crate::exchange::{self, Failure, LateReply, Question, Reply};
use crate::gateway::{Admission, Gateway};

const HOP: &str = "x-vdm-hop";

pub(super) async fn create(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let door = async {
        let entry = Entry::open(id.shared(), gateway.roster.clone());
        match admitted(&request, &gateway) {
            Ok(admission) => answer(&request, &mut payload, (&gateway, &id), (admission, entry)).await,
            Err(refusal) => {
                body::drain(&mut payload, &gateway.settings.limits).await;
                refusal.response(entry, &id)
            }
        }
    };
    guarded(&id, door).await
}

/// A request that goes no further: status, kind, message.
struct Refused(u16, ErrorKind, String);

impl Refused {
    fn response(self, mut entry: Entry, id: &RequestId) -> HttpResponse {
        let Self(status, kind, message) = self;
        let mut response = error::shaped(status, kind, &message, id.as_str());
        if status == 529 {
            error::retry_after(&mut response, error::busy_wait());
        }
        entry.record.status = status;
        entry.record.end = End::Failed { kind: kind.anthropic(), message };
        response
    }
}

/// What is decided before the body is read.
fn admitted(request: &HttpRequest, gateway: &Gateway) -> Result<Admission, Refused> {
    let headers = request.headers();
    if let Some(key) = &gateway.proxy_key
        && !caller::presents(headers, key)
    {
        let message =
            "invalid API key: this gateway wants its own key (PROXY_API_KEY) in x-api-key or as a bearer";
        return Err(Refused(401, ErrorKind::Authentication, message.to_owned()));
    }
    if headers.contains_key(HOP) {
        let message =
            "this request has already been through a gateway: a provider's base URL leads back here";
        return Err(Refused(508, ErrorKind::Api, message.to_owned()));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "a compressed request body is not supported";
        return Err(Refused(415, ErrorKind::InvalidRequest, message.to_owned()));
    }
    if !gateway.is_ready() {
        return Err(Refused(529, ErrorKind::Overloaded, "the gateway is shutting down".to_owned()));
    }
    let busy = || Refused(529, ErrorKind::Overloaded, "too many requests are in flight".to_owned());
    gateway.admit().ok_or_else(busy)
}

async fn answer(
    request: &HttpRequest,
    payload: &mut web::Payload,
    (gateway, id): (&Arc<Gateway>, &RequestId),
    (admission, mut entry): (Admission, Entry),
) -> HttpResponse {
    let limits = &gateway.settings.limits;
    let question = match read(request, payload, gateway).await {
        Ok((body, head)) => Question {
            id: id.shared(),
            body,
            head,
            headers: request.headers().clone(),
            query: request.query_string().to_owned(),
            committed: Rc::new(Cell::new(false)),
        },
        Err(refusal) => {
            if refusal.0 == 413 {
                body::drain(payload, limits).await;
            }
            let unread = matches!(refusal.0, 408 | 413);
            let mut response = refusal.response(entry, id);
            if unread {
                response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
            }
            return response;
        }
    };
    let streaming = question.head.delivery;
    entry.record.requested_model = question.head.model.to_string();
    entry.record.streamed = streaming == Streaming::Yes;
    let committed = question.committed.clone();
    let exchange = AssertUnwindSafe(exchange::answer(gateway.clone(), question, entry)).catch_unwind();
    let mut exchange = Box::pin(exchange.map(|outcome| outcome.unwrap_or(Err(Failure::Panicked))));
    let outcome = match streaming {
        Streaming::No => exchange.await,
        Streaming::Yes => match timeout(limits.head_patience, &mut exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                committed.set(true);
                let late = LateReply::new(exchange, limits.ping_interval, gateway.drained());
                return streamed(event_stream(), Admitted { body: late, _admission: admission }, id);
            }
        },
    };
    match outcome {
        Ok(Reply::Streamed { headers, body }) => {
            streamed(headers, Admitted { body, _admission: admission }, id)
        }
        Ok(Reply::Whole { status, headers, body }) => whole(status, headers, body, id),
        Err(failure) => failure.response(id.as_str()),
    }
}

async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
) -> Result<(Bytes, Head<'static>), Refused> {
    let limits = &gateway.settings.limits;
    let body =
        body::read(payload, request.headers(), limits).await.map_err(|unreadable| match unreadable {
            Unreadable::TooLarge => {
                let message = format!("the request body has more than {} bytes", limits.request_body);
                Refused(413, ErrorKind::TooLarge, message)
            }
            Unreadable::TooSlow => {
                Refused(408, ErrorKind::Timeout, "the request body did not arrive in time".to_owned())
            }
            Unreadable::Broken => {
                Refused(400, ErrorKind::InvalidRequest, "the request body ended before its end".to_owned())
            }
        })?;
    let head = span::head(&body).map(Head::into_owned);
    head.map(|head| (body, head)).map_err(|error| Refused(400, ErrorKind::InvalidRequest, error.to_string()))
}

fn streamed<B>(headers: HeaderMap, body: B, id: &RequestId) -> HttpResponse
where
    B: MessageBody + 'static,
{
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body));
    *response.headers_mut() = headers;
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx, and what is built on it, would otherwise collect the events.
    own.insert(header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    named(response, id)
}

fn whole(status: u16, headers: HeaderMap, body: Bytes, id: &RequestId) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    *response.headers_mut() = headers;
    named(response, id)
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
