//! Anthropic's Python SDK reads what the gateway says as if it were Anthropic's. What it must make of it stands in
//! `sdk.py`; here the upstream is scripted.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::installed::{self, Home};
use crate::script::{Conversation, SIGNATURE};
use crate::support::canned;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Deaf, Dialect, Ending, Upstream};

#[test]
fn text_comes_whole_and_streamed() {
    let Some(sdk) = Sdk::installed() else { return };
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();

        sdk.holds(&["text", &url(&gateway)]);
    }
}

#[test]
fn a_thought_and_a_tool_call_go_there_and_back() {
    let Some(sdk) = Sdk::installed() else { return };
    for (upstream, signature) in [(Upstream::anthropic(), SIGNATURE), (Upstream::openai(), "vdm1.")] {
        let upstream = weather().played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        sdk.holds(&["tools", &url(&gateway), signature]);
    }
}

#[test]
fn an_anthropic_upstreams_errors_have_their_classes() {
    errors_have_their_classes(Upstream::anthropic);
}

#[test]
fn an_openai_upstreams_errors_have_their_classes() {
    errors_have_their_classes(Upstream::openai);
}

#[test]
fn a_client_without_the_gateways_key_is_not_authenticated() {
    let Some(sdk) = Sdk::installed() else { return };
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-gateway").start();

    sdk.holds(&["refused", &url(&gateway), "401"]);

    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_provider_that_is_not_there_is_not_found() {
    let Some(sdk) = Sdk::installed() else { return };
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();

    sdk.holds(&["refused", &url(&gateway), "404", "nowhere:some-model"]);
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let Some(sdk) = Sdk::installed() else { return };
    // Up to the first of two words.
    for (upstream, events, kept) in [
        (Upstream::anthropic(), canned::anthropic::text(&["Hello ", "there!"]), 4),
        (Upstream::openai(), canned::openai::text(&["Hello ", "there!"]), 2),
    ] {
        let begun = events[..kept].concat().len();
        let upstream = upstream.always(Answer::events(events).broken_after(begun, Ending::Cut));
        let gateway = Gateway::before(&upstream).start();

        sdk.holds(&["cut", &url(&gateway)]);
    }
}

#[test]
fn a_client_that_gives_up_frees_the_upstream() {
    let Some(sdk) = Sdk::installed() else { return };
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).start();

        sdk.holds(&["impatient", &url(&gateway)]);

        upstream.closed(0);
    }
}

#[test]
fn an_upstream_that_does_not_listen_is_a_servers_error() {
    let Some(sdk) = Sdk::installed() else { return };
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("ANTHROPIC_API_KEY", "sk-test")
        .env("ANTHROPIC_BASE_URL", format!("http://{}", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();

    sdk.holds(&["unreachable", &url(&gateway)]);
}

/// A gateway and an upstream for each status, so that none meets a key that another has put out.
fn errors_have_their_classes(speaking: fn() -> Upstream) {
    let Some(sdk) = Sdk::installed() else { return };
    let upstreams = ERRORS.map(|(status, kind)| (status, refusing(speaking(), status, kind)));
    let gateways: Vec<(u16, Gateway)> = upstreams
        .iter()
        .map(|(status, upstream)| (*status, Gateway::before(upstream).env("MAX_RETRIES", "0").start()))
        .collect();
    let pairs = gateways.iter().map(|(status, gateway)| format!("{status}={}", url(gateway)));
    let arguments: Vec<String> = ["all_errors".to_owned()].into_iter().chain(pairs).collect();

    sdk.holds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Statuses, each with the error type that Anthropic gives it.
const ERRORS: [(u16, &str); 8] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (529, "overloaded_error"),
];

/// OpenAI's own types say less than the status: the gateway must go by that.
fn refusing(upstream: Upstream, status: u16, kind: &str) -> Upstream {
    let body = match upstream.dialect() {
        Dialect::Anthropic => canned::anthropic::error(kind, REFUSAL),
        Dialect::OpenAi => canned::openai::error(REFUSAL, "invalid_request_error", "a_code"),
    };
    upstream.always(Answer::json(status, body))
}

const REFUSAL: &str = "upstream said no";

fn weather() -> Conversation {
    Conversation {
        tool: "get_weather",
        input: json!({"city": "Genève \"Cornavin\""}),
        last_words: "It is sunny there.",
    }
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address)
}

/// The interpreter that has the SDK.
struct Sdk {
    python: PathBuf,
}

impl Sdk {
    fn installed() -> Option<Self> {
        installed::client("venv/bin/python").map(|python| Self { python })
    }

    /// Runs a scenario of `sdk.py`, which must find all as it expects it.
    fn holds(&self, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/sdk.py");
        let finished = installed::run(&self.python, &Home::new(), |command| {
            command.arg(script).args(arguments);
        });
        assert!(finished.status.success(), "{arguments:?}\n{}\n{}", finished.stdout, finished.stderr);
    }
}
