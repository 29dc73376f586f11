//! The requests that upstreams receive: the client's bytes except for the model, and few of its headers.

use serde_json::json;

use super::{call, post};
use crate::support::chat;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

/// An unusual request: spaces, escapes, duplicate and unknown keys, nulls, big and exact numbers, `model` elsewhere.
const ODD: &str = concat!(
    "{ \"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\\u0048i \\ud83d\\ude00 é \\/ ",
    "\\\"model\\\": \\\"x\\\"\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]},",
    "{\"role\":\"from_the_future\",\"content\":null}],\n\t\"model\" : \"MODEL\" , \"top_k\":40,\"n\":1e0,",
    "\"seed\":12345678901234567890123,\"temperature\":1.0,\"logit_bias\":{\"50256\":-1E+2},\"user\":null,",
    "\"provider\":{\"order\":[\"x\"],\"model\":\"inner\"},\"chat_template_kwargs\":{\"enable_thinking\":false},",
    "\"reasoning\":{\"effort\":\"high\"},\"stop\":[],\"stop\":[\"\\n\"],STREAM}\n"
);
const STREAMED: &str = "\"stream_options\": { \"include_usage\" : true },\"stream\" :true";
const WHOLE: &str = "\"stream\":false";

fn odd(model: &str, stream: &str) -> String {
    ODD.replace("MODEL", model).replace("STREAM", stream)
}

/// The request that the upstream receives for this one.
fn arrived(body: &str) -> String {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = post(&gateway, body).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    upstream.only_request().text()
}

/// The head that the upstream receives for this prepared call.
fn head_of(prepare: impl FnOnce(Call) -> Call) -> crate::support::wire::Head {
    let upstream = Upstream::openai();
    // A gateway on other addresses accepts requests that a proxy forwards.
    let gateway = Gateway::before(&upstream).env("HOST", "0.0.0.0").start();
    let reply = prepare(call(&gateway, &chat::prompt(MODEL, "hi"))).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    upstream.only_request().head
}

/// Requirement: Upstream body equals the client's byte for byte except the model value.
/// Requirement: Unknown parameters reach an OpenAI upstream; `extra_headers` in JSON sets no header.
/// Complaint of gateway users: signatures break because the body was rewritten.
#[test]
fn the_body_is_forwarded_byte_for_byte() {
    for stream in [STREAMED, WHOLE, "\"stream\":null", "\"n\":1"] {
        assert_eq!(arrived(&odd("gpt-4o", stream)), odd("gpt-4o", stream));
    }
}

/// Requirement: Upstream body equals the client's byte for byte except the model value.
/// Complaint of gateway users: signatures break because the body was rewritten.
#[test]
fn only_the_value_of_a_prefixed_model_changes() {
    for stream in [STREAMED, WHOLE] {
        assert_eq!(arrived(&odd("openai:some\\u002dmodel", stream)), odd("some-model", stream));
    }
}

#[test]
fn only_the_value_of_an_alias_changes() {
    assert_eq!(arrived(&odd("extract", WHOLE)), odd("gpt-4o", WHOLE));
}

#[test]
fn usage_is_requested_for_every_stream_and_nothing_else_changes() {
    let asks = "\"stream_options\":{\"include_usage\":true}";
    let edits = [
        ("\"stream\":true".to_owned(), format!("\"stream\":true,{asks}")),
        ("\"stream_options\":null,\"stream\":true".to_owned(), format!("{asks},\"stream\":true")),
        ("\"stream_options\":{},\"stream\":true".to_owned(), format!("{asks},\"stream\":true")),
        (
            "\"stream_options\":{\"include_usage\":false,\"include_obfuscation\":false},\"stream\":true"
                .to_owned(),
            "\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},\"stream\":true"
                .to_owned(),
        ),
    ];
    for (said, sent) in edits {
        assert_eq!(arrived(&odd("gpt-4o", &said)), odd("gpt-4o", &sent), "{said}");
    }
}

#[test]
fn the_last_of_two_models_is_used_and_no_other_is_sent() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = post(&gateway, r#"{"model":"nowhere:first","model":"openai:last","messages":[]}"#).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    let sent = upstream.only_request();
    assert_eq!(sent.json()["model"], "last");
    assert!(!sent.text().contains("first"), "{}", sent.text());
}

/// Requirement: Unknown parameters reach an OpenAI upstream; `extra_headers` in JSON sets no header.
#[test]
fn members_of_the_body_do_not_change_the_transport() {
    let options = json!({"model": MODEL, "messages": [], "timeout": 0.001, "max_retries": 9,
        "api_key": "of-the-body", "base_url": "http://192.0.2.1", "extra_query": {"evil": "1"},
        "extra_headers": {"x-evil": "1", "authorization": "Bearer evil"}, "extra_body": {"evil": true}});
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["configured-key"]).start();
    assert_eq!(call(&gateway, &options).reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.json(), options, "what is unknown here may be known there");
    assert_eq!((seen.target(), seen.key()), ("/v1/chat/completions", "configured-key"));
    assert!(!format!("{:?}", seen.head).contains("evil"), "{:?}", seen.head);
}

