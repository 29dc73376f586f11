//! Upstreams that echo the key of a call in any place: no client receives it, even after the key has been removed
//! from the configuration.

use std::fmt::Write as _;

use serde_json::json;

use super::{assert_no_canary, reload_with_gateway_key, with_gateway_key};
use crate::running_totals::{Way, ways};
use crate::support::canned::{anthropic, openai};
use crate::support::client::{Call, Exchange};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect, Upstream};

/// The key of the calls in flight.
const KEY: &str = "sk-canary-one-0123456789";
const HEADER: &str = "canary-header-012345678";
const GATEWAY_KEYS: [&str; 3] =
    ["canary-proxy-key-012345", "canary-proxy-key-second-1", "canary-proxy-key-third-22"];
/// `user:` and the key in HTTP's Basic scheme.
const BASIC: &str = "dXNlcjpzay1jYW5hcnktb25lLTAxMjM0NTY3ODk=";

fn config(upstream: &Upstream, round: usize) -> String {
    let format = match upstream.dialect() {
        Dialect::Anthropic => "anthropic",
        Dialect::OpenAi => "openai",
    };
    let key = [KEY, "sk-canary-two-0123456789", "sk-canary-three-0123456789"][round];
    let mut file = format!("[p]\napi-key = '{key}'\nbase-url = '{}'\n", upstream.base_url());
    let _written = writeln!(file, "api-format = '{format}'\nmax-retries = 0");
    if round == 0 {
        let _written = writeln!(file, "[p.custom-headers]\nx-upstream-secret = '{HEADER}'");
    }
    file
}

fn error(dialect: Dialect, message: &str) -> String {
    match dialect {
        Dialect::OpenAi => openai::error(message, "server_error", "x"),
        Dialect::Anthropic => anthropic::error("invalid_request_error", message),
    }
}

fn error_event(dialect: Dialect, message: &str) -> Vec<u8> {
    match dialect {
        Dialect::OpenAi => openai::data(&json!({"error": {"message": message}})),
        Dialect::Anthropic => {
            anthropic::event(&json!({"type": "error", "error": {"type": "api_error", "message": message}}))
        }
    }
}

/// A valid answer of this upstream.
fn good(way: Way, text: &str) -> Answer {
    match (way.provider, way.stream) {
        (Dialect::OpenAi, true) => Answer::events(openai::text(&[text])),
        (Dialect::Anthropic, true) => Answer::events(anthropic::text(&[text])),
        (Dialect::OpenAi, false) => Answer::json(200, openai::whole(text)),
        (Dialect::Anthropic, false) => Answer::json(200, anthropic::whole(text)),
    }
}

/// Every response header that may contain the key.
fn in_headers(answer: Answer) -> Answer {
    [
        ("request-id", KEY.to_owned()),
        ("x-request-id", format!("req_{KEY}")),
        ("x-should-retry", KEY.to_owned()),
        ("anthropic-organization-id", format!("Bearer {KEY}")),
        ("openai-organization", HEADER.to_owned()),
        ("x-ratelimit-key", KEY.replace('-', "%2d")),
        ("x-ratelimit-auth", format!("Basic {BASIC}")),
        ("retry-after", KEY.to_owned()),
        ("location", format!("https://other.example/?key={KEY}")),
        ("set-cookie", format!("key={KEY}")),
    ]
    .into_iter()
    .fold(answer, |answer, (name, value)| answer.header(name, &value))
}

fn echoes(way: Way) -> Vec<Answer> {
    let dialect = way.provider;
    let said = format!("cannot serve {KEY} with {HEADER} today");
    let escaped = error(dialect, "cannot serve KEY today").replace("KEY", &KEY.replace('-', "\\u002d"));
    let mut late = match dialect {
        Dialect::OpenAi => vec![openai::role(), openai::content("Hello")],
        Dialect::Anthropic => vec![
            anthropic::start(),
            anthropic::block_start(0, &json!({"type": "text", "text": ""})),
            anthropic::text_delta("Hello"),
        ],
    };
    late.push(error_event(dialect, &said));
    vec![
        Answer::json(400, error(dialect, &said)),
        Answer::json(500, error(dialect, &said)),
        Answer::json(404, error(dialect, &format!("see /login?key={}", KEY.replace('-', "%2D")))),
        Answer::json(400, error(dialect, &format!("sent: authorization: Basic {BASIC}"))),
        Answer::json(400, escaped),
        Answer::json(400, error(dialect, &error(dialect, &said))),
        Answer::json(200, error(dialect, &said)),
        Answer::json(200, format!("{{\"echo\": {{\"authorization\": \"Bearer {KEY}\"}}}}")),
        Answer::json(200, format!("nonsense {said}")),
        Answer::whole(403, "text/html", format!("<title>{said}</title>")),
        Answer::whole(200, &format!("text/{KEY}"), "x"),
        Answer::json(302, "").header("location", &format!("https://other.example/{KEY}")),
        Answer::bare(format!("HTTP/1.1 400 {said}\r\ncontent-length: 0\r\n\r\n")),
        Answer::events(vec![error_event(dialect, &said)]),
        Answer::events(late),
        good(way, &format!("the key was {KEY}, and {HEADER}")),
        in_headers(good(way, "Hello")),
        in_headers(Answer::json(400, error(dialect, &said))),
        in_headers(Answer::events(vec![error_event(dialect, &said)])),
    ]
}

