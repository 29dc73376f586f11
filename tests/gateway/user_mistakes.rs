//! Mistakes of new users, on the real binary: one line at the start, and correct routes for requests.

use serde_json::json;

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, free_port};
use crate::support::upstream::Upstream;

/// The warnings and errors of the start.
fn complaints(output: &str) -> Vec<&str> {
    output.lines().filter(|line| line.contains("warning:") || line.starts_with("vdm: ")).collect()
}

fn refused(setup: &Setup) -> String {
    let finished = setup.clone().run_to_end();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.output);
    finished.output
}

#[test]
fn an_invalid_key_or_base_url_prevents_the_start_with_one_line_that_says_what_to_write() {
    for (name, text, advice) in [
        ("OPENAI_API_KEY", "\"sk-canary\"", "without quotes"),
        ("OPENAI_API_KEY", "sk-canary,sk-canary2", "several keys with a blank between two"),
        ("OPENAI_API_KEY", "Bearer sk-canary", "write the key alone"),
        ("OPENAI_API_KEY", "!PASSTHROUGH", "write !PASSTHRU"),
        ("PROXY_API_KEY", "'canary'", "without quotes"),
        ("OPENAI_BASE_URL", "https://llm.example/v1/v1", "write https://llm.example/v1"),
        ("OPENAI_BASE_URL", "https://llm.example/v1/chat/completions", "write https://llm.example/v1"),
        ("ANTHROPIC_BASE_URL", "https://llm.example/api/v1/messages", "write https://llm.example/api/v1"),
        ("OPENAI_ALIAS_X", "anthropix:foo", "did you mean \"anthropic:foo\"?"),
        ("OPENAI_ALIAS_X", "top:haiku", "write \"zai:opus\" instead"),
    ] {
        let setup = Gateway::bare().env("OPENAI_API_KEY", "k").env("ANTHROPIC_API_KEY", "k").env(name, text);
        let output = refused(&setup);
        let lines = complaints(&output);
        let [line] = &lines[..] else { panic!("{name} {text}: {output}") };
        assert!(line.contains(name) && line.trim_end().ends_with(advice) || line.contains(advice), "{line}");
        assert!(!output.contains("canary"), "{output}");
    }
}

#[test]
fn settings_without_effect_cause_one_warning_and_requests_are_served() {
    for (name, text, advice) in [
        ("OPENAI_APIKEY", "sk-canary", "did you mean OPENAI_API_KEY?"),
        ("VDM_DEFAULT_PROVIDR", "x", "did you mean VDM_DEFAULT_PROVIDER?"),
        ("AZURE_OPENAI_ENDPOINT", "https://canary.example", "did you mean AZURE_BASE_URL?"),
        (
            "OPENAI_MAX_RETRY",
            "5",
            "set max-retries under [openai] in a configuration file, or MAX_RETRIES for all providers",
        ),
        ("GROQ_BASE_URL", "http://127.0.0.1:1/v1", "set GROQ_API_KEY"),
        ("SSL_CERT_FILE", "/absent/ca.pem", "cannot read /absent/ca.pem"),
        ("TOP_MODELS_SOURCE", "manual_rankings", "set TOP_MODELS_RANKINGS_FILE"),
        ("VDM_DEFAULT_PROVIDER", "top", "default profile 'top' is inactive"),
        ("CUSTOM_HEADER_HOST", "evil.example", "vdm sets the header host itself"),
        ("CUSTOM_HEADER_AUTHORIZATION", "Bearer canary", "vdm sets the header authorization itself"),
        ("CUSTOM_HEADER_CONTENT_TYPE", "text/plain", "vdm sets the header content-type itself"),
    ] {
        let upstream = Upstream::openai();
        let mut setup = Gateway::before(&upstream).env(name, text);
        if name == "OPENAI_APIKEY" {
            setup = setup
                .env("OPENAI_API_KEY", "")
                .env("POE_API_KEY", "k")
                .env("POE_BASE_URL", upstream.base_url());
        }
        let gateway = setup.start();
        let log = gateway.run.await_log(name);
        let lines: Vec<_> = complaints(&log).into_iter().filter(|line| line.contains(name)).collect();
        let [line] = &lines[..] else { panic!("{name}: {log}") };
        assert!(line.contains(advice) && !log.contains("canary"), "{line}");
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{name}");
        let seen = upstream.only_request();
        assert_eq!(seen.head.header("content-type"), Some("application/json"), "{name}");
        assert!(!format!("{:?}", seen.head).contains("canary"), "{name}");
    }
}

