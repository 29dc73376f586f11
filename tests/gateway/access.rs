//! A gateway without a key serves programs, and refuses web pages of other sites.

use serde_json::json;

use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// Every endpoint that costs tokens or reveals data, with a request that it answers.
fn all_paths(gateway: &Gateway) -> Vec<Call> {
    let posts = ["/v1/messages", "/v1/messages/", "/v1/messages/count_tokens", "/v1/chat/completions"];
    let gets = [
        "/v1/models",
        "/v1/models/test-model?refresh=true",
        "/v1/aliases",
        "/v1/profiles",
        "/profiles/",
        "/top-models",
        "/test-connection",
        "/metrics/running-totals",
        "/metrics/logs",
        "/metrics/active-requests",
        "/metrics/active-requests/stream",
    ];
    let posts = posts.map(|path| gateway.call("POST", path).json(&whole_prompt(MODEL, "hi")));
    posts.into_iter().chain(gets.map(|path| gateway.call("GET", path))).collect()
}

fn as_a_chat_error(reply: &Reply) -> bool {
    let body = reply.json();
    body.get("type").is_none() && body["error"]["message"].is_string()
}

#[track_caller]
fn assert_refused(reply: &Reply, what: &str) {
    assert_eq!(reply.status(), 403, "{what}: {reply}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{what}: {reply}");
    assert!(reply.raw().contains("PROXY_API_KEY"), "{what}: {reply}");
    assert!(reply.raw().contains("permission") || as_a_chat_error(reply), "{what}: {reply}");
}

/// The headers of a browser for a page of another site.
fn foreign(gateway: &Gateway) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let own = gateway.address.to_string();
    let with = |host: &str, name, value: &str| vec![("host", host.to_owned()), (name, value.to_owned())];
    let port = gateway.address.port();
    vec![
        ("rebound name", with(&format!("evil.example:{port}"), "x-a", "b")),
        ("rebound name with its origin", with("evil.example", "origin", "http://evil.example")),
        ("name that ends like a local one", with("localhost.evil.example", "x-a", "b")),
        ("foreign origin", with(&own, "origin", "https://evil.example")),
        ("sandboxed page", with(&own, "origin", "null")),
        ("cross-site", with(&own, "sec-fetch-site", "cross-site")),
    ]
}

fn with_headers(call: Call, headers: &[(&'static str, String)]) -> Call {
    headers.iter().fold(call, |call, (name, value)| match *name {
        "host" => call.replacing_host(value),
        name => call.header(name, value),
    })
}

#[test]
fn pages_of_other_sites_are_refused_on_any_address() {
    for host in ["127.0.0.1", "0.0.0.0"] {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).env("HOST", host).start();
        for (what, headers) in foreign(&gateway) {
            for call in all_paths(&gateway) {
                let call = with_headers(call, &headers);
                let what = format!("{host} {what}: {call:?}");
                assert_refused(&call.reply(), &what);
            }
            let health = with_headers(gateway.call("GET", "/health?format=json"), &headers).reply();
            assert_eq!(health.status(), 200);
            assert!(health.json().get("providers").is_none(), "{host} {what}: {health}");
        }
        assert_eq!(upstream.count(), 0, "{host}");
    }
}

#[test]
fn an_error_has_the_format_of_the_clients_api() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let ask = |path: &str| {
        let call = gateway.call("POST", path).json(&prompt(MODEL, "hi"));
        call.header("origin", "https://evil.example").reply()
    };
    let (kind, message) = ask("/v1/messages").error();
    assert_eq!(kind, "permission_error");
    assert!(message.contains("https://evil.example"), "{message}");
    let reply = ask("/v1/chat/completions");
    assert!(as_a_chat_error(&reply), "{reply}");
    let long = gateway.call("POST", "/v1/messages").replacing_host(&"x.".repeat(4_000)).json(&json!({}));
    assert!(long.reply().raw().len() < 1_000, "what is refused is not repeated at length");
}

#[test]
fn a_compressed_body_is_refused_and_the_error_says_what_is_accepted() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for path in ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"] {
        let reply = gateway.call("POST", path).header("content-encoding", "gzip").body("x").reply();
        assert_eq!(
            (reply.status(), reply.header("accept-encoding")),
            (415, Some("identity")),
            "{path}: {reply}"
        );
    }
    for codings in [&["IDENTITY"][..], &[""], &["identity", "Identity"], &["identity, "]] {
        let call = codings.iter().fold(gateway.messages(&whole_prompt(MODEL, "hi")), |call, coding| {
            call.header("content-encoding", coding)
        });
        assert_eq!(call.reply().status(), 200, "{codings:?}");
    }
    assert!(upstream.requests().iter().all(|seen| seen.head.header("content-encoding").is_none()));
    for codings in [&["identity", "gzip"][..], &["", "br"], &["identity, gzip"]] {
        let call = codings.iter().fold(gateway.messages(&whole_prompt(MODEL, "hi")), |call, coding| {
            call.header("content-encoding", coding)
        });
        assert_eq!(call.reply().status(), 415, "{codings:?}");
    }
}

