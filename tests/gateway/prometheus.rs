//! `GET /metrics`: its numbers equal those of the scripted upstream, and its text is what Prometheus reads.

mod parser;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use self::parser::Scrape;
use crate::running_totals::ways;
use crate::support::PATIENCE;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

const METRICS: &str = "/metrics";
/// As Prometheus sends it.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn scrape(gateway: &Gateway) -> Scrape {
    let reply = gateway.call("GET", METRICS).header("accept", PROMETHEUS).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    parser::open_metrics(&reply.raw())
}

/// Scrapes until a sample has this value. A request ends for the gateway a moment after its client has read the reply.
fn await_sample(gateway: &Gateway, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
    let until = Instant::now() + PATIENCE;
    loop {
        let scrape = scrape(gateway);
        let found = scrape.sum(name, labels);
        if found == value {
            return scrape;
        }
        assert!(Instant::now() < until, "{name} {labels:?}: {found} instead of {value}\n{}", scrape.text);
        thread::sleep(Duration::from_millis(20));
    }
}

/// Requirement: requests, durations, tokens and calls equal those of the upstream, on both endpoints, with both upstream APIs,
/// streamed and whole.
#[test]
fn a_request_on_every_way_is_counted_with_the_upstreams_numbers() {
    for way in ways() {
        let upstream = way.upstream();
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(way.ask(&gateway).reply().status(), 200, "{way:?}");
        let api = if way.endpoint == "/v1/messages" { "messages" } else { "chat-completions" };
        let target = [("provider", way.name()), ("api", api)];
        let end = [&target[..], &[("outcome", "succeeded"), ("status_class", "2xx")]].concat();
        let scrape = await_sample(&gateway, "vdm_requests_total", &end, 1.0);
        assert_eq!(scrape.sum("vdm_requests_total", &[]), 1.0, "{way:?}");
        assert_eq!(scrape.sum("vdm_request_duration_seconds_count", &target), 1.0, "{way:?}");
        let totals = gateway.get("/metrics/running-totals?format=json").json();
        let summary = &totals["summary"];
        for (kind, member) in [
            ("input", "total_input_tokens"),
            ("output", "total_output_tokens"),
            ("cache_read", "total_cache_read_tokens"),
            ("cache_write", "total_cache_creation_tokens"),
        ] {
            let tokens = scrape.sum("vdm_tokens_total", &[("provider", way.name()), ("type", kind)]);
            assert_eq!(Some(tokens), summary[member].as_f64(), "{way:?} {kind}: {summary:#}");
        }
        assert!(scrape.sum("vdm_tokens_total", &[("type", "output")]) > 0.0, "{way:?}");
        assert_eq!(scrape.sum("vdm_provider_usable", &[("provider", way.name())]), 1.0);
        assert_eq!(scrape.sum("vdm_provider_keys", &[("provider", way.name()), ("state", "ready")]), 1.0);
    }
}

/// Requirement: failures count by outcome, status class and type; refusals by their limit.
#[test]
fn failures_and_refusals_are_counted_by_their_cause() {
    let upstream = Upstream::openai()
        .always(Answer::json(401, r#"{"error": {"message": "Incorrect API key provided"}}"#));
    let gateway = Gateway::before(&upstream).limit("request-body", 2000).start();
    assert_eq!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().status(), 401);
    assert_eq!(gateway.messages(&whole_prompt(MODEL, &"x".repeat(3000))).reply().status(), 413);
    let failed = [("outcome", "failed"), ("status_class", "4xx")];
    let scrape = await_sample(&gateway, "vdm_requests_total", &failed, 2.0);
    let errors =
        |provider, kind| scrape.sum("vdm_request_errors_total", &[("provider", provider), ("type", kind)]);
    assert_eq!(errors("openai", "authentication_error"), 1.0, "{}", scrape.text);
    assert_eq!(errors("unknown", "request_too_large"), 1.0, "{}", scrape.text);
    assert_eq!(scrape.sum("vdm_refused_total", &[("limit", "request-body")]), 1.0);
    assert_eq!(scrape.sum("vdm_refused_total", &[]), 1.0);
    assert_eq!(scrape.sum("vdm_provider_keys", &[("state", "rejected")]), 1.0);
    assert_eq!(scrape.sum("vdm_provider_usable", &[("provider", "openai")]), 0.0);
}

/// Requirement: in flight and connections are gauges; a cancelled request is counted as such.
#[test]
fn requests_in_flight_and_cancelled_ones_are_seen() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let waiting = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    let scrape = await_sample(&gateway, "vdm_requests_in_flight", &[], 1.0);
    assert!(
        scrape.sum("vdm_client_connections", &[]) >= 2.0,
        "the request's and the scrape's: {}",
        scrape.text
    );
    assert_eq!(scrape.sum("vdm_provider_requests_in_flight", &[("provider", "openai")]), 1.0);
    assert!(!scrape.text.contains("vdm_requests_total"), "no request has ended");
    waiting.hang_up();
    await_sample(&gateway, "vdm_requests_in_flight", &[], 0.0);
    await_sample(&gateway, "vdm_requests_total", &[("outcome", "cancelled"), ("status_class", "none")], 1.0);
}

