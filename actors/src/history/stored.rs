//! A request as the history stores it. Running views convert ended requests to the same form.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vandamme_protocol::vocabulary::Usage;

use crate::clock::{Millis, millis};
use crate::cost::Cost;
use crate::ledger::{CacheLoss, CallRecord, FinishedRequest, RequestEnd, VerdictCounts};
use crate::settings::Api;

/// [`StoredRequest::end`] of a request that succeeded.
pub const SUCCEEDED: &str = "succeeded";
/// [`StoredRequest::end`] of a request whose client disconnected.
pub const CANCELLED: &str = "cancelled";

/// Everything that is kept of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredRequest {
    pub request_id: String,
    pub started: Millis,
    pub ended: Millis,
    /// What the client called: `messages`, `chat-completions`, `responses`, or an endpoint such as `embeddings`.
    pub api: Option<String>,
    pub streamed: bool,
    /// The model name that the client sent.
    pub requested_model: String,
    pub provider: Option<String>,
    pub model: Option<String>,
    /// The API of the upstream.
    pub upstream_api: Option<String>,
    /// The fingerprint of the provider's key.
    pub key: Option<String>,
    /// The name of the client's key.
    pub client: Option<String>,
    pub session: Option<String>,
    pub agent: Option<String>,
    /// The role by which `[routing]` has chosen its model.
    pub role: Option<String>,
    /// 0 if the client disconnected before one was sent.
    pub status: u16,
    /// [`SUCCEEDED`], [`CANCELLED`] or the error's type.
    pub end: String,
    /// The error's message.
    pub error: Option<String>,
    pub stop_reason: Option<String>,
    pub upstream_calls: u32,
    /// Every call to an upstream, in order.
    pub calls: Vec<StoredCall>,
    /// The targets that failed before the last one, as `provider:model`.
    pub failed_targets: Vec<String>,
    pub usage: Usage,
    /// `None` if the price of its model is not known.
    pub cost: Option<Cost>,
    /// In the reply.
    pub tool_calls: u32,
    /// In the history that the client sent.
    pub tool_uses: u32,
    pub tool_results: u32,
    pub messages: u32,
    pub request_bytes: u64,
    pub reply_bytes: u64,
    pub first_event: Option<Duration>,
    pub elapsed: Duration,
    /// The prompt cache that the session lost with this request.
    pub cache_loss: Option<StoredCacheLoss>,
    /// For a request of the gateway itself: the id of the client's request that it serves.
    pub parent: Option<String>,
    /// For a request of the gateway itself: its purpose, such as `judge`.
    pub purpose: Option<String>,
    /// The verdicts of a judge on the reply's tool calls.
    pub verdicts: Option<VerdictCounts>,
    /// The web searches of the reply, run by the provider or by the gateway.
    pub web_searches: u32,
}

/// A cached prompt that was paid for again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredCacheLoss {
    /// One word, such as `tools`.
    pub cause: String,
    /// The same for people.
    pub explanation: String,
    /// Whether the provider itself reported the cause.
    pub by_provider: bool,
    /// The tokens that the cache held and that were not read from it.
    pub tokens: u64,
    /// What they cost more than from the cache; `None` if the price is not known.
    pub micro_dollars: Option<u64>,
}

/// One call to an upstream. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredCall {
    pub provider: String,
    pub model: String,
    pub key: Option<String>,
    pub status: Option<u16>,
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_request_id: Option<String>,
    /// From the request's start to the start of the call.
    pub started_ms: u64,
    /// From the start of the call to its reply's head or to its failure.
    pub elapsed_ms: u64,
}

/// `messages`, `chat-completions` or `responses`.
pub fn api_name(api: Api) -> &'static str {
    api.word()
}

/// [`StoredRequest::end`]
pub fn end_name(end: &RequestEnd) -> &'static str {
    match end {
        RequestEnd::Succeeded => SUCCEEDED,
        RequestEnd::Cancelled => CANCELLED,
        RequestEnd::Failed { kind, .. } => kind,
    }
}

impl From<&CallRecord> for StoredCall {
    fn from(call: &CallRecord) -> Self {
        Self {
            provider: call.provider.to_string(),
            model: call.model.to_string(),
            key: call.key.map(|key| key.to_string()),
            status: call.status,
            outcome: call.outcome.map(str::to_owned),
            upstream_request_id: call.upstream_request_id.as_deref().map(str::to_owned),
            started_ms: millis(call.started),
            elapsed_ms: millis(call.elapsed),
        }
    }
}

impl From<&FinishedRequest> for StoredRequest {
    fn from(finished: &FinishedRequest) -> Self {
        let record = &finished.record;
        let request = &record.request;
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            request_id: record.request_id.to_string(),
            started: finished.started(),
            ended: finished.ended,
            api: request.api_word().map(str::to_owned),
            streamed: request.streamed,
            requested_model: request.model.to_string(),
            provider: text(&record.provider),
            model: text(&record.model),
            upstream_api: record.upstream_api.map(|api| api_name(api).to_owned()),
            key: record.key.map(|key| key.to_string()),
            client: text(&request.client),
            session: text(&request.session),
            agent: text(&request.agent),
            role: text(&request.role),
            status: record.status,
            end: end_name(&record.end).to_owned(),
            error: match &record.end {
                RequestEnd::Failed { message, .. } => Some(message.clone()),
                RequestEnd::Succeeded | RequestEnd::Cancelled => None,
            },
            stop_reason: text(&record.stop_reason),
            upstream_calls: record.upstream_calls,
            calls: record.calls.iter().map(StoredCall::from).collect(),
            failed_targets: record.failed_targets.clone(),
            usage: record.usage,
            cost: finished.cost,
            tool_calls: record.tool_calls,
            tool_uses: request.tools.uses,
            tool_results: request.tools.results,
            messages: request.messages,
            request_bytes: request.size as u64,
            reply_bytes: record.reply_size,
            first_event: record.first_event,
            elapsed: record.elapsed,
            cache_loss: finished.cache_loss.as_ref().map(StoredCacheLoss::from),
            parent: request.origin.as_ref().map(|origin| origin.parent.to_string()),
            purpose: request.origin.as_ref().map(|origin| origin.purpose.to_owned()),
            verdicts: record.verdicts,
            web_searches: record.reported.web_searches,
        }
    }
}

impl From<&CacheLoss> for StoredCacheLoss {
    fn from(loss: &CacheLoss) -> Self {
        Self {
            cause: loss.cause.name().to_owned(),
            explanation: loss.cause.to_string(),
            by_provider: loss.by_provider,
            tokens: loss.tokens,
            micro_dollars: loss.micro_dollars,
        }
    }
}
