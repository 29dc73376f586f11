//! The requests that upstreams receive: the client's bytes except for the model, its headers except for hop-by-hop ones and the key.

use serde_json::{Value, json};

use super::{odd, post};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Seen, Upstream};

/// Requirement: Upstream body equals the client's byte for byte except the model value.
/// Requirement: Unknown parameters reach an OpenAI upstream; `extra_headers` in JSON sets no header.
/// Complaint of gateway users: signatures break because the body was rewritten.
#[test]
fn the_body_is_forwarded_byte_for_byte() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("claude-sonnet-4-5-20250929");
    assert_eq!(post(&gateway, body.clone()).reply().status(), 200);
    assert_eq!(upstream.only_request().text(), body);
}

/// Requirement: Upstream body equals the client's byte for byte except the model value.
/// Complaint of gateway users: signatures break because the body was rewritten.
#[test]
fn only_the_value_of_a_prefixed_model_changes() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("anthropic:some\\u002dmodel")).reply();
    assert_eq!(upstream.only_request().text(), odd("some-model"));
}

#[test]
fn the_last_of_two_models_is_used_and_both_are_replaced() {
    // JSON readers use the last of duplicate keys. An upstream that uses the first must not find another model.
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body =
        "{\"model\":\"anthropic:first\",\"model\":\"anthropic:last\",\"max_tokens\":9,\"messages\":[]}";
    let status = post(&gateway, body).reply().status();
    if status == 400 {
        assert_eq!(upstream.count(), 0);
        return;
    }
    let sent = upstream.only_request();
    assert_eq!(sent.json()["model"], "last");
    assert!(!sent.text().contains("anthropic:"), "{}", sent.text());
}

#[test]
fn the_clients_1m_mark_is_removed() {
    for marked in ["claude-sonnet-4-5[1m]", "claude-sonnet-4-5[1M]", "anthropic:claude-sonnet-4-5[1m]"] {
        let upstream = Upstream::anthropic();
        let gateway = Gateway::before(&upstream).start();
        post(&gateway, odd(marked)).reply();
        assert_eq!(upstream.only_request().text(), odd("claude-sonnet-4-5"), "{marked}");
    }
}

#[test]
fn a_body_larger_than_any_buffer_is_forwarded_whole() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("m").replace("mid", &"é".repeat(700_000));
    post(&gateway, body.clone()).reply();
    assert!(upstream.only_request().text() == body, "the body differs");
}

#[test]
fn a_chunked_request_body_is_read_and_sent_with_a_length() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("m");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let call = gateway.call("POST", "/v1/messages").header("transfer-encoding", "chunked").body(chunked);
    assert_eq!(call.reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.text(), body);
    assert_eq!(seen.head.header("content-length"), Some(body.len().to_string().as_str()));
}

/// Requirement: Anthropic-version, anthropic-beta and query reach the upstream; x-api-key is replaced.
/// Complaint of gateway users: a beta flag that the upstream does not know.
#[test]
fn headers_about_the_client_are_forwarded() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let forwarded = [
        ("anthropic-version", "2099-01-01"),
        ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-from-the-future", "yes"),
        ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
        ("x-app", "cli"),
        ("accept", "application/json"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-timeout", "600"),
        ("x-claude-code-session-id", "6f0c"),
        ("idempotency-key", "once"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-of-the-user", "kept"),
    ];
    let mut call = post(&gateway, odd("m"));
    for (name, value) in forwarded {
        call = call.header(name, value);
    }
    call.reply();
    let head = upstream.only_request().head;
    for (name, value) in forwarded {
        assert_eq!(head.header(name), Some(value), "{name}");
        assert_eq!(head.count(name), 1, "{name}");
    }
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[test]
fn repeated_headers_are_forwarded_repeatedly() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("m")).header("anthropic-beta", "one").header("anthropic-beta", "two").reply();
    let head = upstream.only_request().head;
    let values: Vec<&str> = head
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("anthropic-beta"))
        .map(|(_, v)| v.as_str())
        .collect();
    assert!(values == ["one", "two"] || values == ["one, two"] || values == ["one,two"], "{values:?}");
}

