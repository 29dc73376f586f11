//! `GET /metrics/logs`: the last requests that have ended, and the last that failed, newest first, in the Python
//! original's format.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::ledger::series::api_word;
use vandamme_actors::ledger::{CacheLoss, CallRecord, Trace, TraceView};
use vandamme_actors::observe::Observe;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::query;
use super::render_error;
use super::report;
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::telemetry::{LogFormat, LogOutput};

/// A ledger that does not answer within this time is restarting.
const PATIENCE: Duration = Duration::from_secs(2);
/// The highest limit that is accepted. The ledger keeps fewer.
const MOST_ERRORS: usize = 1000;
const MOST_TRACES: usize = 2000;

#[derive(Serialize)]
struct LogReport {
    systemd: Handler,
    errors: Vec<LogRow>,
    traces: Vec<LogRow>,
}

/// Where log lines go: whether `--systemd` was given, whether the journal gets them, and its name or `console`.
#[derive(Serialize)]
struct Handler {
    requested: bool,
    effective: bool,
    handler: &'static str,
}

#[derive(Serialize)]
struct LogRow {
    seq: u64,
    ts: f64,
    request_id: String,
    /// The name of the client's key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    provider: String,
    model: String,
    is_streaming: bool,
    duration_ms: f64,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_creation_tokens: u64,
    /// Absent if the price of the model is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_dollars: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_loss: Option<CacheLossRow>,
    tool_use_count: u32,
    tool_call_count: u32,
    tool_result_count: u32,
    status: &'static str,
    error: Option<String>,
    error_type: Option<&'static str>,
    /// The fields from here on are not in the original's format.
    requested_model: String,
    /// The status that the client got; `null` if it disconnected before.
    http_status: Option<u16>,
    /// The status of the last upstream call; `null` if no reply came, or no call was made.
    upstream_status: Option<u16>,
    first_event_ms: Option<f64>,
    session: Option<String>,
    agent: Option<String>,
    /// The role by which `[routing]` has chosen the model.
    role: Option<String>,
    api: Option<&'static str>,
    upstream_api: Option<&'static str>,
    /// The key's id.
    key: Option<String>,
    calls: Vec<CallRow>,
    stop_reason: Option<String>,
    reasoning_tokens: u64,
    cache_creation_1h_tokens: u64,
    /// The images that were replaced by a description.
    #[serde(skip_serializing_if = "is_zero")]
    images_described: u32,
    /// The images that were replaced by the reason why they have no description.
    #[serde(skip_serializing_if = "is_zero")]
    images_not_described: u32,
    /// The web searches of the reply, whoever has run them.
    #[serde(skip_serializing_if = "is_zero")]
    web_searches: u32,
    request_size: usize,
    reply_size: u64,
}

/// In a form that serde requires.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One call to an upstream.
#[derive(Serialize)]
pub(super) struct CallRow {
    provider: String,
    model: String,
    key: Option<String>,
    /// `null` if no reply came.
    status: Option<u16>,
    /// `null` while the call runs.
    outcome: Option<&'static str>,
    /// The provider's own id of the request; `null` if it sent none.
    upstream_request_id: Option<String>,
    /// From the request's start to the call's.
    start_ms: f64,
    duration_ms: f64,
}

/// A prompt cache that the request did not find.
#[derive(Serialize)]
struct CacheLossRow {
    cause: &'static str,
    /// Whether the provider itself reported the cause.
    by_provider: bool,
    /// In words.
    reason: String,
    tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_dollars: Option<u64>,
}

impl From<&CacheLoss> for CacheLossRow {
    fn from(loss: &CacheLoss) -> Self {
        Self {
            cause: loss.cause.name(),
            by_provider: loss.by_provider,
            reason: loss.cause.to_string(),
            tokens: loss.tokens,
            cost_micro_dollars: loss.micro_dollars,
        }
    }
}

/// The requested number of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    errors: usize,
    traces: usize,
}

impl Handler {
    fn new(output: LogOutput) -> Self {
        let (effective, handler) = match output.format {
            LogFormat::Journal => (true, "journal"),
            LogFormat::Console | LogFormat::Prioritized | LogFormat::Json => (false, "console"),
        };
        Self { requested: output.requested.is_journal(), effective, handler }
    }
}

impl Wanted {
    /// The error is for the client.
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self { errors: 100, traces: 200 };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit_errors" => wanted.errors = query::limit(&name, &value, MOST_ERRORS)?,
                "limit_traces" => wanted.traces = query::limit(&name, &value, MOST_TRACES)?,
                _ => {}
            }
        }
        Ok(wanted)
    }
}

