//! Responses clients over Responses upstreams: the bytes of requests and replies.

use serde_json::json;

use super::{call, impatient, over_responses, post, streamed_before, whole_before};
use crate::support::canned::responses as canned;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};
use crate::support::websocket::Socket;

/// A request with unusual spaces, unknown members and unknown items.
fn odd(model: &str) -> String {
    format!(
        "{{ \"input\" :[ {{\"type\":\"from_the_future\",\"a\":1.0}}, {{\"role\":\"user\",\"content\":\"h\\u00e9\"}} ],\n \
         \"model\":\"{model}\" , \"previous_response_id\":\"resp_1\",\"store\" : true, \"x\":{{\"model\":\"m\"}} }}"
    )
}

/// Requirement: only the value of `model` changes, whatever the request contains.
#[test]
fn the_request_is_forwarded_byte_for_byte() {
    let upstream = Upstream::openai();
    let gateway = over_responses(&upstream).start();
    assert_eq!(post(&gateway, odd("openai:some-model")).reply().status(), 200);
    assert_eq!(upstream.only_request().text(), odd("some-model"));
}

/// Requirement: reasoning that the gateway has sealed for another upstream does not reach this one, which could not open it.
#[test]
fn sealed_reasoning_is_removed_and_other_reasoning_stays() {
    let upstream = Upstream::openai();
    let gateway = over_responses(&upstream).start();
    let item =
        |sealed: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed});
    let mut body = responses::whole_prompt(MODEL, "hi");
    let foreign = body["input"][0].clone();
    body["input"] = json!([item("vdm1r.anthropic~claude~t~eA"), item("gAAAA"), foreign.clone()]);
    call(&gateway, &body).reply();
    body["input"] = json!([item("gAAAA"), foreign]);
    assert_eq!(upstream.only_request().json(), body);
}

/// Requirement: a summary that the gateway has written reaches an upstream of the Responses API as a text, over HTTP, over a
/// WebSocket, on a fallback, and where the conversation is compacted again.
#[test]
fn own_summaries_reach_the_upstream_as_messages() {
    let first = Upstream::anthropic().always(Answer::json(503, "{}"));
    let second = Upstream::openai();
    let gateway = over_responses(&second)
        .env("MAX_RETRIES", "0")
        .provider("anthropic", &first)
        .toml(&format!("[anthropic.fallbacks]\n\"*\" = [\"openai:{MODEL}\"]"))
        .start();
    // "We did it.", as `POST /v1/responses/compact` returns it.
    let own = json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "vdm1c.V2UgZGlkIGl0Lg"});
    let foreign = json!({"type": "compaction", "id": "cmp_2", "encrypted_content": "gAAAA"});
    let opened = json!({"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": "[Summary of the conversation so far]\nWe did it."}]});
    let mut body = responses::whole_prompt(MODEL, "hi");
    let prompt = body["input"][0].clone();
    body["input"] = json!([own, foreign, prompt]);
    call(&gateway, &body).reply();
    gateway.call("POST", "/v1/responses/compact").body(body.to_string()).reply();
    let mut frame = body.clone();
    (frame["type"], frame["store"]) = (json!("response.create"), json!(false));
    let mut socket = Socket::open(gateway.address);
    socket.send(&frame);
    socket.response();
    for request in second.requests() {
        assert_eq!(request.json()["input"], json!([opened, foreign, prompt]), "{}", request.head.first);
    }
    assert_eq!(second.count(), 3);

    body["model"] = json!(format!("anthropic:{MODEL}"));
    body["input"] = json!([own, prompt]);
    call(&gateway, &body).reply();
    assert!(first.only_request().text().contains("so far]\\nWe did it."));
    assert_eq!(second.requests()[3].json()["input"], json!([opened, prompt]));
}

/// Requirement: replies pass unchanged, streamed and whole, with events and members that the gateway does not know.
#[test]
fn the_reply_is_forwarded_byte_for_byte() {
    let mut events = canned::text(&["Hello"]);
    events.insert(
        3,
        b"event: response.from_the_future\ndata: {\"type\":\"response.from_the_future\", \"sequence_number\":3,\"x\" : 1.0}\n\n"
            .to_vec(),
    );
    let reply = streamed_before(Answer::events(events.clone()));
    assert_eq!(reply.body, events.concat(), "{reply}");
    assert!(reply.complete);

    let body = canned::whole(&[canned::message("Hello"), json!({"type": "from_the_future", "x": 1.5})]);
    let body = body.replace("\"object\":", " \"object\" : ");
    assert_eq!(whole_before(Answer::json(200, body.clone())).raw(), body);
}

