//! `GET /v1/models`: the models of a provider, in the format of the client's API.

mod single_flight;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, free_port};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const PATH: &str = "/v1/models";
const OF_OPENAI: &str = "/v1/models?provider=openai";
const OPENAI: &str = r#"{"object":"list","data":[{"id":"m-1","object":"model","created":1700000000,"owned_by":"them","x":1e2},{"id":"vendor/m-2"}],"extra":1}"#;
const ANTHROPIC: &str = r#"{"data":[{"type":"model","id":"claude-a","display_name":"Claude A","created_at":"2025-02-19T00:00:00Z","max_tokens":7},{"type":"model","id":"claude-b","display_name":"Claude B","created_at":"2025-02-20T00:00:00Z"}],"has_more":false,"first_id":"claude-a","last_id":"claude-b"}"#;

fn listing(upstream: Upstream, list: &str) -> Upstream {
    let answer = Answer::json(200, list);
    upstream.ruled_first(move |seen| seen.target().contains("/models").then(|| answer.clone()))
}

/// A request of a Messages client. Without a provider it lists all of them (`discovery.rs`).
fn as_claude(gateway: &Gateway, target: &str) -> Reply {
    gateway.call("GET", target).header("anthropic-version", "2023-06-01").reply()
}

fn ids(list: &Reply) -> Vec<String> {
    assert_eq!(list.status(), 200, "{list}");
    let models = list.json()["data"].as_array().cloned().unwrap_or_default();
    models.iter().map(|model| model["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Requirement: Default format is openai; `anthropic-version` header → anthropic; `format` beats header.
/// Requirement: `format=raw` returns the upstream JSON unchanged; bad format → 400.
/// Deviates from the original ("401 without credentials → one retry with credentials; later calls go
/// authenticated at once"): if there is a key, it is sent from the first call on.
/// Deviates from the original ("Given an upstream needing credentials for `/models`, then the first listing makes
/// two calls, later ones one"): if there is a key, it is sent from the first call on.
#[test]
fn the_models_of_an_openai_provider_are_listed_in_both_formats_and_raw() {
    let upstream = listing(Upstream::openai(), OPENAI);
    let gateway = Gateway::before(&upstream).keys(["the-key"]).start();

    let chat = gateway.call("GET", PATH).header("x-api-key", "of-the-client").reply();
    let expected = json!({"object": "list", "data": [
        {"id": "m-1", "object": "model", "created": 1_700_000_000, "owned_by": "them", "x": 1e2},
        {"id": "vendor/m-2", "object": "model", "created": 0, "owned_by": "openai"},
    ]});
    assert_eq!(chat.json(), expected);
    assert_eq!(chat.header("content-type"), Some("application/json"));
    let claude = as_claude(&gateway, "/v1/models/?limit=1000&provider=openai").json();
    assert_eq!(claude["data"][0]["created_at"], "2023-11-14T22:13:20Z");
    assert_eq!((&claude["last_id"], &claude["has_more"]), (&json!("vendor/m-2"), &json!(false)));
    assert_eq!(as_claude(&gateway, "/v1/models?format=openai").json(), expected);
    assert_eq!(gateway.get("/v1/models?format=anthropic&provider=openai").json(), claude);
    assert_eq!(gateway.get("/v1/models?format=raw").raw(), OPENAI);

    let seen = upstream.only_request();
    assert_eq!(seen.head.first, "GET /v1/models HTTP/1.1");
    assert_eq!(
        (seen.head.header("authorization"), seen.head.header("x-api-key")),
        (Some("Bearer the-key"), None)
    );
    assert_eq!(seen.head.header("content-length"), None);
}

/// Deviates from the original ("401 without credentials → one retry with credentials; later calls go
/// authenticated at once"): if there is a key, it is sent from the first call on.
/// Deviates from the original ("Given an upstream needing credentials for `/models`, then the first listing makes
/// two calls, later ones one"): if there is a key, it is sent from the first call on.
#[test]
fn the_models_of_an_anthropic_provider_are_fetched_at_its_own_endpoint() {
    let upstream = listing(Upstream::anthropic(), ANTHROPIC);
    let gateway = Gateway::before(&upstream).keys(["the-key"]).start();

    let first = as_claude(&gateway, "/v1/models?limit=1&provider=anthropic").json();
    assert_eq!(
        first,
        json!({"data": [{"id": "claude-a", "type": "model", "display_name": "Claude A",
            "created_at": "2025-02-19T00:00:00Z", "max_tokens": 7}],
            "first_id": "claude-a", "last_id": "claude-a", "has_more": true})
    );
    assert_eq!(
        ids(&as_claude(&gateway, "/v1/models?limit=1&after_id=claude-a&provider=anthropic")),
        ["claude-b"]
    );
    assert_eq!(ids(&as_claude(&gateway, "/v1/models?before_id=claude-b&provider=anthropic")), ["claude-a"]);
    let chat = gateway.get(PATH).json();
    assert_eq!(
        (&chat["data"][0]["created"], &chat["data"][0]["object"]),
        (&json!(1_739_923_200), &json!("model"))
    );

    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/v1/models?limit=1000");
    assert_eq!((seen.head.header("x-api-key"), seen.head.header("authorization")), (Some("the-key"), None));
    assert_eq!(seen.head.header("anthropic-version"), Some("2023-06-01"));
}

/// Requirement: Second call within TTL makes no upstream request; `refresh=true` does.
#[test]
fn a_list_is_cached_until_it_expires_or_a_refresh_is_requested() {
    let upstream = listing(Upstream::openai(), OPENAI);
    let gateway = Gateway::before(&upstream).limit("models-ttl", 0.5).start();
    for _ in 0..3 {
        assert_eq!(gateway.get(PATH).status(), 200);
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!(gateway.get("/v1/models?refresh=true").status(), 200);
    assert_eq!(gateway.get("/v1/models?refresh=false").status(), 200);
    assert_eq!(upstream.count(), 2);
    std::thread::sleep(Duration::from_millis(600));
    // The old list is returned while a new one is fetched.
    assert_eq!(gateway.get(PATH).header("x-vdm-cache"), Some("stale"));
    upstream.request(2);
}

/// Requirement: Upstream down + stale cache → 200 from cache.
#[test]
fn an_old_list_is_returned_and_marked_if_the_provider_fails() {
    let upstream = Upstream::openai().answering(Answer::json(200, OPENAI)).answering(Answer::json(500, "{}"));
    upstream.then(Answer::json(404, r#"{"error":{"message":"no such thing"}}"#));
    let gateway = Gateway::before(&upstream)
        .env("MAX_RETRIES", "0")
        .limit("models-ttl", 0)
        .limit("models-cache-ttl", 0)
        .start();
    assert_eq!(gateway.get(PATH).header("x-vdm-cache"), None);

    let stale = gateway.get(PATH);
    assert_eq!((stale.header("x-vdm-cache"), ids(&stale)[0].as_str()), (Some("stale"), "m-1"));
    // This failure is not temporary.
    assert_eq!(gateway.get(PATH).status(), 404);
}

/// Requirement: Header `provider` overrides the query.
/// Requirement: Unknown provider → 404.
#[test]
fn the_provider_comes_from_the_header_then_the_query_then_the_default() {
    let (one, two) = (listing(Upstream::openai(), OPENAI), listing(Upstream::anthropic(), ANTHROPIC));
    let gateway = Gateway::before(&one).provider("second", &two).start();
    assert_eq!(ids(&gateway.get(PATH))[0], "m-1");
    assert_eq!(ids(&gateway.get("/v1/models?provider=SECOND"))[0], "claude-a");
    let both = gateway.call("GET", "/v1/models?provider=second").header("provider", "OpenAI").reply();
    assert_eq!(ids(&both)[0], "m-1");

    let nobody = as_claude(&gateway, "/v1/models?provider=nobody");
    assert_eq!(nobody.status(), 404);
    let said = nobody.error_message();
    assert!(said.contains("'nobody'") && said.contains("openai, second"), "{said}");
}

#[test]
fn if_one_key_is_refused_another_one_lists() {
    let upstream = Upstream::openai().refusing("dead").always(Answer::json(200, OPENAI));
    let gateway = Gateway::before(&upstream).keys(["dead", "good"]).start();
    assert_eq!(ids(&gateway.get(PATH)).len(), 2);
    assert_eq!(upstream.keys_seen(), ["dead", "good"]);
}

#[test]
fn failures_have_the_format_of_the_clients_api_and_the_providers_status() {
    for (status, kind) in [(401, "authentication_error"), (403, "permission_error"), (404, "not_found_error")]
    {
        let refusal = json!({"error": {"message": "they say no", "type": "their_error", "code": null}});
        let upstream = Upstream::openai().always(Answer::json(status, refusal.to_string()));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();

        let claude = as_claude(&gateway, OF_OPENAI);
        assert_eq!((claude.status(), claude.error_type().as_str()), (status, kind), "{claude}");
        assert_eq!(claude.json()["type"], "error");
        let said = claude.error_message();
        assert!(said.starts_with("Failed to list models: ") || said.contains("rejects every key"), "{said}");
        let chat = gateway.get(PATH);
        assert_eq!(chat.status(), status);
        assert!(chat.json().get("type").is_none() && chat.json()["error"]["message"].is_string(), "{chat}");
    }
}

/// Deviates from the original ("Connection error → 502 `upstream_error`, timeout → 504 `upstream_timeout`"): the
/// statuses are the same; the types are those that every client knows.
#[test]
fn an_unreachable_provider_is_a_502_and_a_silent_one_a_504() {
    let gateway = Gateway::bare()
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}", free_port()))
        .env("MAX_RETRIES", "0")
        .start();
    assert_eq!(gateway.get(PATH).status(), 502);

    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).env("REQUEST_TIMEOUT", "1").env("MAX_RETRIES", "0").start();
    assert_eq!(gateway.get(PATH).status(), 504);
}

#[test]
fn an_invalid_list_is_a_502_and_is_not_cached() {
    let upstream = Upstream::openai()
        .answering(Answer::whole(200, "text/html", "<html>"))
        .answering(Answer::json(200, r#"{"object":"list"}"#))
        .answering(Answer::json(200, OPENAI));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for _ in 0..2 {
        let reply = as_claude(&gateway, OF_OPENAI);
        assert_eq!(reply.status(), 502, "{reply}");
        let said = reply.error_message();
        assert!(said.starts_with("Failed to list models: ") && !said.contains('<'), "{said}");
    }
    assert_eq!(ids(&gateway.get(PATH)).len(), 2);
}

/// Requirement: `format=raw` returns the upstream JSON unchanged; bad format → 400.
#[test]
fn what_cannot_be_meant_is_a_400() {
    let upstream = listing(Upstream::openai(), OPENAI);
    let gateway = Gateway::before(&upstream).start();
    for query in
        ["format=xml", "refresh=abc", "limit=0", "limit=1001", "limit=x", "after_id=m-1&before_id=m-1"]
    {
        let reply = as_claude(&gateway, &format!("{OF_OPENAI}&{query}"));
        assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request_error"), "{query}");
    }
    assert_eq!(as_claude(&gateway, "/v1/models?after_id=nowhere&provider=openai").status(), 400);
    let wrong = gateway.call("POST", PATH).reply();
    assert_eq!((wrong.status(), wrong.header("allow")), (405, Some("GET, HEAD")));
}

/// Requirement: Same for `/test-connection`, `/v1/models`, `/profiles`; `/health` stays open.
#[test]
fn the_gateway_key_is_required_here_too() {
    let upstream = listing(Upstream::openai(), OPENAI);
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for target in [PATH, "/v1/models/m-1", "/v1/models?limit=x"] {
        assert_eq!(gateway.get(target).status(), 401, "{target}");
    }
    let admitted = gateway.call("GET", PATH).header("authorization", "Bearer sk-gateway").reply();
    assert_eq!(admitted.status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-test"]);
}

#[test]
fn a_model_is_found_by_every_name_that_resolves_to_it() {
    let upstream = listing(Upstream::openai(), OPENAI);
    let gateway = Gateway::before(&upstream).toml("[openai.aliases]\nquick = \"vendor/m-2\"").start();
    for (name, id) in [
        ("m-1", "m-1"),
        ("openai:m-1", "m-1"),
        ("vendor/m-2", "vendor/m-2"),
        ("vendor%2Fm-2/", "vendor/m-2"),
        ("quick", "vendor/m-2"),
        ("m-1?provider=openai", "m-1"),
    ] {
        let claude = as_claude(&gateway, &format!("{PATH}/{name}"));
        assert_eq!((claude.status(), &claude.json()["id"]), (200, &json!(id)), "{name}");
        assert_eq!(claude.json()["type"], "model");
    }
    let chat: Value = gateway.get("/v1/models/m-1").json();
    assert_eq!((&chat["object"], &chat["owned_by"]), (&json!("model"), &json!("them")));
    assert!(gateway.get("/v1/models/vendor/m-2?format=raw").raw() == r#"{"id":"vendor/m-2"}"#);
    for nowhere in ["m-3", "nobody:m-1", "quick?provider=openai"] {
        let reply = as_claude(&gateway, &format!("{PATH}/{nowhere}"));
        assert_eq!((reply.status(), reply.error_type().as_str()), (404, "not_found_error"), "{nowhere}");
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_provider_without_a_list_still_serves_requests() {
    let broken = |status| Answer::json(status, "{}");
    for status in [403, 429, 500, 529] {
        let upstream = Upstream::openai()
            .ruled_first(move |seen| seen.target().contains("/models").then(|| broken(status)));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..25 {
            assert!(gateway.get(PATH).status() >= 400);
        }
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
    }
}

#[test]
fn the_demo_provider_lists_its_model() {
    let gateway = Gateway::bare().start();
    assert_eq!(ids(&as_claude(&gateway, "/v1/models?provider=demo")), ["demo-1"]);
    assert_eq!(gateway.call("HEAD", PATH).reply().status(), 200);
    assert_eq!(gateway.get("/").json()["endpoints"]["models"], PATH);
}
