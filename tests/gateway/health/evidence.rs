//! Evidence has a date: a call that began before the last change of a state says nothing about it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    Switch, assert_served, both, chain, cooldown_of_a_second_passes, failure, limited, slow, streamed,
};
use crate::support::await_that;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// The answers of the key `k1` in order; the ordinary answer follows.
fn scripted_k1(upstream: Upstream, answers: Vec<Answer>) -> Upstream {
    let asked = AtomicUsize::new(0);
    upstream.ruled_by(move |seen| {
        (seen.key() == "k1").then(|| answers.get(asked.fetch_add(1, Ordering::SeqCst)).cloned()).flatten()
    })
}

/// The keys of the next requests, all of which are served.
fn keys_of_the_next(gateway: &Gateway, upstream: &Upstream, requests: usize) -> Vec<String> {
    let before = upstream.count();
    for _ in 0..requests {
        assert_served(&gateway.ask("hi"));
    }
    upstream.keys_seen()[before..].to_vec()
}

#[test]
fn a_late_success_does_not_end_a_cooldown_that_began_meanwhile() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = scripted_k1(upstream, vec![slow(dialect), limited(dialect, "30")]);
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        let held = gateway.messages(&prompt(MODEL, "hi")).send();
        upstream.request(0);
        await_that("k1 is limited", || {
            assert_served(&gateway.ask("hi"));
            upstream.keys_seen().iter().filter(|key| *key == "k1").count() == 2
        });
        upstream.permit();
        assert_eq!(held.finish().text(), "late");
        assert_eq!(keys_of_the_next(&gateway, &upstream, 4), ["k2"; 4]);
    }
}

#[test]
fn a_late_limit_does_not_cool_a_key_down_that_has_served_meanwhile() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let late = limited(dialect, "30").head_on_permit();
        let upstream = scripted_k1(upstream, vec![late, limited(dialect, "1")]);
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        let uses = || upstream.keys_seen().iter().filter(|key| *key == "k1").count();
        let held = gateway.messages(&prompt(MODEL, "hi")).send();
        upstream.request(0);
        await_that("k1 is limited", || {
            assert_served(&gateway.ask("hi"));
            uses() == 2
        });
        cooldown_of_a_second_passes();
        await_that("k1 serves again", || {
            assert_served(&gateway.ask("hi"));
            uses() == 3
        });
        upstream.permit();
        assert_served(&held.finish());
        let next = keys_of_the_next(&gateway, &upstream, 4);
        assert!(next.contains(&"k1".to_owned()), "{next:?}");
    }
}

#[test]
fn a_late_success_does_not_bring_back_a_target_that_fails() {
    for one in both() {
        let (dialect, asked) = (one.dialect(), AtomicUsize::new(0));
        let one = one.ruled_by(move |_| {
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            Some(if first { slow(dialect) } else { failure(dialect, 500) })
        });
        let two = Upstream::openai();
        let gateway = chain(&one, &two).start();
        let held = gateway.messages(&prompt("one:a", "hi")).send();
        one.request(0);
        await_that("one is passed over", || {
            let before = one.count();
            assert_served(&streamed(&gateway, "one:a"));
            one.count() == before
        });
        let before = one.count();
        one.permit();
        assert_eq!(held.finish().text(), "late");
        for _ in 0..3 {
            assert_served(&streamed(&gateway, "one:a"));
        }
        assert_eq!(one.count(), before);
    }
}

#[test]
fn late_failures_do_not_pause_a_target_that_has_recovered_meanwhile() {
    const LATE: usize = 12;
    for one in both() {
        let (dialect, asked, switch) = (one.dialect(), AtomicUsize::new(0), Switch::default());
        let one = one.ruled_by(move |_| {
            let early = asked.fetch_add(1, Ordering::SeqCst) < LATE;
            early.then(|| failure(dialect, 500).head_on_permit())
        });
        let (one, two) = (switch.control(one), Upstream::openai());
        let gateway = chain(&one, &two).limit("cooldown", 0.3).start();
        let held: Vec<_> = (0..LATE).map(|_| gateway.messages(&prompt("one:a", "hi")).send()).collect();
        one.request(LATE - 1);
        switch.set(failure(dialect, 500));
        // Whether the first target serves a request of this session.
        let serves = |session: usize| {
            let before = one.count();
            let call = gateway.messages(&prompt("one:a", "hi"));
            let call = call.header("x-claude-code-session-id", &format!("session-{session}"));
            assert_served(&call.reply());
            one.count() > before
        };
        await_that("the first target is passed over", || !serves(0));
        switch.heal();
        let mut session = 0;
        await_that("the first target serves again", || {
            session += 1;
            serves(session)
        });
        held.iter().for_each(|_| one.permit());
        held.into_iter().for_each(|exchange| drop(exchange.finish()));
        for _ in 0..3 {
            assert!(serves(session), "the late failures are no news");
        }
    }
}
