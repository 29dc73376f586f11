//! The details of a request as JSON and CSV.

use std::time::Duration;

use serde_json::{Value, json};
use vandamme_actors::history::{LEAST_STREAMING, StoredCall, StoredRequest};
use vandamme_actors::secret::Secrets;

use crate::api::report::one_line;
use crate::money::dollars;
use crate::timestamp::epoch_seconds;
use crate::usage_report::Members;

/// All that is known of a request. Texts from outside are on one line and contain none of the keys of now.
pub(super) fn row(request: &StoredRequest, secrets: &Secrets) -> Members {
    let clean = |text: &str| one_line(&secrets.scrub(text.to_owned()));
    let text = |text: &Option<String>| text.as_deref().map(clean);
    let usage = request.usage;
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Members::from([
        ("request_id", json!(request.request_id)),
        ("started", json!(epoch_seconds(request.started))),
        ("ended", json!(epoch_seconds(request.ended))),
        ("api", json!(request.api)),
        ("streamed", json!(request.streamed)),
        ("requested_model", json!(clean(&request.requested_model))),
        ("provider", json!(request.provider)),
        ("model", json!(text(&request.model))),
        ("upstream_api", json!(request.upstream_api)),
        ("key", json!(request.key)),
        ("client", json!(text(&request.client))),
        ("session", json!(text(&request.session))),
        ("agent", json!(text(&request.agent))),
        ("parent", json!(request.parent)),
        ("purpose", json!(request.purpose)),
        ("role", json!(request.role)),
        ("status", json!(request.status)),
        ("end", json!(request.end)),
        ("error", json!(text(&request.error))),
        ("stop_reason", json!(text(&request.stop_reason))),
        ("input_tokens", json!(usage.input)),
        ("output_tokens", json!(usage.output)),
        ("cache_read_tokens", json!(usage.cache_read)),
        ("cache_creation_tokens", json!(usage.cache_creation)),
        ("cache_creation_1h_tokens", json!(usage.cache_creation_1h)),
        ("reasoning_tokens", json!(usage.reasoning)),
        ("cost_micro_dollars", json!(request.cost.map(|cost| cost.micro_dollars))),
        ("cost", json!(request.cost.map(|cost| dollars(cost.micro_dollars.into())))),
        ("cache_saved_micro_dollars", json!(request.cost.map(|cost| cost.saved_micro_dollars))),
        ("cache_loss", json!(request.cache_loss)),
        ("tool_calls", json!(request.tool_calls)),
        ("verdicts", json!(request.verdicts)),
        ("web_searches", json!(request.web_searches)),
        ("tool_uses", json!(request.tool_uses)),
        ("tool_results", json!(request.tool_results)),
        ("messages", json!(request.messages)),
        ("request_bytes", json!(request.request_bytes)),
        ("reply_bytes", json!(request.reply_bytes)),
        ("first_event_ms", json!(request.first_event.map(ms))),
        ("elapsed_ms", json!(ms(request.elapsed))),
        ("output_tokens_per_second", json!(speed(request))),
        ("upstream_calls", json!(request.upstream_calls)),
        ("failed_targets", json!(request.failed_targets.iter().map(|it| clean(it)).collect::<Vec<_>>())),
        ("calls", request.calls.iter().map(|call| call_row(call, secrets)).collect()),
    ])
}

fn call_row(call: &StoredCall, secrets: &Secrets) -> Value {
    let clean = |text: &str| one_line(&secrets.scrub(text.to_owned()));
    json!({
        "provider": call.provider,
        "model": clean(&call.model),
        "key": call.key,
        "status": call.status,
        "outcome": call.outcome,
        "upstream_request_id": call.upstream_request_id.as_deref().map(clean),
        "started_ms": call.started_ms,
        "elapsed_ms": call.elapsed_ms,
    })
}

/// The output tokens in a second, of a reply that was streamed.
fn speed(request: &StoredRequest) -> Option<f64> {
    let output = request.usage.output;
    let first = request.first_event.filter(|_| request.streamed && output > 0)?;
    let streaming = request.elapsed.saturating_sub(first);
    let rate = output as f64 / streaming.as_secs_f64();
    (streaming >= LEAST_STREAMING).then(|| (rate * 10.0).round() / 10.0)
}
