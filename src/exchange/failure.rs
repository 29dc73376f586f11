//! Why a request has no reply: the situation with its data. What the client sees of it is the business of `http/error`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use vandamme_actors::excerpt;
use vandamme_actors::provider::{CallOutcome, NoLease, Refusal};
use vandamme_protocol::bridge::Fault;
use vandamme_protocol::vocabulary::ErrorKind;

use super::verdict::CallFailure;

#[derive(Clone)]
pub(crate) enum Failure {
    /// No provider, or no key at the moment; `None` when nobody answered.
    NoLease(Option<NoLease>),
    /// The upstream's last word.
    Upstream(Box<Answer>),
    /// All keys that could be tried are limited or rejected, at least one only for a while.
    Cooling { answer: Option<Box<Answer>>, wait: Duration, said: Option<Duration> },
    /// This provider wants the client's own key, and there is none.
    NoClientKey(Arc<str>),
    /// The request cannot be understood.
    Malformed(String),
    /// The gateway ends, and waits no longer.
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
    pub(crate) fault: Fault,
    pub(crate) relayed: Option<Relayed>,
}

/// An error body that goes to the client byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Relayed(pub(crate) Bytes);

impl Answer {
    /// An answer of the gateway's own making.
    pub(crate) fn own(fault: Fault) -> Self {
        Self { status: fault.status, headers: HeaderMap::new(), retry_after: None, fault, relayed: None }
    }

    /// On one line, for the log.
    pub(crate) fn summary(&self) -> String {
        let message = excerpt::one_line(&self.fault.message, excerpt::LINE);
        format!("{} {}: {message}", self.status, self.fault.kind.anthropic())
    }
}

impl Failure {
    /// A call failed for its key, and there is no other key.
    pub(super) fn after(failed: CallFailure, none: Option<NoLease>) -> Self {
        let limited = matches!(failed.outcome, CallOutcome::RateLimited { .. });
        match none {
            Some(NoLease::Refused { refusal: Refusal::Cooling { wait, said }, .. }) => {
                // A 401 is not what the client should see while another key only has to wait.
                Self::Cooling { answer: limited.then(|| Box::new(failed.answer)), wait, said }
            }
            Some(NoLease::Refused { .. } | NoLease::Unroutable(_)) | None => {
                Self::Upstream(Box::new(failed.answer))
            }
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoLease(none) => crate::http::error::no_lease_kind(none.as_ref()),
            Self::Upstream(answer) => answer.fault.kind,
            Self::Cooling { .. } => ErrorKind::RateLimit,
            Self::NoClientKey(_) => ErrorKind::Authentication,
            Self::Malformed(_) => ErrorKind::InvalidRequest,
            Self::Stopping => ErrorKind::Overloaded,
            Self::Panicked => ErrorKind::Api,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NoLease(none) => crate::http::error::no_lease_status(none.as_ref()),
            Self::Upstream(answer) => answer.status,
            Self::Cooling { .. } => 429,
            Self::NoClientKey(_) => 401,
            Self::Malformed(_) => 400,
            Self::Stopping => 529,
            Self::Panicked => 500,
        }
    }
}