#[test]
fn empty_variables_are_not_set() {
    let upstream = Upstream::openai();
    let names = [
        "LOG_LEVEL",
        "PORT",
        "REQUEST_TIMEOUT",
        "MAX_RETRIES",
        "MAX_TOKENS_LIMIT",
        "HTTPS_PROXY",
        "PROXY_API_KEY",
    ];
    let setup = names.into_iter().fold(Gateway::before(&upstream), |setup, name| setup.env(name, ""));
    let gateway = setup.start();
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
}

#[test]
fn variables_of_clients_in_the_gateways_environment_do_not_change_its_routes() {
    let upstream = Upstream::openai();
    let port = free_port();
    let gateway = Gateway::bare()
        .env("ANTHROPIC_API_KEY", "any")
        .env("ANTHROPIC_BASE_URL", format!("http://localhost:{port}"))
        .env("MINE_API_KEY", "k")
        .env("MINE_BASE_URL", upstream.base_url())
        .start_on(port);
    gateway.run.await_log("both are ignored as settings of a client");
    assert_eq!(gateway.get("/health?format=json").json()["default_provider"], "mine");
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
}

#[test]
fn a_profile_with_one_key_serves_the_aliases_that_need_no_other() {
    let upstream = Upstream::openai();
    let toml = "['#work'.aliases]\nhaiku = 'openai:m-1'\nsonnet = 'zai:sonnet'";
    let gateway = Gateway::before(&upstream).toml(toml).start();
    let log = gateway.run.await_log("its alias \"sonnet\" is inactive");
    assert_eq!(log.matches("profile \"work\"").count(), 1, "{log}");
    assert_eq!(gateway.messages(&prompt("work:haiku", "hi")).reply().text(), "Hello there!");
    let refused = gateway.messages(&prompt("work:sonnet", "hi")).reply();
    assert_eq!(refused.status(), 404);
    assert!(refused.error_message().contains("set ZAI_API_KEY"), "{refused}");
    let listed = gateway.get("/v1/models?provider=work").json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    let told = gateway.get("/v1/profiles").json();
    let work = told["data"].as_array().into_iter().flatten().find(|profile| profile["name"] == "work");
    assert_eq!(work.map(|work| &work["inactive_aliases"]), Some(&json!({"sonnet": "ZAI_API_KEY"})), "{told}");
}

#[test]
fn the_error_for_a_misspelt_provider_suggests_the_right_one() {
    let gateway = Gateway::before(&Upstream::openai()).start();
    for (name, meant) in [
        ("opnai:m", Some("did you mean 'openai'?")),
        ("Tpo:m", Some("did you mean 'top'?")),
        ("nosuch:m", None),
    ] {
        let reply = gateway.messages(&prompt(name, "hi")).reply();
        assert_eq!(reply.status(), 404, "{name}");
        let message = reply.error_message();
        assert_eq!(message.contains("did you mean"), meant.is_some(), "{message}");
        assert!(message.contains(meant.unwrap_or("the providers are openai")), "{message}");
    }
}

#[test]
fn a_file_of_the_python_original_starts() {
    let upstream = Upstream::openai();
    let file = "[openai]\nmodel-page = 'https://x/{id}'\n[chatgpt]\nbase-url = 'https://api.openai.com/v1'\nauth-mode = 'oauth'\n\
                [limited]\napi-key = 'k'\nbase-url = 'http://127.0.0.1:1/v1'";
    let gateway = Gateway::before(&upstream).toml(file).start();
    let log = gateway.run.await_log("chatgpt");
    assert_eq!(complaints(&log).len(), 1, "{log}");
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    let used = Gateway::before(&upstream).toml(file).env("CHATGPT_API_KEY", "k").run_to_end();
    assert_eq!(used.status.code(), Some(2), "{}", used.output);
}
