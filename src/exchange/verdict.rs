//! What a failed upstream call means: for the client, for retries, and for the key.

use std::io;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderMap};
use awc::error::{ConnectError, SendRequestError};
use vandamme_actors::attempts;
use vandamme_actors::provider::{CallOutcome, Lease, Scope};
use vandamme_actors::settings::Azure;
use vandamme_actors::upstream::{ConnectionFault, SendError};
use vandamme_protocol::bridge::Fault;
use vandamme_protocol::healing::{self, Edit};
use vandamme_protocol::http1::ReplyError;
use vandamme_protocol::openai;
use vandamme_protocol::vocabulary::ErrorKind;

use super::failure::Answer;

/// A call that failed, for everybody who must know.
pub(super) struct CallFailure {
    pub(super) retry: attempts::Failure,
    pub(super) outcome: CallOutcome,
    pub(super) answer: Answer,
    /// What the upstream refuses, as far as the request can do without.
    pub(super) named: Vec<Edit>,
}

impl CallFailure {
    fn new(kind: ErrorKind, message: String, (retry, outcome): (attempts::Failure, CallOutcome)) -> Self {
        let answer = Answer::own(Fault { kind, status: kind.status(), message });
        Self { retry, outcome, answer, named: vec![] }
    }

    /// The client's request cannot be sent to this upstream.
    pub(super) fn refused(message: &str) -> Self {
        let verdict = (attempts::Failure::Here, CallOutcome::Cancelled);
        Self::new(ErrorKind::InvalidRequest, message.to_owned(), verdict)
    }

    /// The connection or the reply broke.
    pub(super) fn broken(message: &str) -> Self {
        let mut failure = Self::new(
            ErrorKind::Api,
            message.to_owned(),
            (attempts::Failure::Passing { after: None }, CallOutcome::Failed),
        );
        failure.answer.status = 502;
        failure
    }

    /// The upstream answered something that would be the same the next time.
    pub(super) fn misbehaved(message: &str) -> Self {
        Self { retry: attempts::Failure::Here, ..Self::broken(message) }
    }

    /// The upstream said with status 200 that it failed.
    pub(super) fn said(fault: Fault) -> Self {
        let status = fault.status;
        let (retry, outcome) = judge(status, fault.message.as_bytes(), (None, ""), &HeaderMap::new());
        let named = healing::recognise(status, fault.message.as_bytes());
        Self { retry, outcome, answer: Answer::own(fault), named }
    }

    pub(super) fn timeout(lease: &Lease, patience: Duration) -> Self {
        let message =
            format!("provider '{}' did not answer within {} s", lease.provider.name, patience.as_secs_f64());
        let verdict = (attempts::Failure::Timeout, CallOutcome::Failed);
        Self::new(ErrorKind::Timeout, message, verdict)
    }

