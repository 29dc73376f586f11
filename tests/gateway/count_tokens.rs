//! `POST /v1/messages/count_tokens`: forwarded to providers that can count, and estimated for the others.

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, free_port};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const PATH: &str = "/v1/messages/count_tokens";

fn body() -> Value {
    json!({"model": "test-model", "system": "be brief", "messages": [{"role": "user", "content": "Say hello to me."}]})
}

fn count(gateway: &Gateway, body: &Value) -> Reply {
    gateway.call("POST", PATH).json(body).reply()
}

fn tokens(reply: &Reply) -> u64 {
    assert_eq!(reply.status(), 200, "{reply}");
    reply.json()["input_tokens"].as_u64().unwrap_or_else(|| panic!("no count: {reply}"))
}

fn is_estimated(reply: &Reply) -> bool {
    reply.header("x-vdm-estimate").is_some()
}

/// Deviates from the original ("Count_tokens with only text never returns less than max(1, chars/4); tools and
/// tool results raise it; no completion call is made"): the issue's accuracy instead of a floor; everything
/// counts, and no completion is made.
/// Complaint of gateway users: token counts are missing or too low.
#[test]
fn for_a_provider_without_a_counter_everything_in_the_request_is_estimated() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let bare = count(&gateway, &body());
    assert!(is_estimated(&bare), "{bare}");
    let mut larger = body();
    larger["tools"] = json!([{"name": "weather", "description": "tells the weather of a city", "input_schema": {"type": "object"}}]);
    larger["messages"] = json!([
        {"role": "user", "content": "Say hello to me."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Rome"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny and warm all day"}]}
    ]);
    assert!(tokens(&count(&gateway, &larger)) > tokens(&bare) + 15);
    assert_eq!(upstream.count(), 0);
}

/// Requirement: Anthropic provider: count_tokens is forwarded to that provider's count endpoint.
#[test]
fn a_provider_with_a_counter_receives_the_clients_bytes() {
    let upstream = Upstream::anthropic().always(Answer::json(200, "{\"input_tokens\": 4711, \"more\": 1}"));
    let gateway = Gateway::before(&upstream).keys(["the-key"]).start();
    let text = "{ \"messages\":[{\"role\":\"user\",\"content\":\"\\u0048i\"}], \"model\" :\"anthropic:m\", \"x\":1e2}";
    let reply = gateway.call("POST", "/v1/messages/count_tokens?beta=true").body(text).reply();
    assert_eq!(reply.raw(), "{\"input_tokens\": 4711, \"more\": 1}");
    assert!(!is_estimated(&reply));
    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/v1/messages/count_tokens?beta=true");
    assert_eq!(seen.text(), text.replace("anthropic:m", "m"));
    assert_eq!(seen.key(), "the-key");
}

#[test]
fn if_one_key_is_refused_another_one_counts() {
    let upstream = Upstream::anthropic().refusing("dead").always(Answer::json(200, "{\"input_tokens\":7}"));
    let gateway = Gateway::before(&upstream).keys(["dead", "good"]).start();
    assert_eq!(tokens(&count(&gateway, &body())), 7);
    assert_eq!(upstream.keys_seen(), ["dead", "good"]);
}

/// Complaint of gateway users: token counts are missing or too low.
#[test]
fn a_missing_or_failing_counter_is_replaced_by_an_estimate() {
    for status in [404, 405, 429, 500, 529] {
        let upstream = Upstream::anthropic().always(Answer::json(status, "{}"));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = count(&gateway, &body());
        assert!(tokens(&reply) > 0 && is_estimated(&reply), "{status}: {reply}");
    }
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let gateway = Gateway::bare()
        .env("ANTHROPIC_API_KEY", "k")
        .env("ANTHROPIC_BASE_URL", nobody)
        .env("MAX_RETRIES", "0")
        .start();
    assert!(is_estimated(&count(&gateway, &body())));
}

/// Requirement: an answer without a count is no count: the client gets an estimate, and the log says so. A count is used in any form of a
/// number.
#[test]
fn an_answer_without_a_count_is_replaced_by_an_estimate() {
    for broken in
        ["{}", "{\"input_tokens\": null}", "{\"input_tokens\": \"7\"}", "{\"input_tokens\": -1}", "[7]", "7"]
    {
        let upstream = Upstream::anthropic().always(Answer::json(200, broken));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = count(&gateway, &body());
        assert!(tokens(&reply) > 0 && is_estimated(&reply), "{broken}: {reply}");
    }
    let upstream = Upstream::anthropic();
    upstream.then(Answer::json(200, "{\"input_tokens\": 9.0}"));
    upstream.then(Answer::json(200, "{\"total\": 9}"));
    let gateway = Gateway::before(&upstream).start();
    assert!(!is_estimated(&count(&gateway, &body())));
    assert!(is_estimated(&count(&gateway, &body())));
    gateway.run.await_log("anthropic counts tokens without input_tokens; the client gets an estimate");
}

#[test]
fn an_error_of_the_request_itself_reaches_the_client() {
    let refusal =
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no such block\"}}";
    let upstream = Upstream::anthropic().always(Answer::json(400, refusal));
    let gateway = Gateway::before(&upstream).start();
    let reply = count(&gateway, &body());
    assert_eq!((reply.status(), reply.raw().as_str()), (400, refusal));
}

#[test]
fn an_invalid_request_is_an_error_in_anthropics_format() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "front").start();
    let ask = |key: &str, body: &str| gateway.call("POST", PATH).header("x-api-key", key).body(body).reply();
    for (key, body, status, kind) in [
        ("wrong", "{}", 401, "authentication_error"),
        ("front", "{", 400, "invalid_request_error"),
        ("front", "{\"model\":\"m\"}", 400, "invalid_request_error"),
        ("front", "{\"messages\":[]}", 400, "invalid_request_error"),
        ("front", "{\"model\":\"nope:m\",\"messages\":[]}", 404, "not_found_error"),
    ] {
        let reply = ask(key, body);
        assert_eq!((reply.status(), reply.error_type().as_str()), (status, kind), "{body}: {reply}");
    }
    assert_eq!(gateway.get(PATH).status(), 405);
}

#[test]
fn counting_is_not_a_request_in_the_totals() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    tokens(&count(&gateway, &body()));
    let totals = gateway.get("/metrics/running-totals?format=json").json();
    assert_eq!(totals["summary"]["total_requests"], 0, "{totals}");
}

#[test]
fn repeated_failures_of_a_counter_do_not_affect_the_providers_health() {
    for status in [403, 429, 500, 529] {
        let upstream = Upstream::anthropic().ruled_first(move |seen| {
            seen.target().contains("count_tokens").then(|| Answer::json(status, "{}"))
        });
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..25 {
            count(&gateway, &body());
        }
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
    }
}
