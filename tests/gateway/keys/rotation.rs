//! Which key serves a request, and when a failed one is used again.

use std::thread;
use std::time::{Duration, Instant};

use super::{await_that, both, limited, refusal};
use crate::support::canned::openai;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Requirement: Keys `k1 k2 k3`, four requests → k1, k2, k3, k1; 40 concurrent over four keys → ten each.
#[test]
fn keys_rotate() {
    for upstream in both() {
        let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
        for _ in 0..4 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        assert_eq!(upstream.keys_seen(), ["k1", "k2", "k3", "k1"]);
    }
}

/// Requirement: Keys `k1 k2 k3`, four requests → k1, k2, k3, k1; 40 concurrent over four keys → ten each.
#[test]
fn keys_rotate_under_load_too() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3", "k4"]).start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(gateway.ask("hi").status(), 200)));
        }
    });
    let seen = upstream.keys_seen();
    for key in ["k1", "k2", "k3", "k4"] {
        assert_eq!(seen.iter().filter(|seen| *seen == key).count(), 10, "{key}");
    }
}

/// Requirement: Keys `bad good`, upstream 401 (403, 429) for bad → 200 for the client, upstream saw bad then
/// good. with 429 each key is tried only `max-retries`+1 times.
/// Requirement: Anthropic-format streaming with keys `bad good` streams from good.
#[test]
fn a_refused_key_is_replaced_before_the_client_notices() {
    for status in [401, 403, 429] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.answering_key("bad", refusal(dialect, status));
            let gateway = Gateway::before(&upstream).keys(["bad", "good"]).start();
            assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
            assert_eq!(upstream.keys_seen(), ["bad", "good"], "{status}");
            assert_eq!(gateway.ask_whole("hi").text(), "Hello there!", "{status}");
            assert_eq!(upstream.keys_seen(), ["bad", "good", "good"], "a dead key is remembered");
        }
    }
}

#[test]
fn a_key_refused_with_a_400_is_replaced_too() {
    let gemini = r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#;
    let xai =
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***yz."}"#;
    for body in [gemini, xai] {
        let upstream = Upstream::openai().answering_key("bad", Answer::json(400, body));
        let gateway = Gateway::before(&upstream).keys(["bad", "good"]).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(upstream.keys_seen(), ["bad", "good", "good"], "a dead key is remembered");
        let alone = Gateway::before(&upstream).keys(["bad"]).start().ask("hi");
        assert_eq!((alone.status(), alone.error_type().as_str()), (401, "authentication_error"));
    }
}

#[test]
fn another_key_receives_the_same_request() {
    for upstream in both() {
        let upstream = upstream.refusing("bad");
        let gateway = Gateway::before(&upstream).keys(["bad", "good"]).start();
        gateway.ask("hi");
        assert_eq!(upstream.request(0).body, upstream.request(1).body);
        assert_eq!(upstream.request(0).target(), upstream.request(1).target());
    }
}

#[test]
fn two_keys_may_fail_for_different_reasons() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.refusing("bad").answering_key("busy", limited(dialect, "30"));
        let gateway = Gateway::before(&upstream).keys(["bad", "busy", "good"]).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(upstream.keys_seen(), ["bad", "busy", "good"]);
    }
}

/// Requirement: Three keys, first two failing with 401 and 429 → 200 with the third; on all four paths including
/// Anthropic streaming .
/// Requirement: Anthropic-format streaming with keys `bad good` streams from good.
#[test]
fn the_third_key_serves_on_all_four_paths_streamed_and_whole() {
    for (speaking, endpoint, stream) in [0, 1].into_iter().flat_map(|speaking| {
        let endpoints = ["/v1/messages", "/v1/chat/completions"];
        endpoints
            .into_iter()
            .flat_map(move |endpoint| [true, false].map(|stream| (speaking, endpoint, stream)))
    }) {
        let [anthropic, openai] = both();
        let upstream = if speaking == 0 { anthropic } else { openai };
        let dialect = upstream.dialect();
        let upstream = upstream
            .answering_key("bad", refusal(dialect, 401))
            .answering_key("busy", limited(dialect, "30"));
        let gateway = Gateway::before(&upstream).keys(["bad", "busy", "good"]).start();
        let mut body = prompt(MODEL, "hi");
        body["stream"] = stream.into();
        let reply = gateway.call("POST", endpoint).json(&body).reply();
        let way = format!("{dialect:?} {endpoint} {stream}: {reply}");
        assert!(
            reply.status() == 200 && reply.is_stream() == stream && !reply.raw().contains("error"),
            "{way}"
        );
        assert!(reply.raw().contains("there!"), "{way}");
        assert_eq!(upstream.keys_seen(), ["bad", "busy", "good"], "{way}");
    }
}

