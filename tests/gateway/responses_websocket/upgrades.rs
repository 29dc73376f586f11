//! Which requests open a WebSocket.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{before, create, user};
use crate::support::await_that;
use crate::support::client::{Exchange, connect};
use crate::support::tls_client::Identity;
use crate::support::upstream::Upstream;
use crate::support::websocket::{Socket, upgrade};

/// The status and the error message of an upgrade that is refused.
fn refused(mut exchange: Exchange) -> (u16, String) {
    let status = exchange.status();
    assert_eq!(exchange.head().header("connection").map(|value| value.contains("close")), Some(true));
    let reply = exchange.finish();
    assert!(reply.complete, "{reply}");
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    (status, body["error"]["message"].as_str().unwrap_or_default().to_owned())
}

/// Requirement: with the setting off, and for another version of the protocol, an upgrade gets 426: Codex then uses HTTP at once.
#[test]
fn an_upgrade_that_is_not_wanted_gets_426() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let other = upgrade(gateway.address).header("openai-beta", "responses_websockets=2026-02-04");
    let (status, message) = refused(other.send());
    assert!(status == 426 && message.contains("2026-02-06"), "{status} {message}");
    let off = before(&upstream).limit("websockets", 0).start();
    let (status, message) = refused(upgrade(off.address).send());
    assert!(status == 426 && message.contains("limits.websockets"), "{status} {message}");
    let reply =
        off.call("POST", "/v1/responses").json(&json!({"model": "m", "input": "hi", "stream": true})).reply();
    assert_eq!(reply.status(), 200, "{reply}");
}

/// Requirement: a GET without an upgrade gets what a wrong method gets; OpenAI's SDKs name no version; common mistakes in the base
/// URL are served.
#[test]
fn only_an_upgrade_opens_a_websocket() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let plain = gateway.get("/v1/responses");
    assert_eq!((plain.status(), plain.head.header("allow")), (405, Some("POST")), "{plain}");
    for path in ["/v1/responses", "/v1/responses/", "/responses", "/v1/v1/responses?a=b"] {
        let call = gateway
            .call("GET", path)
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "websocket");
        let call = call
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let mut socket = Socket::opened_by(&call, gateway.address);
        socket.send(&create(&json!([user("hi")])));
        socket.response();
    }
}

/// Requirement: a handshake that the RFC forbids is refused.
#[test]
fn a_bad_handshake_is_refused() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let begun = || {
        gateway.call("GET", "/v1/responses").header("connection", "upgrade").header("upgrade", "websocket")
    };
    for (version, key) in [("12", "dGhlIHNhbXBsZSBub25jZQ=="), ("13", "short"), ("13", "")] {
        let call = begun().header("sec-websocket-version", version).header("sec-websocket-key", key);
        let (status, message) = refused(call.send());
        assert!(status == 400 && message.contains("handshake"), "{status} {message}");
    }
}

/// Requirement: a refused upgrade ends the connection: what follows it is no request.
#[test]
fn no_request_is_served_after_a_refused_upgrade() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).limit("websockets", 0).start();
    let stream = connect(gateway.address);
    let mut bytes = upgrade(gateway.address).bytes();
    bytes.extend(gateway.call("GET", "/health").bytes());
    (&stream).write_all(&bytes).expect("the gateway takes it");
    let mut exchange = Exchange::new(stream);
    assert_eq!(exchange.status(), 426);
    let text = String::from_utf8_lossy(&exchange.finish().body).into_owned();
    assert!(!text.contains("HTTP/1.1"), "{text}");
}

/// Requirement: access as at the HTTP endpoint, for the upgrade and for each response.
#[test]
fn a_websocket_requires_the_key_of_the_gateway() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for key in [None, Some("Bearer wrong")] {
        let call = upgrade(gateway.address);
        let call = key.map_or_else(|| call.clone(), |key| call.clone().header("authorization", key));
        assert_eq!(refused(call.send()).0, 401);
    }
    let call = upgrade(gateway.address).header("authorization", "Bearer sk-gateway");
    let mut socket = Socket::opened_by(&call, gateway.address);
    socket.send(&create(&json!([user("hi")])));
    socket.response();
    let seen = upstream.only_request();
    assert_eq!((seen.key(), seen.text().contains("sk-gateway")), ("sk-test", false));
}

/// Requirement: a key that is withdrawn serves no further response.
#[test]
fn a_withdrawn_key_ends_with_the_next_response() {
    let upstream = Upstream::openai();
    let keys = "[client-keys]\nalice = 'sk-alice-1234567890'\nbob = 'sk-bob-1234567890'\n";
    let gateway = before(&upstream).toml(keys).start();
    let call = upgrade(gateway.address).header("authorization", "Bearer sk-alice-1234567890");
    let mut socket = Socket::opened_by(&call, gateway.address);
    socket.send(&create(&json!([user("hi")])));
    socket.response();
    gateway.run.write("test.toml", "[client-keys]\nbob = 'sk-bob-1234567890'\n");
    assert!(gateway.server(&["reload"]).status().expect("vdm is built").success());

    socket.send(&create(&json!([user("hi")])));

    let error = socket.json();
    assert_eq!((&error["status"], &error["error"]["code"]), (&json!(401), &json!("invalid_api_key")));
    assert_eq!(upstream.count(), 1);
}

/// Requirement: pages of other sites open no WebSocket, which browsers allow without CORS; neither does a forwarded request.
#[test]
fn web_pages_and_forwarded_requests_open_no_websocket() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("x-forwarded-for", "10.0.0.1"),
        ("user-agent", "Mozilla/5.0"),
    ] {
        assert_eq!(refused(upgrade(gateway.address).header(name, value).send()).0, 403, "{name}: {value}");
    }
    let rebound = upgrade(gateway.address).replacing_host("evil.example");
    assert_eq!(refused(rebound.send()).0, 403);
    let looped = upgrade(gateway.address).header("x-vdm-hop", "1");
    assert_eq!(refused(looped.send()).0, 508);
}

/// Requirement: the number of WebSockets has a bound of its own, and a closed one makes room.
#[test]
fn beyond_the_limit_an_upgrade_gets_426() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).limit("websockets", 2).start();
    let first = Socket::open(gateway.address);
    let mut second = Socket::open(gateway.address);
    assert_eq!(refused(upgrade(gateway.address).send()).0, 426);
    second.send(&create(&json!([user("hi")])));
    second.response();
    first.hang_up();
    await_that("there is room", || upgrade(gateway.address).send().status() == 101);
}

#[test]
fn a_websocket_works_over_tls() {
    let (upstream, identity) = (Upstream::openai(), Identity::new());
    let gateway = before(&upstream)
        .file("vandamme-config.toml", "tls-cert = 'tls/cert.pem'\ntls-key = 'tls/key.pem'\n")
        .file("tls/cert.pem", &identity.certificate)
        .file("tls/key.pem", &identity.key)
        .start();
    let mut socket = Socket::open(identity.tunnel(gateway.address));
    let large = "x".repeat(3 << 20);
    socket.send(&create(&json!([user(&large)])));
    socket.response();
    assert!(upstream.only_request().text().contains(&large));
}
