//! `!PASSTHRU`: requests are sent upstream with the client's own key.

use crate::support::canned;
use crate::support::chat;
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::upstream::{Answer, Dialect, Upstream};

fn passing(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).keys(["!PASSTHRU"])
}

fn ask(gateway: &Gateway) -> Call {
    gateway.messages(&prompt(MODEL, "hi"))
}

#[test]
fn an_openai_upstream_receives_the_clients_key_as_a_bearer_token() {
    let upstream = Upstream::openai();
    let gateway = passing(&upstream).start();
    assert_eq!(ask(&gateway).header("x-api-key", "client-key-1").reply().text(), "Hello there!");
    assert_eq!(ask(&gateway).header("authorization", "bearer client-key-2").reply().text(), "Hello there!");
    for (seen, expected) in upstream.requests().iter().zip(["Bearer client-key-1", "Bearer client-key-2"]) {
        assert_eq!(seen.head.header("authorization"), Some(expected));
    }
    assert!(upstream.requests().iter().all(|seen| seen.head.header("x-api-key").is_none()));
}

#[test]
fn a_clients_key_is_read_from_api_key_and_without_a_scheme() {
    let gateways = "sk-gateway-0123";
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let gateway = passing(&upstream).env("PROXY_API_KEY", gateways).start();
        for name in ["api-key", "authorization"] {
            let reply =
                ask(&gateway).header("x-vdm-proxy-key", gateways).header(name, "client-key-3").reply();
            assert_eq!(reply.text(), "Hello there!", "{name}: {reply}");
            let refused = ask(&gateway).header(name, gateways).reply();
            assert_eq!(refused.status(), 401, "{name}: the gateway's key is not the client's: {refused}");
        }
        assert_eq!(upstream.count(), 2);
        for seen in upstream.requests() {
            let credential = match upstream.dialect() {
                Dialect::Anthropic => ("x-api-key", "client-key-3"),
                Dialect::OpenAi => ("authorization", "Bearer client-key-3"),
            };
            assert_eq!(seen.head.header(credential.0), Some(credential.1));
            assert!(seen.head.header("api-key").is_none());
        }
    }
}

/// Anthropic's SDKs send a key as a bearer token, older ones in `x-api-key`.
///
/// Requirement: A passthrough provider gets the client's key upstream; without one → 401 naming the provider.
/// Requirement: `x-api-key: ck` or `Authorization: Bearer ck` is forwarded; `x-api-key` wins when both are sent.
/// Requirement: `Authorization: bearer ck` (any case) is accepted.
#[test]
fn an_anthropic_upstream_receives_the_clients_key_in_the_clients_header() {
    let count = "/v1/messages/count_tokens";
    for path in ["/v1/messages", count] {
        let upstream = Upstream::anthropic();
        let upstream =
            upstream.ruled_by(move |_| (path == count).then(|| Answer::json(200, "{\"input_tokens\": 3}")));
        let gateway = passing(&upstream).start();
        for (name, value, other) in [
            ("x-api-key", "client-key-1", "authorization"),
            ("authorization", "Bearer client-key-2", "x-api-key"),
        ] {
            let call = gateway.call("POST", path).json(&prompt(MODEL, "hi"));
            let reply = call.header("anthropic-version", "2026-10-21").header(name, value).reply();
            assert_eq!(reply.status(), 200, "{reply}");
            let requests = upstream.requests();
            let seen = requests.last().expect("a request");
            assert_eq!((seen.head.header(name), seen.head.header(other)), (Some(value), None), "{path}");
            assert_eq!(seen.head.header("anthropic-version"), Some("2026-10-21"));
        }
    }
}

/// A Chat Completions client can send its key only in this header.
#[test]
fn a_chat_clients_key_is_sent_in_the_header_of_an_anthropic_upstream() {
    let upstream = Upstream::anthropic();
    let gateway = passing(&upstream).start();
    let call = gateway.call("POST", "/v1/chat/completions").json(&chat::whole_prompt(MODEL, "hi"));
    let reply =
        call.header("authorization", "Bearer client-key").header("anthropic-version", "2026-10-21").reply();
    assert_eq!(reply.status(), 200, "{reply}");
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("x-api-key"), Some("client-key"));
    assert_eq!(seen.head.header("authorization"), None);
    assert_eq!(seen.head.header("anthropic-version"), Some("2023-06-01"), "the version of what we write");
}

