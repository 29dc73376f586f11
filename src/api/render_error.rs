//! Error responses in the format of the client's API: the one table of statuses, types and headers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use vandamme_actors::provider::{NoLease, Refusal};
use vandamme_actors::retry::with_jitter;
use vandamme_actors::router::Unroutable;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use crate::proxy::{Answer, Failure, Relayed, ShouldRetry};

/// After a longer wait than this, in seconds, clients are advised not to retry: Claude Code does not wait longer.
pub(crate) const LONGEST_RETRY: u64 = 60;
const BUSY_WAIT: u64 = 5;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error with the status that belongs to its kind.
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
    let mut response = HttpResponse::build(status_code(api.status(status)))
        .content_type("application/json")
        .body(api.error_body(kind, message, request_id));
    insert(&mut response, REQUEST_ID, request_id);
    response
}

/// Marks the response as final: the same request would be refused again.
pub(crate) fn final_refusal(response: &mut HttpResponse) {
    insert(response, SHOULD_RETRY, "false");
}

pub(crate) fn no_lease_kind(none: Option<&NoLease>) -> ErrorKind {
    match none {
        None => ErrorKind::Api,
        Some(NoLease::Unroutable(reason)) => match reason {
            Unroutable::NoProvider => ErrorKind::Api,
            Unroutable::UnknownProvider { .. }
            | Unroutable::NoSuchProvider { .. }
            | Unroutable::InactiveProfile { .. }
            | Unroutable::Keyless { .. }
            | Unroutable::Incomplete { .. } => ErrorKind::NotFound,
            Unroutable::EmptyModel | Unroutable::AliasCycle { .. } | Unroutable::LongChain { .. } => {
                ErrorKind::InvalidRequest
            }
        },
        Some(NoLease::Refused { refusal, .. }) => match refusal {
            Refusal::RateLimited { .. } => ErrorKind::RateLimit,
            Refusal::PassedOver | Refusal::AllTried | Refusal::Busy => ErrorKind::Api,
        },
    }
}

pub(crate) fn no_lease_status(none: Option<&NoLease>) -> u16 {
    match none {
        Some(NoLease::Unroutable(Unroutable::NoProvider)) => 503,
        Some(NoLease::Refused {
            refusal: Refusal::PassedOver | Refusal::AllTried | Refusal::Busy, ..
        })
        | None => 503,
        _ => no_lease_kind(none).status(),
    }
}

impl Failure {
    /// The message for the client and the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Panicked => "internal gateway error".to_owned(),
            Self::Stopping => "the gateway is shutting down".to_owned(),
            Self::Malformed(message) => message.clone(),
            Self::NoClientKey(provider) => format!(
                "Provider '{provider}' requires API key passthrough, but no client API key was provided: set the client's API key or token, in addition to the gateway's own key if it has one"
            ),
            Self::Upstream(answer) => answer.fault.message.clone(),
            Self::NoLease(None) => "the gateway could not route this request in time".to_owned(),
            Self::NoLease(Some(NoLease::Unroutable(reason))) => reason.to_string(),
            Self::NoLease(Some(NoLease::Refused { provider, model, refusal })) => {
                let name = &provider.name;
                match refusal {
                    Refusal::RateLimited { wait } => format!(
                        "provider '{name}' has rate limited model '{model}' for every key; retry in {} s",
                        whole_seconds(*wait)
                    ),
                    Refusal::PassedOver | Refusal::AllTried => {
                        format!("provider '{name}' has no key left for this request")
                    }
                    Refusal::Busy => format!("too many requests are waiting for provider '{name}'"),
                }
            }
        }
    }

    pub(crate) fn response(self, api: Api, request_id: &str) -> HttpResponse {
        let message = self.message();
        let mut response = match &self {
            Self::Upstream(answer) => upstream(api, answer, request_id),
            Self::NoLease(_)
            | Self::NoClientKey(_)
            | Self::Malformed(_)
            | Self::Stopping
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
            Self::NoLease(Some(NoLease::Refused { refusal: Refusal::RateLimited { wait }, .. })) => {
                let seconds = whole_seconds(with_jitter(wait, fastrand::f64()));
                retry_after(&mut response, seconds);
                if wait.as_secs() > LONGEST_RETRY {
                    final_refusal(&mut response);
                }
            }
            Self::Stopping | Self::NoLease(None | Some(NoLease::Refused { .. })) => {
                retry_after(&mut response, busy_wait());
            }
            Self::NoClientKey(_) => final_refusal(&mut response),
            Self::NoLease(_) | Self::Malformed(_) | Self::Panicked => {}
        }
        response
    }
}

/// Random, so that refused clients do not retry at the same time.
pub(crate) fn busy_wait() -> u64 {
    fastrand::u64(1..=BUSY_WAIT)
}

fn upstream(api: Api, answer: &Answer, request_id: &str) -> HttpResponse {
    let mut response = match &answer.relayed {
        Some(Relayed(body)) => HttpResponse::build(status_code(api.status(answer.status)))
            .content_type("application/json")
            .body(body.clone()),
        None => shaped(api, (answer.status, answer.fault.kind), &answer.fault.message, request_id),
    };
    for name in answer.headers.keys() {
        response.headers_mut().remove(name);
    }
    for (name, value) in &answer.headers {
        response.headers_mut().append(name.clone(), value.clone());
    }
    if !response.headers().contains_key(REQUEST_ID) {
        insert(&mut response, REQUEST_ID, request_id);
    }
    response
}

pub(crate) fn retry_after(response: &mut HttpResponse, seconds: u64) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

fn whole_seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn insert(response: &mut HttpResponse, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}
