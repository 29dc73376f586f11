//! The samples of one scrape, and their text.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::declared::{Declared, Kind};

/// A format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Prometheus,
    OpenMetrics,
}

/// The families of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition(Vec<Family>);

#[derive(Debug)]
struct Family {
    declared: &'static Declared,
    samples: Vec<Sample>,
}

/// One label set of a family.
#[derive(Debug)]
pub(super) struct Sample {
    /// The values of the declared labels, in their order.
    labels: Vec<String>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Whole(u64),
    Fraction(f64),
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
    Present,
}

impl TextFormat {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Sample {
    pub(super) fn whole(labels: &[&str], value: u64) -> Self {
        Self::new(labels, Value::Whole(value))
    }

    pub(super) fn fraction(labels: &[&str], value: f64) -> Self {
        Self::new(labels, Value::Fraction(value))
    }

    /// `counts` has one number for each bound, not cumulative, and one for the values beyond the last.
    pub(super) fn histogram(labels: &[&str], sum: f64, bounds: &[f64], counts: &[u64]) -> Self {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.zip(counts.iter().copied()).collect();
        Self::new(labels, Value::Histogram { sum, count: counts.iter().sum(), buckets })
    }

    pub(super) fn present(labels: &[&str]) -> Self {
        Self::new(labels, Value::Present)
    }

    fn new(labels: &[&str], value: Value) -> Self {
        Self { labels: labels.iter().map(|&label| label.to_owned()).collect(), value }
    }
}

impl Exposition {
    /// Adds a family. One without samples is left out: nothing was measured.
    pub(super) fn add(&mut self, declared: &'static Declared, samples: impl IntoIterator<Item = Sample>) {
        let samples: Vec<_> = samples.into_iter().collect();
        if !samples.is_empty() {
            self.0.push(Family { declared, samples });
        }
    }

