//! How a reply ended, as its state machine tells it.

use vandamme_protocol::convert::Outcome;
use vandamme_protocol::convert::passthrough::{ChatTap, Tap};
use vandamme_protocol::vocabulary::{ErrorKind, Usage};

use crate::outcome::{LimitScope, Outcome as CallOutcome};
use crate::secret::Secrets;

/// How a reply ended, for the ledger.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    pub usage: Usage,
    pub tool_calls: u32,
    pub fault: Option<(ErrorKind, String)>,
}

impl Closing {
    /// What the reply shows by its end.
    pub(super) fn shows(&self) -> CallOutcome {
        self.fault.as_ref().map_or(CallOutcome::Answered, |(kind, _)| outcome_of(*kind))
    }
}

/// What an error in mid-stream shows: a broken reply, unless it is a limit or the request's own fault.
pub(super) fn outcome_of(kind: ErrorKind) -> CallOutcome {
    match kind {
        ErrorKind::Overloaded => CallOutcome::Overloaded,
        ErrorKind::RateLimit => CallOutcome::RateLimited { wait: None, scope: LimitScope::Model },
        ErrorKind::Billing => CallOutcome::OutOfCredit,
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::TooLarge => CallOutcome::RequestRefused,
        ErrorKind::Authentication | ErrorKind::Permission | ErrorKind::Api | ErrorKind::Timeout => {
            CallOutcome::BrokenReply
        }
    }
}

pub(super) fn passed_chat(tap: &ChatTap, secrets: &Secrets) -> Closing {
    let summary = tap.summary();
    let fault = summary.error.clone().map(|(kind, message)| (kind, secrets.scrub(message)));
    Closing { usage: summary.usage, tool_calls: summary.tool_calls, fault }
}

pub(super) fn told(tap: &Tap) -> Usage {
    let summary = tap.summary();
    Usage {
        input: summary.input,
        output: summary.output,
        cache_read: summary.cache_read,
        cache_creation: summary.cache_creation,
    }
}

pub(super) fn passed(tap: &Tap, secrets: &Secrets) -> Closing {
    let summary = tap.summary();
    let fault = summary.error.clone().map(|(kind, message)| {
        (ErrorKind::from_anthropic(&kind).unwrap_or(ErrorKind::Api), secrets.scrub(message))
    });
    Closing { usage: told(tap), tool_calls: summary.tool_calls, fault }
}

pub(super) fn converted(outcome: Outcome) -> Closing {
    Closing {
        usage: outcome.usage.unwrap_or_default(),
        tool_calls: outcome.tool_calls,
        fault: outcome.fault.map(|fault| (fault.kind, fault.message)),
    }
}
