//! Rotation and retries at this endpoint, before the first chunk.

use std::time::Duration;

use super::{BOTH, ask, call, impatient, limited, refusal};
use crate::support::canned::openai;
use crate::support::chat::{self, Error};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Ending, Upstream};

#[test]
fn the_third_key_serves_if_the_first_two_fail() {
    for ask in BOTH {
        let upstream =
            Upstream::openai().answering_key("bad", refusal(401)).answering_key("busy", limited("30"));
        let gateway = Gateway::before(&upstream).keys(["bad", "busy", "good"]).start();
        assert_eq!(chat::text(&ask(&gateway)), "Hello there!");
        assert_eq!(upstream.keys_seen(), ["bad", "busy", "good"]);
    }
}

#[test]
fn every_key_receives_the_same_body() {
    let upstream = Upstream::openai().answering_key("bad", refusal(401));
    let gateway = Gateway::before(&upstream).keys(["bad", "good"]).start();
    assert_eq!(call(&gateway, &chat::prompt(MODEL, "hi")).reply().status(), 200);
    assert_eq!(upstream.request(0).text(), upstream.request(1).text());
}

#[test]
fn the_refusal_of_a_single_key_is_the_upstreams_own_answer() {
    for ask in BOTH {
        for status in [401, 403] {
            let upstream = Upstream::openai().always(refusal(status));
            let reply = ask(&Gateway::before(&upstream).start());
            assert_eq!(reply.status(), status, "{reply}");
            let error = Error::of(&reply);
            assert_eq!(error.words(), ("a_type", Some("a_code")));
            assert_eq!(error.message, format!("refused with {status}"));
            assert_eq!(upstream.count(), 1);
        }
    }
}

/// Deviates from the original ("All of several keys fail, one with 429 → 429 containing `All provider API keys
/// exhausted`"): a key in cooldown is a 429 with its wait.
/// Deviates from the original ("All keys rejected → 429 `All provider API keys exhausted`, or F — the last
/// upstream status and message"): the last refusal, or 429 with the wait while a key is in cooldown.
#[test]
fn while_a_key_is_in_cooldown_the_client_receives_its_wait() {
    let upstream = Upstream::openai()
        .answering_key("dead", refusal(401))
        .answering_key("long", limited("40"))
        .answering_key("short", limited("8"));
    let gateway = Gateway::before(&upstream).keys(["long", "short", "dead"]).start();
    for (number, ask) in BOTH.into_iter().enumerate() {
        let reply = ask(&gateway);
        assert_eq!(reply.status(), 429, "{reply}");
        let words = if number == 0 {
            ("a_type", Some("a_code"))
        } else {
            ("rate_limit_error", Some("rate_limit_exceeded"))
        };
        assert_eq!(
            Error::of(&reply).words(),
            words,
            "the upstream's own words are for the one who called it"
        );
        assert!((6..=10).contains(&reply.integer("retry-after")), "{reply}");
    }
    assert_eq!(upstream.count(), 3, "while all are cooling nobody is asked");
}