#[test]
fn only_known_headers_are_forwarded() {
    let passed = [
        ("idempotency-key", "once"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let dropped = [
        ("openai-organization", "org-of-the-client"),
        ("openai-project", "proj-of-the-client"),
        ("openai-beta", "assistants=v2"),
        ("anthropic-beta", "x"),
        ("anthropic-version", "2023-06-01"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-lang", "python"),
        ("x-of-the-user", "1"),
        ("x-evil", "1"),
        ("cookie", "session=secret"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-vdm-debug", "1"),
        ("referer", "http://localhost/"),
        ("http-referer", "http://localhost/"),
        ("te", "trailers"),
        ("connection", "keep-alive, idempotency"),
    ];
    let head = head_of(|call| {
        passed.iter().chain(&dropped).fold(call, |call, (name, value)| call.header(name, value))
    });
    for (name, value) in passed {
        assert_eq!((head.header(name), head.count(name)), (Some(value), 1), "{name}");
    }
    for (name, value) in dropped {
        assert!(head.header(name).is_none_or(|seen| seen != value), "{name} was sent: {head:?}");
    }
    assert_eq!(head.header("content-type"), Some("application/json"));
}

/// Requirement: Anthropic-version, anthropic-beta and query reach the upstream; x-api-key is replaced.
/// Requirement: Given `X_API_FORMAT=anthropic`, then upstream path is `/v1/messages` with `x-api-key` and
/// `anthropic-version: 2023-06-01`.
#[test]
fn every_credential_of_the_client_is_replaced_by_the_providers_key() {
    let head = head_of(|call| {
        call.header("authorization", "Bearer client-token")
            .header("x-api-key", "client-key")
            .header("api-key", "client-azure")
            .header("x-goog-api-key", "client-goog")
    });
    assert_eq!((head.header("authorization"), head.count("authorization")), (Some("Bearer sk-test"), 1));
    assert!(!format!("{head:?}").contains("client-"), "{head:?}");
}

/// Requirement: Given `HD_CUSTOM_HEADER_X_USER_ID=u1`, then upstream requests of hd carry `X-USER-ID: u1` and
/// those of other providers do not.
#[test]
fn custom_headers_of_the_provider_override_the_clients() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream)
        .env("OPENAI_CUSTOM_HEADER_IDEMPOTENCY_KEY", "ours")
        .env("OPENAI_CUSTOM_HEADER_X_TITLE", "ours")
        .start();
    let prompt = chat::prompt(MODEL, "hi");
    call(&gateway, &prompt).header("idempotency-key", "theirs").header("x-title", "theirs").reply();
    let head = upstream.only_request().head;
    for name in ["idempotency-key", "x-title"] {
        assert_eq!((head.header(name), head.count(name)), (Some("ours"), 1), "{name}");
    }
}

#[test]
fn host_length_and_encoding_are_the_gateways_own() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    post(&gateway, odd("openai:m", WHOLE)).header("accept-encoding", "gzip, br, zstd").reply();
    let head = upstream.only_request().head;
    assert_eq!(head.header("host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(head.header("accept-encoding"), Some("identity"));
    assert_eq!(head.header("content-length"), Some(odd("m", WHOLE).len().to_string().as_str()));
    for single in ["host", "accept-encoding", "content-length", "content-type", "user-agent"] {
        assert_eq!(head.count(single), 1, "{single}");
    }
}

#[test]
fn a_body_larger_than_any_buffer_is_forwarded_whole() {
    let body = odd("m", WHOLE).replace("future", &"é".repeat(700_000));
    assert!(arrived(&body) == body, "the body differs");
}

#[test]
fn a_chunked_request_body_is_read_and_sent_with_a_length() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = odd("m", WHOLE);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let call = gateway.call("POST", "/v1/chat/completions").header("transfer-encoding", "chunked");
    assert_eq!(call.body(chunked).reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.text(), body);
    assert_eq!(seen.head.header("content-length"), Some(body.len().to_string().as_str()));
}

#[test]
fn a_base_url_keeps_its_path() {
    let upstream = Upstream::openai();
    let url = format!("http://{}/api/paas/v4/", upstream.address());
    let gateway = Gateway::before(&upstream).env("OPENAI_BASE_URL", url).start();
    assert_eq!(call(&gateway, &chat::prompt(MODEL, "hi")).reply().status(), 200);
    assert_eq!(upstream.only_request().target(), "/api/paas/v4/chat/completions");
}

#[test]
fn a_trailing_slash_is_the_same_endpoint() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = chat::whole_prompt(MODEL, "hi");
    assert_eq!(
        chat::text(&gateway.call("POST", "/v1/chat/completions/").json(&body).reply()),
        "Hello there!"
    );
}

#[test]
fn each_model_is_sent_to_its_provider_with_that_providers_key() {
    let [one, two] = [Upstream::openai(), Upstream::openai()];
    let gateway = Gateway::bare()
        .provider("one", &one)
        .provider("two", &two)
        .env("ONE_API_KEY", "key-of-one")
        .env("TWO_API_KEY", "key-of-two")
        .start();
    for model in ["one:m", "two:m"] {
        assert_eq!(chat::text(&call(&gateway, &chat::prompt(model, "hi")).reply()), "Hello there!");
    }
    assert_eq!((one.only_request().key(), two.only_request().key()), ("key-of-one", "key-of-two"));
}
