//! Azure OpenAI: its URLs, its key header, and what its content filters add to replies and errors.

use serde_json::{Value, json};

use crate::support::canned::openai;
use crate::support::chat;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Seen, Upstream};

const MODEL: &str = "az:my gpt/4";
const BY_DEPLOYMENT: &str = "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21";
const FILTERED: &str = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":true,"detected":true},"violence":{"filtered":true,"severity":"high"}}}}}"#;
const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"#;

/// A resource whose URLs contain deployments.
fn classic(upstream: &Upstream) -> Setup {
    let root = upstream.base_url().replace("/v1", "");
    Setup::default()
        .provider("az", upstream)
        .env("AZ_BASE_URL", root)
        .env("AZ_API_VERSION", "2024-10-21")
        .env("MAX_RETRIES", "0")
}

fn v1(upstream: &Upstream) -> Setup {
    let root = upstream.base_url().replace("/v1", "/openai/v1");
    classic(upstream).env("AZ_BASE_URL", root).env("AZ_API_VERSION", "preview")
}

fn chat(gateway: &Gateway, body: &Value) -> Reply {
    gateway.call("POST", "/v1/chat/completions").json(body).reply()
}

/// Sends one request to each endpoint, streamed and whole, and expects replies to all.
fn request_in_every_form(gateway: &Gateway) {
    for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
        assert_eq!(gateway.messages(&body).reply().text(), "Hello there!");
    }
    for body in [chat::prompt(MODEL, "hi"), chat::whole_prompt(MODEL, "hi")] {
        assert_eq!(chat::text(&chat(gateway, &body)), "Hello there!");
    }
}

fn has_its_key_once(seen: &Seen) {
    assert_eq!(seen.head.header("api-key"), Some("sk-test"));
    assert_eq!((seen.head.header("authorization"), seen.head.header("x-api-key")), (None, None));
}

