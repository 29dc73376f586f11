//! What is kept of one request.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vandamme_protocol::reported::Reported;
use vandamme_protocol::vocabulary::Usage;

use super::{CacheLoss, CallRecord, RequestSummary};
use crate::clock::Millis;
use crate::cost::Cost;
use crate::secret::KeyId;
use crate::settings::Api;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    Succeeded,
    /// `kind` is the error's type in terms of Anthropic's API.
    Failed {
        kind: &'static str,
        message: String,
    },
    /// The client disconnected.
    Cancelled,
}

/// The type of [`RequestEnd::Failed`] for a request that an operator has cancelled.
pub const CANCELLED_BY_OPERATOR: &str = "cancelled_by_operator";
/// The error message that its client receives.
pub const CANCELLED_MESSAGE: &str = "this request was cancelled by an operator of the gateway";

impl RequestEnd {
    pub fn cancelled_by_operator() -> Self {
        Self::Failed { kind: CANCELLED_BY_OPERATOR, message: CANCELLED_MESSAGE.to_owned() }
    }

    /// Whether the client or an operator ended the request, so that it counts neither as a success nor as a failure.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled => true,
            Self::Failed { kind, .. } => *kind == CANCELLED_BY_OPERATOR,
            Self::Succeeded => false,
        }
    }
}

/// Whether a request that ended so failed because of its client's own mistake, such as an unknown model or an invalid request. `end` is
/// the name of the end in reports.
pub fn is_client_error(end: &str, upstream_calls: u64) -> bool {
    match end {
        "invalid_request_error" | "not_found_error" | "request_too_large" => true,
        // After a call, it was the provider that refused the gateway's key or did not answer in time.
        "authentication_error" | "permission_error" | "timeout_error" => upstream_calls == 0,
        _ => false,
    }
}

/// Counts the images of a request whose model accepts only text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageCounts {
    /// Replaced by a description.
    pub described: u32,
    /// Replaced by the reason why they have no description.
    pub failed: u32,
}

/// How many tool calls of a reply a judge allowed and blocked, and how many have no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictCounts {
    pub not_flagged: u32,
    pub flagged: u32,
    pub unavailable: u32,
    /// The verdicts were recorded only, and the client got none.
    pub shadow: bool,
}

/// Everything that is kept of one request.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: Arc<str>,
    pub request: RequestSummary,
    pub provider: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
    /// The API of the upstream that served the request, or that was called last.
    pub upstream_api: Option<Api>,
    /// The targets that failed before this one, as `provider:model`. Their number is bounded by the calls of one
    /// request.
    pub failed_targets: Vec<String>,
    /// Every call to an upstream, in order. Their number is bounded by the calls of one request.
    pub calls: Vec<CallRecord>,
    pub key: Option<KeyId>,
    /// The status that the client got; 0 if the client disconnected before one was sent.
    pub status: u16,
    pub upstream_calls: u32,
    pub usage: Usage,
    /// What the upstream reports about its reply.
    pub reported: Reported,
    /// The tool calls in the reply.
    pub tool_calls: u32,
    /// The verdicts on those tool calls; `None` if the gateway has not had them judged.
    pub verdicts: Option<VerdictCounts>,
    /// Why the model stopped, in the words of Anthropic's API.
    pub stop_reason: Option<Arc<str>>,
    /// The images that were replaced by text.
    pub images: ImageCounts,
    /// The bytes that the client was sent as the reply's body.
    pub reply_size: u64,
    /// From the request's start to the first event of the reply that is more than a ping, as sent to the client; for a whole reply, to its head.
    /// `None` if there was none.
    pub first_event: Option<Duration>,
    pub elapsed: Duration,
    pub end: RequestEnd,
}

impl Record {
    /// The web searches, for the log line; empty if there are none.
    pub(super) fn searches_of_log_line(&self) -> String {
        match self.reported.web_searches {
            0 => String::new(),
            searches => format!(" searches={searches}"),
        }
    }

    /// Whether the request failed because of its client's own mistake.
    pub fn is_client_error(&self) -> bool {
        match &self.end {
            RequestEnd::Failed { kind, .. } => is_client_error(kind, self.upstream_calls.into()),
            RequestEnd::Succeeded | RequestEnd::Cancelled => false,
        }
    }
}

/// A request that has ended, as the ledger publishes it.
#[derive(Clone, Debug)]
pub struct FinishedRequest {
    pub record: Record,
    /// When it ended.
    pub ended: Millis,
    /// `None` if the price of its model is not known.
    pub cost: Option<Cost>,
    /// Set if the prompt cache of its conversation was lost.
    pub cache_loss: Option<CacheLoss>,
}

impl FinishedRequest {
    /// When it started.
    pub fn started(&self) -> Millis {
        self.ended.saturating_sub(crate::clock::millis(self.record.elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a client's own mistake is no failure of the gateway: unknown models, invalid or too large requests, and keys that the
    /// gateway itself refuses. A key that a provider refuses is one, and so is every other error.
    #[test]
    fn client_errors_are_mistakes_of_clients() {
        for (end, calls, expected) in [
            ("not_found_error", 0, true),
            ("not_found_error", 1, true),
            ("invalid_request_error", 1, true),
            ("request_too_large", 0, true),
            ("authentication_error", 0, true),
            ("permission_error", 0, true),
            ("timeout_error", 0, true),
            ("authentication_error", 1, false),
            ("permission_error", 2, false),
            ("timeout_error", 1, false),
            ("api_error", 0, false),
            ("rate_limit_error", 0, false),
            ("overloaded_error", 1, false),
            ("billing_error", 1, false),
            (CANCELLED_BY_OPERATOR, 1, false),
            ("succeeded", 1, false),
            ("cancelled", 0, false),
        ] {
            assert_eq!(is_client_error(end, calls), expected, "{end} after {calls} calls");
        }
    }
}
