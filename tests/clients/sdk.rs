//! The official SDKs that `scripts/check` installed. What one must make of the replies stands in a script in its own
//! language; the scripts of one vendor's SDKs know the same scenarios.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::installed::{self, Finished, Home};
use crate::script;
use crate::support::canned;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// A vendor's SDKs, those that are there.
pub(crate) struct Sdks(Vec<Sdk>);

/// In how many ways each script asks one question: for a whole reply, and for a stream.
pub(crate) const WAYS: usize = 2;

/// Lists two models when it is asked which it has.
pub(crate) fn listing(upstream: Upstream) -> Upstream {
    let list = r#"{"object":"list","data":[{"id":"model-1","object":"model","created":1700000000,"owned_by":"them"},
        {"id":"vendor/model-2"}]}"#;
    upstream.ruled_first(move |seen| seen.target().contains("/models").then(|| Answer::json(200, list)))
}

/// One pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

impl Sdks {
    pub(crate) fn anthropic() -> Self {
        let python = Sdk::python("anthropic_sdk.py");
        let javascript = Sdk::javascript("@anthropic-ai/sdk", "anthropic_sdk.mjs");
        Self(python.into_iter().chain(javascript).collect())
    }

    pub(crate) fn openai() -> Self {
        let python = Sdk::python("openai_sdk.py");
        let javascript = Sdk::javascript("openai", "openai_sdk.mjs");
        Self(python.into_iter().chain(javascript).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs a scenario of every script, which must find all as it expects it.
    pub(crate) fn hold(&self, scenario: &str, gateway: &Gateway, arguments: &[&str]) {
        let url = url(gateway);
        let arguments: Vec<&str> = [scenario, &url].into_iter().chain(arguments.iter().copied()).collect();
        self.run(&arguments);
    }

    /// Sends these parts of a request; all of `expected` must be in what arrives.
    pub(crate) fn carry(&self, upstream: &Upstream, sent: &Value, expected: &Value) {
        let gateway = Gateway::before(upstream).start();

        self.hold("carries", &gateway, &[&sent.to_string()]);

        let requests = upstream.requests();
        assert_eq!(requests.len(), self.count() * WAYS);
        for body in requests.iter().map(script::body) {
            for (key, value) in expected.as_object().expect("parts of a request") {
                assert_eq!(body[key], *value, "{key}");
            }
        }
    }

    /// Every status of [`REFUSALS`] from an upstream must reach the SDK as the error that it documents. A gateway and
    /// an upstream for each, so that none meets a key that another has put out.
    pub(crate) fn know_the_errors_of(&self, speaking: fn() -> Upstream) {
        let upstreams = REFUSALS.map(|(status, kind)| (status, refusing(speaking(), status, kind)));
        let gateways: Vec<(u16, Gateway)> = upstreams
            .iter()
            .map(|(status, upstream)| (*status, Gateway::before(upstream).env("MAX_RETRIES", "0").start()))
            .collect();
        let pairs = gateways.iter().map(|(status, gateway)| format!("{status}={}", url(gateway)));
        let arguments: Vec<String> = ["all_errors".to_owned()].into_iter().chain(pairs).collect();
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// All of them run, so that it can be seen whether a failure is one language's own.
    fn run(&self, arguments: &[&str]) {
        let failures: Vec<String> = self.0.iter().filter_map(|sdk| sdk.failure(arguments)).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

/// Statuses, each with the error type that Anthropic gives it.
const REFUSALS: [(u16, &str); 9] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (503, "api_error"),
    (529, "overloaded_error"),
];

/// OpenAI's own types say less than the status: the gateway must go by that.
fn refusing(upstream: Upstream, status: u16, kind: &str) -> Upstream {
    const REFUSAL: &str = "upstream said no";
    let body = match upstream.dialect() {
        Dialect::Anthropic => canned::anthropic::error(kind, REFUSAL),
        Dialect::OpenAi => canned::openai::error(REFUSAL, "invalid_request_error", "a_code"),
    };
    upstream.always(Answer::json(status, body))
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address)
}

/// An SDK and its script.
struct Sdk {
    interpreter: PathBuf,
    script: &'static str,
    /// Where the script finds what it imports; an interpreter of its own needs to be told nothing.
    modules: Option<PathBuf>,
}

impl Sdk {
    fn python(script: &'static str) -> Option<Self> {
        let interpreter = installed::client("venv/bin/python")?;
        Some(Self { interpreter, script, modules: None })
    }

    fn javascript(package: &str, script: &'static str) -> Option<Self> {
        let _there = installed::client(&format!("javascript/node_modules/{package}"))?;
        let modules = installed::client("javascript/node_modules")?;
        Some(Self { interpreter: "node".into(), script, modules: Some(modules) })
    }

    /// What the script had to say if not all was as it expected.
    fn failure(&self, arguments: &[&str]) -> Option<String> {
        let Finished { status, stdout, stderr } = self.run(arguments);
        (!status.success()).then(|| format!("{} {arguments:?}\n{stdout}\n{stderr}", self.script))
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let home = Home::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(self.script);
        let script = home.path.join(self.script);
        std::fs::copy(source, &script).expect("a writable directory");
        if let Some(modules) = &self.modules {
            symlink(modules, home.path.join("node_modules")).expect("a writable directory");
        }
        installed::run(&self.interpreter, &home, |command| {
            command.arg(script).args(arguments);
        })
    }
}