/// Requirement: the headers of Codex reach the upstream, and its reply's come back; the gateway's key does not.
#[test]
fn the_headers_of_codex_pass() {
    let upstream = Upstream::openai().always(
        Answer::events(canned::text(&["Hello"]))
            .header("x-codex-turn-state", "sticky")
            .header("x-models-etag", "\"e\"")
            .header("x-request-id", "req_1")
            .header("openai-processing-ms", "7")
            .header("set-cookie", "c"),
    );
    let gateway = over_responses(&upstream).env("PROXY_API_KEY", "gateway-canary").start();
    let passed = [
        ("session-id", "0193"),
        ("thread-id", "0194"),
        ("x-client-request-id", "0195"),
        ("x-codex-window-id", "0193:0"),
        ("x-codex-turn-metadata", "{\"turn_id\":\"t\"}"),
        ("x-codex-beta-features", "a,b"),
        ("originator", "codex_exec"),
        ("openai-beta", "responses=experimental"),
        ("user-agent", "codex_exec/0.171.0"),
    ];
    let mut sent = call(&gateway, &responses::prompt(MODEL, "hi"))
        .header("authorization", "Bearer gateway-canary")
        .header("x-codex-secret", "gateway-canary")
        .header("cookie", "c")
        .header("x-private", "1");
    for (name, value) in passed {
        sent = sent.header(name, value);
    }
    let reply = sent.reply();
    assert_eq!(responses::text(&reply), "Hello");
    assert_eq!(reply.header("x-codex-turn-state"), Some("sticky"));
    assert_eq!(reply.header("openai-processing-ms"), Some("7"));
    // The gateway's own list of models has another tag.
    assert_eq!((reply.header("x-models-etag"), reply.header("set-cookie")), (None, None));
    let head = upstream.only_request().head;
    for (name, value) in passed {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    for name in ["cookie", "x-private", "x-codex-secret"] {
        assert_eq!(head.header(name), None, "{name}");
    }
    assert_eq!(head.header("authorization"), Some("Bearer sk-test"));
}

/// Requirement: an upstream that answers in the other form than asked is converted.
#[test]
fn a_reply_in_the_other_form_is_converted() {
    let whole = canned::whole(&[canned::message("Hello")]);
    let reply = streamed_before(Answer::json(200, whole));
    assert!(reply.is_stream(), "{reply}");
    assert_eq!(responses::text(&reply), "Hello");
    let reply = whole_before(Answer::events(canned::text(&["Hel", "lo"])));
    assert!(!reply.is_stream(), "{reply}");
    assert_eq!(responses::text(&reply), "Hello");
}

/// Requirement: a key of the configuration in a reply is cut out.
#[test]
fn a_key_that_the_upstream_echoes_is_removed() {
    for (answer, is_streamed) in [
        (Answer::events(canned::text(&["the key is sk-echo-canary-1"])), true),
        (Answer::json(200, canned::whole(&[canned::message("the key is sk-echo-canary-1")])), false),
    ] {
        let upstream = Upstream::openai().always(answer);
        let gateway = impatient(&upstream).keys(["sk-echo-canary-1"]).start();
        let reply = if is_streamed { super::ask(&gateway) } else { super::ask_whole(&gateway) };
        assert!(!reply.raw().contains("sk-echo-canary-1"), "{reply}");
    }
}

/// Requirement: Azure's addresses of the Responses API, with its key header.
#[test]
fn azures_addresses_are_its_own() {
    for (base, version, target) in [
        ("", Some("2025-04-01-preview"), "/openai/responses?api-version=2025-04-01-preview"),
        ("/openai/v1", None, "/openai/v1/responses"),
        ("/openai/v1", Some("preview"), "/openai/v1/responses?api-version=preview"),
    ] {
        let upstream = Upstream::openai();
        let mut setup = Gateway::bare()
            .env("AZURE_API_KEY", "sk-test")
            .env("AZURE_BASE_URL", format!("http://{}{base}", upstream.address()))
            .env("AZURE_API_FORMAT", "responses");
        if let Some(version) = version {
            setup = setup.env("AZURE_API_VERSION", version);
        }
        let gateway = setup.start();
        let reply = call(&gateway, &responses::whole_prompt("azure:deployed", "hi")).reply();
        assert_eq!(responses::text(&reply), "Hello there!");
        let seen = upstream.only_request();
        assert_eq!(seen.target(), target);
        assert_eq!(seen.json()["model"], "deployed");
    }
}
