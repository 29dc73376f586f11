//! What the dashboard serves.

use serde_json::Value;

use super::*;
use crate::support::await_that;
use crate::support::upstream::Answer;

/// The addresses of files that a page names.
fn assets(page: &str) -> Vec<String> {
    let parts = page.split('"').filter(|part| part.starts_with("/dashboard/assets/"));
    let mut found: Vec<String> = parts.map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

/// Polls until there is a value.
fn eventually<T>(mut read: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    await_that("the dashboard shows it", || {
        found = read();
        found.is_some()
    });
    found.expect("just checked")
}

fn snapshot(gateway: &Gateway, query: &str) -> Value {
    let reply = gateway.get(&format!("/api/ui/snapshot?{query}"));
    assert_eq!(reply.status(), 200, "{reply}");
    reply.json()
}

/// Checklist 1: `GET /dashboard` and `/dashboard/` both give the overview; each page works with and without a trailing slash.
/// Checklist 2: an unknown path below it gets 404 and a page that links back. Checklist 8: pages have no absolute addresses, so they
/// work on any port. Checklist 38: pages name no other host.
#[test]
fn pages_are_served_with_and_without_a_slash() {
    let gateway = Gateway::before(&Upstream::anthropic()).start();
    for path in ["/dashboard", "/dashboard/", "/dashboard/overview", "/dashboard?x=1"] {
        let page = gateway.get(path);
        assert_eq!(page.status(), 200, "{page}");
        assert!(page.raw().contains("<h1>Overview</h1>"), "{path}: {page}");
        assert!(!page.raw().contains("http://") && !page.raw().contains("https://"), "{path}: {page}");
    }
    for path in ["/dashboard/traffic", "/dashboard/traffic/", "/dashboard/traffic?range=7d&group=model"] {
        let page = gateway.get(path);
        assert_eq!(page.status(), 200, "{page}");
        assert!(page.raw().contains("<h1>Traffic</h1>"), "{path}: {page}");
    }
    for path in ["/dashboard/nothing", "/dashboard/traffic/more"] {
        let page = gateway.get(path);
        assert_eq!(page.status(), 404, "{page}");
        assert!(page.raw().contains("href=\"/dashboard/\""), "{path}: {page}");
    }
    let wrong = gateway.get("/dashboard/traffic?range=2h");
    assert_eq!(wrong.status(), 400, "{wrong}");
    assert!(wrong.raw().contains("range: expected one of"), "{wrong}");
}

/// Checklist 5: files have names with a hash, may be kept for ever and have an ETag; pages are checked each time. Checklist 4: both are
/// compressed. Checklist 6: they are inside the binary.
#[test]
fn files_may_be_kept_for_ever_and_pages_not() {
    let gateway = Gateway::before(&Upstream::anthropic()).start();
    let page = gateway.get("/dashboard/");
    assert_eq!(page.header("cache-control"), Some("no-cache"), "{page}");
    let zipped = gateway.call("GET", "/dashboard/").header("accept-encoding", "gzip, br").reply();
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let files = assets(&page.raw());
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let reply = gateway.get(&file);
        assert_eq!(reply.status(), 200, "{file}");
        assert!(reply.header("cache-control").is_some_and(|value| value.contains("immutable")), "{file}");
        assert_eq!(reply.header("content-encoding"), None, "{file}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{file}");
        let tag = reply.header("etag").expect("a tag").to_owned();
        let known = gateway.call("GET", &file).header("if-none-match", &tag).reply();
        assert_eq!((known.status(), known.body.len()), (304, 0), "{file}");
        let zipped = gateway.call("GET", &file).header("accept-encoding", "gzip").reply();
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{file}");
        let (stem, rest) = file.rsplit_once('/').and_then(|(_, name)| name.split_once('.')).expect("a name");
        let hash = rest.split('.').next().unwrap_or_default();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{stem}: {file}");
    }
    assert_eq!(gateway.get("/dashboard/assets/app.0000000000000000.js").status(), 404);
    let program = std::fs::read(env!("CARGO_BIN_EXE_vdm")).expect("vdm is built");
    for source in [
        include_str!("../../../src/dashboard/assets/app.js"),
        include_str!("../../../src/dashboard/assets/app.css"),
    ] {
        assert!(memchr::memmem::find(&program, source.as_bytes()).is_some(), "the file is in the program");
    }
}

/// Requirement: the Content-Security-Policy allows neither inline scripts nor inline styles nor frames.
#[test]
fn pages_have_a_strict_policy() {
    let gateway = Gateway::before(&Upstream::anthropic()).start();
    let page = gateway.get("/dashboard/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        !page.raw().contains(" style=")
            && !page.raw().contains("<style")
            && !page.raw().contains(" onclick=")
    );
}