#[test]
fn the_limit_of_a_single_key_is_the_upstreams_answer_with_its_wait() {
    let upstream = Upstream::openai().always(limited("120"));
    let reply = ask(&Gateway::before(&upstream).start());
    assert_eq!((reply.status(), Error::of(&reply).message.as_str()), (429, "refused with 429"), "{reply}");
    assert!((118..=120).contains(&reply.integer("retry-after")), "{reply}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
}

#[test]
fn an_exhausted_quota_affects_only_the_key() {
    let body = openai::error("You exceeded your current quota", "insufficient_quota", "insufficient_quota");
    for ask in BOTH {
        let upstream = Upstream::openai().answering_key("empty", Answer::json(429, body.clone()));
        let gateway = Gateway::before(&upstream).keys(["empty", "good"]).start();
        assert_eq!(chat::text(&ask(&gateway)), "Hello there!");
    }
}

/// Requirement: Upstream 404 or 400 does not rotate.
/// Complaint of gateway users: the wrong limit parameter, and a 400 told as a 500.
#[test]
fn an_invalid_request_is_tried_with_one_key_only() {
    for ask in BOTH {
        for status in [400, 404, 413, 422] {
            let upstream = Upstream::openai().always(refusal(status));
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            assert_eq!(ask(&gateway).status(), status);
            assert_eq!(upstream.count(), 1, "{status}");
        }
    }
}

#[test]
fn a_temporary_failure_is_retried_with_the_same_key() {
    for ask in BOTH {
        for first in [refusal(500), refusal(503), Answer::hang_up()] {
            let upstream = Upstream::openai().answering(first);
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            assert_eq!(chat::text(&ask(&gateway)), "Hello there!");
            assert_eq!(upstream.keys_seen(), ["k1", "k1"]);
        }
    }
}

/// Requirement: `max-retries = 0` → one upstream call; 2 → three, honouring `retry-after`.
/// Requirement: Given `max-retries = 0` and an upstream 500, then exactly one upstream attempt; given 2, three,
/// for both formats.
#[test]
fn max_retries_is_the_number_of_retries() {
    for (retries, calls) in [("0", 1), ("2", 3)] {
        for ask in BOTH {
            let upstream = Upstream::openai().always(refusal(500));
            let reply = ask(&Gateway::before(&upstream).env("MAX_RETRIES", retries).start());
            assert_eq!((reply.status(), upstream.count()), (500, calls), "{retries}");
        }
    }
}

/// Requirement: `max-retries = 0` → one upstream call; 2 → three, honouring `retry-after`.
#[test]
fn the_wait_that_the_upstream_names_is_respected() {
    let upstream = Upstream::openai().answering(refusal(503).header("retry-after", "2"));
    assert_eq!(ask(&Gateway::before(&upstream).start()).status(), 200);
    let waited = upstream.request(1).at - upstream.request(0).at;
    assert!(waited >= Duration::from_millis(1900), "{waited:?}");
}

#[test]
fn a_stream_that_fails_before_its_first_chunk_is_retried() {
    let text = || Answer::events(openai::text(&["lost"]));
    let busy = openai::data(&serde_json::json!({"error": {"message": "Busy", "code": 503}}));
    for broken in [
        Answer::events(vec![]),
        Answer::events(vec![b": a comment\n\n".to_vec()]),
        text().broken_after(30, Ending::Cut),
        text().broken_after(30, Ending::Reset),
        Answer::events(vec![busy, openai::done()]),
    ] {
        let upstream = Upstream::openai().answering(broken);
        assert_eq!(chat::text(&ask(&Gateway::before(&upstream).start())), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_truncated_whole_reply_is_retried() {
    let broken = Answer::json(200, openai::whole("lost")).broken_after(30, Ending::Cut);
    let upstream = Upstream::openai().answering(broken);
    assert_eq!(chat::text(&super::ask_whole(&Gateway::before(&upstream).start())), "Hello there!");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn one_request_never_costs_more_than_six_calls() {
    let upstream = Upstream::openai().always(refusal(401));
    let keys = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];
    assert_eq!(ask(&Gateway::before(&upstream).keys(keys).start()).status(), 401);
    assert_eq!(upstream.keys_seen(), keys[..6]);
}

#[test]
fn a_clients_own_retry_is_not_retried_by_the_gateway() {
    let upstream = Upstream::openai().always(refusal(503));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "1").start();
    for calls in [2, 3] {
        let call = call(&gateway, &chat::prompt(MODEL, "hi")).header("x-claude-code-session-id", "s");
        assert_eq!(call.reply().status(), 503);
        assert_eq!(upstream.count(), calls);
    }
}

#[test]
fn a_key_refused_at_this_endpoint_is_not_used_at_the_other() {
    let upstream = Upstream::openai().answering_key("busy", limited("30"));
    let gateway = impatient(&upstream).keys(["busy", "good"]).start();
    assert_eq!(chat::text(&ask(&gateway)), "Hello there!");
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    assert_eq!(upstream.keys_seen(), ["busy", "good", "good"]);
}
