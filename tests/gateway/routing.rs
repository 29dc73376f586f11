//! The endpoints: which exist, which do not, and the error for an unknown path.

use serde_json::json;

use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

/// Requirement: POST `/v1/messages` with a valid minimal body and scripted OpenAI upstream returns 200,
/// `type:"message"`, `role:"assistant"`.
#[test]
fn a_minimal_request_is_answered() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.ask_whole("hello");
    let message = reply.message();
    assert_eq!(message["type"], "message");
    assert_eq!(message["role"], "assistant");
    assert_eq!(reply.text(), "Hello there!");
    assert!(message["id"].as_str().is_some_and(|id| id.starts_with("msg_")), "{reply}");
}

/// Requirement: HEAD `/` and `/health` → 200; unknown path → JSON 404.
#[test]
fn the_endpoints_for_probes_answer() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for target in ["/", "/health", "/api/hello"] {
        let reply = gateway.call("HEAD", target).reply();
        assert_eq!(reply.status(), 200, "HEAD {target}");
        assert_eq!(reply.raw(), "", "HEAD {target}");
    }
}

/// Requirement: GET `/` has `status:"running"` and the eight endpoint links.
#[test]
fn the_root_path_names_the_gateway_and_its_version() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let root = gateway.get("/").json();
    assert_eq!(root["status"], "running");
    for (name, path) in [
        ("messages", "/v1/messages"),
        ("count_tokens", "/v1/messages/count_tokens"),
        ("running_totals", "/metrics/running-totals"),
        ("active_requests", "/metrics/active-requests"),
        ("active_requests_stream", "/metrics/active-requests/stream"),
        ("logs", "/metrics/logs"),
        ("models", "/v1/models"),
        ("aliases", "/v1/aliases"),
        ("top_models", "/top-models"),
        ("health", "/health"),
        ("test_connection", "/test-connection"),
    ] {
        assert_eq!(root["endpoints"][name], path);
    }
    assert!(
        root["message"].as_str().is_some_and(|words| words.contains(env!("CARGO_PKG_VERSION"))),
        "{root}"
    );
    let listed: Vec<&str> =
        root["endpoints"].as_object().expect("a map").values().filter_map(|v| v.as_str()).collect();
    for target in listed {
        assert_ne!(gateway.call("GET", target).open().status(), 404, "{target} is listed but absent");
    }
}

/// Requirement: `/health` returns `text/yaml; charset=utf-8`, inline disposition, parses to a map with `status`
/// and `providers`.
#[test]
fn health_is_readable_yaml() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.get("/health");
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("content-type"), Some("text/yaml; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    assert!(
        reply
            .header("content-disposition")
            .is_some_and(|value| value.starts_with("inline; filename=health-"))
    );
    let text = reply.raw();
    assert!(text.lines().any(|line| line == "status: healthy"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("providers:")), "{text}");
    let provider =
        text.lines().any(|line| line.trim_matches([' ', '\'', ':']) == "openai" && line.starts_with("  "));
    assert!(provider, "{text}");
    assert!(text.contains(&upstream.base_url()), "{text}");
}

/// Deviates from the original ("`/health` provider entries have `api_format`, `base_url`, `auth_mode`,
/// `models_url`, `api_key_hash`"): callers without access receive only the status.
#[test]
fn health_is_json_on_request() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let asked = [
        gateway.get("/health?format=json"),
        gateway.call("GET", "/health").header("accept", "application/json").reply(),
    ];
    for reply in asked {
        let health = reply.json();
        assert_eq!(health["status"], "healthy", "{reply}");
        assert_eq!(health["default_provider"], "openai", "{reply}");
        let provider = &health["providers"]["openai"];
        assert_eq!(provider["api_format"], "openai");
        assert_eq!(provider["base_url"], upstream.base_url());
    }
}

/// Deviates from the original ("`/health` provider entries have `api_format`, `base_url`, `auth_mode`,
/// `models_url`, `api_key_hash`"): callers without access receive only the status.
/// Requirement: Same for `/test-connection`, `/v1/models`, `/profiles`; `/health` stays open.
#[test]
fn a_caller_without_access_receives_only_the_health_status() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "front-endpoint-key").start();
    let stranger = gateway.get("/health");
    assert_eq!(stranger.status(), 200);
    assert!(stranger.raw().contains("status: healthy"), "{stranger}");
    assert!(!stranger.raw().contains("openai"), "{stranger}");
    assert!(!stranger.raw().contains(&upstream.base_url()), "{stranger}");
    let known = gateway.call("GET", "/health").header("x-api-key", "front-endpoint-key").reply();
    assert!(known.raw().contains(&upstream.base_url()), "{known}");
}

