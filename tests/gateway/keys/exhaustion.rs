//! The client's error when no key is left.

use super::{both, limited, refusal};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Requirement: One key, upstream 401 → 401.
/// Requirement: Single rejected key → the upstream's 401, not 429.
#[test]
fn the_refusal_of_a_single_key_is_the_upstreams_own_answer_every_time() {
    for status in [401, 403] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.always(refusal(dialect, status));
            let gateway = Gateway::before(&upstream).start();
            for asked in 1..=2 {
                let reply = gateway.ask("hi");
                assert_eq!(reply.status(), status, "{reply}");
                assert!(reply.error_message().contains(&format!("refused with {status}")), "{reply}");
                assert_eq!(upstream.count(), asked, "the last key is never given up");
            }
        }
    }
}

/// Deviates from the original ("All keys rejected → 429 `All provider API keys exhausted`, or F — the last
/// upstream status and message"): the last refusal, or 429 with the wait while a key is in cooldown.
#[test]
fn if_all_keys_are_refused_the_last_refusal_reaches_the_client() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(refusal(dialect, 401));
        let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
        for _ in 0..2 {
            let reply = gateway.ask("hi");
            assert_eq!(reply.status(), 401, "{reply}");
            assert!(reply.error_message().contains("refused with 401"), "{reply}");
        }
        let seen = upstream.keys_seen();
        assert_eq!(seen[..3], ["k1", "k2", "k3"]);
    }
}

#[test]
fn an_error_body_after_the_last_key_is_byte_exact() {
    let body = anthropic::error("authentication_error", "invalid x-api-key");
    let upstream = Upstream::anthropic().always(Answer::json(401, body.clone()));
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    assert_eq!(gateway.ask("hi").raw(), body);
}

/// Deviates from the original ("All of several keys fail, one with 429 → 429 containing `All provider API keys
/// exhausted`"): a key in cooldown is a 429 with its wait.
/// Deviates from the original ("All keys rejected → 429 `All provider API keys exhausted`, or F — the last
/// upstream status and message"): the last refusal, or 429 with the wait while a key is in cooldown.
#[test]
fn while_a_key_is_in_cooldown_the_client_receives_its_wait() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream
            .refusing("dead")
            .answering_key("long", limited(dialect, "40"))
            .answering_key("short", limited(dialect, "8"));
        let gateway = Gateway::before(&upstream).keys(["long", "dead", "short"]).start();
        for _ in 0..2 {
            let reply = gateway.ask("hi");
            assert_eq!((reply.status(), reply.error_type().as_str()), (429, "rate_limit_error"), "{reply}");
            assert!((6..=10).contains(&reply.integer("retry-after")), "{reply}");
        }
        assert_eq!(upstream.count(), 3, "while all are cooling nobody is asked");
    }
}

#[test]
fn an_estimated_wait_is_short_and_invites_a_retry() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(refusal(dialect, 429));
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).limit("cooldown", 200).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.status(), 429);
        assert!((1..=60).contains(&reply.integer("retry-after")), "{reply}");
        assert_eq!(reply.header("x-should-retry"), Some("true"), "{reply}");
    }
}

#[test]
fn a_wait_in_googles_error_body_is_respected() {
    let body = r#"[{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.2s"}]}}]"#;
    let upstream = Upstream::openai().always(Answer::json(429, body));
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.ask("hi");
    assert_eq!((reply.status(), reply.error_type().as_str()), (429, "rate_limit_error"), "{reply}");
    assert!((33..=35).contains(&reply.integer("retry-after")), "{reply}");
    assert_eq!(reply.header("x-should-retry"), None, "it is no guess: {reply}");
}

/// Requirement: Upstream error status, body and `retry-after`, `request-id` reach the client unchanged.
#[test]
fn a_long_named_wait_stops_the_clients_retries() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(limited(dialect, "120"));
        let gateway = Gateway::before(&upstream).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.status(), 429);
        assert!((118..=120).contains(&reply.integer("retry-after")), "{reply}");
        assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
    }
}

#[test]
fn a_wait_as_a_date_or_as_invalid_text_becomes_an_integer() {
    for said in ["Fri, 31 Dec 1999 23:59:59 GMT", "soon", "-5", "0", "1.5", "99999999999999999999"] {
        let upstream = Upstream::anthropic().always(limited(Dialect::Anthropic, said));
        let reply = Gateway::before(&upstream).start().ask("hi");
        assert_eq!(reply.status(), 429, "{said}");
        assert!(reply.integer("retry-after") >= 1, "{said}: {reply}");
    }
}

#[test]
fn retry_after_is_an_integer_on_every_error_that_has_one() {
    let upstream = Upstream::anthropic()
        .always(refusal(Dialect::Anthropic, 529).header("retry-after", "Fri, 31 Dec 2099 23:59:59 GMT"));
    let reply = Gateway::before(&upstream).env("MAX_RETRIES", "0").start().ask("hi");
    assert_eq!(reply.status(), 529);
    if reply.header("retry-after").is_some() {
        assert!(reply.integer("retry-after") >= 1);
    }
}
