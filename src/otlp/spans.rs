//! Spans: one of kind SERVER for each request, and one of kind CLIENT for each call to a provider. Neither contains a prompt, a reply
//! or a key.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;
use vandamme_actors::ledger::{CallRecord, FinishedRequest, Record, RequestEnd};
use vandamme_actors::openai_endpoint::operation;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::settings::Api;
use vandamme_protocol::trace_context::RequestSpan;

use super::attributes::{Attributes, nanos, provider_name, resource, scope};
use crate::config::{OtlpConfig, SemanticNames};
use crate::gateway::{Gateway, LiveConfig};

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// Status ERROR.
const ERROR: u8 = 2;
/// The flags of a span whose parent is known to be remote or not, and of a sampled trace.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The spans of a request; none if its trace is not sampled.
pub(super) fn of_request(finished: &FinishedRequest, config: &OtlpConfig, gateway: &Gateway) -> Vec<Value> {
    let span = finished.record.request.span.as_deref().filter(|span| span.sampled);
    let Some(span) = span else { return Vec::new() };
    let request = RequestSpans { finished, span, names: config.names };
    let live = gateway.live_config();
    let calls = finished.record.calls.iter().zip(0..);
    let calls = calls.map(|(call, number)| request.call(call, number, &live));
    [request.server()].into_iter().chain(calls).collect()
}

/// The body of an export.
pub(super) fn export(spans: Vec<Value>, config: &OtlpConfig) -> Value {
    json!({ "resourceSpans": [{
        "resource": resource(&config.resource),
        "scopeSpans": [{ "scope": scope(), "spans": spans }],
    }] })
}

struct RequestSpans<'a> {
    finished: &'a FinishedRequest,
    span: &'a RequestSpan,
    names: SemanticNames,
}

