//! Why a request has no reply, with the status, kind and message that the client and the log get. `src/api/render_error.rs`
//! makes the HTTP response.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use vandamme_actors::excerpt;
use vandamme_actors::ledger::{CANCELLED_MESSAGE, RequestEnd};
use vandamme_actors::provider::{LeaseRefusal, NoLease};
use vandamme_actors::routing::Unroutable;
use vandamme_actors::settings::Api;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::openai::error::ErrorNames;
use vandamme_protocol::vocabulary::ErrorKind;

/// After a longer wait than this, in seconds, clients are advised not to retry: Claude Code gives up beyond it.
pub(crate) const LONGEST_RETRY: u64 = 60;
/// The status of a request that an operator has cancelled. Clients repeat a 5xx by themselves, even those that ignore
/// `x-should-retry`; they do not repeat this one.
pub(crate) const CANCELLED: u16 = 499;
/// The longest wait, in seconds, that a client gets when the gateway itself is busy.
const BUSY_WAIT: u64 = 5;

/// Why a request has no reply.
#[derive(Clone)]
pub(crate) enum Failure {
    /// The model name leads to no provider.
    Unroutable(Unroutable),
    /// The provider lends no key now.
    NoLease(NoLease),
    /// No actor answered in time.
    NoAnswer,
    /// The upstream's error.
    Upstream(Box<UpstreamError>),
    /// This provider requires the client's own key, and the request has none.
    NoClientKey(Arc<str>),
    /// The request is not valid.
    Malformed(String),
    /// The gateway is shutting down.
    Stopping,
    /// An operator has cancelled the request.
    Cancelled,
    /// The gateway panicked.
    Panicked,
}

/// The error of an upstream call: the upstream's own, or the gateway's where the upstream sent none.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamError {
    pub(crate) status: u16,
    /// The upstream's headers that a client may see.
    pub(crate) headers: HeaderMap,
    /// The wait that the upstream asked for, in whole seconds.
    pub(crate) retry_after: Option<u64>,
    /// The advice to the client if the upstream sent none.
    pub(crate) should_retry: Option<ShouldRetry>,
    pub(crate) fault: Fault,
    /// What it names for clients of OpenAI's APIs.
    pub(crate) names: ErrorNames,
    pub(crate) relayed: Option<Relayed>,
}

/// The value of `x-should-retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShouldRetry {
    Yes,
    No,
}

/// An error body that reaches the client unchanged.
#[derive(Clone, Debug)]
pub(crate) struct Relayed(pub(crate) Bytes);

impl UpstreamError {
    /// An error that the gateway words itself.
    pub(crate) fn from_fault(fault: Fault) -> Self {
        Self {
            status: fault.status,
            headers: HeaderMap::new(),
            retry_after: None,
            should_retry: None,
            fault,
            names: ErrorNames::default(),
            relayed: None,
        }
    }

    /// One line for the log.
    pub(crate) fn summary(&self) -> String {
        let message = excerpt::one_line(&self.fault.message, excerpt::LINE);
        format!("{} {}: {message}", self.status, self.fault.kind.anthropic())
    }
}

impl Failure {
    /// What went wrong, for a client of this API. Clients of the Responses API read the wait of a rate limit from the message.
    pub(crate) fn message_for(&self, api: Api) -> String {
        let message = self.message();
        match self.wait() {
            Some(seconds) if api == Api::Responses && self.kind() == ErrorKind::RateLimit => {
                with_wait(&message, seconds)
            }
            Some(_) | None => message,
        }
    }

    /// The seconds after which a request may succeed, if they are known.
    fn wait(&self) -> Option<u64> {
        match self {
            Self::Upstream(answer) => answer.retry_after,
            Self::NoLease(NoLease { refusal: LeaseRefusal::RateLimited { wait }, .. }) => {
                Some(whole_seconds(*wait))
            }
            Self::Unroutable(_)
            | Self::NoLease(_)
            | Self::NoAnswer
            | Self::NoClientKey(_)
            | Self::Malformed(_)
            | Self::Stopping
            | Self::Cancelled
            | Self::Panicked => None,
        }
    }

    /// Of several failures of one request, the client gets the one with the lowest rank: a rate limit with the shortest wait,
    /// then 5xx, 402, 403, 401, anything else.
    fn rank(&self) -> (u8, u64) {
        let wait = self.wait().unwrap_or_default();
        match self.status() {
            // No call was made.
            _ if matches!(self, Self::NoAnswer) => (6, 0),
            // No wait would help: the request itself is too large.
            429 if matches!(self, Self::Upstream(answer) if answer.retry_after.is_none()) => (5, 0),
            429 => (0, wait),
            500..=599 => (1, 0),
            402 => (2, 0),
            403 => (3, 0),
            401 => (4, 0),
            _ => (5, 0),
        }
    }

