//! What of a request reaches which upstream.

use serde_json::json;

use super::{EMBEDDED, JSON, embed, post, trace};
use crate::support::chat::Error;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Upstream};

/// Spaces, escapes, exact numbers, unknown members, and `model` in other places.
const ODD: &str = "{ \"input\":[\"\\u0041 \\\"model\\\": \\\"x\\\"\", 1.0],\n\"model\" : \"MODEL\",\"x\":[{\"model\":\"in\"}],\"n\":12345678901234567890 }\n";

/// Requirement: only `model` is replaced; every other byte of a JSON body passes.
#[test]
fn a_json_body_passes_with_its_model_replaced() {
    let upstream = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Gateway::before(&upstream).start();
    for (at, path) in JSON.iter().enumerate() {
        let call = post(&gateway, path).header("content-type", "text/plain").header("openai-beta", "x");
        let reply = call.header("cookie", "c=1").body(ODD.replace("MODEL", "openai:m-1")).reply();
        assert_eq!((reply.status(), reply.raw().as_str()), (200, EMBEDDED), "{reply}");
        let seen = upstream.request(at);
        assert_eq!((seen.target(), seen.text()), (&*format!("/v1/{path}"), ODD.replace("MODEL", "m-1")));
        assert_eq!((seen.key(), seen.head.header("cookie")), ("sk-test", None));
        assert_eq!(seen.head.header("content-type"), Some("application/json"));
        assert_eq!(seen.head.count("content-type"), 1);
    }
}

/// Requirement: paths without `/v1` or with it twice mean the same, with a slash at the end, too.
#[test]
fn an_endpoint_is_found_under_each_common_base_url() {
    let upstream = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Gateway::before(&upstream).start();
    for path in ["/embeddings", "/v1/v1/embeddings", "//v1/embeddings/", "/v1/embeddings/"] {
        let reply = gateway.call("POST", path).json(&json!({"model": "m", "input": "hi"})).reply();
        assert_eq!(reply.status(), 200, "{path}: {reply}");
    }
    assert!(upstream.requests().iter().all(|seen| seen.target() == "/v1/embeddings"));
    let get = gateway.get("/v1/embeddings");
    assert_eq!((get.status(), get.header("allow")), (405, Some("POST")));
}