impl RequestSpans<'_> {
    fn record(&self) -> &Record {
        &self.finished.record
    }

    /// The request's start, since the Unix epoch.
    fn started(&self) -> Duration {
        Duration::from_millis(self.finished.ended).saturating_sub(self.record().elapsed)
    }

    fn server(&self) -> Value {
        let Record { request_id, request, status, failed_targets, upstream_calls, end, .. } = self.record();
        let path = match (request.endpoint, request.api) {
            (Some(endpoint), _) => format!("/v1/{}", endpoint.path()),
            (None, Some(Api::ChatCompletions)) => "/v1/chat/completions".to_owned(),
            (None, Some(Api::Responses)) => "/v1/responses".to_owned(),
            (None, Some(Api::Messages) | None) => "/v1/messages".to_owned(),
        };
        let mut attributes = Attributes::default();
        attributes.text("http.request.method", "POST").text("url.path", &path).text("http.route", &path);
        if *status != 0 {
            attributes.whole("http.response.status_code", (*status).into());
        }
        attributes.text("vdm.request.id", request_id).text("vdm.request.model", &request.model);
        attributes.whole("vdm.upstream.calls", (*upstream_calls).into());
        attributes.whole("http.request.body.size", request.size as u64);
        attributes.whole("http.response.body.size", self.record().reply_size);
        if !failed_targets.is_empty() {
            let targets: Vec<&str> = failed_targets.iter().map(String::as_str).collect();
            attributes.texts("vdm.failed_targets", &targets);
        }
        let texts = [("vdm.client", &request.client), ("gen_ai.conversation.id", &request.session)];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
            attributes.text(name, text);
        }
        if let Some(cost) = self.finished.cost {
            attributes.fraction("vdm.cost.dollars", cost.micro_dollars as f64 / 1e6);
        }
        let error = match end {
            RequestEnd::Succeeded => None,
            RequestEnd::Failed { kind, .. } => Some(*kind),
            RequestEnd::Cancelled => Some("client_disconnect"),
        };
        if let Some(error) = error {
            attributes.text("error.type", error);
        }
        let remote = if self.span.parent.is_some() { IS_REMOTE } else { 0 };
        let mut span = self.base(
            SpanIds {
                id: self.span.id.to_string(),
                parent: self.span.parent.map(|parent| parent.to_string()),
            },
            (self.started(), self.record().elapsed),
            attributes,
        );
        span["name"] = json!(format!("POST {path}"));
        span["kind"] = json!(SERVER);
        span["flags"] = json!(SAMPLED | HAS_IS_REMOTE | remote);
        // A fault of the client is no error of the server (opentelemetry.io/docs/specs/semconv/http/http-spans).
        let is_error =
            matches!(end, RequestEnd::Failed { .. }) && !end.is_cancelled() && !(400..500).contains(status);
        span["status"] = if is_error { json!({ "code": ERROR }) } else { json!({}) };
        span
    }

    fn call(&self, call: &CallRecord, number: u32, live: &LiveConfig) -> Value {
        let record = self.record();
        let is_last = number as usize + 1 == record.calls.len();
        let served = call.outcome == Some(Outcome::Answered.label());
        // The call that has the reply ends with it.
        let elapsed =
            if is_last && served { record.elapsed.saturating_sub(call.started) } else { call.elapsed };
        let mut attributes = Attributes::default();
        let operation = operation(record.request.api_word().unwrap_or_default());
        attributes.text("gen_ai.operation.name", operation);
        let provider = provider_name(&call.provider);
        if self.names.has_current() {
            attributes.text("gen_ai.provider.name", provider);
        }
        if self.names.has_old() {
            attributes.text("gen_ai.system", provider);
        }
        attributes.text("gen_ai.request.model", &call.model);
        attributes.add("gen_ai.request.stream", json!({ "boolValue": record.request.streamed }));
        if let Some(session) = &record.request.session {
            attributes.text("gen_ai.conversation.id", session);
        }
        self.add_server(&mut attributes, call, live);
        if let Some(status) = call.status {
            attributes.whole("http.response.status_code", status.into());
        }
        if let Some(key) = call.key {
            attributes.text("vdm.key.id", &key.to_string());
        }
        if is_last {
            self.add_reply(&mut attributes, call);
        }
        let error = call.outcome.filter(|outcome| *outcome != Outcome::Answered.label());
        if let Some(error) = error {
            attributes.text("error.type", &error.replace(' ', "_"));
        }
        let ids =
            SpanIds { id: self.span.id.child(number).to_string(), parent: Some(self.span.id.to_string()) };
        let mut span = self.base(ids, (self.started() + call.started, elapsed), attributes);
        span["name"] = json!(format!("{operation} {}", call.model));
        span["kind"] = json!(CLIENT);
        span["flags"] = json!(SAMPLED | HAS_IS_REMOTE);
        span["status"] = if error.is_some() { json!({ "code": ERROR }) } else { json!({}) };
        span
    }

    /// What the reply says. It belongs to the last call.
    fn add_reply(&self, attributes: &mut Attributes, call: &CallRecord) {
        let record = self.record();
        if let Some(reason) = &record.stop_reason {
            attributes.texts("gen_ai.response.finish_reasons", &[reason]);
        }
        if let Some(first) = record.first_event
            && record.request.streamed
        {
            let first = first.saturating_sub(call.started).as_secs_f64();
            attributes.fraction("gen_ai.response.time_to_first_chunk", first);
        }
        let usage = record.usage;
        if usage == Default::default() {
            return;
        }
        // The conventions count cached tokens as input, too.
        attributes.whole("gen_ai.usage.input_tokens", usage.prompt_total());
        attributes.whole("gen_ai.usage.output_tokens", usage.output);
        attributes.whole("gen_ai.usage.cache_read.input_tokens", usage.cache_read);
        if self.names.has_current() {
            attributes.whole("gen_ai.usage.cache_write.input_tokens", usage.cache_creation);
        }
        if self.names.has_old() {
            attributes.whole("gen_ai.usage.cache_creation.input_tokens", usage.cache_creation);
        }
        if usage.reasoning > 0 {
            attributes.whole("gen_ai.usage.reasoning.output_tokens", usage.reasoning);
        }
    }

    /// The provider's host, unless a reload has removed the provider.
    fn add_server(&self, attributes: &mut Attributes, call: &CallRecord, live: &LiveConfig) {
        let provider = live.settings.providers.iter().find(|provider| provider.name == call.provider);
        let url = provider.and_then(|provider| Url::parse(&provider.base_url).ok());
        if let Some((host, port)) =
            url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)))
        {
            attributes.text("server.address", host).whole("server.port", port.into());
        }
    }

    fn base(&self, ids: SpanIds, (start, elapsed): (Duration, Duration), attributes: Attributes) -> Value {
        let mut span = json!({
            "traceId": self.span.trace.to_string(),
            "spanId": ids.id,
            "startTimeUnixNano": nanos(start),
            "endTimeUnixNano": nanos(start + elapsed),
            "attributes": attributes.list(),
        });
        if let Some(parent) = ids.parent {
            span["parentSpanId"] = json!(parent);
        }
        if !self.span.state.is_empty() {
            span["traceState"] = json!(self.span.state);
        }
        span
    }
}

struct SpanIds {
    id: String,
    parent: Option<String>,
}
