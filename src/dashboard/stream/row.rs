//! One request as the stream sends it: everything that a row of the live feed shows.

use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::ledger::{Active, FinishedRequest, RequestEnd, RequestSummary};
use vandamme_actors::secret::Secrets;
use vandamme_protocol::vocabulary::Usage;

use crate::dashboard::gather::shown;

/// One request, running or ended. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct RequestRow {
    pub(super) id: String,
    started: Millis,
    /// `None` while it runs.
    ended: Option<Millis>,
    /// `running`, `succeeded`, `failed` or `cancelled`
    outcome: &'static str,
    /// The error's type, if it failed.
    error_type: Option<&'static str>,
    error: Option<String>,
    /// The status that the client got; 0 if it got none.
    status: Option<u16>,
    client: Option<String>,
    session: Option<String>,
    api: Option<&'static str>,
    stream: bool,
    requested_model: String,
    provider: Option<String>,
    model: Option<String>,
    /// The fingerprint of the provider's key.
    key: Option<String>,
    upstream_calls: u32,
    first_event_ms: Option<u64>,
    duration_ms: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_creation_tokens: u64,
    tool_calls: u32,
    request_bytes: usize,
    reply_bytes: u64,
    /// In millionths of a US dollar; `None` if it is not known.
    cost: Option<u64>,
}

impl RequestRow {
    pub(super) fn started(active: &Active, secrets: &Secrets) -> Self {
        let row = Self::new(&active.request_id, &active.request, active.usage, secrets);
        Self {
            started: active.since,
            provider: Some(active.provider.to_string()),
            model: Some(shown(&active.model, secrets)),
            duration_ms: clock::millis(active.elapsed),
            tool_calls: active.tool_calls,
            ..row
        }
    }

    pub(super) fn ended(finished: &FinishedRequest, secrets: &Secrets) -> Self {
        let record = &finished.record;
        let (outcome, error_type, error) = match &record.end {
            RequestEnd::Succeeded => ("succeeded", None, None),
            RequestEnd::Failed { kind, message } if record.end.is_cancelled() => {
                ("cancelled", Some(*kind), Some(shown(message, secrets)))
            }
            RequestEnd::Failed { kind, message } => ("failed", Some(*kind), Some(shown(message, secrets))),
            RequestEnd::Cancelled => ("cancelled", None, None),
        };
        Self {
            started: finished.started(),
            ended: Some(finished.ended),
            outcome,
            error_type,
            error,
            status: Some(record.status),
            provider: record.provider.as_ref().map(ToString::to_string),
            model: record.model.as_ref().map(|model| shown(model, secrets)),
            key: record.key.as_ref().map(ToString::to_string),
            upstream_calls: record.upstream_calls,
            first_event_ms: record.first_event.map(clock::millis),
            duration_ms: clock::millis(record.elapsed),
            tool_calls: record.tool_calls,
            reply_bytes: record.reply_size,
            cost: finished.cost.map(|cost| cost.micro_dollars),
            ..Self::new(&record.request_id, &record.request, record.usage, secrets)
        }
    }

    /// A request that has just begun.
    fn new(id: &str, request: &RequestSummary, usage: Usage, secrets: &Secrets) -> Self {
        Self {
            id: id.to_owned(),
            started: 0,
            ended: None,
            outcome: "running",
            error_type: None,
            error: None,
            status: None,
            client: request.client.as_ref().map(ToString::to_string),
            session: request.session.as_ref().map(|session| shown(session, secrets)),
            api: request.api_word(),
            stream: request.streamed,
            requested_model: shown(&request.model, secrets),
            provider: None,
            model: None,
            key: None,
            upstream_calls: 0,
            first_event_ms: None,
            duration_ms: 0,
            input_tokens: usage.input,
            output_tokens: usage.output,
            cache_read_tokens: usage.cache_read,
            cache_creation_tokens: usage.cache_creation,
            tool_calls: 0,
            request_bytes: request.size,
            reply_bytes: 0,
            cost: None,
        }
    }
}
