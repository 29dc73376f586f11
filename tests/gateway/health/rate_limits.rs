//! 429 without a wait, and keys whose cooldown is over: a guess refuses nothing when nothing better is left.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    WAYS, answering_first, assert_served, both, calls, cooldown_of_a_second_passes, failure, limited, slow,
    streamed, without_repeats,
};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};

#[test]
fn a_limit_without_a_wait_refuses_nothing_for_a_single_key() {
    for ask in WAYS {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = answering_first(upstream, ("limited", 3), failure(dialect, 429));
            let gateway = without_repeats(&upstream).start();
            for _ in 0..3 {
                let reply = ask(&gateway, "limited");
                assert_eq!(
                    (reply.status(), reply.error_type().as_str()),
                    (429, "rate_limit_error"),
                    "{reply}"
                );
                assert_eq!(reply.error_message(), "failed with 429", "{reply}");
                assert_served(&ask(&gateway, "other"));
            }
            assert_served(&ask(&gateway, "limited"));
            assert_eq!((calls(&upstream, "limited"), calls(&upstream, "other")), (4, 3));
        }
    }
}

#[test]
fn reset_headers_never_refuse_a_request() {
    let headers = [
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-reset-requests", "1m30s"),
        ("anthropic-ratelimit-tokens-reset", "2099-01-01T00:00:00Z"),
    ];
    for (name, value) in headers {
        for upstream in both() {
            let answer = failure(upstream.dialect(), 429).header(name, value);
            let upstream = answering_first(upstream, (MODEL, 3), answer);
            let gateway = without_repeats(&upstream).start();
            for _ in 0..3 {
                assert_eq!(gateway.ask("hi").status(), 429, "{name}");
            }
            assert_served(&gateway.ask("hi"));
            assert_eq!(upstream.count(), 4, "{name}");
        }
    }
}

#[test]
fn a_slow_answer_after_a_cooldown_delays_no_other_request() {
    for upstream in both() {
        let (dialect, asked) = (upstream.dialect(), AtomicUsize::new(0));
        let upstream = upstream.ruled_by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Some(limited(dialect, "1")),
            1 => Some(slow(dialect)),
            _ => None,
        });
        let gateway = without_repeats(&upstream).start();
        assert_eq!(gateway.ask("hi").status(), 429);
        cooldown_of_a_second_passes();
        let held = gateway.messages(&prompt(MODEL, "hi")).send();
        upstream.request(1);
        for ask in WAYS {
            assert_served(&ask(&gateway, MODEL));
            assert_served(&ask(&gateway, "other"));
        }
        upstream.permit();
        assert_eq!(held.finish().text(), "late");
    }
}

#[test]
fn a_slow_answer_after_a_limit_without_a_wait_delays_no_other_request() {
    for upstream in both() {
        let (dialect, asked) = (upstream.dialect(), AtomicUsize::new(0));
        let upstream = upstream.ruled_by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Some(failure(dialect, 429)),
            1 => Some(slow(dialect)),
            _ => None,
        });
        let gateway = without_repeats(&upstream).limit("cooldown", 0.3).start();
        assert_eq!(gateway.ask("hi").status(), 429);
        let held = gateway.messages(&prompt(MODEL, "hi")).send();
        upstream.request(1);
        for ask in WAYS {
            assert_served(&ask(&gateway, MODEL));
        }
        upstream.permit();
        assert_eq!(held.finish().text(), "late");
    }
}

#[test]
fn a_key_after_its_cooldown_takes_one_request_while_another_key_serves_the_rest() {
    for upstream in both() {
        let (dialect, asked) = (upstream.dialect(), AtomicUsize::new(0));
        let upstream = upstream.ruled_by(move |seen| {
            let first = || asked.fetch_add(1, Ordering::SeqCst) == 0;
            (seen.key() == "k1").then(|| if first() { limited(dialect, "1") } else { slow(dialect) })
        });
        let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
        assert_served(&gateway.ask("hi"));
        assert_eq!(upstream.keys_seen(), ["k1", "k2"]);
        cooldown_of_a_second_passes();
        let mut held = vec![];
        for _ in 0..8 {
            let before = upstream.count();
            let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
            if upstream.request(before).key() == "k1" {
                held.push(exchange);
            } else {
                assert_served(&exchange.finish());
            }
        }
        assert_eq!(held.len(), 1, "{:?}", upstream.keys_seen());
        for exchange in held {
            upstream.permit();
            assert_eq!(exchange.finish().text(), "late");
        }
    }
}

#[test]
fn a_limited_key_is_passed_over_for_that_model_only() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.ruled_by(move |seen| {
            let limits = seen.key() == "k1" && super::model(seen) == "limited";
            limits.then(|| limited(dialect, "30"))
        });
        let gateway = without_repeats(&upstream).keys(["k1", "k2"]).start();
        for _ in 0..4 {
            assert_served(&streamed(&gateway, "limited"));
        }
        for _ in 0..4 {
            assert_served(&streamed(&gateway, "other"));
        }
        let keys = |name: &str| -> Vec<String> {
            let seen = upstream.requests();
            seen.iter().filter(|seen| super::model(seen) == name).map(|seen| seen.key().to_owned()).collect()
        };
        assert_eq!(keys("limited"), ["k1", "k2", "k2", "k2", "k2"]);
        assert!(keys("other").contains(&"k1".to_owned()), "{:?}", keys("other"));
    }
}
