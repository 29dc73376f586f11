//! The life of a key that fails (design §4): rotation, cooling, and what the client sees when none is left.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

fn both() -> [Upstream; 2] {
    [Upstream::anthropic(), Upstream::openai()]
}

/// The refusal of this status in the upstream's own words.
fn refusal(dialect: Dialect, status: u16) -> Answer {
    let body = match dialect {
        Dialect::Anthropic => anthropic::error("x_error", &format!("refused with {status}")),
        Dialect::OpenAi => openai::error(&format!("refused with {status}"), "x", "y"),
    };
    Answer::json(status, body)
}

fn limited(dialect: Dialect, retry_after: &str) -> Answer {
    refusal(dialect, 429).header("retry-after", retry_after)
}

#[test]
fn keys_take_turns() {
    for upstream in both() {
        let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
        for _ in 0..4 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        assert_eq!(upstream.keys_seen(), ["k1", "k2", "k3", "k1"]);
    }
}

#[test]
fn keys_take_turns_under_load_too() {
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
fn the_request_that_another_key_gets_is_the_same() {
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

#[test]
fn an_exhausted_quota_is_a_matter_of_the_key_whatever_its_status() {
    for status in [400, 402, 429] {
        let body =
            openai::error("You exceeded your current quota", "insufficient_quota", "insufficient_quota");
        let upstream = Upstream::openai().answering_key("empty", Answer::json(status, body));
        let gateway = Gateway::before(&upstream).keys(["empty", "good"]).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{status}");
    }
}

#[test]
fn a_request_that_is_wrong_is_wrong_with_every_key() {
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
fn a_cooled_key_comes_back_after_the_time_that_the_upstream_named() {
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
fn a_key_cools_no_longer_than_the_cap() {
    let upstream = Upstream::openai().answering(limited(Dialect::OpenAi, "3600"));
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).limit("cooldown-cap", 0.3).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    await_that("k1 is used again", || {
        gateway.ask("hi");
        upstream.keys_seen().iter().filter(|key| *key == "k1").count() == 2
    });
}

#[test]
fn a_single_refused_key_is_the_upstreams_own_answer_every_time() {
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

#[test]
fn when_all_keys_are_refused_the_last_refusal_reaches_the_client() {
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

#[test]
fn when_a_key_is_merely_cooling_the_client_is_told_how_long() {
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
            assert!((6..=8).contains(&reply.integer("retry-after")), "{reply}");
        }
        assert_eq!(upstream.count(), 3, "while all are cooling nobody is asked");
    }
}

#[test]
fn a_wait_that_we_only_guess_is_short_and_worth_a_retry() {
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
fn a_long_wait_that_the_upstream_named_stops_the_retries() {
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
fn a_wait_given_as_a_date_or_as_nonsense_becomes_an_integer() {
    for said in ["Fri, 31 Dec 1999 23:59:59 GMT", "soon", "-5", "0", "1.5", "99999999999999999999"] {
        let upstream = Upstream::anthropic().always(limited(Dialect::Anthropic, said));
        let reply = Gateway::before(&upstream).start().ask("hi");
        assert_eq!(reply.status(), 429, "{said}");
        assert!(reply.integer("retry-after") >= 1, "{said}: {reply}");
    }
}

#[test]
fn retry_after_is_an_integer_on_every_error_that_carries_one() {
    let upstream = Upstream::anthropic()
        .always(refusal(Dialect::Anthropic, 529).header("retry-after", "Fri, 31 Dec 2099 23:59:59 GMT"));
    let reply = Gateway::before(&upstream).env("MAX_RETRIES", "0").start().ask("hi");
    assert_eq!(reply.status(), 529);
    if reply.header("retry-after").is_some() {
        assert!(reply.integer("retry-after") >= 1);
    }
}

#[test]
fn a_passing_failure_is_tried_again_with_the_same_key() {
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
fn a_connection_that_breaks_before_the_head_is_tried_again() {
    for upstream in both() {
        let upstream = upstream.answering(Answer::hang_up());
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn a_kept_connection_that_the_upstream_closed_meanwhile_is_no_failure() {
    for upstream in both() {
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..6 {
            // The answer's end and the connection's end come together, so the pool may keep a dead connection.
            let body = match upstream.dialect() {
                Dialect::Anthropic => anthropic::whole("again"),
                Dialect::OpenAi => openai::whole("again"),
            };
            upstream.then(Answer::json(200, body).ending(crate::support::upstream::Ending::Close));
            assert_eq!(gateway.ask_whole("hi").text(), "again");
        }
    }
}

#[test]
fn max_retries_is_the_number_of_repeats() {
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

#[test]
fn the_pause_that_the_upstream_names_is_kept() {
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
fn a_client_that_retries_by_itself_is_not_made_to_wait_by_us() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.refusing("bad").answering_key("good", refusal(dialect, 503));
        let gateway = Gateway::before(&upstream).keys(["bad", "good"]).env("MAX_RETRIES", "5").start();
        let call: Call = gateway.messages(&prompt(MODEL, "hi")).header("x-stainless-retry-count", "1");
        assert_eq!(call.reply().status(), 503);
        assert_eq!(upstream.keys_seen(), ["bad", "good"], "another key needs no wait");
    }
}

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

fn of_session(gateway: &Gateway, session: &str) -> Reply {
    gateway.messages(&prompt(MODEL, "hi")).header("x-claude-code-session-id", session).reply()
}

#[test]
fn a_session_keeps_its_key_and_sessions_are_spread() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
    for session in 0..24 {
        let before = upstream.count();
        for _ in 0..3 {
            of_session(&gateway, &format!("session-{session}"));
        }
        let used = upstream.keys_seen()[before..].to_vec();
        assert!(used.iter().all(|key| *key == used[0]), "{used:?}");
    }
    for key in ["k1", "k2", "k3"] {
        assert!(upstream.keys_seen().contains(&key.to_owned()), "{key} serves no session");
    }
}

#[test]
fn the_session_inside_the_metadata_counts_as_one() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
    let users = [
        "user_0af1_account__session_2c5bd53c-8a4d-4a3b-9c55-0b9d4c1d9e6f".to_owned(),
        json!({"device_id": "d", "account_uuid": "", "session_id": "2c5bd53c-8a4d"}).to_string(),
    ];
    for user in users {
        let before = upstream.count();
        for _ in 0..6 {
            let mut body = whole_prompt(MODEL, "hi");
            body["metadata"] = json!({"user_id": user});
            gateway.messages(&body).reply();
        }
        let used = upstream.keys_seen()[before..].to_vec();
        assert!(used.iter().all(|key| *key == used[0]), "{user}: {used:?}");
    }
}

#[test]
fn a_session_moves_on_when_its_key_dies() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    of_session(&gateway, "mine");
    let dead = upstream.keys_seen()[0].clone();
    let upstream = upstream.refusing(&dead);
    for _ in 0..2 {
        assert_eq!(of_session(&gateway, "mine").status(), 200);
    }
    let seen: Vec<bool> = upstream.keys_seen().iter().map(|key| *key == dead).collect();
    assert_eq!(seen, [true, true, false, false]);
}

#[test]
fn a_provider_that_fails_and_fails_is_left_alone_for_a_while() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.always(refusal(dialect, 500));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for _ in 0..10 {
            assert_eq!(gateway.ask("hi").status(), 500);
        }
        let refused = gateway.ask("hi");
        assert_eq!((refused.status(), refused.error_type().as_str()), (529, "overloaded_error"), "{refused}");
        assert!((1..=30).contains(&refused.integer("retry-after")), "{refused}");
        assert_eq!(upstream.count(), 10);
    }
}

#[test]
fn one_overloaded_model_takes_no_other_down() {
    let upstream = Upstream::anthropic()
        .ruled_by(|seen: &Seen| (seen.json()["model"] == "busy").then(|| refusal(Dialect::Anthropic, 529)));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for _ in 0..15 {
        assert_eq!(gateway.messages(&prompt("busy", "hi")).reply().status(), 529);
    }
    assert_eq!(gateway.messages(&prompt("idle", "hi")).reply().status(), 200);
}

#[test]
fn wrong_requests_take_no_provider_down() {
    let upstream = Upstream::anthropic()
        .ruled_by(|seen: &Seen| (seen.json()["model"] == "wrong").then(|| refusal(Dialect::Anthropic, 400)));
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..15 {
        assert_eq!(gateway.messages(&prompt("wrong", "hi")).reply().status(), 400);
    }
    assert_eq!(gateway.ask("hi").status(), 200);
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

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