    /// # Errors
    /// None in practice: a text takes everything.
    pub(crate) fn text(self, format: TextFormat) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::new(self)));
        let mut out = String::new();
        match format {
            TextFormat::Prometheus => prometheus_text::encode(&mut out, &registry)?,
            TextFormat::OpenMetrics => text::encode(&mut out, &registry)?,
        }
        Ok(out)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Declared { base, kind, unit, labels, help } = self.declared;
        let metric_type = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        };
        let unit = (!unit.is_empty()).then(|| Unit::Other((*unit).to_owned()));
        let mut metric = encoder.encode_descriptor(base, help, unit.as_ref(), metric_type)?;
        for Sample { labels: values, value } in &self.samples {
            let labels: Vec<(&str, &str)> =
                labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
            match (value, labels.is_empty()) {
                (Value::Present, _) => metric.encode_info(&labels)?,
                (value, true) => value.encode(*kind, &mut metric)?,
                (value, false) => value.encode(*kind, &mut metric.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, kind: Kind, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match (self, kind) {
            (Self::Whole(value), Kind::Counter) => metric.encode_counter::<NoLabelSet, _, u64>(value, None),
            (Self::Fraction(value), Kind::Counter) => {
                metric.encode_counter::<NoLabelSet, _, u64>(value, None)
            }
            (Self::Whole(value), _) => metric.encode_gauge(value),
            (Self::Fraction(value), _) => metric.encode_gauge(value),
            (Self::Histogram { sum, count, buckets }, _) => {
                metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
            (Self::Present, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::declared::{ALL, BUILD, COST, IN_FLIGHT, REQUEST_DURATION, REQUESTS};
    use super::*;

    fn exposition() -> Exposition {
        let mut exposition = Exposition::default();
        exposition.add(&REQUESTS, [Sample::whole(&["p", "a \"b\"\\c", "messages", "failed", "5xx"], 2)]);
        exposition.add(
            &REQUEST_DURATION,
            [Sample::histogram(&["p", "m", "messages"], 1.5, &[0.5, 1.0], &[1, 0, 1])],
        );
        exposition.add(&COST, [Sample::fraction(&["p", "m"], 0.25)]);
        exposition.add(&IN_FLIGHT, [Sample::whole(&[], 3)]);
        exposition.add(&BUILD, [Sample::present(&["1.0"])]);
        exposition.add(&super::super::declared::THREADS, []);
        exposition
    }

    #[test]
    fn samples_have_the_names_that_prometheus_expects_in_both_formats() {
        let common = [
            "vdm_requests_total{provider=\"p\",model=\"a \\\"b\\\"\\\\c\",api=\"messages\",outcome=\"failed\",status_class=\"5xx\"} 2\n",
            "vdm_request_duration_seconds_sum{provider=\"p\",model=\"m\",api=\"messages\"} 1.5\n",
            "vdm_request_duration_seconds_count{provider=\"p\",model=\"m\",api=\"messages\"} 2\n",
            "vdm_cost_dollars_total{provider=\"p\",model=\"m\"} 0.25\n",
            "vdm_requests_in_flight 3\n",
            "vdm_build_info{version=\"1.0\"} 1\n",
        ];
        let open = exposition().text(TextFormat::OpenMetrics).unwrap();
        let classic = exposition().text(TextFormat::Prometheus).unwrap();
        for line in common {
            assert!(open.contains(line), "{line} is missing in\n{open}");
            assert!(classic.contains(line), "{line} is missing in\n{classic}");
        }
        // The formats put `le` at different places.
        let buckets = |text: &str| {
            let lines = text.lines().filter(|line| line.contains("_bucket{"));
            lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (buckets(&open), buckets(&classic)),
            (vec!["1".into(), "1".into(), "2".into()], vec!["1".into(), "1".into(), "2".into()])
        );
        assert!(open.contains("# TYPE vdm_requests counter\n") && open.ends_with("# EOF\n"), "{open}");
        assert!(
            classic.contains("# TYPE vdm_requests_total counter\n") && !classic.contains("# EOF"),
            "{classic}"
        );
        assert!(!open.contains("process_threads"), "a family without samples is left out");
    }

    /// Requirement: every name is documented. The table is generated from the declarations.
    #[test]
    fn docs_metrics_md_shows_every_family() {
        let row = |family: &&Declared| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |\n", family.name(), labels.join(", "), family.help)
        };
        let table: String = ALL.iter().map(row).collect();
        assert!(
            include_str!("../../docs/metrics.md").contains(&table),
            "docs/metrics.md must contain:\n{table}"
        );
    }

    /// Requirement: every metric that the alert rules and the dashboard name exists.
    #[test]
    fn alert_rules_and_the_dashboard_name_only_metrics_that_exist() {
        let names = |family: &&Declared| {
            let suffixes: &[&str] = match family.kind {
                Kind::Histogram => &["_bucket", "_sum", "_count"],
                Kind::Counter | Kind::Gauge | Kind::Info => &[""],
            };
            suffixes.iter().map(|suffix| format!("{}{suffix}", family.name())).collect::<Vec<_>>()
        };
        let known: Vec<String> = ALL.iter().flat_map(names).collect();
        let files = [
            include_str!("../../docs/prometheus/alerts.yaml"),
            include_str!("../../docs/prometheus/grafana.json"),
        ];
        for file in files {
            // In a line of prose the names end with a dot.
            let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let named: Vec<&str> =
                words.filter(|word| word.starts_with("vdm_") || word.starts_with("process_")).collect();
            assert!(named.len() > 10, "{named:?}");
            for name in named {
                assert!(known.iter().any(|known| known == name), "{name} does not exist");
            }
        }
    }

    /// Requirement: labels never name a key, a session or a client.
    #[test]
    fn no_label_names_a_key_a_session_or_a_client() {
        for family in ALL {
            let private = |label: &&&str| ["key", "session", "client", "agent"].contains(*label);
            assert_eq!(family.labels.iter().find(private), None, "{}", family.base);
        }
    }
}