#[test]
fn hop_by_hop_and_unrelated_headers_are_not_forwarded() {
    let upstream = Upstream::anthropic();
    // A gateway on other addresses accepts requests that a proxy forwards.
    let gateway = Gateway::before(&upstream).env("HOST", "0.0.0.0").start();
    let dropped = [
        ("cookie", "session=secret"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("proxy-connection", "keep-alive"),
        ("x-vdm-debug", "1"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("connection", "keep-alive, x-named-by-connection"),
        ("x-named-by-connection", "hop"),
    ];
    let mut call = post(&gateway, odd("m"));
    for (name, value) in dropped {
        call = call.header(name, value);
    }
    assert_eq!(call.reply().status(), 200);
    let head = upstream.only_request().head;
    for (name, value) in dropped {
        let seen = head.header(name);
        assert!(seen.is_none_or(|seen| seen != value), "{name}: {seen:?}");
    }
}

#[test]
fn the_gateway_answers_expect_100_continue_itself() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = post(&gateway, odd("m")).header("expect", "100-continue").send();
    if exchange.status() == 100 {
        exchange.next_head();
    }
    assert_eq!(exchange.finish().status(), 200);
    assert_eq!(upstream.only_request().head.header("expect"), None);
}

#[test]
fn host_length_and_encoding_are_the_gateways_own() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("anthropic:m")).header("accept-encoding", "gzip, br, zstd").reply();
    let head = upstream.only_request().head;
    assert_eq!(head.header("host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(head.header("accept-encoding"), Some("identity"));
    assert_eq!(head.header("content-length"), Some(odd("m").len().to_string().as_str()));
    for single in ["host", "accept-encoding", "content-length", "x-api-key"] {
        assert_eq!(head.count(single), 1, "{single}");
    }
}

/// Requirement: Anthropic-version, anthropic-beta and query reach the upstream; x-api-key is replaced.
/// Requirement: Given `X_API_FORMAT=anthropic`, then upstream path is `/v1/messages` with `x-api-key` and
/// `anthropic-version: 2023-06-01`.
#[test]
fn every_credential_of_the_client_is_replaced_by_the_providers_key() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["configured-key"]).start();
    let call = post(&gateway, odd("m"))
        .header("x-api-key", "client-key")
        .header("authorization", "Bearer client-token")
        .header("api-key", "client-azure")
        .header("x-goog-api-key", "client-goog");
    call.reply();
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("x-api-key"), Some("configured-key"));
    assert!(!format!("{:?}", seen.head).contains("client-"), "{:?}", seen.head);
}

/// Requirement: Given `X_API_FORMAT=anthropic`, then upstream path is `/v1/messages` with `x-api-key` and
/// `anthropic-version: 2023-06-01`.
#[test]
fn anthropic_version_has_a_default() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("m")).reply();
    assert_eq!(upstream.only_request().head.header("anthropic-version"), Some("2023-06-01"));
}

/// Requirement: Anthropic-version, anthropic-beta and query reach the upstream; x-api-key is replaced.
#[test]
fn the_query_is_forwarded() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    gateway.call("POST", "/v1/messages?beta=true&x=%20y").body(odd("m")).reply();
    assert_eq!(upstream.only_request().target(), "/v1/messages?beta=true&x=%20y");
}

#[test]
fn the_path_of_a_base_url_is_kept() {
    let upstream = Upstream::anthropic();
    let url = format!("{}/api/anthropic/", upstream.base_url());
    let gateway = Gateway::before(&upstream).env("ANTHROPIC_BASE_URL", url).start();
    assert_eq!(post(&gateway, odd("m")).reply().status(), 200);
    assert_eq!(upstream.only_request().target(), "/api/anthropic/v1/messages");
}

/// Requirement: Given `HD_CUSTOM_HEADER_X_USER_ID=u1`, then upstream requests of hd carry `X-USER-ID: u1` and
/// those of other providers do not.
#[test]
fn custom_headers_of_the_provider_override_the_clients() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("ANTHROPIC_CUSTOM_HEADER_X_TEAM", "ours").start();
    post(&gateway, odd("m")).header("x-team", "theirs").reply();
    let head = upstream.only_request().head;
    assert_eq!((head.header("x-team"), head.count("x-team")), (Some("ours"), 1));
}

fn history(blocks: &[Value]) -> String {
    json!({"model": "m", "max_tokens": 64, "stream": true, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": "go on"}]})
    .to_string()
}

/// Requirement: Blocks with our marker signature are removed; real signatures stay.
/// Complaint of gateway users: another provider gets a foreign signature.
#[test]
fn thinking_made_by_the_gateway_is_removed_and_real_thinking_stays() {
    let ours = json!({"type": "thinking", "thinking": "made up", "signature": "vdm1.b3BlbmFp.Z3B0"});
    let real = json!({"type": "thinking", "thinking": "real", "signature": "EqQBCgIYAhIMvdm1."});
    let text = json!({"type": "text", "text": "the word \"vdm1.\" in a text"});
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, history(&[ours.clone(), real.clone(), text.clone()])).reply();
    post(&gateway, history(&[real.clone(), ours.clone(), text.clone(), ours])).reply();
    let expected = history(&[real, text]);
    let sent: Vec<String> = upstream.requests().iter().map(Seen::text).collect();
    assert_eq!(sent, [expected.clone(), expected]);
}

/// Complaint of gateway users: the gateway edits the conversation.
#[test]
fn a_body_without_the_gateways_mark_in_a_signature_is_unchanged() {
    let blocks = [
        json!({"type": "text", "text": "{\"signature\":\"vdm1.x\"}"}),
        json!({"type": "tool_use", "id": "t", "name": "n", "input": {"signature": "vdm1.x", "type": "thinking"}}),
    ];
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, history(&blocks)).reply();
    assert_eq!(upstream.only_request().text(), history(&blocks));
}
