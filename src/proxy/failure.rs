//! Why a request has no reply: the situation with its data. What the client sees of it is the business of `http/error`.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use vandamme_actors::excerpt;
use vandamme_actors::provider::{NoLease, Refusal};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::vocabulary::ErrorKind;

#[derive(Clone)]
pub(crate) enum Failure {
    /// No provider, or no key at the moment; `None` when nobody answered.
    NoLease(Option<NoLease>),
    /// The upstream's answer.
    Upstream(Box<Answer>),
    /// This provider wants the client's own key, and there is none.
    NoClientKey(Arc<str>),
    /// The request cannot be understood.
    Malformed(String),
    /// The gateway is shutting down.
    Stopping,
    /// Something of ours broke.
    Panicked,
}

/// How an upstream answered a call that failed, or how the gateway puts it where there was no answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Those of the upstream's headers that a client may see.
    pub(crate) headers: HeaderMap,
    /// Whole seconds that the upstream asked to wait.
    pub(crate) retry_after: Option<u64>,
    /// Whether the client is advised to retry, where the upstream itself says nothing.
    pub(crate) should_retry: Option<ShouldRetry>,
    pub(crate) fault: Fault,
    pub(crate) relayed: Option<Relayed>,
}

/// The value of `x-should-retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShouldRetry {
    Yes,
    No,
}

/// An error body that goes to the client byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Relayed(pub(crate) Bytes);

impl Answer {
    /// An answer of the gateway's own making.
    pub(crate) fn own(fault: Fault) -> Self {
        Self {
            status: fault.status,
            headers: HeaderMap::new(),
            retry_after: None,
            should_retry: None,
            fault,
            relayed: None,
        }
    }

    /// On one line, for the log.
    pub(crate) fn summary(&self) -> String {
        let message = excerpt::one_line(&self.fault.message, excerpt::LINE);
        format!("{} {}: {message}", self.status, self.fault.kind.anthropic())
    }
}

impl Failure {
    /// Of several failures of one request, the client gets the one with the lowest rank: a rate limit with the smallest wait,
    /// then 5xx, 402, 403, 401, anything else.
    pub(super) fn rank(&self) -> (u8, u64) {
        let wait = match self {
            Self::Upstream(answer) => answer.retry_after.unwrap_or_default(),
            Self::NoLease(Some(NoLease::Refused { refusal: Refusal::RateLimited { wait }, .. })) => {
                wait.as_secs()
            }
            Self::NoLease(_)
            | Self::NoClientKey(_)
            | Self::Malformed(_)
            | Self::Stopping
            | Self::Panicked => 0,
        };
        match self.status() {
            // No call was made.
            _ if matches!(self, Self::NoLease(None)) => (6, 0),
            // No wait would help: it is the request's own size.
            429 if matches!(self, Self::Upstream(answer) if answer.retry_after.is_none()) => (5, 0),
            429 => (0, wait),
            500..=599 => (1, 0),
            402 => (2, 0),
            403 => (3, 0),
            401 => (4, 0),
            _ => (5, 0),
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoLease(none) => crate::api::render_error::no_lease_kind(none.as_ref()),
            Self::Upstream(answer) => answer.fault.kind,
            Self::NoClientKey(_) => ErrorKind::Authentication,
            Self::Malformed(_) => ErrorKind::InvalidRequest,
            Self::Stopping => ErrorKind::Api,
            Self::Panicked => ErrorKind::Api,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NoLease(none) => crate::api::render_error::no_lease_status(none.as_ref()),
            Self::Upstream(answer) => answer.status,
            Self::NoClientKey(_) => 401,
            Self::Malformed(_) => 400,
            Self::Stopping => 503,
            Self::Panicked => 500,
        }
    }
}
