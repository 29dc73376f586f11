//! The official SDKs that `scripts/check` installed. Their checks are in a script in the SDK's language. The scripts of one
//! vendor's SDKs have the same scenarios.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::installed::{self, Finished, Home};
use crate::script;
use crate::support::canned;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Dialect, Upstream};

/// The installed SDKs of a vendor.
pub(crate) struct Sdks(Vec<Sdk>);

/// The number of requests that each script sends: for a whole reply, and for a stream.
pub(crate) const WAYS: usize = 2;

/// Lists two models if a request asks for the list.
pub(crate) fn listing(upstream: Upstream) -> Upstream {
    let list = r#"{"object":"list","data":[{"id":"model-1","object":"model","created":1700000000,"owned_by":"them"},
        {"id":"vendor/model-2"}]}"#;
    upstream.ruled_first(move |seen| seen.target().contains("/models").then(|| Answer::json(200, list)))
}

/// An image of one pixel.
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

    /// OpenAI's SDKs with the scenarios of the Responses API.
    pub(crate) fn responses() -> Self {
        let python = Sdk::python("responses_sdk.py");
        let javascript = Sdk::javascript("openai", "responses_sdk.mjs");
        Self(python.into_iter().chain(javascript).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs a scenario of every script. Each must find what it expects.
    pub(crate) fn hold(&self, scenario: &str, gateway: &Gateway, arguments: &[&str]) {
        let url = url(gateway);
        let arguments: Vec<&str> = [scenario, &url].into_iter().chain(arguments.iter().copied()).collect();
        self.run(&arguments);
    }

    /// Sends these parts of a request. The upstream must receive all of `expected`.
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

    /// Every status of [`REFUSALS`] from an upstream must raise the SDK's documented error. Each has its own gateway and
    /// upstream, so that one failure does not affect the next.
    pub(crate) fn know_the_errors_of(&self, speaking: fn() -> Upstream) {
        self.know_the_errors_of_setup(speaking, Gateway::before);
    }

    /// The same with gateways that `before` configures.
    pub(crate) fn know_the_errors_of_setup(
        &self,
        speaking: impl Fn() -> Upstream,
        before: impl Fn(&Upstream) -> Setup,
    ) {
        let upstreams = REFUSALS.map(|(status, kind)| (status, refusing(speaking(), status, kind)));
        let gateways: Vec<(u16, Gateway)> = upstreams
            .iter()
            .map(|(status, upstream)| (*status, before(upstream).env("MAX_RETRIES", "0").start()))
            .collect();
        let pairs = gateways.iter().map(|(status, gateway)| format!("{status}={}", url(gateway)));
        let arguments: Vec<String> = ["all_errors".to_owned()].into_iter().chain(pairs).collect();
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Runs all scripts, so that a failure of one language is distinguishable.
    fn run(&self, arguments: &[&str]) {
        let failures: Vec<String> = self.0.iter().filter_map(|sdk| sdk.failure(arguments)).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

/// Statuses, each with Anthropic's error type.
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

/// OpenAI's types are less specific than the status, which the gateway must use.
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
    /// The variable with the path of the script's imports. A virtual environment needs none.
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

    /// The output of the script if a check failed.
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