/// Requirement: a model of a provider with Anthropic's API is refused with what to do, and is not sent.
#[test]
fn a_provider_with_anthropics_api_has_no_such_endpoint() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for path in JSON {
        let reply = post(&gateway, path).json(&json!({"model": "anthropic:claude-x", "input": "a"})).reply();
        let error = Error::of(&reply);
        assert_eq!((reply.status(), error.words()), (400, ("invalid_request_error", None)), "{reply}");
        for words in ["'anthropic:claude-x'", "'anthropic'", path, "openai:MODEL"] {
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_request_without_a_model_is_refused() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for (body, words) in [
        ("{\"input\":\"hi\"}", "model: field required"),
        ("{\"model\":7}", "model: must be a string"),
        ("model=m&input=hi", "the body is not valid JSON"),
        ("", "the body is not valid JSON"),
    ] {
        let reply = post(&gateway, "moderations").body(body).reply();
        assert_eq!(reply.status(), 400, "{reply}");
        assert!(Error::of(&reply).message.starts_with(words), "{reply}");
    }
    let unknown = embed(&gateway, "nobody:m");
    assert!(unknown.status() == 200 || Error::of(&unknown).message.contains("nobody"), "{unknown}");
}

/// Requirement: leases, retries and fail-over over keys and targets are those of every request.
#[test]
fn a_call_that_fails_is_repeated_with_another_key_and_at_another_target() {
    let one = Upstream::openai().refusing("sk-bad").always(Answer::json(200, EMBEDDED));
    let gateway = Gateway::before(&one).keys(["sk-bad", "sk-good"]).start();
    for _ in 0..2 {
        assert_eq!(embed(&gateway, "m").status(), 200);
    }
    assert!(one.keys_seen().contains(&"sk-good".to_owned()), "{:?}", one.keys_seen());

    let first = Upstream::openai().always(Answer::json(500, "{\"error\":{\"message\":\"down\"}}"));
    let second = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Setup::default()
        .provider("one", &first)
        .provider("two", &second)
        .env("MAX_RETRIES", "1")
        .toml("[one]\nfallbacks = [\"two:other\"]")
        .start();
    let reply = embed(&gateway, "one:m");
    assert_eq!(reply.status(), 200, "{reply}");
    assert_eq!((first.count(), second.request(0).json()["model"].as_str()), (2, Some("other")));
}

#[test]
fn a_target_without_the_endpoint_leaves_the_request_to_the_next_one() {
    let claude = Upstream::anthropic();
    let second = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Setup::default()
        .provider("one", &claude)
        .provider("two", &second)
        .toml("[one]\nfallbacks = [\"two:other\"]")
        .start();
    assert_eq!(embed(&gateway, "one:m").status(), 200);
    assert_eq!((claude.count(), second.count()), (0, 1));
}

/// Requirement: history and metrics name the endpoint, and count the tokens that the reply reports.
#[test]
fn a_request_is_recorded_under_the_name_of_its_endpoint() {
    let upstream = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(embed(&gateway, "m").status(), 200);
    let trace_of = trace(&gateway, "embeddings");
    assert_eq!(trace_of["input_tokens"], 8, "{trace_of}");
    assert_eq!(
        (&trace_of["upstream_api"], &trace_of["http_status"]),
        (&json!("chat-completions"), &json!(200))
    );
    let metrics = gateway.get("/metrics").raw();
    assert!(metrics.contains("api=\"embeddings\""), "{metrics}");
    // The history is written in the background.
    crate::support::await_that("the history has the request", || {
        gateway.get("/api/ui/requests").raw().contains("\"api\":\"embeddings\"")
    });
    // A refused request, too.
    assert_eq!(post(&gateway, "audio/speech").body("{").reply().status(), 400);
    assert_eq!(trace(&gateway, "speech")["http_status"], 400);
}

/// Requirement: Azure's URLs, of deployments and of its v1 API.
#[test]
fn azure_is_called_at_its_own_urls() {
    for (version, base, expected) in [
        ("2024-10-21", "", "/openai/deployments/my%20d/embeddings?api-version=2024-10-21"),
        ("preview", "/openai/v1", "/openai/v1/embeddings?api-version=preview"),
    ] {
        let upstream = Upstream::openai().always(Answer::json(200, EMBEDDED));
        let root = upstream.base_url().replace("/v1", base);
        let setup = Setup::default().provider("az", &upstream);
        let gateway = setup.env("AZ_BASE_URL", root).env("AZ_API_VERSION", version).start();
        assert_eq!(embed(&gateway, "az:my d").status(), 200);
        let seen = upstream.only_request();
        assert_eq!((seen.target(), seen.head.header("api-key")), (expected, Some("sk-test")));
        assert_eq!(seen.json()["model"], "my d");
    }
}

/// Requirement: a key of the gateway is required, and does not reach an upstream.
#[test]
fn the_gateways_key_opens_and_stays_here() {
    let upstream = Upstream::openai().always(Answer::json(200, EMBEDDED));
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "gateway-key-0123456789").start();
    let body = json!({"model": "m", "input": "hi"});
    assert_eq!(post(&gateway, "embeddings").json(&body).reply().status(), 401);
    let call = post(&gateway, "embeddings").header("authorization", "Bearer gateway-key-0123456789");
    let call = call.header("accept", "gateway-key-0123456789");
    assert_eq!(call.json(&body).reply().status(), 200);
    let seen = upstream.only_request();
    assert!(seen.head.headers.iter().all(|(_, value)| !value.contains("gateway-key")), "{seen:?}");
}
