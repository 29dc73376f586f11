//! Turns a failed upstream call into its [`Outcome`], and into the error that the client receives.

use std::io;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderMap};
use awc::error::{ConnectError, SendRequestError};
use bytes::Bytes;
use vandamme_actors::credentials::{CredentialError, CredentialErrorKind};
use vandamme_actors::outcome::{LimitScope, Outcome, Retry};
use vandamme_actors::provider::Lease;
use vandamme_actors::retry::Fixable;
use vandamme_actors::settings::{Azure, ProviderSettings};
use vandamme_actors::upstream::{ConnectionFault, ProxyProblem, SendError};
use vandamme_protocol::compat::{self, Fixup};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::http1::ReplyError;
use vandamme_protocol::openai;
use vandamme_protocol::openai::error::{ErrorFacts, ErrorNames};
use vandamme_protocol::vocabulary::ErrorKind;

use super::cloud_errors::CredentialRefusal;
use super::remedies;
use crate::failure::{LONGEST_RETRY, ShouldRetry, UpstreamError, busy_wait};

/// A call that failed.
pub(super) struct CallFailure {
    pub(super) outcome: Outcome,
    /// The retry that may help: the outcome's own, unless the upstream's `x-should-retry` says otherwise.
    pub(super) retry: Retry,
    /// The pause that the upstream asked for.
    pub(super) after: Option<Duration>,
    pub(super) answer: UpstreamError,
    /// Fixups for what the upstream refuses.
    pub(super) named: Vec<Fixup>,
    /// The text that names them.
    pub(super) refusal: Bytes,
    /// Whether any of them changes the request.
    pub(super) can_fix: Fixable,
    /// The model used up its limit of tokens before its first word.
    pub(super) is_out_of_tokens: bool,
    /// What the upstream says of the credential of a cloud identity.
    pub(super) credential_refusal: Option<CredentialRefusal>,
    /// Whether the upstream received the request, or a part of it.
    pub(super) is_sent: bool,
}

impl CallFailure {
    fn new(kind: ErrorKind, message: String, outcome: Outcome) -> Self {
        let answer = UpstreamError::from_fault(Fault { kind, status: kind.status(), message });
        Self {
            outcome,
            retry: outcome.treatment().retry,
            after: None,
            answer,
            named: vec![],
            refusal: Bytes::new(),
            can_fix: Fixable::No,
            is_out_of_tokens: false,
            credential_refusal: None,
            is_sent: true,
        }
    }

    fn bad_gateway(message: &str, outcome: Outcome) -> Self {
        let mut failure = Self::new(ErrorKind::Api, message.to_owned(), outcome);
        failure.answer.status = 502;
        failure
    }

    /// The client's request cannot be translated for this upstream, so it was not sent.
    pub(super) fn refused(message: &str) -> Self {
        let mut failure = Self::new(ErrorKind::InvalidRequest, message.to_owned(), Outcome::NotServedHere);
        failure.answer.names = ErrorNames::of_refusal(message);
        Self { is_sent: false, ..failure }
    }

    /// There is no credential for the provider's cloud identity, so the request was not sent. Another target may serve it.
    pub(super) fn without_credential(provider: &ProviderSettings, error: &CredentialError) -> Self {
        let message = format!("provider '{}': {error}", provider.name);
        let mut failure = match error.kind {
            CredentialErrorKind::Missing | CredentialErrorKind::Refused => {
                // A client would repeat a 502 for minutes.
                let mut failure = Self::new(ErrorKind::Permission, message, Outcome::NotServedHere);
                failure.answer.should_retry = Some(ShouldRetry::No);
                failure
            }
            CredentialErrorKind::Unreachable => Self::bad_gateway(&message, Outcome::Unreachable),
        };
        failure.is_sent = false;
        failure
    }

    /// The connection or the reply broke.
    pub(super) fn broken(message: &str) -> Self {
        Self::bad_gateway(message, Outcome::BrokenReply)
    }

    /// The upstream's answer would be the same the next time.
    pub(super) fn misbehaved(message: &str) -> Self {
        Self { retry: Retry::NextTarget, ..Self::broken(message) }
    }

    /// The reply exceeds the gateway's bounds. This says nothing about the upstream.
    pub(super) fn reply_too_large(message: &str) -> Self {
        Self::bad_gateway(message, Outcome::ReplyTooLarge)
    }

