//! Errors inside a reply of status 200, and replies of other endpoints.

use serde_json::json;

use super::{error, failure, provider, streamed, without_repeats};
use crate::support::canned::openai;
use crate::support::gateway::{Gateway, whole_prompt};
use crate::support::upstream::{Answer, Dialect, Upstream};

fn failing_inside(code: u16, kind: &str, message: &str) -> Answer {
    let chunk = json!({"error": {"message": message, "code": code, "type": kind}});
    Answer::events(vec![openai::data(&chunk)])
}

#[test]
fn a_wait_inside_a_stream_counts_as_the_upstreams_own_wait() {
    let limit = failing_inside(429, "rate_limit_error", "Rate limit reached. Please try again in 20s.");
    let upstream = Upstream::openai().always(limit);
    let gateway = without_repeats(&upstream).start();
    for asked in 1..=2 {
        let reply = streamed(&gateway, "m");
        assert_eq!(reply.status(), 429, "{reply}");
        assert!((18..=24).contains(&reply.integer("retry-after")), "{reply}");
        assert_eq!(upstream.count(), 1, "request {asked}");
    }
}

#[test]
fn a_lack_of_credit_inside_a_stream_is_a_402() {
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let upstream = Upstream::openai().always(failing_inside(429, "insufficient_quota", quota));
    let reply = streamed(&without_repeats(&upstream).start(), "m");
    assert_eq!((reply.status(), reply.error_type().as_str()), (402, "billing_error"), "{reply}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
}

#[test]
fn counting_tokens_does_not_affect_the_health_of_a_model() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        Some(if seen.target().contains("count_tokens") {
            Answer::json(200, r#"{"input_tokens":5}"#)
        } else {
            failure(Dialect::Anthropic, 529)
        })
    });
    let gateway = without_repeats(&upstream).start();
    for _ in 0..4 {
        assert_eq!(streamed(&gateway, "m").status(), 529);
    }
    let models = |gateway: &Gateway| {
        let health = gateway.get("/health?format=json").json();
        health["providers"][provider(&upstream)]["models"].clone()
    };
    assert_eq!(models(&gateway)[0]["model"], "m");
    let counted = gateway.call("POST", "/v1/messages/count_tokens").json(&whole_prompt("m", "hi")).reply();
    assert_eq!(counted.status(), 200, "{counted}");
    assert_eq!(models(&gateway)[0]["model"], "m", "it still fails");
}

#[test]
fn a_key_with_a_higher_limit_serves_a_request_that_is_too_large_for_another() {
    let text = "This request requires more credits, but can only afford 3919";
    let answer = error(Dialect::OpenAi, 402, "x", text);
    let upstream = Upstream::openai().answering_key("poor", answer);
    let gateway = without_repeats(&upstream).keys(["poor", "rich"]).start();
    for _ in 0..3 {
        assert_eq!(streamed(&gateway, "m").status(), 200);
    }
}
