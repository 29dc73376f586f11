//! A model that the provider serves over the other one of OpenAI's two APIs only.

use serde_json::{Value, json};

use super::{call, error_body};
use crate::support::chat;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};

const ONLY_RESPONSES: &str = "This model is only supported in v1/responses and not in v1/chat/completions.";

/// The provider without `api-format`.
fn any_api(upstream: &Upstream) -> Setup {
    Gateway::bare().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", upstream.base_url())
}

fn over_responses_only() -> Upstream {
    Upstream::openai().ruled_by(|seen| {
        (!seen.is_of_responses()).then(|| Answer::json(404, error_body(ONLY_RESPONSES, "x")))
    })
}

fn paths(upstream: &Upstream) -> Vec<String> {
    upstream.requests().iter().map(|seen| seen.target().to_owned()).collect()
}

/// Requirement: a model that Chat Completions refuse is asked over Responses at once, and later requests for it go there.
#[test]
fn a_model_that_chat_completions_refuse_is_served_over_responses() {
    let upstream = over_responses_only();
    let gateway = any_api(&upstream).start();
    let completion = |body: &Value| gateway.call("POST", "/v1/chat/completions").json(body).reply();

    assert_eq!(chat::text(&completion(&chat::prompt(MODEL, "hi"))), "Hello there!");
    assert_eq!(paths(&upstream), ["/v1/chat/completions", "/v1/responses"]);
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    assert_eq!(responses::text(&call(&gateway, &responses::prompt(MODEL, "hi")).reply()), "Hello there!");
    assert_eq!(paths(&upstream)[2..], ["/v1/responses", "/v1/responses"]);

    let health = gateway.get("/health?format=json").json();
    let healed = &health["providers"]["openai"]["healed"];
    assert_eq!(
        (&healed[0]["model"], &healed[0]["rule"]),
        (&json!(MODEL), &json!("api-format = \"responses\"")),
        "{healed}"
    );
    gateway.run.await_log("api-format");
}

/// Requirement: another model of the provider is not affected.
#[test]
fn what_is_learned_is_learned_for_one_model() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let is_refused = !seen.is_of_responses() && seen.json()["model"] == MODEL;
        is_refused.then(|| Answer::json(404, error_body(ONLY_RESPONSES, "x")))
    });
    let gateway = any_api(&upstream).start();
    gateway.ask("hi").text();
    gateway.messages(&crate::support::client::prompt("openai:other", "hi")).reply().text();
    assert_eq!(paths(&upstream), ["/v1/chat/completions", "/v1/responses", "/v1/chat/completions"]);
}

/// Requirement: a request that both APIs refuse makes two calls, and the client gets the last refusal.
#[test]
fn a_model_that_no_api_serves_makes_two_calls() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let message = match seen.is_of_responses() {
            true => "The requested model is not supported with the Responses API.",
            false => ONLY_RESPONSES,
        };
        Some(Answer::json(404, error_body(message, "x")))
    });
    let gateway = any_api(&upstream).start();
    for calls in [2, 4] {
        let reply = gateway.ask_whole("hi");
        assert_eq!(reply.status(), 404, "{reply}");
        assert!(reply.error_message().contains("Responses API"), "{reply}");
        assert_eq!(upstream.count(), calls, "nothing is learned from a failure");
    }
}

/// Requirement: a stated `api-format` is kept, and the error says what to set.
#[test]
fn a_stated_format_is_kept() {
    let upstream = over_responses_only();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.ask_whole("hi");
    assert_eq!(reply.status(), 404, "{reply}");
    let message = reply.error_message();
    assert!(message.contains("OPENAI_API_FORMAT=responses"), "{message}");
    assert_eq!(upstream.count(), 1);
}

/// Requirement: where nothing is known of the host, Chat Completions are used, for Responses clients, too.
#[test]
fn an_unknown_host_is_called_over_chat_completions() {
    let upstream = Upstream::openai();
    let gateway = any_api(&upstream).start();
    assert_eq!(responses::text(&call(&gateway, &responses::prompt(MODEL, "hi")).reply()), "Hello there!");
    assert_eq!(paths(&upstream), ["/v1/chat/completions"]);
}
