//! Keeps the last requests that have ended, and the last that failed. Two pure ring buffers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use vandamme_protocol::request::ToolHistory;
use vandamme_protocol::vocabulary::Usage;

use super::{
    CANCELLED_BY_OPERATOR, CacheLoss, CallRecord, FinishedRequest, ImageCounts, Record, RequestEnd, UNKNOWN,
    printable,
};
use crate::clock::Millis;
use crate::cost::Cost;
use crate::secret::KeyId;
use crate::settings::Api;

/// The most failures that are kept, and the most requests in total.
const MAX_ERRORS: usize = 100;
const MAX_TRACES: usize = 200;
/// The longest model name that is kept in full, in bytes; no vendor uses longer names.
const MAX_NAME: usize = 300;

/// The part of a request that is kept.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The sequence number in its list, starting at 1.
    pub seq: u64,
    /// The time at which the request ended.
    pub at: Millis,
    pub request_id: Arc<str>,
    /// The name of the client's key, if it has one.
    pub client: Option<Arc<str>>,
    /// Both are [`UNKNOWN`] for a request that reached no provider.
    pub provider: Arc<str>,
    /// The provider's name of the model.
    pub model: Arc<str>,
    pub streamed: bool,
    pub elapsed: Duration,
    pub usage: Usage,
    /// `None` if the price of the model is not known.
    pub cost: Option<Cost>,
    /// Set if the prompt cache of its conversation was lost.
    pub cache_loss: Option<CacheLoss>,
    pub tools: ToolHistory,
    pub tool_calls: u32,
    pub error: Option<TraceError>,
    /// The model name in the client's request, shortened.
    pub requested_model: Arc<str>,
    /// The status that the client got; 0 if it disconnected before.
    pub status: u16,
    pub first_event: Option<Duration>,
    pub session: Option<Arc<str>>,
    pub agent: Option<Arc<str>>,
    /// The role by which `[routing]` has chosen its model.
    pub role: Option<Arc<str>>,
    /// The API of the client's endpoint.
    /// See [`RequestSummary::api_word`](super::RequestSummary::api_word).
    pub api: Option<&'static str>,
    pub upstream_api: Option<Api>,
    pub key: Option<KeyId>,
    pub calls: Vec<CallRecord>,
    pub stop_reason: Option<Arc<str>>,
    pub images: ImageCounts,
    pub web_searches: u32,
    pub request_size: usize,
    pub reply_size: u64,
}

/// The reason why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The Python original's name of the error type.
    pub kind: &'static str,
    /// On one line.
    pub message: Arc<str>,
}

/// The failed requests and all requests.
#[derive(Debug)]
pub(super) struct Traces {
    errors: Ring,
    traces: Ring,
}

#[derive(Debug)]
struct Ring {
    rows: VecDeque<Trace>,
    pushed: u64,
    capacity: usize,
}

impl Default for Traces {
    fn default() -> Self {
        Self { errors: Ring::with_capacity(MAX_ERRORS), traces: Ring::with_capacity(MAX_TRACES) }
    }
}

impl Traces {
    pub(super) fn keep(&mut self, finished: &FinishedRequest) {
        let trace = Trace::new(finished);
        // A request that the client or an operator ended is not a failure.
        let end = &finished.record.end;
        if matches!(end, RequestEnd::Failed { .. }) && !end.is_cancelled() {
            self.errors.push(trace.clone());
        }
        self.traces.push(trace);
    }

    /// Newest first.
    pub(super) fn errors(&self) -> Vec<Trace> {
        self.errors.newest_first()
    }

    /// Newest first.
    pub(super) fn traces(&self) -> Vec<Trace> {
        self.traces.newest_first()
    }
}

impl Ring {
    fn with_capacity(capacity: usize) -> Self {
        Self { rows: VecDeque::new(), pushed: 0, capacity }
    }

    fn push(&mut self, trace: Trace) {
        if self.rows.len() >= self.capacity {
            self.rows.pop_front();
        }
        self.pushed += 1;
        self.rows.push_back(Trace { seq: self.pushed, ..trace });
    }

    fn newest_first(&self) -> Vec<Trace> {
        self.rows.iter().rev().cloned().collect()
    }
}

