//! Metrics: histograms with the names of OpenTelemetry's GenAI conventions, cumulative since the start.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vandamme_actors::ledger::series::{
    DURATION_BOUNDS, Distribution, FIRST_EVENT_BOUNDS, Series, SeriesKey, SeriesTotals, TOKEN_BOUNDS, UNKNOWN,
};
use vandamme_actors::openai_endpoint::operation;

use super::attributes::{Attributes, nanos, provider_name, resource, scope};
use crate::config::{OtlpConfig, SemanticNames};

/// Aggregation temporality CUMULATIVE.
const CUMULATIVE: u8 = 2;

/// The body of an export; `None` if there is nothing to export yet.
pub(super) fn export(series: &Series, times: (SystemTime, SystemTime), config: &OtlpConfig) -> Option<Value> {
    let [start, now] =
        [times.0, times.1].map(|time| nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default()));
    let point = Point { series, start, now, names: config.names };
    let mut metrics = Vec::new();
    if config.names.has_current() {
        metrics.extend([
            point.histogram("gen_ai.client.inference.duration", "s", &[DURATION]),
            point.histogram("gen_ai.client.inference.time_to_first_chunk", "s", &[FIRST_EVENT]),
            point.histogram("gen_ai.client.inference.operation.input_tokens", "{token}", &[INPUT_TOKENS]),
            point.histogram("gen_ai.client.inference.operation.output_tokens", "{token}", &[OUTPUT_TOKENS]),
            point.sum("gen_ai.client.inference.usage.input_tokens", "{token}", |totals| {
                totals.usage.prompt_total()
            }),
            point.sum("gen_ai.client.inference.usage.output_tokens", "{token}", |totals| totals.usage.output),
            point.sum("gen_ai.client.inference.usage.cache_read.input_tokens", "{token}", |totals| {
                totals.usage.cache_read
            }),
            point.sum("gen_ai.client.inference.usage.cache_write.input_tokens", "{token}", |totals| {
                totals.usage.cache_creation
            }),
        ]);
    }
    if config.names.has_old() {
        metrics.extend([
            point.histogram("gen_ai.client.operation.duration", "s", &[DURATION]),
            point.histogram("gen_ai.server.time_to_first_token", "s", &[FIRST_EVENT]),
            point.histogram(
                "gen_ai.client.token.usage",
                "{token}",
                &[INPUT_TOKENS.typed("input"), OUTPUT_TOKENS.typed("output")],
            ),
        ]);
    }
    metrics.push(point.sum("vdm.requests", "{request}", |totals| totals.ends.values().sum()));
    metrics.push(point.sum("vdm.cost.micro_dollars", "1", |totals| totals.micro_dollars));
    let metrics: Vec<Value> = metrics.into_iter().flatten().collect();
    (!metrics.is_empty()).then(|| {
        json!({ "resourceMetrics": [{
            "resource": resource(&config.resource),
            "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
        }] })
    })
}

/// A distribution of the series.
#[derive(Clone, Copy)]
struct Source {
    of: fn(&SeriesTotals) -> &Distribution,
    bounds: &'static [f64],
    /// `gen_ai.token.type`, in the old conventions.
    token_type: Option<&'static str>,
}

const DURATION: Source = Source { of: |totals| &totals.duration, bounds: DURATION_BOUNDS, token_type: None };
const FIRST_EVENT: Source =
    Source { of: |totals| &totals.first_event, bounds: FIRST_EVENT_BOUNDS, token_type: None };
const INPUT_TOKENS: Source =
    Source { of: |totals| &totals.input_tokens, bounds: TOKEN_BOUNDS, token_type: None };
const OUTPUT_TOKENS: Source =
    Source { of: |totals| &totals.output_tokens, bounds: TOKEN_BOUNDS, token_type: None };

impl Source {
    const fn typed(self, token_type: &'static str) -> Self {
        Self { token_type: Some(token_type), ..self }
    }
}

/// The moment of one export.
struct Point<'a> {
    series: &'a Series,
    start: String,
    now: String,
    names: SemanticNames,
}

impl Point<'_> {
    /// The series of requests that reached a provider.
    fn routed(&self) -> impl Iterator<Item = (&SeriesKey, &SeriesTotals)> {
        self.series.requests.iter().filter(|(key, _)| &*key.provider != UNKNOWN)
    }

    fn attributes(&self, key: &SeriesKey) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.text("gen_ai.operation.name", operation(key.api));
        if self.names.has_current() {
            attributes.text("gen_ai.provider.name", provider_name(&key.provider));
        }
        if self.names.has_old() {
            attributes.text("gen_ai.system", provider_name(&key.provider));
        }
        attributes.text("gen_ai.request.model", &key.model).text("vdm.api", key.api);
        attributes
    }

    fn histogram(&self, name: &str, unit: &str, sources: &[Source]) -> Option<Value> {
        let mut points = Vec::new();
        for (key, totals) in self.routed() {
            for Source { of, bounds, token_type } in sources {
                let distribution = of(totals);
                if distribution.count() == 0 {
                    continue;
                }
                let mut attributes = self.attributes(key);
                if let Some(token_type) = token_type {
                    attributes.text("gen_ai.token.type", token_type);
                }
                let counts: Vec<_> = distribution.buckets(bounds).iter().map(u64::to_string).collect();
                points.push(json!({
                    "attributes": attributes.list(),
                    "startTimeUnixNano": self.start,
                    "timeUnixNano": self.now,
                    "count": distribution.count().to_string(),
                    "sum": distribution.sum(),
                    "bucketCounts": counts,
                    "explicitBounds": bounds,
                }));
            }
        }
        let histogram = |points| json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points });
        (!points.is_empty()).then(|| json!({ "name": name, "unit": unit, "histogram": histogram(points) }))
    }

    fn sum(&self, name: &str, unit: &str, of: fn(&SeriesTotals) -> u64) -> Option<Value> {
        let point = |(key, totals): (&SeriesKey, &SeriesTotals)| {
            json!({
                "attributes": self.attributes(key).list(),
                "startTimeUnixNano": self.start,
                "timeUnixNano": self.now,
                "asInt": i64::try_from(of(totals)).unwrap_or(i64::MAX).to_string(),
            })
        };
        let points: Vec<_> = self.routed().filter(|(_, totals)| of(totals) > 0).map(point).collect();
        let sum = |points| json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points });
        (!points.is_empty()).then(|| json!({ "name": name, "unit": unit, "sum": sum(points) }))
    }
}