/// Requirement: the overview and the traffic page show what clients and the upstream saw.
#[test]
fn the_numbers_are_those_of_the_requests() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..3 {
        assert_eq!(gateway.ask_whole("hi").status(), 200);
    }
    upstream.then(Answer::json(
        400,
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}",
    ));
    assert_eq!(gateway.ask_whole("hi").status(), 400);
    let counted = eventually(|| {
        let view = snapshot(&gateway, "view=overview");
        (view["live"]["requests_per_minute"] == "0.8").then_some(view)
    });
    assert_eq!(counted["live"]["error_share"], "25.0 %", "{counted}");
    assert_eq!(counted["providers"][0]["requests"], 4, "{counted}");
    let page = gateway.get("/dashboard/").raw();
    assert!(page.contains("data-live=\"requests_per_minute\">0.8<"), "the number is in the page: {page}");

    let traffic = eventually(|| {
        let view = snapshot(&gateway, "view=traffic&range=15m&group=requested");
        (view["requests"] == 4).then_some(view)
    });
    let row = &traffic["rows"][0];
    assert_eq!(
        (&row["name"], &row["requests"], &row["failed"]),
        (&MODEL.into(), &4.into(), &1.into()),
        "{row}"
    );
    let ends = snapshot(&gateway, "view=traffic&range=15m&group=end");
    let names: Vec<&Value> = ends["rows"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["succeeded", "invalid_request_error"], "{ends}");
    let unknown = gateway.get("/api/ui/snapshot?view=nothing");
    assert_eq!(unknown.status(), 404, "{unknown}");
}

/// Checklist 21: after a restart the last hour is what it was before.
#[test]
fn the_last_hour_survives_a_restart() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let is_counted = || (snapshot(&gateway, "view=overview")["providers"][0]["requests"] == 1).then_some(());
    eventually(is_counted);
    let restarted = gateway.server(&["restart"]).output().expect("vdm is built");
    assert!(restarted.status.success(), "{restarted:?}");
    eventually(is_counted);
}

/// Requirement: mistakes of clients (an unknown provider, a request that the provider calls invalid, no key) are counted, but do not turn
/// the status; failures of the provider do, and the status says since when. All of this holds after a restart.
#[test]
fn client_errors_do_not_turn_the_status() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).env("MAX_RETRIES", "0").start();
    let view = || gateway.call("GET", "/api/ui/snapshot").header("x-api-key", ADMIN).reply().json();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    for _ in 0..3 {
        assert_eq!(gateway.messages(&whole_prompt("nowhere:m", "hi")).reply().status(), 404);
    }
    upstream.then(Answer::json(400, r#"{"error": {"type": "invalid_request_error", "message": "no"}}"#));
    assert_eq!(gateway.ask_whole("hi").status(), 400);
    let is_up = || {
        let view = view();
        (view["live"]["client_error_share"] == "80.0 %").then_some(view)
    };
    for _ in 0..2 {
        let seen = eventually(is_up);
        let status = &seen["status"];
        assert_eq!((&status["state"], &status["since"]), (&"ok".into(), &Value::Null), "{seen:#}");
        let text = "100 % of the requests of the last 5 minutes succeeded. 4 requests failed because of client errors.";
        assert_eq!(status["text"], text);
        assert_eq!(seen["live"]["error_share"], "80.0 %");
        assert_eq!(seen["providers"][0]["client_errors"], 1, "{seen:#}");
        let restarted = gateway.server(&["restart"]).output().expect("vdm is built");
        assert!(restarted.status.success(), "{restarted:?}");
    }

    upstream.then(Answer::json(500, "{}"));
    assert_eq!(gateway.ask_whole("hi").status(), 500);
    let seen = eventually(|| {
        let view = view();
        (view["status"]["state"] != "ok").then_some(view)
    });
    assert!(seen["status"]["since"].is_u64(), "{seen:#}");
    let page = gateway.call("GET", "/dashboard/").header("x-api-key", ADMIN).reply().raw();
    assert!(page.contains("Since <time data-at="), "{page}");
}

/// Checklist 22: the status turns when the provider's recent requests fail, and back.
#[test]
fn the_status_follows_the_providers_requests() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let state = || {
        let reply = gateway.call("GET", "/api/ui/snapshot").header("x-api-key", ADMIN).reply();
        let view = reply.json();
        (
            view["status"]["state"].as_str().unwrap_or_default().to_owned(),
            view["providers"][0]["state"].clone(),
        )
    };
    assert_eq!(state(), ("ok".to_owned(), "ok".into()));
    upstream.then(Answer::json(
        401,
        "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"no\"}}",
    ));
    assert_eq!(gateway.ask_whole("hi").status(), 401);
    eventually(|| (state() == ("down".to_owned(), "down".into())).then_some(()));
    for _ in 0..30 {
        assert_eq!(gateway.ask_whole("hi").status(), 200);
    }
    eventually(|| (state() == ("ok".to_owned(), "ok".into())).then_some(()));
}
