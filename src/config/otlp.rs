//! The export of traces and metrics by OTLP, configured by OpenTelemetry's own variables
//! (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables). Other programs read them too, so a mistake in them is a
//! warning and never ends the start.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use url::Url;

use super::Config;
use super::error::Diagnostics;
use super::variables::{EnvironmentVariable, Variables};

/// Where and how traces and metrics are exported.
#[derive(Clone, Debug)]
pub(crate) struct OtlpConfig {
    /// The URL that receives spans; `None` exports none.
    pub(crate) traces: Option<String>,
    /// The URL that receives metrics; `None` exports none.
    pub(crate) metrics: Option<String>,
    /// Sent with each export. Their values are secrets.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) timeout: Duration,
    pub(crate) metric_interval: Duration,
    pub(crate) sampler: Sampler,
    /// The attributes that describe this process, `service.name` first.
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) names: SemanticNames,
}

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Whether the client's decision holds, if it has made one.
    follows_parent: bool,
    /// The share of the other traces.
    share: f64,
}

/// The names of attributes and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SemanticNames {
    Current,
    /// Those of the conventions before `gen_ai.client.inference`.
    Old,
    Both,
}

impl Sampler {
    /// Whether a trace is exported. `parent` is the client's decision, `low` the low half of the trace's id.
    pub(crate) fn samples(self, parent: Option<bool>, low: u64) -> bool {
        match parent {
            Some(sampled) if self.follows_parent => sampled,
            // The same trace has the same decision in every program that uses this rule.
            Some(_) | None => self.share >= 1.0 || ((low >> 11) as f64) < self.share * (1u64 << 53) as f64,
        }
    }
}

impl SemanticNames {
    pub(crate) fn has_current(self) -> bool {
        self != Self::Old
    }

    pub(crate) fn has_old(self) -> bool {
        self != Self::Current
    }
}

impl Config {
    /// With the export that the variables configure.
    pub(super) fn with_otlp(mut self, variables: &Variables) -> Self {
        let mut report = Diagnostics::default();
        self.otlp = read(variables, &mut report);
        self.warnings.append(&mut report.warnings);
        self
    }
}

/// `None` without an endpoint, or if the export is turned off.
fn read(variables: &Variables, report: &mut Diagnostics) -> Option<OtlpConfig> {
    let mut reader = Reader { variables, report };
    if reader
        .find("OTEL_SDK_DISABLED")
        .is_some_and(|disabled| disabled.text.trim().eq_ignore_ascii_case("true"))
    {
        return None;
    }
    let (traces, metrics) = (reader.endpoint("TRACES"), reader.endpoint("METRICS"));
    // Both signals may have found the same mistake.
    reader.report.warnings.dedup();
    if traces.is_none() && metrics.is_none() {
        return None;
    }
    if !reader.has_known_protocol() {
        return None;
    }
    Some(OtlpConfig {
        traces,
        metrics,
        headers: reader.headers(),
        timeout: reader.millis("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000),
        metric_interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
        sampler: reader.sampler(),
        resource: reader.resource(),
        names: reader.names(),
    })
}

struct Reader<'a> {
    variables: &'a Variables,
    report: &'a mut Diagnostics,
}

