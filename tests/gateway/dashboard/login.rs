//! Who may see the dashboard and act with it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::*;

/// Checklist 9: with a key set, pages without a session lead to the login, data is refused, a wrong key gets 401, and after the
/// login everything is served, the stream included.
#[test]
fn a_login_opens_pages_data_and_the_stream() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).env("PROXY_API_KEY", PROXY).start();
    for (page, next) in [
        ("/dashboard/", "%2Fdashboard%2F"),
        ("/dashboard/traffic?range=1h", "%2Fdashboard%2Ftraffic%3Frange%3D1h"),
        ("/dashboard/nothing", "%2Fdashboard%2Fnothing"),
    ] {
        let reply = gateway.get(page);
        let led = format!("/dashboard/login?next={next}");
        assert_eq!((reply.status(), reply.header("location")), (303, Some(led.as_str())), "{reply}");
    }
    for data in ["/api/ui/snapshot", "/api/ui/stream"] {
        assert_eq!(gateway.get(data).status(), 401, "{data}");
    }
    let form = gateway.get("/dashboard/login?next=/dashboard/traffic");
    assert!(form.raw().contains("value=\"/dashboard/traffic\""), "{form}");
    let wrong = log_in(&gateway, "key=wrong&next=/dashboard/");
    assert_eq!((wrong.status(), wrong.header("set-cookie")), (401, None), "{wrong}");

    let right = log_in(&gateway, &format!("key={ADMIN}&next=/dashboard/traffic"));
    assert_eq!((right.status(), right.header("location")), (303, Some("/dashboard/traffic")), "{right}");
    let set = right.header("set-cookie").expect("a cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(ADMIN), "{set}");
    let cookie = cookie(&right);
    for page in ["/dashboard/", "/dashboard/traffic", "/api/ui/snapshot"] {
        let reply = gateway.call("GET", page).header("cookie", &cookie).reply();
        assert_eq!(reply.status(), 200, "{page}: {reply}");
    }
    let mut stream = gateway.call("GET", "/api/ui/stream").header("cookie", &cookie).send();
    assert_eq!(stream.status(), 200);
    drop(stream.event_named("tick"));
}

/// Requirement: an admin session may act, a client's may only read; both only from the gateway's own pages.
#[test]
fn a_session_has_the_rights_of_its_key() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).env("PROXY_API_KEY", PROXY).start();
    let (admin, client) = (session(&gateway, ADMIN), session(&gateway, PROXY));
    let reset = |cookie: &str| gateway.call("POST", "/admin/health/reset").header("cookie", cookie);
    let own = |cookie: &str| from_own_page(&gateway, reset(cookie)).body("{}").reply().status();
    assert_eq!(own(&admin), 200);
    assert_eq!(own(&client), 401);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "null"),
        ("accept", "*/*"),
    ] {
        assert_eq!(reset(&admin).header(name, value).body("{}").reply().status(), 401, "{name}: {value}");
    }
    let page = |cookie: &str| gateway.call("GET", "/dashboard/").header("cookie", cookie).reply().raw();
    assert!(page(&admin).contains("data-admin=\"true\""));
    assert!(page(&client).contains("data-admin=\"false\""));
    // Reports for clients are open to sessions, too.
    assert_eq!(gateway.call("GET", "/metrics/logs").header("cookie", &client).reply().status(), 200);
    assert_eq!(gateway.get("/metrics/logs").status(), 401);
}

/// Requirement: a session survives a reload, and ends with a logout and when its key is removed.
#[test]
fn a_session_survives_a_reload_and_ends_with_its_key() {
    let upstream = Upstream::anthropic();
    let file = |key: &str| format!("[client-keys]\nalice = \"{key}\"\n");
    let gateway = Gateway::before(&upstream).toml(&file(PROXY)).start();
    let cookie = session(&gateway, PROXY);
    let status = |cookie: &str| gateway.call("GET", "/dashboard/").header("cookie", cookie).reply().status();
    let reload = || {
        let done = gateway.server(&["reload"]).output().expect("vdm is built");
        assert!(done.status.success(), "{done:?}");
    };
    reload();
    assert_eq!(status(&cookie), 200);

    let second = session(&gateway, PROXY);
    let out =
        from_own_page(&gateway, gateway.call("POST", "/dashboard/logout")).header("cookie", &second).reply();
    assert!(out.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{out}");
    assert_eq!((status(&second), status(&cookie)), (303, 200));

    gateway.run.write("test.toml", &file("vdm_another_0123456789abcdef"));
    reload();
    assert_eq!(status(&cookie), 303);
}

/// Requirement: an open stream ends with its session, and with the key in its header.
#[test]
fn a_stream_ends_with_its_session_or_key() {
    let upstream = Upstream::anthropic();
    let file = |key: &str| format!("[client-keys]\nalice = \"{key}\"\n");
    let gateway = Gateway::before(&upstream).toml(&file(PROXY)).start();
    let follow = |name: &str, value: &str| {
        let mut stream = gateway.call("GET", "/api/ui/stream").header(name, value).send();
        drop(stream.event_named("tick"));
        stream
    };
    let cookie = session(&gateway, PROXY);
    let (mut left, mut by_key) = (follow("cookie", &cookie), follow("x-api-key", PROXY));
    drop(
        from_own_page(&gateway, gateway.call("POST", "/dashboard/logout")).header("cookie", &cookie).reply(),
    );
    while left.event().is_some() {}

    let mut stays = follow("cookie", &session(&gateway, PROXY));
    gateway.run.write("test.toml", &file("vdm_another_0123456789abcdef"));
    assert!(gateway.server(&["reload"]).output().expect("vdm is built").status.success());
    while by_key.event().is_some() {}
    while stays.event().is_some() {}
}

/// Requirement: `vdm dashboard` prints a link that opens one admin session, also without any key.
#[test]
fn a_link_opens_one_admin_session() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let port = gateway.address.port().to_string();
    let made = gateway.run.vdm(&["dashboard", "--no-open", "--port", &port]).output().expect("vdm is built");
    let link = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let (address, token) = link.split_once("#token=").unwrap_or_else(|| panic!("{made:?}"));
    assert_eq!(address, format!("http://127.0.0.1:{port}/dashboard/login"));
    assert_eq!(token.len(), 64, "{link}");
    assert!(!gateway.log().contains(token), "{}", gateway.log());

    let opened = log_in(&gateway, &format!("token={token}&next=/dashboard/"));
    assert_eq!(opened.status(), 303, "{opened}");
    let cookie = cookie(&opened);
    let reset = gateway.call("POST", "/admin/health/reset").header("cookie", &cookie);
    assert_eq!(from_own_page(&gateway, reset).body("{}").reply().status(), 200);
    let again = log_in(&gateway, &format!("token={token}"));
    assert_eq!(again.status(), 401, "{again}");
    assert_eq!(log_in(&gateway, "token=wrong").status(), 401);
    // Without a session, clients on this machine can read, and no client can change anything.
    assert_eq!(gateway.get("/dashboard/").status(), 200);
    let reset = gateway.call("POST", "/admin/health/reset");
    assert_eq!(from_own_page(&gateway, reset).body("{}").reply().status(), 403);
}

