//! `LOG_REQUEST_METRICS=false` and `VDM_ACTIVE_REQUESTS_SSE_ENABLED=false`.

use serde_json::json;

use super::{ACTIVE, LOGS, STREAM};
use crate::running_totals::ways;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

const HINT: &str = "Set LOG_REQUEST_METRICS=true to enable tracking";

/// Requirement: `LOG_REQUEST_METRICS=false` → disabled answers, the specification, the specification; chat still
/// works, with usage.
#[test]
fn without_metrics_the_endpoints_report_that_and_replies_keep_their_usage() {
    for way in ways() {
        let upstream = way.upstream().always(way.tool_call());
        let gateway = Gateway::before(&upstream).env("LOG_REQUEST_METRICS", "false").start();
        let reply = way.ask(&gateway).reply();
        assert_eq!(reply.status(), 200, "{way:?}");
        let usage = if way.endpoint == "/v1/messages" { "\"input_tokens\":" } else { "\"prompt_tokens\":" };
        // A Chat Completions stream has usage only if the request asks for it.
        if way.endpoint == "/v1/messages" || !way.stream {
            assert!(reply.raw().contains(usage), "{way:?} {reply}");
        }

        let disabled =
            json!({"disabled": true, "message": "Request metrics logging is disabled", "suggestion": HINT});
        let mut active = disabled.clone();
        active["active_requests"] = json!([]);
        assert_eq!(gateway.get(ACTIVE).json(), active, "{way:?}");
        let stream = gateway.get(STREAM);
        let events = stream.all_events();
        assert_eq!(
            (events.len(), events[0].name.as_str(), &events[0].data),
            (1, "disabled", &disabled),
            "{way:?}"
        );
        let logs = gateway.get(LOGS).json();
        assert_eq!((&logs["errors"], &logs["traces"]), (&json!([]), &json!([])), "{way:?}");
        let totals = gateway.get("/metrics/running-totals");
        assert_eq!(totals.status(), 200);
        let text = totals.raw();
        assert!(
            text.ends_with("\n_metrics_enabled: false\n")
                && text.contains(&format!("\n# Suggestion: {HINT}\n")),
            "{text}"
        );
        let others = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(others.count(), 1, "{text}");
        let in_json = gateway.get("/metrics/running-totals?format=json").json();
        assert_eq!((&in_json["_metrics_enabled"], &in_json["suggestion"]), (&json!(false), &json!(HINT)));
        let log = gateway.stop();
        assert!(!log.contains("req_") && !log.contains("LOG_REQUEST_METRICS"), "{way:?} {log}");
    }
}

#[test]
fn without_metrics_requests_are_logged_at_debug_level() {
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream).env("LOG_REQUEST_METRICS", "false").env("LOG_LEVEL", "DEBUG");
    let gateway = setup.start();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let log = gateway.stop();
    let line = log.lines().find(|line| line.contains("-> openai:")).expect("the line of the request");
    assert!(line.contains(" DEBUG "), "{line}");
}

/// Requirement: Active-requests stream: initial `update`, update within 1 s of a start or end, heartbeat,
/// `disabled` variants.
#[test]
fn without_the_stream_requests_in_flight_are_reported_on_request_only() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("VDM_ACTIVE_REQUESTS_SSE_ENABLED", "false").start();
    let events = gateway.get(STREAM).all_events();
    let disabled = json!({"disabled": true, "message": "SSE for active requests is disabled",
        "suggestion": "Unset VDM_ACTIVE_REQUESTS_SSE_ENABLED (or set to true)"});
    assert_eq!((events.len(), events[0].name.as_str(), &events[0].data), (1, "disabled", &disabled));
    assert_eq!(gateway.get(ACTIVE).json(), json!({"disabled": false, "active_requests": []}));
}

#[test]
fn a_reload_that_turns_metrics_off_informs_the_watchers() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let mut watcher = gateway.call("GET", STREAM).open();
    watcher.event_named("update");
    gateway.run.write("test.toml", "request-metrics = false\n");
    gateway.run.signal("HUP");
    assert_eq!(watcher.event_named("disabled").data["suggestion"], HINT);
    assert_eq!(watcher.event(), None);
}