impl<'a> Reader<'a> {
    /// An empty variable counts as not set.
    fn find(&self, name: &str) -> Option<&'a EnvironmentVariable> {
        self.variables.find(name).filter(|variable| !variable.text.trim().is_empty())
    }

    /// The URL for a signal. The general endpoint is a base, the endpoint of one signal is used as it is.
    fn endpoint(&mut self, signal: &str) -> Option<String> {
        if let Some(exporter) = self.find(&format!("OTEL_{signal}_EXPORTER")) {
            match exporter.text.trim() {
                "otlp" => {}
                "none" => return None,
                _ => {
                    self.report.warning(&exporter.place, "expected otlp or none; nothing is exported");
                    return None;
                }
            }
        }
        let own = self.find(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
        let base = self.find("OTEL_EXPORTER_OTLP_ENDPOINT");
        let (variable, path) = match (own, base) {
            (Some(own), _) => (own, String::new()),
            (None, Some(base)) => (base, format!("/v1/{}", signal.to_ascii_lowercase())),
            (None, None) => return None,
        };
        let text = variable.text.trim();
        let is_usable = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.has_host()
        };
        if !Url::parse(text).is_ok_and(|url| is_usable(&url)) {
            let text = "expected an http or https URL such as \"http://127.0.0.1:4318\", without credentials; nothing is exported";
            self.report.warning(&variable.place, text);
            return None;
        }
        Some(if path.is_empty() { text.to_owned() } else { format!("{}{path}", text.trim_end_matches('/')) })
    }

    fn has_known_protocol(&mut self) -> bool {
        let Some(protocol) = self.find("OTEL_EXPORTER_OTLP_PROTOCOL") else { return true };
        match protocol.text.trim() {
            "http/json" => true,
            "http/protobuf" => {
                let text = "vdm sends http/json, which collectors accept at the same endpoint";
                self.report.warning(&protocol.place, text);
                true
            }
            _ => {
                let text = "vdm sends OTLP as http/json only; set http/json and the collector's HTTP endpoint, usually port 4318. \
                            Nothing is exported";
                self.report.warning(&protocol.place, text);
                false
            }
        }
    }

    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(variable) = self.find("OTEL_EXPORTER_OTLP_HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for (name, value) in self.pairs(variable) {
            let name = HeaderName::try_from(name.to_ascii_lowercase());
            match (name, HeaderValue::try_from(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.push((name, value));
                }
                (Err(_), _) | (_, Err(_)) => {
                    self.report
                        .warning(&variable.place, "one of these is no valid header, so it is not sent");
                }
            }
        }
        headers
    }

    /// `a=b,c=d`, percent-encoded. The values may be secrets, so a warning does not repeat them.
    fn pairs(&mut self, variable: &EnvironmentVariable) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for pair in variable.text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text.trim()).decode_utf8().ok().map(String::from)
            };
            let pair = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            match pair.and_then(|(name, value)| Some((decoded(name)?, decoded(value)?))) {
                Some(pair) => pairs.push(pair),
                None => self.report.warning(
                    &variable.place,
                    "expected name=value pairs, separated by commas; one is left out",
                ),
            }
        }
        pairs
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        let Some(variable) = self.find(name) else { return Duration::from_millis(default) };
        // A day at most, so that no clock overflows.
        match variable.text.trim().parse::<u64>() {
            Ok(millis) if (1..=86_400_000).contains(&millis) => Duration::from_millis(millis),
            Ok(_) | Err(_) => {
                let text = format!("expected a number of milliseconds, 1 to 86400000; {default} is used");
                self.report.warning(&variable.place, text);
                Duration::from_millis(default)
            }
        }
    }

    fn sampler(&mut self) -> Sampler {
        let argument = self.find("OTEL_TRACES_SAMPLER_ARG");
        let share = argument.map(|argument| argument.text.trim().parse::<f64>());
        let share = match share {
            None => 1.0,
            Some(Ok(share)) if (0.0..=1.0).contains(&share) => share,
            Some(_) => {
                let place = argument.map_or("", |argument| &argument.place);
                self.report.warning(place, "expected a number from 0 to 1; 1 is used");
                1.0
            }
        };
        let Some(variable) = self.find("OTEL_TRACES_SAMPLER") else {
            return Sampler { follows_parent: true, share: 1.0 };
        };
        let name = variable.text.trim();
        let (follows_parent, rule) = match name.strip_prefix("parentbased_") {
            Some(rule) => (true, rule),
            None => (false, name),
        };
        let share = match rule {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => share,
            _ => {
                let text = "expected always_on, always_off or traceidratio, with or without parentbased_ before it; \
                            parentbased_always_on is used";
                self.report.warning(&variable.place, text);
                return Sampler { follows_parent: true, share: 1.0 };
            }
        };
        Sampler { follows_parent, share }
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        let mut stated = match self.find("OTEL_RESOURCE_ATTRIBUTES") {
            Some(variable) => self.pairs(variable),
            None => Vec::new(),
        };
        let named = stated.iter().position(|(name, _)| name == "service.name").map(|at| stated.remove(at).1);
        let own = self.find("OTEL_SERVICE_NAME").map(|variable| variable.text.trim().to_owned());
        let name = own.or(named).unwrap_or_else(|| "vandamme-proxy".to_owned());
        let mut resource = vec![("service.name".to_owned(), name)];
        if !stated.iter().any(|(name, _)| name == "service.version") {
            resource.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        }
        resource.append(&mut stated);
        resource
    }

    /// The variable has words for several libraries, so unknown ones are not an error.
    fn names(&self) -> SemanticNames {
        let words = self.find("OTEL_SEMCONV_STABILITY_OPT_IN").map_or("", |variable| &variable.text);
        let has = |word: &str| words.split(',').any(|found| found.trim() == word);
        match (has("gen_ai/dup"), has("gen_ai/old")) {
            (true, _) => SemanticNames::Both,
            (false, true) => SemanticNames::Old,
            (false, false) => SemanticNames::Current,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::source_files::SourceFiles;
    use super::*;

    fn read_all(set: &[(&str, &str)]) -> (Option<OtlpConfig>, Vec<String>) {
        let environment: BTreeMap<_, _> =
            set.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mut report = Diagnostics::default();
        let variables =
            Variables::read(&environment, &[], &SourceFiles::on_disk(Path::new("/nonexistent")), &mut report);
        let config = read(&variables, &mut report);
        assert_eq!(report.errors, []);
        (config, report.warnings)
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn config(more: &[(&str, &str)]) -> OtlpConfig {
        let (config, warnings) = read_all(&[&[BASE], more].concat());
        assert_eq!(warnings, Vec::<String>::new());
        config.unwrap()
    }

    /// Requirement: opt-in by the standard variables, with their meanings.
    #[test]
    fn the_standard_variables_have_their_standard_meanings() {
        assert!(read_all(&[("OTEL_SERVICE_NAME", "x")]).0.is_none());
        assert!(read_all(&[BASE, ("OTEL_SDK_DISABLED", "true")]).0.is_none());
        let plain = config(&[]);
        assert_eq!(plain.traces.as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(plain.metrics.as_deref(), Some("http://collector:4318/v1/metrics"));
        assert_eq!(
            (plain.timeout, plain.metric_interval),
            (Duration::from_secs(10), Duration::from_secs(60))
        );
        assert_eq!((plain.resource[0].1.as_str(), plain.names), ("vandamme-proxy", SemanticNames::Current));

        let full = config(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/in"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc, x-team = a%2Cb"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=prod"),
            ("OTEL_SERVICE_NAME", "gate"),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai/dup"),
        ]);
        assert_eq!((full.traces.as_deref(), full.metrics), (Some("https://traces.example/in"), None));
        let headers: Vec<_> =
            full.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("authorization", "Bearer abc"), ("x-team", "a,b")]);
        assert_eq!(
            (full.timeout, full.metric_interval),
            (Duration::from_millis(500), Duration::from_secs(1))
        );
        let resource: Vec<_> = full.resource.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let version = concat!("service.version=", env!("CARGO_PKG_VERSION"));
        assert_eq!(resource, ["service.name=gate", version, "deployment.environment.name=prod"]);
        assert_eq!(full.names, SemanticNames::Both);
        assert_eq!(config(&[("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai/old")]).names, SemanticNames::Old);
        assert_eq!(config(&[("OTEL_TRACES_EXPORTER", "none")]).traces, None);
    }

    /// Requirement: a mistake is a warning that names the variable, and never repeats a secret.
    #[test]
    fn mistakes_are_warnings_that_name_the_variable() {
        for (name, text, is_exported) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", false),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", true),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", true),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0", true),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", true),
            ("OTEL_TRACES_SAMPLER_ARG", "2", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "canary", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x y=canary", true),
            ("OTEL_RESOURCE_ATTRIBUTES", "=canary", true),
        ] {
            let (config, warnings) = read_all(&[BASE, (name, text)]);
            assert_eq!((config.is_some(), warnings.len()), (is_exported, 1), "{name}={text}: {warnings:?}");
            assert!(warnings[0].starts_with(&format!("environment variable {name}: ")), "{warnings:?}");
            assert!(!warnings[0].contains("canary"), "{warnings:?}");
        }
        let (config, warnings) = read_all(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]);
        assert!(config.is_none() && warnings.len() == 1, "{warnings:?}");
        let (config, warnings) = read_all(&[BASE, ("OTEL_TRACES_EXPORTER", "console")]);
        assert!(config.is_some_and(|config| config.traces.is_none()) && warnings.len() == 1, "{warnings:?}");
    }

    /// Requirement: the client's sampling decision holds, unless the sampler says otherwise.
    #[test]
    fn samplers_decide_as_their_names_say() {
        let sampler = |name: &str, share: &str| {
            config(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", share)]).sampler
        };
        let decisions = |sampler: Sampler| {
            [(None, 0), (None, u64::MAX), (Some(true), u64::MAX), (Some(false), 0)]
                .map(|(parent, low)| sampler.samples(parent, low))
        };
        assert_eq!(decisions(config(&[]).sampler), [true, true, true, false]);
        assert_eq!(decisions(sampler("always_on", "0.5")), [true; 4]);
        assert_eq!(decisions(sampler("always_off", "0.5")), [false; 4]);
        assert_eq!(decisions(sampler("parentbased_always_off", "1")), [false, false, true, false]);
        assert_eq!(decisions(sampler("traceidratio", "0.5")), [true, false, false, true]);
        assert_eq!(decisions(sampler("parentbased_traceidratio", "0.5")), [true, false, true, false]);
    }
}
