//! A scripted collector. It checks every export against the shape of OTLP's JSON.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::upstream::{Answer, Seen, Upstream};

pub(super) struct Collector(Upstream);

impl Collector {
    /// Accepts everything.
    pub(super) fn start() -> Self {
        Self(Upstream::openai().always(Answer::json(200, "{}")))
    }

    /// Gives these answers, one to each export.
    pub(super) fn answering(answers: Vec<Answer>) -> Self {
        Self(answers.into_iter().fold(Upstream::openai(), Upstream::answering))
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.address())
    }

    pub(super) fn exports(&self) -> Vec<Seen> {
        self.0.requests()
    }

    pub(super) fn text(&self) -> String {
        self.exports().iter().map(Seen::text).collect()
    }

    /// All spans so far, in their order.
    pub(super) fn received(&self) -> Vec<Value> {
        self.exports().iter().flat_map(|export| spans(&export.json())).collect()
    }

    /// Waits for this number of spans.
    pub(super) fn spans(&self, count: usize) -> Vec<Value> {
        wait(&format!("{count} spans"), || self.received().len() >= count);
        let spans = self.received();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }
}

pub(super) fn wait(what: &str, is_there: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "no {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The value of an attribute without its type; `Null` if there is none.
pub(super) fn attribute(owner: &Value, key: &str) -> Value {
    let attributes = owner["attributes"].as_array().expect("attributes");
    let found: Vec<&Value> = attributes.iter().filter(|attribute| attribute["key"] == key).collect();
    assert!(found.len() <= 1, "{key} stands twice in {owner:#}");
    let value = found.first().and_then(|attribute| attribute["value"].as_object()?.values().next());
    value.cloned().unwrap_or_default()
}

/// The texts of an attribute with several.
pub(super) fn texts(owner: &Value, key: &str) -> Vec<String> {
    let values = attribute(owner, key)["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|value| value["stringValue"].as_str().expect("a text").to_owned()).collect()
}

/// The spans of an export, each checked.
fn spans(export: &Value) -> Vec<Value> {
    let spans: Vec<Value> = scopes(export, "resourceSpans", "scopeSpans", "spans");
    spans.iter().for_each(check_span);
    spans
}

/// The metrics of an export by name, each checked.
pub(super) fn metrics(export: &Value) -> BTreeMap<String, Value> {
    let metrics = scopes(export, "resourceMetrics", "scopeMetrics", "metrics");
    metrics.iter().for_each(check_metric);
    let named =
        metrics.iter().map(|metric| (metric["name"].as_str().expect("a name").to_owned(), metric.clone()));
    let named: BTreeMap<_, _> = named.collect();
    assert_eq!(named.len(), metrics.len(), "each name stands once");
    named
}

fn scopes(export: &Value, resources: &str, scopes: &str, items: &str) -> Vec<Value> {
    let mut found = Vec::new();
    members(export, &[resources]);
    for resource in list(&export[resources]) {
        members(resource, &["resource", scopes]);
        check_attributes(&resource["resource"]);
        assert_eq!(attribute(&resource["resource"], "service.name"), "vandamme-proxy");
        for scope in list(&resource[scopes]) {
            members(scope, &["scope", items]);
            assert!(scope["scope"]["name"].is_string() && scope["scope"]["version"].is_string(), "{scope}");
            found.extend(list(&scope[items]).iter().cloned());
        }
    }
    found
}

fn check_span(span: &Value) {
    members(
        span,
        &[
            "traceId",
            "spanId",
            "parentSpanId",
            "traceState",
            "flags",
            "name",
            "kind",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "attributes",
            "status",
        ],
    );
    id(&span["traceId"], 32);
    id(&span["spanId"], 16);
    if !span["parentSpanId"].is_null() {
        id(&span["parentSpanId"], 16);
    }
    assert!(nanos(&span["startTimeUnixNano"]) <= nanos(&span["endTimeUnixNano"]), "{span:#}");
    assert!(matches!(span["kind"].as_u64(), Some(2 | 3)) && span["flags"].is_u64(), "{span:#}");
    assert!(span["name"].as_str().is_some_and(|name| !name.is_empty()), "{span:#}");
    assert!(
        span["status"].as_object().is_some_and(|status| status.is_empty() || status["code"] == 2),
        "{span:#}"
    );
    check_attributes(span);
}

fn check_metric(metric: &Value) {
    members(metric, &["name", "unit", "histogram", "sum"]);
    let (data, is_histogram) = match (&metric["histogram"], &metric["sum"]) {
        (histogram, Value::Null) => (histogram, true),
        (Value::Null, sum) => (sum, false),
        both => panic!("{both:?}"),
    };
    assert_eq!(data["aggregationTemporality"], 2, "cumulative");
    assert_eq!(data["isMonotonic"] == true, !is_histogram, "{metric:#}");
    for point in list(&data["dataPoints"]) {
        check_attributes(point);
        assert!(nanos(&point["startTimeUnixNano"]) < nanos(&point["timeUnixNano"]), "{point:#}");
        if !is_histogram {
            assert!(number(&point["asInt"]) > 0, "{point:#}");
            continue;
        }
        let counts = list(&point["bucketCounts"]);
        assert_eq!(counts.len(), list(&point["explicitBounds"]).len() + 1, "{point:#}");
        assert_eq!(counts.iter().map(number).sum::<u64>(), number(&point["count"]), "{point:#}");
        assert!(point["sum"].as_f64().is_some_and(|sum| sum >= 0.0), "{point:#}");
    }
}

fn check_attributes(owner: &Value) {
    for attribute in list(&owner["attributes"]) {
        members(attribute, &["key", "value"]);
        assert!(attribute["key"].is_string(), "{attribute}");
        let value = attribute["value"].as_object().expect("a value");
        let (kind, value) = value.iter().next().expect("one member");
        let is_valid = match kind.as_str() {
            "stringValue" => value.is_string(),
            "intValue" => value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
            "doubleValue" => value.is_number(),
            "boolValue" => value.is_boolean(),
            "arrayValue" => value["values"].is_array(),
            _ => false,
        };
        assert!(is_valid, "{attribute}");
    }
}

fn members(value: &Value, allowed: &[&str]) {
    for name in value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys() {
        assert!(allowed.contains(&name.as_str()), "{name} is not known here");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn id(value: &Value, digits: usize) {
    let text = value.as_str().unwrap_or_else(|| panic!("no id: {value}"));
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(
        text.len() == digits && text.bytes().all(is_digit) && text.bytes().any(|byte| byte != b'0'),
        "{text}"
    );
}

fn nanos(value: &Value) -> u64 {
    let nanos = number(value);
    assert!(nanos > 1_700_000_000_000_000_000, "{nanos} is not in our time");
    nanos
}

/// 64-bit numbers are texts.
fn number(value: &Value) -> u64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no number in a text: {value}"))
}
