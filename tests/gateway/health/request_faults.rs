//! What a request causes by its own size or content: it is neither repeated nor counted, for no key and no model.

use super::{answering_model, assert_served, both, chain, error, provider, streamed};
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Both keys of an upstream with two go on being used for other models.
#[track_caller]
fn assert_both_keys_serve(gateway: &Gateway, upstream: &Upstream, what: &str) {
    let before = upstream.count();
    for _ in 0..4 {
        assert_served(&streamed(gateway, "other"));
    }
    let mut keys = upstream.keys_seen()[before..].to_vec();
    keys.sort();
    assert_eq!(keys, ["k1", "k1", "k2", "k2"], "{what}");
}

/// Names of models that are words of errors as well.
const NAMES: [&str; 6] = [
    "insufficient_quota",
    "rate_limit_exceeded",
    "invalid_api_key",
    "overloaded_error",
    "credit balance is too low",
    "Incorrect API key provided",
];

#[test]
fn an_unknown_model_with_a_telling_name_starts_no_cooldown() {
    for name in NAMES {
        for upstream in both() {
            let answer = match upstream.dialect() {
                Dialect::Anthropic => {
                    error(Dialect::Anthropic, 404, "not_found_error", &format!("model: {name}"))
                }
                Dialect::OpenAi => {
                    let message =
                        format!("The model `{name}` does not exist or you do not have access to it.");
                    Answer::json(404, openai::error(&message, "invalid_request_error", "model_not_found"))
                }
            };
            let upstream = answering_model(upstream, name, answer);
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            for asked in 1..=2 {
                let reply = streamed(&gateway, &format!("!{}:{name}", provider(&upstream)));
                assert_eq!(
                    (reply.status(), reply.error_type().as_str()),
                    (404, "not_found_error"),
                    "{reply}"
                );
                assert_eq!(upstream.count(), asked, "{name}: the first call's answer is the client's");
            }
            assert_both_keys_serve(&gateway, &upstream, name);
        }
    }
}

#[test]
fn an_invalid_request_that_quotes_a_telling_word_starts_no_cooldown() {
    for name in NAMES {
        for upstream in both() {
            let message = format!("Invalid value: '{name}'. Supported values are: 'low', 'high'.");
            let answer = match upstream.dialect() {
                Dialect::Anthropic => error(Dialect::Anthropic, 400, "invalid_request_error", &message),
                Dialect::OpenAi => {
                    Answer::json(400, openai::error(&message, "invalid_request_error", "invalid_value"))
                }
            };
            let upstream = answering_model(upstream, "strict", answer);
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            let reply = streamed(&gateway, "strict");
            assert_eq!(
                (reply.status(), reply.error_type().as_str()),
                (400, "invalid_request_error"),
                "{reply}"
            );
            assert_eq!(upstream.count(), 1, "{name}");
            assert_both_keys_serve(&gateway, &upstream, name);
        }
    }
}

#[test]
fn a_moderated_prompt_says_nothing_about_the_key() {
    let body = r#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],
        "flagged_input":"...","provider_name":"SomeProvider","model_slug":"m"}}}"#;
    let upstream = answering_model(Upstream::openai(), "moderated", Answer::json(403, body));
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    let reply = streamed(&gateway, "moderated");
    assert_eq!((reply.status(), reply.error_type().as_str()), (403, "permission_error"), "{reply}");
    assert!(reply.error_message().contains("Your input was flagged"), "{reply}");
    assert_eq!(upstream.count(), 1, "another key would get the same answer");
    assert_both_keys_serve(&gateway, &upstream, "moderation");
}

/// Answers for requests that are larger than a limit allows at any time, with a part of their text.
fn too_large(dialect: Dialect) -> Vec<(Answer, &'static str)> {
    let request = "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, \
        Requested 30601. The input or output tokens must be reduced in order to run successfully.";
    let credits = "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, \
        but can only afford 3919. To increase, visit the settings and upgrade to a paid account";
    match dialect {
        Dialect::Anthropic => {
            vec![(error(dialect, 429, "rate_limit_error", request), "Requested 30601")]
        }
        Dialect::OpenAi => {
            let tokens = Answer::json(429, openai::error(request, "tokens", "rate_limit_exceeded"));
            let body = serde_json::json!({"error": {"message": credits, "code": 402}}).to_string();
            vec![(tokens, "Requested 30601"), (Answer::json(402, body), "can only afford 3919")]
        }
    }
}

/// Refuses long requests with this answer.
fn refusing_long(upstream: Upstream, answer: Answer) -> Upstream {
    upstream.ruled_by(move |seen| (seen.body.len() > 2000).then(|| answer.clone()))
}