    /// The upstream reported an error with status 200.
    pub(super) fn reported(fault: Fault, model: &str) -> Self {
        let status = fault.status;
        let body = fault.message.as_bytes();
        let facts = openai::error::facts(status, body, model);
        let after = asked_to_wait(&HeaderMap::new(), &facts);
        let (outcome, retry) = classify(status, fault.kind, &facts, after, &HeaderMap::new());
        let named = compat::recognise(status, body);
        let refusal = Bytes::copy_from_slice(body);
        let mut answer = UpstreamError::from_fault(answered_as(outcome, fault));
        answer.retry_after = retry_after(outcome, after);
        answer.should_retry = should_retry(outcome, after);
        let can_fix = Fixable::No;
        Self {
            outcome,
            retry,
            after,
            answer,
            named,
            refusal,
            can_fix,
            is_out_of_tokens: false,
            credential_refusal: None,
            is_sent: true,
        }
    }

    pub(super) fn timeout(lease: &Lease, patience: Duration) -> Self {
        let message =
            format!("provider '{}' did not answer within {} s", lease.provider.name, patience.as_secs_f64());
        Self::new(ErrorKind::Timeout, message, Outcome::Silent)
    }

    pub(super) fn unsent(lease: &Lease, error: &SendError) -> Self {
        let provider = &lease.provider;
        let name = &provider.name;
        let error = match error {
            SendError::Local(error) => return Self::out_of_resources(error),
            SendError::Connection(fault) => return Self::connection(provider, *fault),
            SendError::Tls(fault) => {
                return Self::bad_gateway(&remedies::tls_failure(provider, fault), Outcome::Unreachable);
            }
            SendError::Proxy(fault) => {
                let message = remedies::proxy_failure(provider, fault);
                return match fault.problem {
                    ProxyProblem::Silent => Self::new(ErrorKind::Timeout, message, Outcome::Unreachable),
                    ProxyProblem::Unreachable(_) | ProxyProblem::Refused(_) | ProxyProblem::NotHttp => {
                        Self::bad_gateway(&message, Outcome::Unreachable)
                    }
                };
            }
            SendError::Other(error) => error,
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "an error that awc adds is a broken call, too")]
        match error {
            SendRequestError::Connect(error @ ConnectError::Timeout) => {
                let message = remedies::connect_failure(provider, error);
                Self::new(ErrorKind::Timeout, message, Outcome::Unreachable)
            }
            SendRequestError::Connect(error) => {
                Self::bad_gateway(&remedies::connect_failure(provider, error), Outcome::Unreachable)
            }
            SendRequestError::Url(error) => {
                Self::misbehaved(&format!("the base URL of provider '{name}' cannot be used: {error}"))
            }
            other => {
                let hint = remedies::try_tls(provider);
                Self::broken(&format!("provider '{name}' broke off: {other}{hint}"))
            }
        }
    }

    /// This machine cannot open another connection. The provider is not the cause.
    fn out_of_resources(error: &io::Error) -> Self {
        let message = format!(
            "the gateway cannot open another connection ({error}): raise its limit of open files (ulimit -n, LimitNOFILE)"
        );
        let mut failure = Self::new(ErrorKind::Api, message, Outcome::LocalFault);
        failure.answer.status = 503;
        failure.answer.retry_after = Some(1);
        failure
    }

    fn connection(provider: &ProviderSettings, fault: ConnectionFault) -> Self {
        let (name, hint) = (&provider.name, remedies::try_tls(provider));
        match fault {
            ConnectionFault::Stale => {
                Self::broken(&format!("provider '{name}' closed the connection before it answered"))
            }
            ConnectionFault::BeforeReply => {
                Self::broken(&format!("provider '{name}' closed the connection before it answered{hint}"))
            }
            ConnectionFault::WhileSending => Self::bad_gateway(
                &format!(
                    "provider '{name}' closed the connection while the request was sent; it may be too large for it"
                ),
                Outcome::SendAborted,
            ),
            ConnectionFault::ProxyAuthentication => Self::bad_gateway(
                &format!(
                    "the proxy for provider '{name}' answered 407: check user and password in HTTP_PROXY or ALL_PROXY"
                ),
                Outcome::Unreachable,
            ),
            ConnectionFault::Reply(ReplyError::Cut) => Self::broken(&format!(
                "provider '{name}' closed the connection inside the head of its reply{hint}"
            )),
            ConnectionFault::Reply(error @ ReplyError::NotHttp) => {
                Self::misbehaved(&format!("the reply of provider '{name}' cannot be read: {error}{hint}"))
            }
            ConnectionFault::Reply(error) => {
                Self::misbehaved(&format!("the reply of provider '{name}' cannot be read: {error}"))
            }
        }
    }
}

