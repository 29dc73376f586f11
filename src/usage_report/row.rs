//! Sums as JSON and CSV.

use std::time::Duration;

use serde_json::{Value, json};
use vandamme_actors::history::{Dimension, UsageRow, UsageSums};
use vandamme_actors::ledger::Histogram;

use super::members::Members;
use crate::money::dollars;
use crate::timestamp::epoch_seconds;

/// The shares of the durations that are reported.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// The name of a dimension as a member: `requested_model`.
fn member(dimension: Dimension) -> String {
    dimension.name().replace('-', "_")
}

/// One row, with a member for each dimension.
pub(super) fn row(row: &UsageRow, by: &[Dimension]) -> Members {
    let mut members = Members::from([("start", json!(epoch_seconds(row.start)))]);
    for (dimension, value) in by.iter().zip(&row.group) {
        members.push(member(*dimension), json!(**value));
    }
    for (name, value) in sums(&row.sums) {
        members.push(name, value);
    }
    members
}

/// The names and values of sums. The cost is missing if no request has a known price.
fn sums(sums: &UsageSums) -> Vec<(&'static str, Value)> {
    let usage = sums.usage;
    let is_priced = sums.unpriced < sums.requests;
    let cost = |value: Value| if is_priced { value } else { Value::Null };
    let first = (sums.first > 0).then(|| epoch_seconds(sums.first));
    let mut members = vec![
        ("requests", json!(sums.requests)),
        ("failed", json!(sums.failed)),
        ("cancelled", json!(sums.cancelled)),
        ("input_tokens", json!(usage.input)),
        ("output_tokens", json!(usage.output)),
        ("cache_read_tokens", json!(usage.cache_read)),
        ("cache_creation_tokens", json!(usage.cache_creation)),
        ("cache_creation_1h_tokens", json!(usage.cache_creation_1h)),
        ("reasoning_tokens", json!(usage.reasoning)),
        ("cost_micro_dollars", cost(json!(sums.cost.micro_dollars))),
        ("cost", cost(json!(dollars(sums.cost.micro_dollars.into())))),
        ("cache_saved_micro_dollars", cost(json!(sums.cost.saved_micro_dollars))),
        ("cache_saved", cost(json!(dollars(sums.cost.saved_micro_dollars.into())))),
        ("unpriced_requests", json!(sums.unpriced)),
        ("tool_calls", json!(sums.tool_calls)),
        ("tool_uses", json!(sums.tool_uses)),
        ("tool_results", json!(sums.tool_results)),
        ("upstream_calls", json!(sums.upstream_calls)),
        ("request_bytes", json!(sums.request_bytes)),
        ("reply_bytes", json!(sums.reply_bytes)),
        ("first", json!(first)),
        ("last", json!(epoch_seconds(sums.last))),
        ("duration_ms", json!(ms(sums.duration))),
        ("output_tokens_per_second", json!(speed(sums))),
    ];
    let histograms = [("elapsed_ms", &sums.elapsed), ("first_event_ms", &sums.first_event)];
    members.extend(histograms.map(|(name, histogram)| (name, percentiles(histogram))));
    members
}

/// The output tokens of a second of streaming; `None` without streams.
fn speed(sums: &UsageSums) -> Option<f64> {
    let seconds = sums.streaming.as_secs_f64();
    (seconds > 0.0 && sums.streamed_output > 0)
        .then(|| (sums.streamed_output as f64 / seconds * 10.0).round() / 10.0)
}

fn percentiles(histogram: &Histogram) -> Value {
    let shares = PERCENTILES.map(|(name, share)| (name.to_owned(), json!(histogram.quantile(share).map(ms))));
    Value::Object(shares.into_iter().collect())
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