#[test]
fn a_request_that_is_too_large_for_a_limit_starts_no_cooldown() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (answer, text) in too_large(dialect) {
            let [anthropic, openai] = both();
            let upstream = if dialect == Dialect::Anthropic { anthropic } else { openai };
            let upstream = refusing_long(upstream, answer);
            let gateway = Gateway::before(&upstream).start();
            for asked in 1..=3 {
                let reply = gateway.ask(&"x".repeat(4000));
                assert!([429, 402].contains(&reply.status()), "{reply}");
                assert!(reply.error_message().contains(text), "{reply}");
                assert_eq!(upstream.count(), 2 * asked - 1, "{text}: it is not repeated");
                assert_served(&gateway.ask("small"));
            }
        }
    }
}

#[test]
fn a_request_that_is_too_large_for_one_key_is_tried_with_the_next_and_starts_no_cooldown() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (answer, text) in too_large(dialect) {
            let [anthropic, openai] = both();
            let upstream = if dialect == Dialect::Anthropic { anthropic } else { openai };
            let upstream = refusing_long(upstream, answer);
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            assert!(gateway.ask(&"x".repeat(4000)).error_message().contains(text));
            assert_eq!(upstream.keys_seen(), ["k1", "k2"], "{text}");
            assert_both_keys_serve(&gateway, &upstream, text);
        }
    }
}

#[test]
fn a_body_that_the_upstream_cuts_off_is_sent_once_and_counts_for_nothing() {
    for upstream in both() {
        let answer = error(upstream.dialect(), 413, "request_too_large", "only so much");
        let upstream = upstream.cutting_off_over(1 << 20, answer);
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        for asked in 1..=4 {
            let reply = gateway.ask(&"x".repeat(6 << 20));
            assert_eq!((reply.status(), reply.error_type().as_str()), (413, "request_too_large"), "{reply}");
            assert_eq!(reply.error_message(), "only so much");
            assert_eq!(upstream.count(), asked, "it is not repeated");
        }
        let report = super::health(&gateway);
        assert_eq!(report["status"], "healthy", "{report}");
        let before = upstream.count();
        for _ in 0..2 {
            assert_served(&streamed(&gateway, MODEL));
        }
        assert_eq!(upstream.count(), before + 2);
    }
}

#[test]
fn a_body_whose_connection_is_reset_unread_is_sent_once_and_counts_for_nothing() {
    for upstream in both() {
        let upstream = upstream.resetting_over(1 << 20);
        let gateway = Gateway::before(&upstream).start();
        for asked in 1..=4 {
            let reply = gateway.ask(&"x".repeat(6 << 20));
            assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
            assert!(reply.error_message().contains("may be too large"), "{reply}");
            assert_eq!(upstream.count(), asked, "it is not repeated");
        }
        let report = super::health(&gateway);
        assert_eq!(report["status"], "healthy", "{report}");
        assert_served(&streamed(&gateway, MODEL));
    }
}

#[test]
fn an_event_beyond_the_bound_counts_against_no_model() {
    for upstream in both() {
        let long = "x".repeat(200_000);
        let events = |words: &[&str]| match upstream.dialect() {
            Dialect::Anthropic => anthropic::text(words),
            Dialect::OpenAi => openai::text(words),
        };
        let answers = [events(&[&long]), events(&["first", &long])].map(Answer::events);
        let setup = chain(&upstream, &Upstream::openai()).limit("event", 65536);
        let gateway = setup.start();
        for _ in 0..3 {
            for answer in &answers {
                upstream.then(answer.clone());
                streamed(&gateway, "one:m");
            }
        }
        let before = upstream.count();
        assert_served(&streamed(&gateway, "one:m"));
        assert_eq!(upstream.count(), before + 1, "it is not passed over");
        assert_eq!(super::health(&gateway)["status"], "healthy");
    }
}

#[test]
fn invalid_requests_leave_the_gateway_healthy() {
    for status in [400, 404, 413, 422] {
        for upstream in both() {
            let answer = error(upstream.dialect(), status, "invalid_request_error", "no good");
            let upstream = answering_model(upstream, "strict", answer);
            let gateway = Gateway::before(&upstream).start();
            for asked in 1..=12 {
                let reply = gateway.messages(&prompt("strict", "hi")).reply();
                assert!((400..500).contains(&reply.status()), "{reply}");
                assert_eq!(upstream.count(), asked);
            }
            let report = super::health(&gateway);
            assert_eq!(report["status"], "healthy", "{status}: {report}");
            assert_served(&streamed(&gateway, "other"));
        }
    }
}
