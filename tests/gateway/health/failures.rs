//! 5xx, truncated replies, overload: however often an upstream failed, the next request is served once it is healthy.

use super::{
    Ask, Switch, WAYS, answering_model, assert_served, both, calls, entries, failure, health,
    overloaded_in_mid_stream, provider, streamed, whole, without_repeats,
};
use crate::support::await_that;
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::MODEL;
use crate::support::upstream::{Answer, Dialect, Ending};

/// Every kind of failure that is not the request's own.
fn failures(dialect: Dialect, broken_reply: Answer) -> Vec<Answer> {
    let statuses = [500, 529, 503, 502].map(|status| failure(dialect, status));
    let broken = [Answer::hang_up(), Answer::hang_up().ending(Ending::Reset), broken_reply];
    statuses.into_iter().chain(broken).collect()
}

fn failures_of_streams(dialect: Dialect) -> Vec<Answer> {
    let broken = match dialect {
        Dialect::Anthropic => truncated_after_the_first_word(&anthropic::text(&["first", "second"]), 4),
        Dialect::OpenAi => truncated_after_the_first_word(&openai::text(&["first", "second"]), 2),
    };
    [failures(dialect, broken), vec![overloaded_in_mid_stream(dialect)]].concat()
}

fn failures_of_whole_replies(dialect: Dialect) -> Vec<Answer> {
    let body = match dialect {
        Dialect::Anthropic => anthropic::whole("x"),
        Dialect::OpenAi => openai::whole("x"),
    };
    failures(dialect, Answer::json(200, body).broken_after(30, Ending::Cut))
}

type Failures = fn(Dialect) -> Vec<Answer>;

/// The form of the request, and how its reply fails.
const FAILING: [(Ask, Failures); 2] = [(streamed, failures_of_streams), (whole, failures_of_whole_replies)];

fn truncated_after_the_first_word(events: &[Vec<u8>], through: usize) -> Answer {
    let bytes = events[..through].concat().len();
    Answer::events(events.to_vec()).broken_after(bytes, Ending::Cut)
}

/// Rotated and reversed, so that each failure comes first, last, and after each other one.
fn orders(failures: &[Answer]) -> Vec<Vec<Answer>> {
    let mut orders = vec![];
    for first in 0..failures.len() {
        let mut order = failures.to_vec();
        order.rotate_left(first);
        orders.push([order.clone(), order.clone()].concat());
        order.reverse();
        orders.push([order.clone(), order].concat());
    }
    orders
}

#[test]
fn after_failures_in_any_order_a_recovered_model_is_served_at_once() {
    for (ask, failures) in FAILING {
        for upstream in both() {
            let (dialect, switch) = (upstream.dialect(), Switch::default());
            let upstream = switch.control(upstream);
            let gateway = without_repeats(&upstream).start();
            for order in orders(&failures(dialect)) {
                for failure in &order {
                    switch.set(failure.clone());
                    let before = upstream.count();
                    ask(&gateway, MODEL);
                    assert!(upstream.count() > before, "refused without a call: {failure:?}");
                }
                switch.heal();
                let before = upstream.count();
                assert_served(&ask(&gateway, MODEL));
                assert_eq!(upstream.count(), before + 1);
            }
        }
    }
}

#[test]
fn after_the_same_failure_of_many_models_a_recovered_provider_serves_each_at_once() {
    for (ask, failures) in FAILING {
        for upstream in both() {
            let (dialect, switch) = (upstream.dialect(), Switch::default());
            let upstream = switch.control(upstream);
            let gateway = without_repeats(&upstream).start();
            for failure in failures(dialect) {
                switch.set(failure.clone());
                for number in 0..15 {
                    let before = upstream.count();
                    ask(&gateway, &format!("model-{}", number % 5));
                    assert!(upstream.count() > before, "refused without a call: {failure:?}");
                }
                switch.heal();
                for model in ["model-0", "model-4", "never-asked"] {
                    assert_served(&ask(&gateway, model));
                }
            }
        }
    }
}

#[test]
fn a_failing_model_does_not_affect_requests_for_another_model() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 503);
        let upstream = answering_model(upstream, "broken", answer);
        let gateway = without_repeats(&upstream).start();
        // A quarter of the requests: one by one, then in a row.
        let mixed = (0..60).map(|number| number % 4 == 0);
        let in_a_row = (0..60).map(|number| number < 15);
        for (number, broken) in mixed.chain(in_a_row).enumerate() {
            let ask = WAYS[number % 2];
            if broken {
                assert_eq!(ask(&gateway, "broken").status(), 503, "request {number}");
            } else {
                assert_served(&ask(&gateway, "fine"));
            }
        }
        assert_eq!((calls(&upstream, "broken"), calls(&upstream, "fine")), (30, 90));
    }
}

#[test]
fn health_is_not_healthy_while_a_model_without_alternative_fails() {
    for upstream in both() {
        let (dialect, switch) = (upstream.dialect(), Switch::default());
        let upstream = switch.control(upstream);
        let gateway = without_repeats(&upstream).start();
        switch.set(failure(dialect, 503));
        for _ in 0..15 {
            assert_eq!(streamed(&gateway, "broken").status(), 503);
        }
        let report = health(&gateway);
        assert_ne!(report["status"], "healthy", "{report}");
        let models = entries(&report, provider(&upstream), "models");
        let entry = models.iter().find(|entry| entry.to_string().contains("broken"));
        let entry = entry.unwrap_or_else(|| panic!("the model is not listed: {report}"));
        assert_eq!(entry["preferred"], false, "{entry}");
        switch.heal();
        await_that("the gateway is healthy again", || {
            assert_served(&streamed(&gateway, "broken"));
            health(&gateway)["status"] == "healthy"
        });
    }
}

#[test]
fn overload_in_mid_stream_affects_only_that_model() {
    for upstream in both() {
        let answer = overloaded_in_mid_stream(upstream.dialect());
        let upstream = answering_model(upstream, "busy", answer);
        let gateway = without_repeats(&upstream).start();
        for asked in 1..=15 {
            let reply = streamed(&gateway, "busy");
            assert_eq!((reply.status(), reply.error_type().as_str()), (200, "overloaded_error"), "{reply}");
            assert_eq!(calls(&upstream, "busy"), asked);
            if asked % 5 == 0 {
                WAYS.iter().for_each(|ask| assert_served(&ask(&gateway, "idle")));
            }
        }
    }
}

#[test]
fn disconnected_clients_do_not_affect_health() {
    for upstream in both() {
        let upstream = upstream.ruled_by(|seen| (super::model(seen) == "silent").then(Answer::silence));
        let gateway = without_repeats(&upstream).start();
        for number in 0..15 {
            let call = gateway.messages(&prompt("silent", "hi")).send();
            upstream.request(number);
            call.hang_up();
            upstream.closed(number);
        }
        let report = health(&gateway);
        assert_eq!(report["status"], "healthy", "{report}");
        assert_served(&streamed(&gateway, "other"));
    }
}