/// Requirement: `vdm dashboard` says that there is no gateway, in one line.
#[test]
fn without_a_gateway_there_is_no_link() {
    let gateway = Gateway::before(&Upstream::anthropic()).start();
    let made = gateway.run.vdm(&["dashboard", "--port", "1"]).output().expect("vdm is built");
    assert_eq!(made.status.code(), Some(1), "{made:?}");
    assert!(String::from_utf8_lossy(&made.stderr).contains("no gateway of yours is running"), "{made:?}");
}

/// Requirement: failed logins are limited; a one-time link is not.
#[test]
fn failed_logins_are_limited() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let statuses: Vec<u16> = (0..7).map(|_| log_in(&gateway, "key=wrong").status()).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let refused = log_in(&gateway, &format!("key={ADMIN}"));
    assert_eq!(refused.status(), 429, "{refused}");
    assert!((1..=61).contains(&refused.integer("retry-after")), "{refused}");
    let port = gateway.address.port().to_string();
    let made = gateway.run.vdm(&["dashboard", "--no-open", "--port", &port]).output().expect("vdm is built");
    let link = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let token = link.rsplit('=').next().unwrap_or_default().to_owned();
    assert_eq!(log_in(&gateway, &format!("token={token}")).status(), 303);
}

/// Requirement: a hostile page gets nothing from the dashboard: not by a foreign origin, not by a rebound name, not by a form, and
/// not with a guessed cookie.
#[test]
fn a_page_of_another_site_gets_nothing() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let port = gateway.address.port();
    for path in ["/dashboard/", "/dashboard/traffic", "/api/ui/snapshot", "/api/ui/stream"] {
        let call = || gateway.call("GET", path);
        for (what, call) in [
            ("cross-site", call().header("sec-fetch-site", "cross-site")),
            ("foreign origin", call().header("origin", "https://evil.example")),
            ("opaque origin", call().header("origin", "null")),
            ("rebound name", call().replacing_host(&format!("evil.example:{port}"))),
            ("a proxy", call().header("x-forwarded-for", "10.0.0.1")),
            (
                "guessed cookie",
                call().header("origin", "null").header("cookie", &format!("vdm-session-{port}=0")),
            ),
        ] {
            let reply = call.reply();
            assert_eq!(reply.status(), 403, "{what}: {path}: {reply}");
            assert!(!reply.raw().contains("data-live"), "{what}: {path}");
        }
    }
    for form in ["key=x", "token=x"] {
        let foreign =
            gateway.call("POST", "/dashboard/login").header("origin", "https://evil.example").body(form);
        assert_eq!(foreign.reply().status(), 403);
        assert_eq!(gateway.call("POST", "/dashboard/login").body(form).reply().status(), 403);
    }
}

/// Requirement: tokens are random, and a session's number of requests has no effect on its rights.
#[test]
fn every_session_has_its_own_token() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let tokens: HashSet<String> = (0..4).map(|_| session(&gateway, ADMIN)).collect();
    assert_eq!(tokens.len(), 4);
    assert!(tokens.iter().all(|cookie| cookie.len() > 64), "{tokens:?}");
}

/// Requirement: a form that does not arrive is given up.
#[test]
fn a_form_has_a_bound() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let began = Instant::now();
    let large = log_in(&gateway, &format!("key={}", "x".repeat(20_000)));
    assert_eq!(large.status(), 400, "{large}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Requirement: behind TLS the cookie is sent over TLS only.
#[test]
fn behind_tls_the_cookie_is_secure() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let login = from_own_page(&gateway, gateway.call("POST", "/dashboard/login"))
        .header("x-forwarded-proto", "https");
    let reply = login.body(format!("key={ADMIN}")).reply();
    assert!(reply.header("set-cookie").is_some_and(|set| set.ends_with("; Secure")), "{reply}");
}
