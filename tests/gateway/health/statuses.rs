//! Statuses that Claude Code handles: 503 `api_error` for limits of the gateway, 529 only from the upstream.

use super::{WAYS, both, error, failure, overloaded_in_mid_stream, streamed, without_repeats};
use crate::support::chat::{self, Error};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// Every limit on requests in flight, so low that one request reaches it.
fn bounds(upstream: &Upstream) -> [Setup; 3] {
    [
        without_repeats(upstream).limit("in-flight", 1),
        without_repeats(upstream).limit("provider-in-flight", 1).limit("provider-queue", 0),
        without_repeats(upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 0.2),
    ]
}

#[track_caller]
fn assert_busy(reply: &Reply) {
    assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
    assert!((1..=10).contains(&reply.integer("retry-after")), "{reply}");
    assert_ne!(reply.header("x-should-retry"), Some("false"), "{reply}");
}

#[test]
fn limits_of_the_gateway_answer_503_with_retry_after() {
    for upstream in both() {
        let upstream = upstream.always(Answer::silence());
        for setup in bounds(&upstream) {
            let gateway = setup.start();
            let before = upstream.count();
            let _held = gateway.messages(&prompt(MODEL, "hi")).send();
            upstream.request(before);
            WAYS.iter().for_each(|ask| assert_busy(&ask(&gateway, MODEL)));
            let body = chat::whole_prompt(MODEL, "hi");
            let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
            assert_eq!(reply.status(), 503, "{reply}");
            assert!(reply.integer("retry-after") >= 1, "{reply}");
            assert!(!Error::of(&reply).message.is_empty());
            assert_eq!(upstream.count(), before + 1);
        }
    }
}

#[test]
fn a_reached_limit_of_the_gateway_does_not_affect_health() {
    let upstream = Upstream::openai().answering(failure(Dialect::OpenAi, 500).head_on_permit());
    let setup = without_repeats(&upstream).limit("provider-in-flight", 1).limit("provider-queue", 0);
    let gateway = setup.start();
    let held = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    for _ in 0..20 {
        assert_busy(&streamed(&gateway, MODEL));
    }
    upstream.permit();
    assert_eq!(held.finish().status(), 500);
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    let report = super::health(&gateway);
    assert_eq!(report["status"], "healthy", "{report}");
}

#[test]
fn a_request_during_the_shutdown_is_a_503() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
        let mut gateway = Gateway::before(&upstream).limit("drain", 0.5).start();
        let before = upstream.count();
        let waiting = gateway.messages(&body).send();
        upstream.request(before);
        gateway.run.signal("TERM");
        assert_busy(&waiting.finish());
        assert_eq!(gateway.run.wait().code(), Some(0));
    }
}

#[test]
fn an_upstreams_503_is_a_503_api_error() {
    for ask in WAYS {
        for upstream in both() {
            let dialect = upstream.dialect();
            let bare = Answer::whole(503, "text/html", "<html>unavailable</html>");
            let upstream = upstream.answering(failure(dialect, 503)).answering(bare);
            let gateway = without_repeats(&upstream).start();
            for _ in 0..2 {
                let reply = ask(&gateway, MODEL);
                assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
            }
            assert_eq!(upstream.count(), 2);
        }
    }
}

#[test]
fn an_upstreams_own_overload_is_a_529_overloaded_error() {
    for ask in WAYS {
        for upstream in both() {
            let answer = failure(upstream.dialect(), 529);
            let upstream = upstream.always(answer);
            let gateway = without_repeats(&upstream).start();
            for asked in 1..=12 {
                let reply = ask(&gateway, MODEL);
                assert_eq!(
                    (reply.status(), reply.error_type().as_str()),
                    (529, "overloaded_error"),
                    "{reply}"
                );
                assert_eq!(reply.error_message(), "failed with 529");
                assert_eq!(upstream.count(), asked, "it is the upstream's own answer every time");
            }
        }
    }
}

#[test]
fn overloaded_error_keeps_its_type_under_another_status() {
    for status in [500, 503] {
        let answer = error(Dialect::Anthropic, status, "overloaded_error", "Overloaded");
        let upstream = Upstream::anthropic().always(answer);
        let reply = without_repeats(&upstream).start().ask("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (status, "overloaded_error"), "{reply}");
    }
    for upstream in both() {
        let answer = overloaded_in_mid_stream(upstream.dialect());
        let reply = without_repeats(&upstream.always(answer)).start().ask("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (200, "overloaded_error"), "{reply}");
    }
}

#[test]
fn a_503_after_early_pings_is_an_error_event_of_type_api_error() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 503).head_on_permit();
        let upstream = upstream.always(answer);
        let setup = without_repeats(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1);
        let gateway = setup.start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.event().expect("a ping").name, "ping");
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!((reply.status(), reply.error_type().as_str()), (200, "api_error"), "{reply}");
    }
}