    /// Of two failures, the one that the client gets; `self` is the later one.
    pub(crate) fn or_earlier(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if earlier.rank() < self.rank() => earlier,
            Some(_) | None => self,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unroutable(reason) => unroutable_kind(reason),
            Self::NoLease(none) => match none.refusal {
                LeaseRefusal::RateLimited { .. } => ErrorKind::RateLimit,
                LeaseRefusal::PassedOver
                | LeaseRefusal::AllTried
                | LeaseRefusal::Disabled
                | LeaseRefusal::Busy => ErrorKind::Api,
            },
            Self::Upstream(answer) => answer.fault.kind,
            Self::NoClientKey(_) => ErrorKind::Authentication,
            Self::Malformed(_) => ErrorKind::InvalidRequest,
            Self::NoAnswer | Self::Stopping | Self::Cancelled | Self::Panicked => ErrorKind::Api,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Unroutable(Unroutable::NoProvider) => 503,
            Self::Unroutable(reason) => unroutable_kind(reason).status(),
            Self::NoLease(none) => match none.refusal {
                LeaseRefusal::RateLimited { .. } => self.kind().status(),
                LeaseRefusal::PassedOver
                | LeaseRefusal::AllTried
                | LeaseRefusal::Disabled
                | LeaseRefusal::Busy => 503,
            },
            Self::Upstream(answer) => answer.status,
            Self::NoClientKey(_) => 401,
            Self::Malformed(_) => 400,
            Self::NoAnswer | Self::Stopping => 503,
            Self::Cancelled => CANCELLED,
            Self::Panicked => 500,
        }
    }

    /// How a request ends that fails so.
    pub(crate) fn end(&self) -> RequestEnd {
        match self {
            Self::Cancelled => RequestEnd::cancelled_by_operator(),
            Self::Unroutable(_)
            | Self::NoLease(_)
            | Self::NoAnswer
            | Self::Upstream(_)
            | Self::NoClientKey(_)
            | Self::Malformed(_)
            | Self::Stopping
            | Self::Panicked => RequestEnd::Failed { kind: self.kind().anthropic(), message: self.message() },
        }
    }

    /// What went wrong, for the client and the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unroutable(reason) => reason.to_string(),
            Self::NoLease(NoLease { provider, model, refusal }) => {
                let name = &provider.name;
                match refusal {
                    LeaseRefusal::RateLimited { wait } => format!(
                        "provider '{name}' has rate limited model '{model}' for every key; retry in {} s",
                        whole_seconds(*wait)
                    ),
                    LeaseRefusal::PassedOver | LeaseRefusal::AllTried => {
                        format!("provider '{name}' has no key left for this request")
                    }
                    LeaseRefusal::Disabled => format!(
                        "an operator has disabled every key of provider '{name}': enable one on the dashboard or with POST /admin/keys/enable"
                    ),
                    LeaseRefusal::Busy => format!("too many requests are waiting for provider '{name}'"),
                }
            }
            Self::NoAnswer => "the gateway could not route this request in time".to_owned(),
            Self::Upstream(answer) => answer.fault.message.clone(),
            Self::NoClientKey(provider) => format!(
                "Provider '{provider}' requires API key passthrough, but no client API key was provided: set the client's API key or token, in addition to the gateway's own key if it has one"
            ),
            Self::Malformed(message) => message.clone(),
            Self::Stopping => "the gateway is shutting down".to_owned(),
            Self::Cancelled => CANCELLED_MESSAGE.to_owned(),
            Self::Panicked => "internal gateway error".to_owned(),
        }
    }
}

/// Adds the wait in the words of OpenAI's API, unless the message has them.
fn with_wait(message: &str, seconds: u64) -> String {
    if message.to_ascii_lowercase().contains("try again in") {
        return message.to_owned();
    }
    format!("{}. Please try again in {} s.", message.trim_end_matches(['.', ' ']), seconds.max(1))
}

fn unroutable_kind(reason: &Unroutable) -> ErrorKind {
    match reason {
        Unroutable::NoProvider => ErrorKind::Api,
        Unroutable::UnknownProvider { .. }
        | Unroutable::NoSuchProvider { .. }
        | Unroutable::InactiveProfile { .. }
        | Unroutable::Keyless { .. }
        | Unroutable::Incomplete { .. } => ErrorKind::NotFound,
        Unroutable::EmptyModel | Unroutable::AliasCycle { .. } | Unroutable::LongChain { .. } => {
            ErrorKind::InvalidRequest
        }
    }
}

/// A random wait, so that clients that were turned away do not come back at the same moment.
pub(crate) fn busy_wait() -> u64 {
    fastrand::u64(1..=BUSY_WAIT)
}

/// Rounded up.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_says_in_the_message_how_long_it_lasts_where_clients_read_it() {
        let failure = |message: &str, kind: ErrorKind, wait: Option<u64>| {
            let fault = Fault { kind, status: kind.status(), message: message.to_owned() };
            let answer = UpstreamError { retry_after: wait, ..UpstreamError::from_fault(fault) };
            Failure::Upstream(Box::new(answer)).message_for(Api::Responses)
        };
        let limited = |message: &str| failure(message, ErrorKind::RateLimit, Some(7));
        assert_eq!(limited("Too many requests."), "Too many requests. Please try again in 7 s.");
        assert_eq!(limited("Slow. Please try again in 6.5s."), "Slow. Please try again in 6.5s.");
        assert_eq!(failure("Slow", ErrorKind::RateLimit, None), "Slow");
        assert_eq!(failure("Busy", ErrorKind::Overloaded, Some(7)), "Busy");
        let fault = Fault { kind: ErrorKind::RateLimit, status: 429, message: "Slow".into() };
        let answer = UpstreamError { retry_after: Some(7), ..UpstreamError::from_fault(fault) };
        let failure = Failure::Upstream(Box::new(answer));
        assert_eq!(failure.message_for(Api::ChatCompletions), "Slow");
    }
}
