//! Fallbacks and health: a failing target is skipped, and if all targets fail, the best one is called.

use super::{Switch, WAYS, assert_served, both, chain, failure, limited, overloaded_in_mid_stream, streamed};
use crate::support::await_that;
use crate::support::client::prompt;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Repeats a request until it is served without a call to the first target.
#[track_caller]
fn await_passed_over(gateway: &Gateway, one: &Upstream) {
    await_that("the first target is passed over", || {
        let before = one.count();
        assert_served(&streamed(gateway, "one:a"));
        one.count() == before
    });
}

#[test]
fn a_failing_target_is_skipped() {
    for status in [500, 503, 529] {
        for one in both() {
            let answer = failure(one.dialect(), status);
            let (one, two) = (one.always(answer), Upstream::openai());
            let gateway = chain(&one, &two).start();
            await_passed_over(&gateway, &one);
            let before = one.count();
            for _ in 0..3 {
                WAYS.iter().for_each(|ask| assert_served(&ask(&gateway, "one:a")));
            }
            assert_eq!(one.count(), before, "{status}");
        }
    }
}

#[test]
fn the_first_target_keeps_its_other_models() {
    for one in both() {
        let answer = failure(one.dialect(), 503);
        let (one, two) = (super::answering_model(one, "a", answer), Upstream::openai());
        let gateway = chain(&one, &two).start();
        await_passed_over(&gateway, &one);
        let before = (one.count(), two.count());
        for _ in 0..3 {
            assert_served(&streamed(&gateway, "one:c"));
        }
        assert_eq!((one.count(), two.count()), (before.0 + 3, before.1));
    }
}

#[test]
fn a_target_with_a_named_wait_is_skipped_for_that_model() {
    for one in both() {
        let answer = limited(one.dialect(), "30");
        let (one, two) = (super::answering_model(one, "a", answer), Upstream::openai());
        let gateway = chain(&one, &two).start();
        for _ in 0..3 {
            assert_served(&streamed(&gateway, "one:a"));
        }
        assert_eq!((one.count(), two.count()), (1, 3));
        assert_served(&streamed(&gateway, "one:c"));
        assert_eq!((one.count(), two.count()), (2, 3));
    }
}

#[test]
fn a_target_that_has_recovered_serves_its_requests_again() {
    for one in both() {
        let (dialect, switch) = (one.dialect(), Switch::default());
        let (one, two) = (switch.control(one), Upstream::openai());
        let gateway = chain(&one, &two).limit("cooldown", 0.3).start();
        switch.set(failure(dialect, 500));
        await_passed_over(&gateway, &one);
        switch.heal();
        let mut session = 0;
        await_that("the first target serves again", || {
            session += 1;
            let before = one.count();
            let call = gateway.messages(&prompt("one:a", "hi"));
            let call = call.header("x-claude-code-session-id", &format!("session-{session}"));
            assert_served(&call.reply());
            one.count() > before
        });
    }
}

#[test]
fn when_every_target_fails_the_upstreams_answer_reaches_the_client_each_time() {
    for (first, second) in [(500, 503), (503, 500), (529, 529), (502, 500)] {
        for ask in WAYS {
            let one = Upstream::anthropic().always(failure(Dialect::Anthropic, first));
            let two = Upstream::openai().always(failure(Dialect::OpenAi, second));
            let gateway = chain(&one, &two).start();
            for number in 0..25 {
                let before = one.count() + two.count();
                let reply = ask(&gateway, "one:a");
                assert!([first, second].contains(&reply.status()), "request {number}: {reply}");
                assert!(reply.error_message().starts_with("failed with 5"), "request {number}: {reply}");
                assert!(one.count() + two.count() > before, "request {number} was refused without a call");
            }
        }
    }
}

#[test]
fn once_every_target_has_recovered_the_next_request_is_served() {
    for one in both() {
        let switches = [Switch::default(), Switch::default()];
        let dialect = one.dialect();
        let one = switches[0].control(one);
        let two = switches[1].control(Upstream::openai());
        let gateway = chain(&one, &two).start();
        for _ in 0..3 {
            switches[0].set(failure(dialect, 500));
            switches[1].set(failure(Dialect::OpenAi, 503));
            for _ in 0..15 {
                assert!(streamed(&gateway, "one:a").status() >= 500);
            }
            switches.iter().for_each(Switch::heal);
            assert_served(&streamed(&gateway, "one:a"));
        }
    }
}

#[test]
fn a_target_that_fails_repeatedly_in_mid_stream_is_skipped() {
    for one in both() {
        let answer = overloaded_in_mid_stream(one.dialect());
        let (one, two) = (one.always(answer), Upstream::openai());
        let gateway = chain(&one, &two).start();
        await_that("the first target is passed over", || {
            let before = one.count();
            let reply = streamed(&gateway, "one:a");
            assert_eq!(reply.status(), 200, "{reply}");
            one.count() == before
        });
    }
}

#[test]
fn a_silent_target_is_called_once_and_the_next_one_follows() {
    for ask in WAYS {
        for one in both() {
            let (one, two) = (one.always(Answer::silence()), Upstream::openai());
            let gateway = chain(&one, &two)
                .env("MAX_RETRIES", "2")
                .limit("first-byte-timeout", 0.5)
                .limit("whole-timeout", 0.5)
                .start();
            assert_served(&ask(&gateway, "one:a"));
            one.closed(0);
            assert_eq!((one.count(), two.count()), (1, 1));
        }
    }
}

#[test]
fn silence_on_several_models_affects_the_provider() {
    for one in both() {
        let (one, two) = (one.always(Answer::silence()), Upstream::openai());
        let gateway = chain(&one, &two).limit("first-byte-timeout", 0.3).start();
        let mut number = 0;
        await_that("the provider is passed over for a model that it was never asked for", || {
            number += 1;
            let before = one.count();
            assert_served(&streamed(&gateway, &format!("one:model-{number}")));
            one.count() == before
        });
    }
}

#[test]
fn after_a_providers_timeout_the_next_target_is_called() {
    let (one, two) = (Upstream::openai().always(Answer::silence()), Upstream::anthropic());
    let setup = Gateway::bare().provider("one", &one).provider("two", &two);
    let gateway = setup.toml("[one]\ntimeout = 0.5\nfallbacks = [\"two:b\"]").start();
    assert_served(&streamed(&gateway, "one:a"));
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn silence_without_another_target_is_a_504_after_one_call() {
    for ask in WAYS {
        for upstream in both() {
            let upstream = upstream.always(Answer::silence());
            let gateway = Gateway::before(&upstream)
                .env("MAX_RETRIES", "2")
                .limit("first-byte-timeout", 0.5)
                .limit("whole-timeout", 0.5)
                .start();
            let reply = ask(&gateway, "test-model");
            assert_eq!((reply.status(), reply.error_type().as_str()), (504, "timeout_error"), "{reply}");
            assert_eq!(upstream.count(), 1);
        }
    }
}