    pub(super) fn unsent(lease: &Lease, error: &SendError) -> Self {
        let name = &lease.provider.name;
        let error = match error {
            SendError::Local(error) => return Self::out_of_resources(error),
            SendError::Connection(fault) => return Self::connection(name, *fault),
            SendError::Other(error) => error,
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "awc may add errors, and one it adds is one more that broke off"
        )]
        match error {
            SendRequestError::Connect(ConnectError::Timeout) => {
                let message = format!("provider '{name}' could not be reached in time");
                let passing = (attempts::Failure::Passing { after: None }, CallOutcome::Failed);
                Self::new(ErrorKind::Timeout, message, passing)
            }
            SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => Self::broken(
                &format!("the host of provider '{name}' has no address: check its base URL and DNS"),
            ),
            SendRequestError::Connect(error) => {
                Self::broken(&format!("provider '{name}' could not be reached: {error}"))
            }
            SendRequestError::Url(error) => {
                Self::misbehaved(&format!("the base URL of provider '{name}' cannot be used: {error}"))
            }
            other => Self::broken(&format!("provider '{name}' broke off: {other}")),
        }
    }

    /// This machine cannot open another connection, to whomever: the provider has no part in it.
    fn out_of_resources(error: &io::Error) -> Self {
        let message = format!(
            "the gateway cannot open another connection ({error}): raise its limit of open files (ulimit -n, LimitNOFILE)"
        );
        log::error!("{message}");
        let passing = (attempts::Failure::Passing { after: None }, CallOutcome::Cancelled);
        let mut failure = Self::new(ErrorKind::Api, message, passing);
        failure.answer.status = 503;
        failure.answer.retry_after = Some(1);
        failure
    }

    fn connection(name: &str, fault: ConnectionFault) -> Self {
        match fault {
            ConnectionFault::Stale | ConnectionFault::BeforeReply => {
                Self::broken(&format!("provider '{name}' closed the connection before it answered"))
            }
            ConnectionFault::WhileSending => Self::broken(&format!(
                "provider '{name}' closed the connection while the request was sent; it may be too large for it"
            )),
            ConnectionFault::Reply(ReplyError::Cut) => {
                Self::broken(&format!("provider '{name}' closed the connection inside the head of its reply"))
            }
            ConnectionFault::Reply(error) => {
                Self::misbehaved(&format!("the reply of provider '{name}' cannot be read: {error}"))
            }
        }
    }
}

/// What a failed call means for retries and for the key.
pub(super) fn judge(
    status: u16,
    body: &[u8],
    (after, model): (Option<Duration>, &str),
    headers: &HeaderMap,
) -> (attempts::Failure, CallOutcome) {
    let passing = attempts::Failure::Passing { after };
    let named = !model.is_empty() && memchr::memmem::find(body, model.as_bytes()).is_some();
    let scope = if named { Scope::Model } else { Scope::Key };
    let (retry, outcome) = match status {
        401 => (attempts::Failure::Key, CallOutcome::Rejected { scope: Scope::Key }),
        400 if openai::error::refuses_key(body) => {
            (attempts::Failure::Key, CallOutcome::Rejected { scope: Scope::Key })
        }
        403 => (attempts::Failure::Key, CallOutcome::Rejected { scope: Scope::Model }),
        429 => (attempts::Failure::Key, CallOutcome::RateLimited { after, scope }),
        402 => (attempts::Failure::Key, CallOutcome::RateLimited { after, scope: Scope::Key }),
        _ if openai::error::is_quota_exhausted(body) => {
            (attempts::Failure::Key, CallOutcome::RateLimited { after, scope: Scope::Key })
        }
        408 | 409 => (passing, CallOutcome::Answered),
        529 => (passing, CallOutcome::Overloaded),
        500..=599 => (passing, CallOutcome::Failed),
        // A model that is gone here may still be elsewhere.
        404 => (attempts::Failure::Here, CallOutcome::Answered),
        _ => (attempts::Failure::Final, CallOutcome::Answered),
    };
    // The upstream knows best, except that another key is another matter.
    let said = headers.get("x-should-retry").and_then(|value| value.to_str().ok());
    match (said, retry) {
        (Some("false"), attempts::Failure::Passing { .. }) => (attempts::Failure::Here, outcome),
        (Some("true"), attempts::Failure::Final | attempts::Failure::Here) => (passing, outcome),
        _ => (retry, outcome),
    }
}

/// Azure says that a deployment does not exist, but not which.
pub(super) fn located(lease: &Lease, mut fault: Fault) -> Fault {
    if fault.status == 404 && matches!(lease.provider.azure, Some(Azure::Deployments { .. })) {
        let (model, provider) = (&lease.model, &lease.provider.name);
        fault.message = format!("{} (deployment '{model}' of provider '{provider}')", fault.message);
    }
    fault
}

/// `retry-after-ms`, or `retry-after` as seconds or as a date; else what the body says.
pub(super) fn asked_to_wait(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
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
    millis.or_else(whole).or_else(|| openai::error::retry_delay(body).and_then(seconds))
}