/// The outcome of an error reply. The client chooses the model's name, so text that repeats it is ignored.
pub(super) fn classify(
    status: u16,
    kind: ErrorKind,
    facts: &ErrorFacts,
    wait: Option<Duration>,
    headers: &HeaderMap,
) -> (Outcome, Retry) {
    let scope = if facts.account_wide { LimitScope::Account } else { LimitScope::Model };
    let outcome = match status {
        404 => Outcome::NotServedHere,
        413 => Outcome::RequestRefused,
        _ if facts.overloaded => Outcome::Overloaded,
        _ if facts.too_large => Outcome::RequestTooLarge,
        _ if facts.out_of_credit => Outcome::OutOfCredit,
        401 => Outcome::KeyRejected,
        400 if facts.names_key => Outcome::KeyRejected,
        403 if facts.names_key => Outcome::KeyForbidden,
        // A moderated prompt, a firewall or a blocked country: another provider may serve it.
        403 => Outcome::NotServedHere,
        429 => Outcome::RateLimited { wait, scope },
        408 | 409 => Outcome::TryAgain,
        529 => Outcome::Overloaded,
        500..=599 if kind == ErrorKind::Overloaded => Outcome::Overloaded,
        500..=599 => Outcome::ServerError,
        _ => Outcome::RequestRefused,
    };
    let retry = outcome.treatment().retry;
    // The upstream's advice applies to this key only.
    let should_retry = headers.get("x-should-retry").and_then(|value| value.to_str().ok());
    let retry = match (should_retry, retry) {
        (Some("false"), Retry::SameKey) => Retry::NextTarget,
        (Some("true"), Retry::No | Retry::NextTarget) => Retry::SameKey,
        _ => retry,
    };
    (outcome, retry)
}

/// The fault that the client gets. Without credit it is 402, whatever the upstream's status. A server error is `api_error`:
/// Claude Code retries a 503 for minutes only under this type (captured from 2.1.332).
pub(super) fn answered_as(outcome: Outcome, fault: Fault) -> Fault {
    if outcome == Outcome::OutOfCredit {
        return Fault { kind: ErrorKind::Billing, status: 402, ..fault };
    }
    if outcome == Outcome::ServerError { Fault { kind: ErrorKind::Api, ..fault } } else { fault }
}

/// The value of `retry-after`, in seconds.
pub(super) fn retry_after(outcome: Outcome, after: Option<Duration>) -> Option<u64> {
    if matches!(outcome, Outcome::OutOfCredit | Outcome::RequestTooLarge) {
        return None;
    }
    if matches!(outcome, Outcome::RateLimited { wait: None, .. }) {
        return Some(busy_wait());
    }
    after.map(|after| after.as_secs_f64().ceil() as u64)
}

pub(super) fn should_retry(outcome: Outcome, after: Option<Duration>) -> Option<ShouldRetry> {
    // Claude Code retries a 401 or 403 for minutes without this advice (captured from 2.1.332).
    let is_final = matches!(
        outcome,
        Outcome::OutOfCredit | Outcome::RequestTooLarge | Outcome::KeyRejected | Outcome::KeyForbidden
    );
    let is_limit = matches!(outcome, Outcome::RateLimited { .. });
    let is_long = is_limit && after.is_some_and(|after| after.as_secs() > LONGEST_RETRY);
    if is_final || is_long {
        return Some(ShouldRetry::No);
    }
    (is_limit && after.is_none()).then_some(ShouldRetry::Yes)
}

/// Adds the deployment's name, which Azure's error lacks.
pub(super) fn located(lease: &Lease, mut fault: Fault) -> Fault {
    if fault.status == 404 && matches!(lease.provider.azure, Some(Azure::Deployments { .. })) {
        let (model, provider) = (&lease.model, &lease.provider.name);
        fault.message = format!("{} (deployment '{model}' of provider '{provider}')", fault.message);
    }
    fault
}

/// `retry-after-ms`, or `retry-after` as seconds or as a date; otherwise the wait in the body.
pub(super) fn asked_to_wait(headers: &HeaderMap, facts: &ErrorFacts) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    let millis = text("retry-after-ms").and_then(|text| seconds(text.parse::<f64>().ok()? / 1000.0));
    let whole = || {
        let text = text("retry-after")?;
        text.parse().ok().and_then(seconds).or_else(|| {
            let date: header::HttpDate = text.parse().ok()?;
            Some(SystemTime::from(date).duration_since(SystemTime::now()).unwrap_or_default())
        })
    };
    let reset = || {
        let reset = SystemTime::UNIX_EPOCH + Duration::from_millis(facts.resets_at_ms?);
        reset.duration_since(SystemTime::now()).ok()
    };
    millis.or_else(whole).or_else(|| facts.wait.and_then(seconds)).or_else(reset)
}