fn ask(gateway: &Gateway, way: Way) -> Exchange {
    let body = json!({"model": MODEL, "max_tokens": 9, "stream": way.stream,
                      "messages": [{"role": "user", "content": "hi"}]});
    gateway.call("POST", way.endpoint).header("x-api-key", GATEWAY_KEYS[0]).json(&body).send()
}

#[test]
fn a_key_replaced_by_two_reloads_is_still_removed_from_replies() {
    for way in ways() {
        let upstream = way.upstream();
        let gateway =
            with_gateway_key(GATEWAY_KEYS[0]).toml(&config(&upstream, 0)).env("LOG_LEVEL", "DEBUG").start();
        let calls: Vec<_> = echoes(way)
            .into_iter()
            .enumerate()
            .map(|(number, answer)| {
                upstream.then(answer.head_on_permit());
                let call = ask(&gateway, way);
                assert_eq!(upstream.request(number).key(), KEY);
                call
            })
            .collect();
        for round in [1, 2] {
            gateway.run.write("test.toml", &config(&upstream, round));
            reload_with_gateway_key(&gateway, GATEWAY_KEYS[round]);
        }
        calls.iter().for_each(|_| upstream.permit());
        let mut redacted = 0;
        for call in calls {
            let reply = call.finish().to_string();
            assert_no_canary(&format!("a reply of {way:?}"), &reply);
            redacted += usize::from(reply.contains("[key]"));
        }
        assert!(redacted >= 6, "{way:?}: only {redacted} say that something was left out");
        for path in [
            "/metrics/logs",
            "/metrics/running-totals?format=json",
            "/metrics/active-requests",
            "/health?format=json",
            "/health",
        ] {
            let told = gateway.call("GET", path).header("x-api-key", GATEWAY_KEYS[2]).reply();
            assert_eq!(told.status(), 200, "{path}: {told}");
            assert_no_canary(path, &told.to_string());
        }
        assert_no_canary("the log", &gateway.stop());
    }
}

#[test]
fn text_that_the_client_sent_is_returned_unchanged() {
    for way in ways() {
        let text = format!("OPENAI_API_KEY={KEY}");
        let upstream = way.upstream().always(good(way, &text));
        let gateway = with_gateway_key(GATEWAY_KEYS[0]).toml(&config(&upstream, 0)).start();
        let body = json!({"model": MODEL, "max_tokens": 9, "stream": way.stream,
                          "messages": [{"role": "user", "content": format!("edit this: {text}")}]});
        let reply =
            gateway.call("POST", way.endpoint).header("x-api-key", GATEWAY_KEYS[0]).json(&body).reply();
        assert!(reply.status() == 200 && reply.raw().contains(&text), "{way:?} {reply}");
    }
}

#[test]
fn headers_without_keys_are_forwarded_with_all_their_values() {
    for way in ways() {
        let upstream = way.upstream().always(
            Answer::json(400, error(way.provider, "no"))
                .header("anthropic-warning", "one")
                .header("anthropic-warning", "two")
                .header("x-ratelimit-remaining", "7"),
        );
        let gateway = Gateway::before(&upstream).start();
        let reply = way.ask(&gateway).reply();
        assert_eq!(reply.header("x-ratelimit-remaining"), Some("7"), "{way:?} {reply}");
        assert_eq!(reply.head.count("anthropic-warning"), 2, "{way:?} {reply}");
    }
}

#[test]
fn placeholder_keys_are_not_removed_from_messages() {
    let message = "model 'llama3' not found, try pulling with ollama pull llama3; max_tokens: none of 8";
    for key in ["ollama", "none", "x", "max", "tokens", "llama3"] {
        for way in ways() {
            let upstream = way.upstream().always(Answer::json(400, error(way.provider, message)));
            let gateway = Gateway::before(&upstream).keys([key]).start();
            let reply = way.ask(&gateway).reply();
            assert!(reply.raw().contains(message), "{key} {way:?} {reply}");
        }
    }
}

#[test]
fn lists_of_models_and_token_counts_contain_no_key() {
    let list = format!("{{\"data\": [{{\"id\": \"m\", \"note\": \"{KEY}\"}}], \"echo\": \"Bearer {KEY}\"}}");
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let upstream = upstream.always(in_headers(Answer::json(200, list.clone())));
        let gateway = with_gateway_key(GATEWAY_KEYS[0]).toml(&config(&upstream, 0)).start();
        let with_key = |call: Call| call.header("x-api-key", GATEWAY_KEYS[0]).reply();
        for path in ["/v1/models?format=raw", "/v1/models?format=openai", "/v1/models/p:m?format=raw"] {
            let listed = with_key(gateway.call("GET", path));
            assert!(listed.status() == 200 && listed.raw().contains("[key]"), "{path}: {listed}");
            assert_no_canary(path, &listed.to_string());
        }
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
        let counted = with_key(gateway.call("POST", "/v1/messages/count_tokens").json(&body));
        assert_eq!(counted.status(), 200, "{counted}");
        assert_no_canary("a count", &counted.to_string());
    }
}
