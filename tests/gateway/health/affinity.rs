//! A session waits a few seconds for its key, since a moved session finds no prompt cache; longer, and it moves.

use std::thread;
use std::time::{Duration, Instant};

use super::{BODIES, Body, assert_served, both, limited};
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Dialect, Upstream};

fn of_session(gateway: &Gateway, body: Body) -> Call {
    gateway.messages(&body(MODEL, "hi")).header("x-claude-code-session-id", "mine")
}

/// A gateway with two keys, and the key of the session, which has served it once.
fn with_two_keys(upstream: &Upstream) -> (Gateway, String) {
    let gateway = Gateway::before(upstream).keys(["k1", "k2"]).start();
    assert_served(&of_session(&gateway, prompt).reply());
    (gateway, upstream.keys_seen()[0].clone())
}

#[test]
fn a_session_waits_a_second_for_its_own_key() {
    for body in BODIES {
        for upstream in both() {
            let dialect = upstream.dialect();
            let (gateway, own) = with_two_keys(&upstream);
            upstream.then(limited(dialect, "1"));
            let asked = Instant::now();
            assert_served(&of_session(&gateway, body).reply());
            assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
            assert!(upstream.keys_seen().iter().all(|key| *key == own), "{:?}", upstream.keys_seen());
            assert_eq!(upstream.count(), 3);
        }
    }
}

#[test]
fn requests_of_a_session_queue_for_a_key_with_a_cooldown_of_two_seconds() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let (gateway, own) = with_two_keys(&upstream);
        upstream.then(limited(dialect, "2"));
        let first = of_session(&gateway, prompt).send();
        upstream.request(1);
        let second = of_session(&gateway, prompt).send();
        assert_served(&first.finish());
        assert_served(&second.finish());
        assert!(upstream.keys_seen().iter().all(|key| *key == own), "{:?}", upstream.keys_seen());
    }
}

#[test]
fn a_session_leaves_a_key_with_a_cooldown_of_half_a_minute_at_once() {
    for body in BODIES {
        for upstream in both() {
            let dialect = upstream.dialect();
            let (gateway, own) = with_two_keys(&upstream);
            let other = if own == "k1" { "k2" } else { "k1" };
            upstream.then(limited(dialect, "30"));
            for _ in 0..2 {
                assert_served(&of_session(&gateway, body).reply());
            }
            assert_eq!(upstream.keys_seen(), [&own, &own, other, other]);
        }
    }
}

#[test]
fn a_request_without_a_session_takes_the_other_key_at_once() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.answering(limited(dialect, "2"));
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        for _ in 0..2 {
            assert_served(&gateway.ask("hi"));
        }
        assert_eq!(upstream.keys_seen(), ["k1", "k2", "k2"]);
    }
}

#[test]
fn a_session_that_left_its_key_for_a_limit_comes_back() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).limit("cooldown-cap", 0.5).start();
    assert_served(&of_session(&gateway, prompt).reply());
    let own = upstream.keys_seen()[0].clone();
    upstream.then(limited(Dialect::OpenAi, "30"));
    assert_served(&of_session(&gateway, prompt).reply());
    crate::support::await_that("the session is back at its key", || {
        assert_served(&of_session(&gateway, prompt).reply());
        upstream.keys_seen().last() == Some(&own)
    });
}

#[test]
fn a_session_that_waits_for_its_key_keeps_nobody_else_waiting() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let setup = Gateway::before(&upstream).keys(["k1", "k2"]).limit("provider-in-flight", 2);
        let gateway = setup.start();
        assert_served(&of_session(&gateway, prompt).reply());
        upstream.then(limited(dialect, "3"));
        let first = of_session(&gateway, prompt).send();
        upstream.request(1);
        let second = of_session(&gateway, prompt).send();
        thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        assert_served(&gateway.ask("hi"));
        assert!(asked.elapsed() < Duration::from_millis(2500), "{:?}", asked.elapsed());
        assert_served(&first.finish());
        assert_served(&second.finish());
    }
}