/// Requirement: process, build and reloads; the classic text for clients that do not know OpenMetrics; HEAD.
#[test]
fn the_process_the_build_and_reloads_are_shown_in_both_formats() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let scrape = scrape(&gateway);
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_threads"] {
        assert!(scrape.sum(name, &[]) > 0.0, "{name}");
    }
    assert!(scrape.sum("process_start_time_seconds", &[]) > 1.7e9);
    assert_eq!(scrape.sum("vdm_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(gateway.server(&["reload"]).status().expect("it runs").success());
    let after = await_sample(&gateway, "vdm_config_reloads_total", &[("result", "success")], 1.0);
    let time = |scrape: &Scrape| scrape.sum("vdm_config_last_reload_success_timestamp_seconds", &[]);
    assert!(time(&after) >= time(&scrape));

    let classic = gateway.get(METRICS);
    assert_eq!(classic.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(classic.header("cache-control"), Some("no-cache"));
    let classic = parser::classic(&classic.raw());
    assert_eq!(classic.sum("vdm_config_reloads_total", &[("result", "success")]), 1.0);
    let head = gateway.call("HEAD", METRICS).reply();
    assert_eq!((head.status(), head.raw().as_str()), (200, ""));
}

/// Requirement: no key, session, client or prompt is in the exposition, whatever a request contains.
#[test]
fn the_exposition_contains_no_key_no_session_no_client_and_no_prompt() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream)
        .toml("[client-keys]\nalice-canary = \"client-key-canary-0123456789\"")
        .start();
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "prompt-canary"}],
        "metadata": {"user_id": "user_1_account__session_session-canary"}});
    let call = gateway.messages(&body).header("x-api-key", "client-key-canary-0123456789");
    let call = call.header("x-claude-code-session-id", "session-canary");
    assert_eq!(call.reply().status(), 200);
    let reply =
        gateway.call("GET", METRICS).header("authorization", "Bearer client-key-canary-0123456789").reply();
    assert_eq!(reply.status(), 200);
    assert!(!reply.raw().contains("canary"), "{reply}");
    assert_eq!(gateway.get(METRICS).status(), 401);
}

/// Requirement: a model name that a client invents is escaped, and counted.
#[test]
fn any_model_name_is_a_valid_label() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let name = "openai:a\"b\\c\nd{e=\"f\"} 1";
    gateway.messages(&whole_prompt(name, "hi")).reply();
    let scrape = await_sample(&gateway, "vdm_requests_total", &[], 1.0);
    let model = scrape.label_values("vdm_requests_total", "model");
    assert_eq!(model, ["a\"b\\c d{e=\"f\"} 1"], "{}", scrape.text);
}

/// Requirement: with `LOG_REQUEST_METRICS=false` nothing about requests is shown.
#[test]
fn without_request_metrics_requests_are_not_counted() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("LOG_REQUEST_METRICS", "false").start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let scrape = scrape(&gateway);
    assert!(
        !scrape.text.contains("vdm_requests_total") && !scrape.text.contains("vdm_tokens"),
        "{}",
        scrape.text
    );
    assert_eq!(scrape.sum("vdm_build_info", &[]), 1.0);
}