/// Requirement: 400 with `insufficient_quota` rotates on both formats.
#[test]
fn an_exhausted_quota_affects_only_the_key_whatever_its_status() {
    for status in [400, 402, 429] {
        let body =
            openai::error("You exceeded your current quota", "insufficient_quota", "insufficient_quota");
        for upstream in both() {
            let upstream = upstream.answering_key("empty", Answer::json(status, body.clone()));
            let gateway = Gateway::before(&upstream).keys(["empty", "good"]).start();
            assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
            assert_eq!(gateway.ask_whole("hi").text(), "Hello there!", "{status}");
            assert_eq!(upstream.keys_seen(), ["empty", "good", "good"], "{status}");
        }
    }
}

/// Requirement: Upstream 404 or 400 does not rotate.
/// Complaint of gateway users: the wrong limit parameter, and a 400 told as a 500.
#[test]
fn an_invalid_request_is_tried_with_one_key_only() {
    for status in [400, 404, 413, 422] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.always(refusal(dialect, status));
            let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
            assert!(gateway.ask("hi").status() >= 400);
            assert_eq!(upstream.count(), 1, "{status}");
        }
    }
}

#[test]
fn a_key_without_permission_for_one_model_serves_the_others() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        (seen.key() == "k1" && seen.json()["model"] == "forbidden").then(|| refusal(Dialect::OpenAi, 403))
    });
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    for _ in 0..3 {
        assert_eq!(gateway.messages(&prompt("forbidden", "hi")).reply().status(), 200);
    }
    for _ in 0..2 {
        assert_eq!(gateway.messages(&prompt("allowed", "hi")).reply().status(), 200);
    }
    let keys = |model: &str| -> Vec<String> {
        let seen = upstream.requests();
        seen.iter().filter(|seen| seen.json()["model"] == model).map(|seen| seen.key().to_owned()).collect()
    };
    assert_eq!(keys("forbidden").iter().filter(|key| *key == "k1").count(), 1, "{:?}", keys("forbidden"));
    assert!(keys("allowed").contains(&"k1".to_owned()), "{:?}", keys("allowed"));
}

#[test]
fn a_key_in_cooldown_is_used_again_after_the_named_time() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.answering(limited(dialect, "1"));
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        let cooled = Instant::now();
        assert_eq!(gateway.ask("hi").status(), 200);
        await_that("k1 is used again", || {
            assert_eq!(gateway.ask("hi").status(), 200);
            upstream.keys_seen().iter().filter(|key| *key == "k1").count() == 2
        });
        assert!(cooled.elapsed() >= Duration::from_millis(900), "{:?}", cooled.elapsed());
    }
}

#[test]
fn a_cooldown_is_no_longer_than_its_maximum() {
    let upstream = Upstream::openai().answering(limited(Dialect::OpenAi, "3600"));
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).limit("cooldown-cap", 0.3).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    await_that("k1 is used again", || {
        gateway.ask("hi");
        upstream.keys_seen().iter().filter(|key| *key == "k1").count() == 2
    });
}

/// Requirement: Keys `bad bad` → an error within a second and `/health` keeps answering.
#[test]
fn the_same_key_twice_is_one_key() {
    for upstream in both() {
        let upstream = upstream.refusing("bad");
        let gateway = Gateway::before(&upstream).keys(["bad", "bad"]).start();
        assert_eq!(gateway.ask("hi").status(), 401);
        assert_eq!(upstream.count(), 1);
        assert_eq!(gateway.get("/health").status(), 200);
    }
}

#[test]
fn a_providers_keys_never_serve_another_provider() {
    let [one, two] = [Upstream::openai(), Upstream::anthropic()];
    let gateway = Gateway::bare()
        .provider("one", &one)
        .provider("two", &two)
        .env("ONE_API_KEY", "key-of-one")
        .env("TWO_API_KEY", "key-of-two")
        .start();
    gateway.messages(&prompt("one:m", "hi")).reply();
    gateway.messages(&prompt("two:m", "hi")).reply();
    assert_eq!(
        (one.keys_seen(), two.keys_seen()),
        (vec!["key-of-one".to_owned()], vec!["key-of-two".to_owned()])
    );
}

#[test]
fn a_retry_with_another_key_uses_the_same_permit() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.answering_key("bad", refusal(dialect, 401));
        let gateway = Gateway::before(&upstream)
            .keys(["bad", "good"])
            .limit("provider-in-flight", 1)
            .limit("provider-queue", 0)
            .start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "the place is free again");
        assert_eq!(upstream.keys_seen(), ["bad", "good", "good"]);
    }
}
