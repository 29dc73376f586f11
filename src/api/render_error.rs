//! Error responses in the format of the client's API: the one table of statuses, types and headers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use bytes::Bytes;
use vandamme_actors::provider::{LeaseRefusal, NoLease};
use vandamme_actors::retry::with_jitter;
use vandamme_actors::settings::Api;
use vandamme_protocol::openai::error::ErrorNames;
use vandamme_protocol::vocabulary::ErrorKind;

use crate::failure::{Failure, LONGEST_RETRY, Relayed, ShouldRetry, UpstreamError, busy_wait, whole_seconds};

/// Where Anthropic's SDKs read the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where OpenAI's SDKs read it.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The gateway's own id, whatever the upstream sends.
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("x-vdm-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error with the status of its kind.
pub(crate) fn error(api: Api, kind: ErrorKind, message: &str, request_id: &str) -> HttpResponse {
    shaped(api, (kind.status(), kind), message, request_id)
}

/// The same with another status.
pub(crate) fn shaped(
    api: Api,
    (status, kind): (u16, ErrorKind),
    message: &str,
    request_id: &str,
) -> HttpResponse {
    named(api, (status, kind), message, &ErrorNames::default(), request_id)
}

fn named(
    api: Api,
    (status, kind): (u16, ErrorKind),
    message: &str,
    names: &ErrorNames,
    request_id: &str,
) -> HttpResponse {
    let mut response = unidentified(api, status, api.error_body(kind, message, names, request_id));
    identify(&mut response, request_id);
    response
}

fn unidentified(api: Api, status: u16, body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::build(status_code(api.status(status))).content_type("application/json").body(body.into())
}

/// Adds the headers with the request's id. The upstream's own ids stay where it has sent them.
pub(super) fn identify(response: &mut HttpResponse, request_id: &str) {
    let Ok(own) = HeaderValue::from_str(request_id) else { return };
    let headers = response.headers_mut();
    // One growth of the map instead of up to two.
    headers.reserve(3);
    if !headers.contains_key(&REQUEST_ID) {
        headers.insert(REQUEST_ID, own.clone());
    }
    if let Some(id) = headers.get(&REQUEST_ID).cloned()
        && !headers.contains_key(&X_REQUEST_ID)
    {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(OWN_REQUEST_ID, own);
}

/// Marks the response as final: repeating the request is useless.
pub(crate) fn final_refusal(response: &mut HttpResponse) {
    insert(response, SHOULD_RETRY, "false");
}

impl Failure {
    pub(crate) fn response(self, api: Api, request_id: &str) -> HttpResponse {
        let message = self.message_for(api);
        let mut response = match &self {
            Self::Upstream(answer) => upstream(api, answer, &message, request_id),
            Self::Malformed(_) => {
                let names = ErrorNames::of_refusal(&message);
                named(api, (self.status(), self.kind()), &message, &names, request_id)
            }
            Self::Unroutable(_)
            | Self::NoLease(_)
            | Self::NoAnswer
            | Self::NoClientKey(_)
            | Self::Stopping
            | Self::Cancelled
            | Self::Panicked => shaped(api, (self.status(), self.kind()), &message, request_id),
        };
        match self {
            Self::Upstream(answer) => {
                if let Some(seconds) = answer.retry_after {
                    retry_after(&mut response, seconds);
                }
                if let Some(advice) =
                    answer.should_retry.filter(|_| !response.headers().contains_key(SHOULD_RETRY))
                {
                    let value = match advice {
                        ShouldRetry::Yes => "true",
                        ShouldRetry::No => "false",
                    };
                    insert(&mut response, SHOULD_RETRY, value);
                }
            }
            Self::NoLease(NoLease { refusal: LeaseRefusal::RateLimited { wait }, .. }) => {
                let seconds = whole_seconds(with_jitter(wait, fastrand::f64()));
                retry_after(&mut response, seconds);
                if wait.as_secs() > LONGEST_RETRY {
                    final_refusal(&mut response);
                }
            }
            Self::Stopping | Self::NoAnswer | Self::NoLease(_) => {
                retry_after(&mut response, busy_wait());
            }
            Self::NoClientKey(_) | Self::Cancelled => final_refusal(&mut response),
            Self::Unroutable(_) | Self::Malformed(_) | Self::Panicked => {}
        }
        response
    }
}

fn upstream(api: Api, answer: &UpstreamError, message: &str, request_id: &str) -> HttpResponse {
    let body = match &answer.relayed {
        Some(Relayed(body)) => body.clone(),
        None => api.error_body(answer.fault.kind, message, &answer.names, request_id).into(),
    };
    let mut response = unidentified(api, answer.status, body);
    for name in answer.headers.keys() {
        response.headers_mut().remove(name);
    }
    for (name, value) in &answer.headers {
        response.headers_mut().append(name.clone(), value.clone());
    }
    identify(&mut response, request_id);
    response
}

pub(crate) fn retry_after(response: &mut HttpResponse, seconds: u64) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

fn insert(response: &mut HttpResponse, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}