#[test]
fn a_subscription_token_stays_a_bearer_token() {
    let upstream = Upstream::anthropic();
    let gateway = passing(&upstream).start();
    assert_eq!(ask(&gateway).header("authorization", "Bearer sk-ant-oat01-x").reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("authorization"), Some("Bearer sk-ant-oat01-x"));
    assert_eq!(seen.head.header("x-api-key"), None);
}

/// Requirement: The proxy key never appears in any upstream request header.
/// Requirement: A passthrough provider gets the client's key upstream; without one → 401 naming the provider.
/// Requirement: Passthrough provider, no client key → 401 whose text names the provider and "requires API key
/// passthrough".
/// Requirement: With `PROXY_API_KEY` and a passthrough provider, the proxy key is never sent upstream and the
/// client can supply a separate provider key.
#[test]
fn without_the_clients_key_it_is_a_401_and_no_provider_is_called() {
    let upstream = Upstream::openai();
    let gateway = passing(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for headers in
        [&[("x-api-key", "sk-gateway")][..], &[("x-vdm-proxy-key", "sk-gateway"), ("x-api-key", "")][..]]
    {
        let call = headers.iter().fold(ask(&gateway), |call, (name, value)| call.header(name, value));
        let reply = call.reply();
        assert_eq!((reply.status(), reply.error_type().as_str()), (401, "authentication_error"), "{reply}");
        assert!(reply.error_message().contains("requires API key passthrough"), "{reply}");
        assert!(!reply.raw().contains("x-api-key"), "Claude Code hides such a message: {reply}");
    }
    assert_eq!(upstream.count(), 0);
    let both = ask(&gateway).header("x-api-key", "client-key").header("authorization", "Bearer sk-gateway");
    assert_eq!(both.reply().status(), 200);
    assert_eq!(upstream.keys_seen(), ["client-key"]);
}

/// Requirement: Passthrough provider: 401 passes as 401, one upstream call only.
/// Requirement: Upstream 401 on a passthrough provider reaches the client as 401, one attempt.
#[test]
fn one_clients_invalid_key_does_not_affect_others_and_is_not_retried() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let body = match upstream.dialect() {
            Dialect::Anthropic => {
                canned::anthropic::error("authentication_error", "bad client-key-of-mallory")
            }
            Dialect::OpenAi => {
                canned::openai::error("bad client-key-of-mallory", "invalid_request_error", "x")
            }
        };
        let upstream = upstream
            .answering_key("client-key-of-mallory", Answer::json(401, body))
            .answering_key("client-key-limited", Answer::json(429, "{}"));
        let gateway = passing(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..12 {
            assert_eq!(ask(&gateway).header("x-api-key", "client-key-of-mallory").reply().status(), 401);
            assert_eq!(ask(&gateway).header("x-api-key", "client-key-limited").reply().status(), 429);
        }
        assert_eq!(upstream.count(), 24, "each is told what the upstream says, at once");
        let good =
            gateway.messages(&whole_prompt(MODEL, "hi")).header("x-api-key", "client-key-of-alice").reply();
        assert_eq!(good.status(), 200, "{good}");
        assert!(!gateway.stop().contains("mallory"));
    }
}

#[test]
fn lists_of_models_are_separate_for_each_client() {
    let list = |id: &str| Answer::json(200, format!(r#"{{"data":[{{"id":"{id}"}}]}}"#));
    let upstream =
        Upstream::openai().answering_key("client-a", list("of-a")).answering_key("client-b", list("of-b"));
    let gateway = passing(&upstream).start();
    for (key, id) in [("client-a", "of-a"), ("client-b", "of-b"), ("client-a", "of-a")] {
        let reply = gateway.call("GET", "/v1/models").header("x-api-key", key).reply();
        assert_eq!(reply.json()["data"][0]["id"], id);
    }
    assert_eq!(gateway.get("/v1/models").status(), 401);
    assert_eq!(upstream.count(), 3);
}

/// Deviates from the original ("`/health` provider entries have `api_format`, `base_url`, `auth_mode`,
/// `models_url`, `api_key_hash`"): callers without access receive only the status.
#[test]
fn health_reports_the_mode_and_no_key() {
    let upstream = Upstream::openai();
    let gateway = passing(&upstream).start();
    ask(&gateway).header("x-api-key", "client-key").reply();
    let health = gateway.get("/health?format=json").json();
    let provider = &health["providers"]["openai"];
    assert_eq!(
        (&provider["auth_mode"], &provider["api_key_hash"]),
        (&"passthrough".into(), &"sha256:PASSTHRU".into())
    );
    assert!(gateway.log().contains("the client's own key"));
}