#[test]
fn a_local_page_must_send_json() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = whole_prompt(MODEL, "hi").to_string();
    let own = format!("http://{}", gateway.address);
    for origin in [own.as_str(), "http://localhost:3000"] {
        for path in ["/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"] {
            let call = |kind: &str| {
                let call = gateway.call("POST", path).header("origin", origin).body(body.clone());
                if kind.is_empty() { call.reply() } else { call.header("content-type", kind).reply() }
            };
            assert_eq!(call("application/json").status(), 200, "{origin} {path}");
            for kind in ["", "text/plain", "application/x-www-form-urlencoded", "text/plain;application/json"]
            {
                assert_refused(&call(kind), &format!("{origin} {path} {kind}"));
            }
        }
    }
    let program = gateway.call("POST", "/v1/messages").body(body).reply();
    assert_eq!(program.status(), 200, "a program may leave the content type out");
}

#[test]
fn a_request_that_a_proxy_forwards_to_loopback_needs_a_key() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"] {
        for call in all_paths(&gateway) {
            assert_refused(&call.header(header, "192.0.2.1").reply(), header);
        }
    }
    assert_eq!(upstream.count(), 0);
    let keyed = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway-0123").start();
    let call = keyed.messages(&prompt(MODEL, "hi")).replacing_host("gateway.example.com");
    let call = call.header("x-forwarded-for", "192.0.2.1").header("origin", "https://chat.example.com");
    let call = call.header("sec-fetch-site", "cross-site");
    assert_eq!(call.clone().header("x-api-key", "sk-gateway-0123").reply().status(), 200);
    let refused = call.header("x-api-key", "sk-wrong-0123").reply();
    assert_eq!((refused.status(), refused.header("x-should-retry")), (401, Some("false")), "{refused}");
}

#[test]
fn a_gateway_on_other_addresses_serves_clients_without_a_key() {
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream).env("HOST", "0.0.0.0");
    let gateway = setup.start();
    let ask = |gateway: &Gateway, host: &str| {
        gateway
            .messages(&prompt(MODEL, "hi"))
            .replacing_host(host)
            .header("x-forwarded-for", "10.0.0.9")
            .reply()
    };
    for host in ["10.0.0.7:8082", "[fd00::7]:8082", "vdm:8082", "nas.local", "host.docker.internal:8082"] {
        assert_eq!(ask(&gateway, host).status(), 200, "{host}");
    }
    let refused = ask(&gateway, "gateway.corp.example");
    assert_refused(&refused, "a name that anybody may have registered");
    assert!(refused.error_message().contains("VDM_ALLOWED_HOSTS"), "{refused}");
    let gateway = setup.env("VDM_ALLOWED_HOSTS", "other.example Gateway.Corp.example").start();
    assert_eq!(ask(&gateway, "gateway.corp.EXAMPLE:8082").status(), 200);
    assert_eq!(ask(&gateway, "evil.example").status(), 403);
}

#[test]
fn a_browser_request_without_origin_spends_no_tokens() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("HOST", "0.0.0.0").start();
    let test = || gateway.call("GET", "/test-connection");
    let browser = || test().header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
    assert_refused(&browser().reply(), "an image on some page");
    assert_eq!(upstream.count(), 0);
    assert_eq!(browser().header("sec-fetch-site", "none").reply().status(), 200, "a person typed it");
    assert_eq!(test().header("user-agent", "curl/8").reply().status(), 200);
}

#[test]
fn allowed_hosts_apply_after_a_reload() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).file("vandamme-config.toml", "").start();
    let ask = || gateway.messages(&prompt(MODEL, "hi")).replacing_host("box.example").reply();
    assert_eq!(ask().status(), 403);
    gateway.run.write("vandamme-config.toml", "allowed-hosts = ['box.example']\n");
    let reloaded = gateway.server(&["reload"]).output().expect("vdm is built");
    assert!(String::from_utf8_lossy(&reloaded.stdout).contains("allowed-hosts"), "{reloaded:?}");
    assert_eq!(ask().status(), 200);
}