impl CallRow {
    pub(super) fn new(call: &CallRecord, secrets: &Secrets) -> Self {
        let CallRecord { provider, model, key, status, outcome, upstream_request_id, started, elapsed } =
            call;
        let clean = |text: &str| report::one_line(&secrets.scrub(text.to_owned()));
        Self {
            provider: provider.to_string(),
            model: clean(model),
            key: key.map(|key| key.to_string()),
            status: *status,
            outcome: *outcome,
            upstream_request_id: upstream_request_id.as_deref().map(clean),
            start_ms: millis(*started),
            duration_ms: millis(*elapsed),
        }
    }
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl LogRow {
    fn new(trace: &Trace, secrets: &Secrets) -> Self {
        let told = |text: &str| report::one_line(&secrets.scrub(text.to_owned()));
        Self {
            seq: trace.seq,
            ts: report::epoch_seconds(trace.at),
            request_id: trace.request_id.to_string(),
            client: trace.client.as_ref().map(ToString::to_string),
            provider: trace.provider.to_string(),
            model: told(&trace.model),
            is_streaming: trace.streamed,
            duration_ms: millis(trace.elapsed),
            input_tokens: trace.usage.input,
            output_tokens: trace.usage.output,
            cache_read_tokens: trace.usage.cache_read,
            cache_creation_tokens: trace.usage.cache_creation,
            cost_micro_dollars: trace.cost.map(|cost| cost.micro_dollars),
            cache_loss: trace.cache_loss.as_ref().map(CacheLossRow::from),
            tool_use_count: trace.tools.uses,
            tool_call_count: trace.tool_calls,
            tool_result_count: trace.tools.results,
            status: if trace.error.is_some() { "error" } else { "ok" },
            error: trace.error.as_ref().map(|error| told(&error.message)),
            error_type: trace.error.as_ref().map(|error| error.kind),
            requested_model: told(&trace.requested_model),
            http_status: Some(trace.status).filter(|status| *status != 0),
            upstream_status: trace.calls.last().and_then(|call| call.status),
            first_event_ms: trace.first_event.map(millis),
            session: trace.session.as_deref().map(told),
            agent: trace.agent.as_deref().map(told),
            role: trace.role.as_deref().map(str::to_owned),
            api: trace.api,
            upstream_api: trace.upstream_api.map(api_word),
            key: trace.key.map(|key| key.to_string()),
            calls: trace.calls.iter().map(|call| CallRow::new(call, secrets)).collect(),
            stop_reason: trace.stop_reason.as_ref().map(ToString::to_string),
            reasoning_tokens: trace.usage.reasoning,
            cache_creation_1h_tokens: trace.usage.cache_creation_1h,
            images_described: trace.images.described,
            images_not_described: trace.images.failed,
            web_searches: trace.web_searches,
            request_size: trace.request_size,
            reply_size: trace.reply_size,
        }
    }
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let refuse = |kind, message: &str| render_error::error(Api::Messages, kind, message, id.as_str());
    if let Some(refusal) = report::turned_away(&request, &gateway, "the last requests", &id) {
        return refusal;
    }
    let wanted = match Wanted::read(request.query_string()) {
        Ok(wanted) => wanted,
        Err(message) => return refuse(ErrorKind::InvalidRequest, &message),
    };
    let ledger = gateway.registry.load().ledger.clone();
    let Ok(view) = ledger.send(Observe::<TraceView>::new()).timeout(PATIENCE).await else {
        return refuse(ErrorKind::Api, "the ledger does not answer; try again");
    };
    let live = gateway.live_config();
    let rows = |traces: &[Trace], most| {
        traces.iter().take(most).map(|trace| LogRow::new(trace, &live.secrets)).collect()
    };
    report::uncached(HttpResponse::Ok().json(LogReport {
        systemd: Handler::new(LogOutput::current()),
        errors: rows(&view.errors, wanted.errors),
        traces: rows(&view.traces, wanted.traces),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_in_its_range() {
        let read = |query| Wanted::read(query);
        assert_eq!(read(""), Ok(Wanted { errors: 100, traces: 200 }));
        assert_eq!(read("limit_errors=1&limit_traces=2000&x=y"), Ok(Wanted { errors: 1, traces: 2000 }));
        for wrong in
            ["limit_errors=0", "limit_errors=1001", "limit_traces=2001", "limit_traces=", "limit_traces=-1"]
        {
            let message = read(wrong).unwrap_err();
            assert!(message.starts_with(wrong.split('=').next().unwrap()), "{message}");
        }
    }
}