impl Trace {
    fn new(FinishedRequest { record, ended, cost, cache_loss }: &FinishedRequest) -> Self {
        let cut = |name: &Arc<str>| if name.len() > MAX_NAME { printable(name).into() } else { name.clone() };
        let named = |name: &Option<Arc<str>>| name.as_ref().map_or_else(|| UNKNOWN.into(), cut);
        Self {
            seq: 0,
            at: *ended,
            request_id: record.request_id.clone(),
            client: record.request.client.clone(),
            provider: named(&record.provider),
            model: named(&record.model),
            streamed: record.request.streamed,
            elapsed: record.elapsed,
            usage: record.usage,
            cost: *cost,
            cache_loss: cache_loss.clone(),
            tools: record.request.tools,
            tool_calls: record.tool_calls,
            error: TraceError::from_record(record),
            requested_model: cut(&record.request.model),
            status: record.status,
            first_event: record.first_event,
            session: record.request.session.clone(),
            agent: record.request.agent.clone(),
            role: record.request.role.clone(),
            api: record.request.api_word(),
            upstream_api: record.upstream_api,
            key: record.key,
            calls: record.calls.clone(),
            stop_reason: record.stop_reason.clone(),
            images: record.images,
            web_searches: record.reported.web_searches,
            request_size: record.request.size,
            reply_size: record.reply_size,
        }
    }
}

impl TraceError {
    fn from_record(record: &Record) -> Option<Self> {
        match &record.end {
            RequestEnd::Succeeded => None,
            RequestEnd::Cancelled => {
                Some(Self { kind: "client_disconnect", message: "client disconnected".into() })
            }
            RequestEnd::Failed { kind, message } => {
                Some(Self { kind: original_kind(kind, record), message: printable(message).into() })
            }
        }
    }
}

/// The Python original's name for an error of this type.
fn original_kind(kind: &str, record: &Record) -> &'static str {
    let upstream = record.upstream_calls > 0;
    match kind {
        CANCELLED_BY_OPERATOR => "cancelled",
        "authentication_error" | "permission_error" => "auth_error",
        "rate_limit_error" => "rate_limit",
        "invalid_request_error" | "not_found_error" | "request_too_large" => "bad_request",
        "timeout_error" if upstream => "upstream_timeout",
        "timeout_error" => "timeout",
        // The status was 200, so the reply had started.
        _ if upstream && record.request.streamed && record.status == 200 => "streaming_error",
        _ if upstream => "upstream_http_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::super::totals::tests::record;
    use super::*;

    fn failed(kind: &'static str, message: &str) -> RequestEnd {
        RequestEnd::Failed { kind, message: message.to_owned() }
    }

    fn finished(record: Record, ended: Millis) -> FinishedRequest {
        FinishedRequest { record, ended, cost: None, cache_loss: None }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_are_removed() {
        let mut traces = Traces::default();
        for number in 0..MAX_TRACES + 5 {
            traces.keep(&finished(record("m", failed("api_error", &number.to_string())), 7));
        }
        traces.keep(&finished(record("last", RequestEnd::Succeeded), 8));

        let (errors, all) = (traces.errors(), traces.traces());
        assert_eq!((errors.len(), all.len()), (MAX_ERRORS, MAX_TRACES));
        assert_eq!((errors[0].seq, &*errors[0].error.as_ref().unwrap().message), (205, "204"));
        assert_eq!((errors[MAX_ERRORS - 1].seq, all[MAX_TRACES - 1].seq), (106, 7));
        assert_eq!((all[0].seq, &*all[0].model, all[0].at, &all[0].error), (206, "last", 8, &None));
    }

    #[test]
    fn a_disconnected_client_is_traced_but_not_an_error() {
        let mut traces = Traces::default();
        traces.keep(&finished(record("m", RequestEnd::Cancelled), 1));

        assert!(traces.errors().is_empty());
        assert_eq!(traces.traces()[0].error.as_ref().unwrap().kind, "client_disconnect");
    }

    #[test]
    fn errors_have_the_names_of_the_original() {
        let kind = |kind, status, streamed, upstream_calls| {
            let mut record = Record { status, upstream_calls, ..record("m", failed(kind, "x")) };
            record.request.streamed = streamed;
            TraceError::from_record(&record).unwrap().kind
        };
        assert_eq!(kind("timeout_error", 504, true, 1), "upstream_timeout");
        assert_eq!(kind("timeout_error", 408, true, 0), "timeout");
        assert_eq!(kind("overloaded_error", 200, true, 1), "streaming_error");
        assert_eq!(kind("api_error", 502, true, 2), "upstream_http_error");
        assert_eq!(kind("api_error", 500, false, 0), "api_error");
        assert_eq!(kind("rate_limit_error", 429, false, 1), "rate_limit");
        assert_eq!(kind("authentication_error", 401, false, 0), "auth_error");
        assert_eq!(kind("request_too_large", 413, false, 0), "bad_request");
    }

    #[test]
    fn traces_are_bounded() {
        let long = "x".repeat(1 << 20);
        let mut traces = Traces::default();
        traces.keep(&finished(record(&long, failed("api_error", &long)), 1));

        let [trace] = &traces.traces()[..] else { panic!("one") };
        assert!(trace.model.len() <= MAX_NAME && trace.error.as_ref().unwrap().message.len() <= 300);
    }
}
