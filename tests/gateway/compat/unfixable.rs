//! Refusals that the gateway cannot fix: the client receives them after as few calls as possible.

use serde_json::json;

use super::{chat, chat_with, extra, suggested, unsupported, with};
use crate::support::canned::anthropic;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

#[test]
fn a_refusal_that_names_nothing_reaches_the_client_after_one_call() {
    let body = anthropic::error("invalid_request_error", "messages: at least one message is required");
    let upstream = Upstream::anthropic().always(Answer::json(400, body.clone()));
    let gateway = Gateway::before(&upstream).start();

    let reply = gateway.messages(&whole_prompt(MODEL, "hi")).reply();

    assert_eq!((reply.status(), reply.raw(), upstream.count()), (400, body, 1));
}

#[test]
fn a_refusal_of_a_missing_or_required_member_causes_no_second_call() {
    for param in ["top_p", "messages[0].name", "model", "tools", "stream", "max_tokens"] {
        let upstream = Upstream::openai().always(unsupported(param));
        let gateway = Gateway::before(&upstream).start();
        let body = chat_with(json!({"tools": [], "stream": false, "max_tokens": 5}));

        let reply = chat(&gateway, &body);

        assert_eq!((reply.status(), upstream.count()), (400, 1), "{param}");
        assert!(reply.raw().contains(param));
        assert!(suggested(&gateway, "openai").is_empty());
    }
}

/// Complaint of gateway users: extra inputs are not permitted.
#[test]
fn message_text_is_never_removed() {
    let upstream = Upstream::anthropic().always(extra("messages.0.content.0.cache_control"));
    let gateway = Gateway::before(&upstream).start();
    let content = json!([{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]);
    let body = with(whole_prompt(MODEL, ""), json!({"messages": [{"role": "user", "content": content}]}));

    let reply = gateway.messages(&body).reply();

    assert_eq!((reply.status(), upstream.count()), (400, 1));
}

#[test]
fn a_repeated_refusal_reaches_the_client_and_is_not_learned() {
    let second = unsupported("top_p").header("x-request-id", "the-second");
    let upstream = Upstream::openai().answering(unsupported("top_p")).answering(second);
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"top_p": 0.5}));

    let reply = chat(&gateway, &body);

    assert_eq!((reply.status(), upstream.count()), (400, 2));
    assert_eq!(reply.header("x-request-id"), Some("the-second"));
    assert!(suggested(&gateway, "openai").is_empty());
    chat(&gateway, &body);
    assert_eq!(upstream.request(2).json()["top_p"], 0.5);
}

#[test]
fn an_upstream_that_refuses_one_member_after_the_other_is_called_four_times_at_most() {
    let params = ["top_p", "seed", "user", "logprobs", "n"];
    let upstream = Upstream::openai().ruled_by(move |seen| {
        let body = seen.json();
        params.iter().find(|param| body.get(**param).is_some()).map(|param| unsupported(param))
    });
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"top_p": 1, "seed": 1, "user": "u", "logprobs": true, "n": 1}));

    let reply = chat(&gateway, &body);
    assert_eq!((reply.status(), upstream.count()), (400, 4));
    assert!(reply.raw().contains("logprobs"));
    assert_eq!(suggested(&gateway, "openai").len(), 3, "what has helped is remembered all the same");

    assert_eq!(chat(&gateway, &body).status(), 200);
    assert_eq!(upstream.count(), 7);
}

#[test]
fn two_names_for_the_limit_are_tried_once_each() {
    let asks = |message: &str| Answer::json(400, json!({"error": {"message": message}}).to_string());
    let upstream = Upstream::openai().ruled_by(move |seen| {
        Some(match seen.json().get("max_tokens") {
            Some(_) => asks(
                "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            ),
            None => asks("Unrecognized request argument supplied: max_completion_tokens"),
        })
    });
    let gateway = Gateway::before(&upstream).start();

    let reply = chat(&gateway, &chat_with(json!({"max_tokens": 5})));

    assert_eq!((reply.status(), upstream.count()), (400, 2));
}

#[test]
fn counting_tokens_applies_no_fixup() {
    let upstream =
        Upstream::anthropic().ruled_by(|seen| seen.target().contains("count").then(|| extra("metadata")));
    let gateway = Gateway::before(&upstream).start();
    let body = with(whole_prompt(MODEL, "hi"), json!({"metadata": {"user_id": "u"}}));

    gateway.call("POST", "/v1/messages/count_tokens").json(&body).reply();
    let calls = upstream.count();
    assert_eq!(gateway.messages(&body).reply().status(), 200);

    assert_eq!(upstream.count(), calls + 1);
    assert_eq!(upstream.request(calls).json()["metadata"]["user_id"], "u");
}
