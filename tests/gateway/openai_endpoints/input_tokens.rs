//! `POST /v1/responses/input_tokens`: counted by the provider if it can, otherwise estimated.

use serde_json::{Value, json};

use super::post;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const COUNTED: &str = r#"{"object":"response.input_tokens","input_tokens":11}"#;

fn count(gateway: &Gateway, model: &str) -> Reply {
    let body =
        json!({"model": model, "instructions": "Be brief.", "input": "How many tokens are these words?"});
    let reply = post(gateway, "responses/input_tokens").json(&body).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    assert_eq!(reply.json()["object"], "response.input_tokens", "{reply}");
    reply
}

fn tokens(reply: &Reply) -> u64 {
    reply.json()["input_tokens"].as_u64().unwrap_or_default()
}

#[test]
fn a_provider_with_the_responses_api_counts_itself() {
    let upstream = Upstream::openai().always(Answer::json(200, COUNTED));
    let gateway = Gateway::before(&upstream).env("OPENAI_API_FORMAT", "responses").start();
    let reply = count(&gateway, "openai:gpt-5.5");
    assert_eq!((reply.raw().as_str(), reply.header("x-vdm-estimate")), (COUNTED, None));
    let seen = upstream.only_request();
    assert_eq!((seen.target(), &seen.json()["model"]), ("/v1/responses/input_tokens", &json!("gpt-5.5")));
}

#[test]
fn a_provider_with_anthropics_api_counts_the_messages() {
    let upstream = Upstream::anthropic().always(Answer::json(200, "{\"input_tokens\":12}"));
    let gateway = Gateway::before(&upstream).start();
    let reply = count(&gateway, "anthropic:claude-x");
    assert_eq!((tokens(&reply), reply.header("x-vdm-estimate")), (12, None));
    let seen = upstream.only_request();
    assert!(seen.target().starts_with("/v1/messages/count_tokens"), "{}", seen.target());
    assert_eq!(seen.json()["model"], "claude-x");
    assert!(seen.text().contains("How many tokens"));
}

#[test]
fn what_no_provider_counts_is_estimated() {
    let upstream = Upstream::openai().always(Answer::json(404, "{\"error\":{\"message\":\"no such path\"}}"));
    let responses = Gateway::before(&upstream).env("OPENAI_API_FORMAT", "responses").start();
    let chat = Gateway::before(&upstream).start();
    for gateway in [responses, chat] {
        let reply = count(&gateway, "m");
        assert_eq!(reply.header("x-vdm-estimate"), Some("1"), "{reply}");
        assert!((8..40).contains(&tokens(&reply)), "{reply}");
    }
    assert_eq!(upstream.count(), 1, "an upstream of Chat Completions cannot count");
}

#[test]
fn a_request_that_is_none_is_refused() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = post(&gateway, "responses/input_tokens").json(&json!({"input": "hi"})).reply();
    let error: Value = reply.json();
    assert_eq!((reply.status(), &error["error"]["message"]), (400, &json!("model: field required")));
}
