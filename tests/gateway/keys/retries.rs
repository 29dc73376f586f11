//! Temporary failures: retries on the same key, their budget, and failing providers.

use std::time::Duration;

use super::{both, refusal};
use crate::support::canned::{anthropic, openai};
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect, Ending, Seen, Upstream};

#[test]
fn a_temporary_failure_is_retried_with_the_same_key() {
    for status in [500, 502, 503, 529] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.answering(refusal(dialect, status));
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
            assert_eq!(upstream.keys_seen(), ["k1", "k1"], "{status}");
        }
    }
}

#[test]
fn a_connection_that_breaks_before_the_head_is_retried() {
    for upstream in both() {
        let upstream = upstream.answering(Answer::hang_up());
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_pooled_connection_that_the_upstream_has_closed_is_no_failure() {
    for upstream in both() {
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..6 {
            // The answer and the connection end together, so the pool may keep a closed connection.
            let body = match upstream.dialect() {
                Dialect::Anthropic => anthropic::whole("again"),
                Dialect::OpenAi => openai::whole("again"),
            };
            upstream.then(Answer::json(200, body).ending(Ending::Close));
            assert_eq!(gateway.ask_whole("hi").text(), "again");
        }
    }
}

/// Requirement: `max-retries = 0` → one upstream call; 2 → three, honouring `retry-after`.
/// Requirement: Given `max-retries = 0` and an upstream 500, then exactly one upstream attempt; given 2, three,
/// for both formats.
#[test]
fn max_retries_is_the_number_of_retries() {
    for (retries, calls) in [("0", 1), ("1", 2), ("2", 3)] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.always(refusal(dialect, 500));
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", retries).keys(["k1", "k2"]).start();
            let reply = gateway.ask("hi");
            assert_eq!((reply.status(), upstream.count()), (500, calls), "{retries}");
            assert!(reply.error_message().contains("refused with 500"), "{reply}");
        }
    }
}

/// Requirement: `max-retries = 0` → one upstream call; 2 → three, honouring `retry-after`.
#[test]
fn the_wait_that_the_upstream_names_is_respected() {
    let upstream = Upstream::openai().answering(refusal(Dialect::OpenAi, 503).header("retry-after", "2"));
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let waited = upstream.request(1).at - upstream.request(0).at;
    assert!(waited >= Duration::from_millis(1900), "{waited:?}");
}

#[test]
fn one_request_never_costs_more_than_six_calls() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(refusal(dialect, 401));
        let keys = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];
        let gateway = Gateway::before(&upstream).keys(keys).start();
        assert_eq!(gateway.ask("hi").status(), 401);
        assert_eq!(upstream.keys_seen(), keys[..6]);
    }
}

#[test]
fn a_clients_own_retry_gets_another_key_and_no_gateway_retry() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.refusing("bad").answering_key("good", refusal(dialect, 503));
        let gateway = Gateway::before(&upstream).keys(["bad", "good"]).env("MAX_RETRIES", "1").start();
        let ask =
            || -> Call { gateway.messages(&prompt(MODEL, "hi")).header("x-claude-code-session-id", "s") };
        assert_eq!(ask().reply().status(), 503);
        let before = upstream.keys_seen();
        assert_eq!(before.iter().filter(|key| *key == "good").count(), 2, "{before:?}");
        assert_eq!(ask().reply().status(), 503);
        assert_eq!(upstream.keys_seen()[before.len()..], ["good"]);
    }
}

#[test]
fn a_provider_that_fails_repeatedly_is_still_called() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(refusal(dialect, 500));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..10 {
            assert_eq!(gateway.ask("hi").status(), 500);
        }
        let last = gateway.ask("hi");
        assert_eq!(last.status(), 500, "{last}");
        assert!(last.error_message().contains("refused with 500"), "{last}");
        assert_eq!(upstream.count(), 11);
    }
}

#[test]
fn one_overloaded_model_does_not_affect_others() {
    let upstream = Upstream::anthropic()
        .ruled_by(|seen: &Seen| (seen.json()["model"] == "busy").then(|| refusal(Dialect::Anthropic, 529)));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for _ in 0..15 {
        assert_eq!(gateway.messages(&prompt("busy", "hi")).reply().status(), 529);
    }
    assert_eq!(gateway.messages(&prompt("idle", "hi")).reply().status(), 200);
}

#[test]
fn invalid_requests_do_not_affect_the_provider() {
    let upstream = Upstream::anthropic()
        .ruled_by(|seen: &Seen| (seen.json()["model"] == "wrong").then(|| refusal(Dialect::Anthropic, 400)));
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..15 {
        assert_eq!(gateway.messages(&prompt("wrong", "hi")).reply().status(), 400);
    }
    assert_eq!(gateway.ask("hi").status(), 200);
}

#[test]
fn a_stream_that_fails_before_its_first_event_is_retried() {
    let starts = [
        (Upstream::anthropic(), Answer::events(vec![])),
        (Upstream::anthropic(), Answer::events(anthropic::text(&["lost"])).broken_after(30, Ending::Cut)),
        (Upstream::openai(), Answer::events(openai::text(&["lost"])).broken_after(30, Ending::Reset)),
    ];
    for (upstream, broken) in starts {
        let upstream = upstream.answering(broken);
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_truncated_whole_reply_is_retried() {
    for upstream in both() {
        let body = match upstream.dialect() {
            Dialect::Anthropic => anthropic::whole("lost"),
            Dialect::OpenAi => openai::whole("lost"),
        };
        let upstream = upstream.answering(Answer::json(200, body).broken_after(30, Ending::Cut));
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.ask_whole("hi").text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}
