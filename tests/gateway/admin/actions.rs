//! The other actions: a provider is probed, its list of models is read again, and the worker is restarted.

use serde_json::json;

use super::{ADMIN, post, with_admin_key};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

/// Checklist 35: a probe names provider and model, and shows the upstream's status and message on failure.
#[test]
fn a_probe_reports_status_message_and_duration() {
    let upstream = Upstream::openai();
    let gateway = with_admin_key(&upstream).env("MAX_RETRIES", "0").start();
    let probe = |model: &str| {
        let body = json!({"provider": "openai", "model": model}).to_string();
        let reply = post(&gateway, "/admin/probe", &body);
        assert_eq!(reply.status(), 200, "{reply}");
        reply.json()
    };
    let answered = probe("gpt-probe");
    assert_eq!(answered["status"], "success", "{answered}");
    assert_eq!(answered["model_used"], "openai:gpt-probe");
    assert!(answered["elapsed_ms"].is_number(), "{answered}");
    assert_eq!(upstream.only_request().json()["model"], "gpt-probe");

    let error = json!({"error": {"message": "this model is not for you", "type": "invalid_request_error"}});
    upstream.then(Answer::json(404, error.to_string()));
    let failed = probe("gpt-absent");
    assert_eq!((&failed["status"], &failed["upstream_status"]), (&json!("failed"), &json!(404)), "{failed}");
    assert!(failed["message"].as_str().is_some_and(|text| text.contains("not for you")), "{failed}");
    assert!(failed["elapsed_ms"].is_number());

    let unknown = post(&gateway, "/admin/probe", r#"{"provider": "absent"}"#);
    assert_eq!(unknown.status(), 404, "{unknown}");
    assert_eq!(post(&gateway, "/admin/probe", "{}").status(), 400);
}

/// Checklist 31: a refresh of models reaches the upstream, and the new age is shown.
#[test]
fn a_refresh_of_models_reaches_the_upstream() {
    let list = |id: &str| Answer::json(200, json!({"data": [{"id": id}]}).to_string());
    let upstream = Upstream::openai();
    upstream.then(list("first"));
    let gateway = with_admin_key(&upstream).start();
    let models = || gateway.get("/api/ui/models?provider=openai").json();
    let refresh = || post(&gateway, "/admin/models/refresh", r#"{"provider": "openai"}"#);
    let refreshed = refresh();
    assert_eq!(refreshed.status(), 200, "{refreshed}");
    let expected = json!({"provider": "openai", "models": 1, "stale": false, "age_seconds": 0});
    assert_eq!(refreshed.json(), expected);
    let calls = upstream.count();
    assert_eq!(models()["models"][0]["id"], "first");
    assert_eq!(upstream.count(), calls, "the page reads the cache");
    upstream.then(list("second"));
    assert_eq!(refresh().status(), 200);
    assert_eq!(upstream.count(), calls + 1);
    let shown = models();
    assert_eq!(shown["models"][0]["id"], "second", "{shown}");
    assert!(shown["lists"][0]["age_seconds"].as_u64().is_some_and(|age| age < 60), "{shown}");
    assert_eq!(post(&gateway, "/admin/models/refresh", r#"{"provider": "no"}"#).status(), 404);
}

/// Requirement (issue 16, 6): `POST /admin/caches/clear` removes the cached lists of models, from memory and from the disk.
#[test]
fn cached_lists_of_models_are_cleared() {
    let upstream = Upstream::openai().always(Answer::json(200, r#"{"data": [{"id": "m"}]}"#));
    let gateway = with_admin_key(&upstream).start();
    assert_eq!(post(&gateway, "/admin/models/refresh", r#"{"provider": "openai"}"#).status(), 200);
    assert!(gateway.run.vdm(&["models", "list"]).output().expect("vdm is built").status.success());
    let caches = || gateway.get("/api/ui/system").json()["caches"].clone();
    let before = caches();
    assert_eq!(before[0]["name"], "models of openai", "{before}");
    assert!(before[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 10), "{before}");
    let cleared = post(&gateway, "/admin/caches/clear", "");
    assert_eq!((cleared.status(), &cleared.json()["files"]), (200, &json!(1)), "{cleared}");
    assert_eq!(caches(), json!([]));
}

/// Requirement (issue 16, 6): `POST /admin/restart` does what `vdm server restart` does: another worker serves, and requests are
/// answered throughout.
#[test]
fn a_restart_over_http_replaces_the_worker() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let before = gateway.worker();
    let restarted = post(&gateway, "/admin/restart", "");
    assert_eq!(restarted.status(), 200, "{restarted}");
    assert_ne!(gateway.worker(), before);
    assert_eq!(restarted.json()["worker"]["pid"], gateway.worker(), "{restarted}");
    assert_eq!(gateway.ask("hi").status(), 200);

    gateway.run.write("test.toml", "[limits]\nmodel-nam = 300\n");
    let refused = post(&gateway, "/admin/restart", "");
    assert_eq!(refused.status(), 422, "{refused}");
    assert!(
        refused.json()["refused"][0].as_str().is_some_and(|line| line.contains("model-nam")),
        "{refused}"
    );
    assert_eq!(gateway.ask("hi").status(), 200, "the worker continues");
}

/// Requirement (issue 16, 6): without a master a restart over HTTP is refused, with the remedy.
#[test]
fn without_a_master_a_restart_over_http_is_refused() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("VDM_ADMIN_KEY", ADMIN).argument("--no-master").start();
    let refused = post(&gateway, "/admin/restart", "");
    assert_eq!(refused.status(), 409, "{refused}");
    assert!(refused.error_message().contains("vdm server restart"), "{refused}");
    assert_eq!(gateway.ask("hi").status(), 200);
}
