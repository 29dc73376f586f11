//! Web pages of allowed origins, with the requests of a browser: a preflight, then the request itself.

use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

const PAGE: &str = "https://chat.example.com";

/// The preflight of a browser for a POST with these headers.
fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Reply {
    gateway
        .call("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-api-key,anthropic-version")
        .header("access-control-request-private-network", "true")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "cross-site")
        .reply()
}

/// The request that follows.
fn from_page(call: Call, origin: &str) -> Call {
    call.header("origin", origin)
        .header("referer", &format!("{origin}/"))
        .header("sec-fetch-site", "cross-site")
}

/// Whether a browser lets a page of this origin read the reply.
fn is_readable(reply: &Reply, origin: &str) -> bool {
    reply.header("access-control-allow-origin") == Some(origin)
}

#[track_caller]
fn assert_closed(reply: &Reply) {
    let raw = format!("{:?}", reply.head).to_ascii_lowercase();
    assert!(!raw.contains("access-control-"), "{reply}");
}

#[test]
fn an_allowed_page_receives_preflights_replies_and_errors() {
    let upstream = Upstream::anthropic();
    for key in [None, Some("sk-gateway-0123")] {
        let setup =
            Gateway::before(&upstream).env("VDM_CORS_ORIGINS", format!("http://localhost:3000 {PAGE}"));
        let gateway = key.into_iter().fold(setup, |setup, key| setup.env("PROXY_API_KEY", key)).start();
        for origin in [PAGE, "http://localhost:3000"] {
            let allowed = preflight(&gateway, "/v1/messages", origin);
            assert_eq!(allowed.status(), 204, "{allowed}");
            assert!(is_readable(&allowed, origin), "{allowed}");
            assert_eq!(
                allowed.header("access-control-allow-headers"),
                Some("content-type,x-api-key,anthropic-version")
            );
            assert!(allowed.header("access-control-allow-methods").is_some_and(|all| all.contains("POST")));
            assert_eq!(allowed.header("access-control-allow-private-network"), Some("true"));
            assert_eq!(allowed.header("access-control-allow-credentials"), None);
            assert_eq!(allowed.header("vary"), Some("origin"));

            let call = from_page(gateway.messages(&prompt(MODEL, "hi")), origin);
            let call = key.into_iter().fold(call, |call, key| call.header("x-api-key", key));
            let reply = call.reply();
            assert_eq!((reply.status(), reply.text().as_str()), (200, "Hello there!"), "{reply}");
            assert!(is_readable(&reply, origin), "{reply}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            assert!(
                reply.header("access-control-expose-headers").is_some_and(|all| all.contains("request-id"))
            );

            let failed = from_page(gateway.call("POST", "/nothing"), origin).reply();
            assert!(failed.status() == 404 && is_readable(&failed, origin), "{failed}");
        }
    }
    let head = &upstream.request(0).head;
    for name in ["origin", "referer", "sec-fetch-site"] {
        assert_eq!(head.header(name), None, "it is the business of this hop: {head:?}");
    }
}

#[test]
fn a_page_of_a_similar_origin_receives_no_cors_headers() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("VDM_CORS_ORIGINS", PAGE).start();
    let unlisted = Gateway::before(&upstream).start();
    for origin in [
        "https://evil.example",
        "http://chat.example.com",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.example",
        "https://chat.example.co",
        "https://CHAT.example.com",
        "null",
        "*",
    ] {
        let refused = preflight(&gateway, "/v1/messages", origin);
        assert_closed(&refused);
        let reply = from_page(gateway.messages(&prompt(MODEL, "hi")), origin).reply();
        assert_eq!(reply.status(), 403, "{origin}: {reply}");
        assert_closed(&reply);
        for reply in [refused, reply] {
            assert_eq!(reply.header("vary"), Some("origin"), "for caches: {reply}");
        }
    }
    assert_eq!(gateway.get("/health").header("vary"), Some("origin"), "a request without an origin");
    assert_eq!(unlisted.get("/health").header("vary"), None);
    assert_closed(&preflight(&unlisted, "/v1/messages", PAGE));
    let twice = gateway.messages(&prompt(MODEL, "hi")).header("origin", PAGE).header("origin", PAGE).reply();
    assert_eq!(twice.status(), 403, "{twice}");
    assert_closed(&twice);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_allowed_page_skips_no_other_check() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("VDM_CORS_ORIGINS", PAGE).start();
    let body = whole_prompt(MODEL, "hi").to_string();
    let simple = from_page(gateway.call("POST", "/v1/messages").body(body), PAGE);
    assert_eq!(
        simple.header("content-type", "text/plain").reply().status(),
        403,
        "no preflight comes before it"
    );
    let rebound = from_page(gateway.messages(&prompt(MODEL, "hi")), PAGE).replacing_host("evil.example");
    assert_eq!(rebound.reply().status(), 403);
    let forwarded =
        from_page(gateway.messages(&prompt(MODEL, "hi")), PAGE).header("x-forwarded-for", "1.2.3.4");
    assert_eq!(forwarded.reply().status(), 403);
    for path in ["/metrics/running-totals", "/metrics/logs"] {
        let report = from_page(gateway.call("GET", path), PAGE).reply();
        assert_eq!(report.status(), 403, "{path} is for this machine: {report}");
    }
    let keyed =
        Gateway::before(&upstream).env("VDM_CORS_ORIGINS", PAGE).env("PROXY_API_KEY", "sk-gateway-0123");
    let refused = from_page(keyed.start().messages(&prompt(MODEL, "hi")), PAGE).reply();
    assert!(refused.status() == 401 && is_readable(&refused, PAGE), "{refused}");
    assert_eq!(upstream.count(), 0);
    let ordinary = gateway.call("OPTIONS", "/v1/messages").header("origin", PAGE).reply();
    assert_eq!(ordinary.status(), 405, "not a preflight");
}

#[test]
fn origins_apply_after_a_reload() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).file("vandamme-config.toml", "").start();
    let ask = || from_page(gateway.messages(&prompt(MODEL, "hi")), PAGE).reply().status();
    assert_eq!(ask(), 403);
    gateway.run.write("vandamme-config.toml", &format!("cors-origins = ['{PAGE}']\n"));
    let reloaded = gateway.server(&["reload"]).output().expect("vdm is built");
    assert!(String::from_utf8_lossy(&reloaded.stdout).contains("cors-origins"), "{reloaded:?}");
    assert_eq!(ask(), 200);
}

#[test]
fn an_inexact_origin_prevents_the_start() {
    for (origins, words) in [("*", "list each origin"), ("https://chat.example.com/", "has no path")] {
        let finished = Gateway::bare().env("VDM_CORS_ORIGINS", origins).run_to_end();
        assert_eq!(finished.status.code(), Some(1));
        assert!(finished.output.contains("environment variable VDM_CORS_ORIGINS: "), "{}", finished.output);
        assert!(finished.output.contains(words), "{}", finished.output);
    }
}