/// Requirement: Given `AZ_API_VERSION=2024-02-15` and model `az:gptd`, then upstream is
/// `/openai/deployments/gptd/chat/completions?api-version=2024-02-15` with header `api-key`.
#[test]
fn a_deployment_is_called_at_its_own_url_by_both_endpoints() {
    let upstream = Upstream::openai();
    let gateway = classic(&upstream).start();

    request_in_every_form(&gateway);

    for seen in upstream.requests() {
        assert_eq!(seen.target(), BY_DEPLOYMENT);
        assert_eq!(seen.json()["model"], "my gpt/4");
        has_its_key_once(&seen);
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn the_v1_path_is_called_like_openais_but_with_azures_header() {
    let upstream = Upstream::openai();
    let gateway = v1(&upstream).start();

    request_in_every_form(&gateway);

    for seen in upstream.requests() {
        assert_eq!(seen.target(), "/openai/v1/chat/completions?api-version=preview");
        has_its_key_once(&seen);
    }
}

#[test]
fn a_path_like_azures_without_a_version_is_not_treated_as_azure() {
    let upstream = Upstream::openai();
    let gateway = v1(&upstream).env("AZ_API_VERSION", "").start();

    request_in_every_form(&gateway);

    let seen = upstream.request(0);
    assert_eq!(seen.target(), "/openai/v1/chat/completions");
    assert_eq!(
        (seen.head.header("authorization"), seen.head.header("api-key")),
        (Some("Bearer sk-test"), None)
    );
}

#[test]
fn models_are_listed_at_azures_own_url() {
    let list = r#"{"object":"list","data":[{"id":"gpt-4o","object":"model","status":"succeeded","created_at":1,"capabilities":{"inference":true}}]}"#;
    for (setup, target) in [
        (classic as fn(&Upstream) -> Setup, "/openai/models?api-version=2024-10-21"),
        (v1, "/openai/v1/models?api-version=preview"),
    ] {
        let upstream = Upstream::openai().always(Answer::json(200, list));
        let gateway = setup(&upstream).start();

        let models = gateway.get("/v1/models?provider=az").json();
        assert_eq!(
            (&models["data"][0]["id"], &models["data"][0]["status"]),
            (&json!("gpt-4o"), &json!("succeeded"))
        );

        let seen = upstream.only_request();
        assert_eq!(seen.target(), target);
        has_its_key_once(&seen);
    }
}

/// A stream as Azure sends it: the filter results of the prompt come first, in a chunk without choices. A result about
/// earlier text comes in a choice without a delta.
fn with_filter_results() -> Vec<Vec<u8>> {
    let safe = json!({"hate": {"filtered": false, "severity": "safe"}});
    let first = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": safe}]});
    let said = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [{"index": 0, "finish_reason": null,
        "content_filter_results": safe, "content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 6}}]});
    let mut events = vec![openai::data(&first), openai::role(), openai::content("Hello ")];
    events.extend([openai::data(&said), openai::content("there!"), openai::finish("stop"), openai::done()]);
    events
}

#[test]
fn filter_results_do_not_affect_a_translated_stream() {
    let upstream = Upstream::openai().always(Answer::events(with_filter_results()));
    let gateway = classic(&upstream).start();

    let reply = gateway.messages(&prompt(MODEL, "hi")).reply();

    assert_eq!((reply.text().as_str(), reply.stop_reason().as_str()), ("Hello there!", "end_turn"));
}

#[test]
fn filter_results_are_unchanged_on_a_passthrough() {
    let events = with_filter_results();
    let upstream = Upstream::openai().always(Answer::events(events.clone()));
    let gateway = classic(&upstream).start();
    for body in [chat::prompt_with_usage(MODEL, "hi"), chat::prompt(MODEL, "hi")] {
        let reply = chat(&gateway, &body);
        assert!(reply.raw().contains(r#""prompt_filter_results":[{"content_filter_results""#), "{reply}");
        assert_eq!(chat::text(&reply), "Hello there!");
    }
    let asked = chat(&gateway, &chat::prompt_with_usage(MODEL, "hi"));
    assert_eq!(asked.raw().as_bytes(), events.concat());
}

#[test]
fn a_reply_truncated_by_a_filter_is_a_refusal() {
    let events =
        vec![openai::role(), openai::content("Hel"), openai::finish("content_filter"), openai::done()];
    let upstream = Upstream::openai().always(Answer::events(events));
    let gateway = classic(&upstream).start();

    assert_eq!(gateway.messages(&prompt(MODEL, "hi")).reply().stop_reason(), "refusal");
}

#[test]
fn a_prompt_refused_by_a_filter_is_an_error_that_names_the_filter() {
    let upstream = Upstream::openai().always(Answer::json(400, FILTERED));
    let gateway = classic(&upstream).start();
    for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
        let reply = gateway.messages(&body).reply();
        assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request_error"));
        assert!(reply.error_message().ends_with("policy. (filtered: jailbreak, violence (high))"), "{reply}");
    }
    let reply = chat(&gateway, &chat::prompt(MODEL, "hi"));
    assert_eq!((reply.status(), reply.raw().as_str()), (400, FILTERED));
    assert_eq!(upstream.count(), 3, "a refusal is not asked for again");
}

#[test]
fn the_error_for_a_missing_deployment_names_it() {
    let upstream = Upstream::openai().always(Answer::json(404, NO_DEPLOYMENT));
    let gateway = classic(&upstream).start();

    let reply = gateway.messages(&prompt(MODEL, "hi")).reply();
    assert_eq!((reply.status(), reply.error_type().as_str()), (404, "not_found_error"));
    assert!(reply.error_message().starts_with("The API deployment for this resource does not exist."));
    assert!(reply.error_message().ends_with("(deployment 'my gpt/4' of provider 'az')"), "{reply}");

    let reply = chat(&gateway, &chat::whole_prompt(MODEL, "hi"));
    assert_eq!((reply.status(), reply.raw().as_str()), (404, NO_DEPLOYMENT));
}

#[test]
fn after_a_key_that_azure_refuses_the_next_one_is_used() {
    let refusal = r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#;
    let upstream = Upstream::openai().ruled_by(move |seen| {
        (seen.head.header("api-key") == Some("sk-bad")).then(|| Answer::json(401, refusal))
    });
    let gateway = classic(&upstream).env("AZ_API_KEY", "sk-bad sk-good").start();

    for _ in 0..2 {
        assert_eq!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().status(), 200);
    }
    assert_eq!(upstream.count(), 3);
    let none = Upstream::openai().always(Answer::json(401, refusal));
    let reply = chat(&classic(&none).start(), &chat::prompt(MODEL, "hi"));
    assert_eq!((reply.status(), reply.raw().as_str()), (401, refusal));
}

#[test]
fn a_version_that_is_invalid_in_a_query_prevents_the_start() {
    let upstream = Upstream::openai();
    let finished = classic(&upstream).env("AZ_API_VERSION", "2024 10").run_to_end();

    assert_eq!(finished.status.code(), Some(1));
    let words = "environment variable AZ_API_VERSION: expected an API version such as";
    assert!(finished.output.contains(words), "{}", finished.output);
}
