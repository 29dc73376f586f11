//! `/health` and `vdm health server`: what is not preferred, why, since when and until when.

use std::process::Output;

use serde_json::Value;

use super::{Switch, both, entries, failure, health, limited, provider, streamed, without_repeats};
use crate::support::await_that;
use crate::support::gateway::Gateway;

/// An entry that is not preferred has the reason, start, end, and the last error, shortened.
#[track_caller]
fn assert_explained(entry: &Value, error: &str) {
    assert_eq!(entry["preferred"], false, "{entry}");
    assert!(entry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{entry}");
    assert!(!entry["since"].is_null(), "{entry}");
    assert!(entry.get("until").is_some(), "{entry}");
    let last = entry["last_error"].to_string();
    assert!(last.contains(error) && last.len() < 600, "{entry}");
}

#[test]
fn a_fresh_gateway_is_healthy_and_prefers_its_keys() {
    for upstream in both() {
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        assert_eq!(streamed(&gateway, "fine").status(), 200);
        let report = health(&gateway);
        assert_eq!(report["status"], "healthy", "{report}");
        let keys = entries(&report, provider(&upstream), "keys");
        assert_eq!(keys.len(), 2, "{report}");
        assert!(keys.iter().all(|key| key["preferred"] == true), "{report}");
        for model in entries(&report, provider(&upstream), "models") {
            assert_eq!(model["preferred"], true, "{report}");
        }
    }
}

#[test]
fn the_refusal_of_an_only_key_is_reported_with_its_reason() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 401);
        let upstream = upstream.always(answer);
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.ask("hi").status(), 401);
        let report = health(&gateway);
        assert_ne!(report["status"], "healthy", "{report}");
        let keys = entries(&report, provider(&upstream), "keys");
        assert_eq!(keys.len(), 1, "{report}");
        assert_explained(&keys[0], "401");
        assert!(!report.to_string().contains("sk-test"), "{report}");
        let yaml = gateway.get("/health").raw();
        assert!(yaml.contains("preferred: false") && !yaml.contains("status: healthy"), "{yaml}");
    }
}

#[test]
fn of_two_keys_only_the_refused_one_is_not_preferred() {
    for upstream in both() {
        let upstream = upstream.refusing("bad");
        let gateway = Gateway::before(&upstream).keys(["bad", "good"]).start();
        assert_eq!(gateway.ask("hi").status(), 200);
        let report = health(&gateway);
        let keys = entries(&report, provider(&upstream), "keys");
        let preferred: Vec<&Value> = keys.iter().map(|key| &key["preferred"]).collect();
        assert_eq!(preferred, [&Value::Bool(false), &Value::Bool(true)], "{report}");
    }
}

#[test]
fn a_failing_model_is_reported_with_its_reason() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 503);
        let upstream = super::answering_model(upstream, "broken", answer);
        let gateway = without_repeats(&upstream).start();
        for _ in 0..15 {
            streamed(&gateway, "broken");
            streamed(&gateway, "fine");
        }
        let report = health(&gateway);
        let models = entries(&report, provider(&upstream), "models");
        let passed_over: Vec<&Value> = models.iter().filter(|model| model["preferred"] == false).collect();
        assert_eq!(passed_over.len(), 1, "{report}");
        assert!(passed_over[0].to_string().contains("broken"), "{report}");
        assert_explained(passed_over[0], "503");
    }
}

#[test]
fn a_limit_is_reported_with_its_end() {
    for upstream in both() {
        let answer = limited(upstream.dialect(), "30");
        let upstream = super::answering_model(upstream, "busy", answer);
        let gateway = without_repeats(&upstream).start();
        assert_eq!(streamed(&gateway, "busy").status(), 429);
        let report = health(&gateway);
        let lists = ["keys", "models"].map(|list| entries(&report, provider(&upstream), list));
        let of_keys = lists[0].iter().flat_map(|key| key["models"].as_array().cloned().unwrap_or_default());
        let entries: Vec<Value> = lists.concat().into_iter().chain(of_keys).collect();
        let limited = entries.iter().find(|entry| entry["preferred"] == false);
        let limited = limited.unwrap_or_else(|| panic!("nothing is passed over: {report}"));
        assert_explained(limited, "429");
        assert!(!limited["until"].is_null(), "{limited}");
    }
}

fn health_command(gateway: &Gateway) -> Output {
    let port = gateway.address.port().to_string();
    gateway.run.vdm(&["health", "server", "--port", &port]).output().expect("vdm is built")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn the_health_command_fails_while_the_gateway_is_not_healthy() {
    for status in [401, 402, 503] {
        for upstream in both() {
            let (dialect, switch) = (upstream.dialect(), Switch::default());
            let upstream = switch.control(upstream);
            let gateway = without_repeats(&upstream).start();
            let healthy = health_command(&gateway);
            assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy));
            switch.set(failure(dialect, status));
            for _ in 0..15 {
                assert_eq!(gateway.ask("hi").status(), status);
            }
            let failing = health_command(&gateway);
            assert_eq!(failing.status.code(), Some(1), "{}", text(&failing));
            assert!(text(&failing).contains(&status.to_string()), "{}", text(&failing));
            switch.heal();
            await_that("the gateway is healthy again", || {
                assert_eq!(gateway.ask("hi").status(), 200);
                health_command(&gateway).status.code() == Some(0)
            });
        }
    }
}