#[test]
fn without_a_gateway_key_only_local_callers_have_access() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    // A browser on a page with another host name, and a local proxy that forwards another client's request.
    let strangers = [
        gateway.call("GET", "/health").replacing_host("evil.example"),
        gateway.call("GET", "/health").header("x-forwarded-for", "192.0.2.7"),
        gateway.call("GET", "/health").header("forwarded", "for=192.0.2.7"),
        gateway.call("GET", "/health?format=json").replacing_host("evil.example:8082"),
    ];
    for call in strangers {
        let reply = call.reply();
        assert_eq!(reply.status(), 200, "{reply}");
        assert!(!reply.raw().contains(&upstream.base_url()), "{reply}");
    }
    let port = gateway.address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]".to_owned()] {
        let reply = gateway.call("GET", "/health").replacing_host(&host).reply();
        assert!(reply.raw().contains(&upstream.base_url()), "{host}: {reply}");
    }
}

/// Requirement: HEAD `/` and `/health` → 200; unknown path → JSON 404.
#[test]
fn an_unknown_path_is_a_404_in_json() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for target in ["/nowhere", "/v1/messages/nowhere", "/v2/models", "/metrics/nowhere"] {
        let reply = gateway.get(target);
        assert_eq!(reply.status(), 404, "{target}");
        assert_eq!(reply.error_type(), "not_found_error", "{target}");
    }
}

#[test]
fn a_wrong_method_is_a_405_that_names_the_right_one() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for method in ["GET", "PUT", "DELETE"] {
        let reply = gateway.call(method, "/v1/messages").reply();
        assert_eq!(reply.status(), 405, "{method}");
        assert!(reply.header("allow").is_some_and(|allow| allow.contains("POST")), "{reply}");
        assert_eq!(reply.error_type(), "invalid_request_error");
    }
}

#[test]
fn a_query_a_trailing_slash_and_any_content_type_are_accepted() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for target in ["/v1/messages?beta=true", "/v1/messages/"] {
        let reply = gateway.call("POST", target).json(&prompt(MODEL, "hello")).reply();
        assert_eq!(reply.text(), "Hello there!", "{target}");
    }
    let body = prompt(MODEL, "hello").to_string();
    let reply = gateway.call("POST", "/v1/messages").header("content-type", "text/plain").body(body).reply();
    assert_eq!(reply.text(), "Hello there!");
}

#[test]
fn an_invalid_body_is_a_400_that_says_why_and_quotes_nothing() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let bodies = [
        "",
        "{\"model\": \"canary",
        "[\"canary\"]",
        "\"canary\"",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"canary\"}], \"max_tokens\": 5}",
        "{\"model\": 5, \"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"canary\"}]}",
        "{\"model\": \"m\", \"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"canary\"}]} canary",
        "\u{0}canary",
    ];
    for body in bodies {
        let reply = gateway
            .call("POST", "/v1/messages")
            .header("content-type", "application/json")
            .body(body)
            .reply();
        assert_eq!(reply.status(), 400, "{body}: {reply}");
        let (kind, message) = reply.error();
        assert_eq!(kind, "invalid_request_error", "{body}");
        assert!(!message.contains("canary") && !message.is_empty(), "{body}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_error_for_a_missing_model_says_so() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = json!({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    assert!(gateway.messages(&body).reply().error_message().contains("model"));
}

/// Requirement: `max_tokens: 0` or missing → 400 `invalid_request_error` with the field name, without echoing the
/// prompt.
#[test]
fn missing_or_zero_max_tokens_and_empty_messages_are_400s_that_name_the_field() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let asked = [
        ("max_tokens", json!({"model": MODEL, "messages": [{"role": "user", "content": "canary"}]})),
        (
            "max_tokens",
            json!({"model": MODEL, "max_tokens": 0, "messages": [{"role": "user", "content": "canary"}]}),
        ),
        ("messages", json!({"model": MODEL, "max_tokens": 5})),
        ("messages", json!({"model": MODEL, "max_tokens": 5, "messages": []})),
    ];
    for (field, body) in asked {
        let reply = gateway.messages(&body).reply();
        assert_eq!(reply.status(), 400, "{body}");
        let (kind, message) = reply.error();
        assert_eq!(kind, "invalid_request_error");
        assert!(message.contains(field) && !message.contains("canary"), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_over_the_limit_is_a_413_without_a_call() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).limit("request-body", 4096).start();
    let fits = gateway.ask(&"x".repeat(3000));
    assert_eq!(fits.text(), "Hello there!");
    let reply = gateway.ask(&"x".repeat(5000));
    assert_eq!(reply.status(), 413);
    assert_eq!(reply.error_type(), "request_too_large");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn forty_mebibytes_are_a_413_by_default_and_thirty_pass() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask_whole(&"x".repeat(30 << 20)).status(), 200);
    // The body is not sent: the declared length alone is refused.
    let declared = gateway
        .call("POST", "/v1/messages")
        .header("content-length", &(40_u32 << 20).to_string())
        .header("content-type", "application/json")
        .reply();
    assert_eq!(declared.status(), 413);
    assert_eq!(declared.error_type(), "request_too_large");
}

