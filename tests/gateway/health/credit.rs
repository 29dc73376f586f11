//! Lack of credit is no rate limit: 402 `billing_error` with the upstream's text, and nothing that invites a retry.

use super::{assert_served, both, error, streamed};
use crate::support::canned::openai;
use crate::support::chat::Error;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Errors of providers for a lack of credit, with the text that the client must receive.
fn without_money(dialect: Dialect) -> Vec<(Answer, &'static str)> {
    let low = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to \
        upgrade or purchase credits.";
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let credits = r#"{"error":{"message":"Insufficient credits. Add more on the settings page","code":402}}"#;
    match dialect {
        Dialect::Anthropic => vec![
            (
                error(dialect, 402, "billing_error", "There is an issue with your organization's billing"),
                "billing",
            ),
            (error(dialect, 400, "invalid_request_error", low), low),
        ],
        Dialect::OpenAi => vec![
            (error(dialect, 429, "insufficient_quota", quota), quota),
            (
                Answer::json(402, openai::error("Insufficient Balance", "unknown_error", "x")),
                "Insufficient Balance",
            ),
            (Answer::json(402, credits), "Insufficient credits"),
        ],
    }
}

fn upstream_without_money(dialect: Dialect, answer: Answer) -> Upstream {
    let [anthropic, openai] = both();
    let upstream = if dialect == Dialect::Anthropic { anthropic } else { openai };
    upstream.answering_key("empty", answer)
}

#[test]
fn a_single_key_without_credit_is_a_402_that_no_client_retries() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (answer, text) in without_money(dialect) {
            let upstream = upstream_without_money(dialect, answer);
            let gateway = Gateway::before(&upstream).keys(["empty"]).start();
            for reply in [gateway.ask("hi"), gateway.ask_whole("hi")] {
                assert_eq!((reply.status(), reply.error_type().as_str()), (402, "billing_error"), "{reply}");
                assert!(reply.error_message().contains(text), "{reply}");
                assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
                assert_eq!(reply.header("retry-after"), None, "nobody named a wait: {reply}");
            }
            assert_eq!(upstream.count(), 2, "the last key is asked every time, and once");
        }
    }
}

#[test]
fn chat_clients_receive_no_invitation_to_retry_either() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (answer, text) in without_money(dialect) {
            let upstream = upstream_without_money(dialect, answer);
            let gateway = Gateway::before(&upstream).keys(["empty"]).start();
            let body = crate::support::chat::whole_prompt("test-model", "hi");
            let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
            assert!((400..500).contains(&reply.status()), "{reply}");
            if dialect == Dialect::Anthropic {
                assert!(Error::of(&reply).message.contains(text), "{reply}");
            }
            assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
            assert_eq!(reply.header("retry-after"), None, "{reply}");
        }
    }
}

#[test]
fn a_key_without_credit_is_skipped_for_every_model_while_another_serves() {
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        for (answer, text) in without_money(dialect) {
            let upstream = upstream_without_money(dialect, answer);
            let gateway = Gateway::before(&upstream).keys(["empty", "good"]).start();
            for model in ["a", "a", "b", "c"] {
                assert_served(&streamed(&gateway, &format!("test-{model}")));
            }
            assert_eq!(upstream.keys_seen(), ["empty", "good", "good", "good", "good"], "{text}");
        }
    }
}