#[test]
fn every_answer_has_a_request_id_and_errors_repeat_it() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let answers = [gateway.ask("hello"), gateway.ask_whole("hello")];
    for reply in answers {
        assert!(reply.header("request-id").is_some_and(|id| !id.is_empty()), "{reply}");
    }
    let refused = gateway.call("POST", "/v1/messages").body("{").reply();
    let id = refused.header("request-id").expect("on errors too");
    assert!(id.starts_with("req_"), "{id}");
    assert_eq!(refused.json()["request_id"], id);
}

/// Requirement: With `PROXY_API_KEY` unset any or no key is accepted.
#[test]
fn without_a_gateway_key_requests_need_none() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let call = gateway.messages(&prompt(MODEL, "hello"));
    assert_eq!(call.reply().status(), 200);
    assert_eq!(call.header("x-api-key", "anything").reply().status(), 200);
}

/// Requirement: With `PROXY_API_KEY` set, missing key → 401; right `x-api-key` → 200; right `Authorization:
/// Bearer` → 200.
/// Requirement: `authorization: bearer <key>` in lower case is accepted.
/// Requirement: The 401 for a missing gateway key has the Anthropic error body on `/v1/messages`, the OpenAI body
/// on `/v1/chat/completions`.
/// Requirement: The proxy key never appears in any upstream request header.
/// Requirement: `PROXY_API_KEY=s`: missing or wrong key → 401 on `/v1/messages`, count_tokens, chat,
/// `/v1/aliases`, `/top-models`, `/metrics/*`, also with an invalid body.
#[test]
fn with_a_gateway_key_only_requests_with_it_are_served() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "front-endpoint-key").start();
    let call = || gateway.messages(&prompt(MODEL, "hello"));
    let refused = [
        call().reply(),
        call().header("x-api-key", "front-endpoint-ke").reply(),
        call().header("authorization", "Bearer front-endpoint-key2").reply(),
        call().header("authorization", "Basic front-endpoint-key").reply(),
        call().header("authorization", "front-endpoint-key2").reply(),
        call().header("api-key", "Bearer front-endpoint-key").reply(),
    ];
    for reply in refused {
        assert_eq!(reply.status(), 401, "{reply}");
        assert_eq!(reply.error_type(), "authentication_error");
        assert!(!reply.raw().contains("front-endpoint"), "{reply}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(call().header("x-api-key", "front-endpoint-key").reply().status(), 200);
    assert_eq!(call().header("authorization", "Bearer front-endpoint-key").reply().status(), 200);
    assert_eq!(call().header("Authorization", "bearer front-endpoint-key").reply().status(), 200);
    assert_eq!(call().header("authorization", "front-endpoint-key").reply().status(), 200);
    assert_eq!(call().header("api-key", "front-endpoint-key").reply().status(), 200);
    for seen in upstream.requests() {
        assert!(!format!("{:?}", seen.head).contains("front-endpoint-key"), "{:?}", seen.head);
    }
}

#[test]
fn a_connection_serves_several_requests() {
    use std::io::Write as _;

    use crate::support::wire::{Framing, Wire};

    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let mut stream = connect(gateway.address);
    let mut wire = Wire::new(stream.try_clone().unwrap());
    for _ in 0..3 {
        stream.write_all(&gateway.messages(&prompt(MODEL, "hello")).bytes()).unwrap();
        let head = wire.head().unwrap().expect("a reply");
        assert_eq!(head.second_word(), "200");
        wire.body(Framing::of_reply(&head)).unwrap();
    }
}

#[test]
fn a_request_that_went_through_a_gateway_already_is_a_508() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    gateway.ask("hello");
    let hop = upstream.only_request().head.header("x-vdm-hop").expect("we mark what we send").to_owned();
    let reply = gateway.messages(&prompt(MODEL, "hello")).header("x-vdm-hop", &hop).reply();
    assert_eq!(reply.status(), 508);
    assert_eq!(upstream.count(), 1);
}

/// Requirement: Unknown provider on `/v1/messages` → 404 `not_found_error` JSON.
/// Requirement: Unknown prefix on `/v1/messages` → 404 with `type: error`; the message lists the available
/// providers. on `/v1/chat/completions` → 404.
#[test]
fn an_unknown_provider_is_a_404_that_names_it() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.messages(&prompt("nobody:some-model", "hello")).reply();
    assert_eq!(reply.status(), 404);
    let (kind, message) = reply.error();
    assert_eq!(kind, "not_found_error");
    assert!(message.contains("nobody"), "{message}");
    assert_eq!(upstream.count(), 0);
}
