//! Slow upstreams: pings, early replies, deadlines.

use std::time::Duration;

use serde_json::json;

use super::{both, both_silent_after_the_first_word, impatient};
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Piece, Upstream};

/// Requirement: Silent upstream for 20 s → at least one ping.
/// Complaint of gateway users: long thinking is cut off for silence.
#[test]
fn a_silent_stream_receives_pings() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        for _ in 0..3 {
            let ping = exchange.event().expect("a ping");
            assert_eq!((ping.name.as_str(), &ping.data), ("ping", &json!({"type": "ping"})));
        }
    }
}

#[test]
fn a_slow_head_within_the_limit_keeps_its_status() {
    for upstream in both(|answer| answer.head_after(Duration::from_millis(300))) {
        let gateway = impatient(&upstream).limit("head-patience", 30).limit("ping-interval", 0.05).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.text(), "firstsecond");
    }
    let refusal = Answer::json(400, anthropic::error("invalid_request_error", "late no"));
    let upstream = Upstream::anthropic().always(refusal.head_after(Duration::from_millis(300)));
    let reply = impatient(&upstream).limit("ping-interval", 0.05).start().ask("hi");
    assert_eq!((reply.status(), reply.error_message().as_str()), (400, "late no"));
}

/// Complaint of gateway users: long thinking is cut off for silence.
#[test]
fn after_early_pings_the_answer_follows() {
    for upstream in both(Answer::head_on_permit) {
        let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.status(), 200);
        for _ in 0..2 {
            assert_eq!(exchange.event().expect("a ping").name, "ping");
        }
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!(reply.text(), "firstsecond");
        assert!(reply.pings() >= 2);
    }
}

/// Requirement: a reply that begins with pings has `x-vdm-route` with the steps so far, the call in progress included.
#[test]
fn beyond_the_patience_the_route_header_names_the_call_in_progress() {
    let upstream = Upstream::openai().always(Answer::events(openai::text(&["first"])).head_on_permit());
    let setup = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1);
    let gateway = setup.env("VDM_ROUTE_HEADER", "1").start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    let route = exchange.head().header("x-vdm-route").expect("requested").to_owned();
    assert!(route.contains("; -> ") && !route.contains("failed"), "{route}");
    upstream.permit();
    assert_eq!(exchange.finish().text(), "first");
}

#[test]
fn after_early_pings_an_error_of_the_upstream_is_an_error_event_of_its_type() {
    let table = [
        (Upstream::anthropic(), anthropic::error("overloaded_error", "Overloaded"), 529, "overloaded_error"),
        (
            Upstream::anthropic(),
            anthropic::error("invalid_request_error", "no"),
            400,
            "invalid_request_error",
        ),
        (Upstream::openai(), openai::error("no such model", "x", "model_not_found"), 404, "not_found_error"),
        (Upstream::openai(), "<html>".to_owned(), 502, "api_error"),
    ];
    for (upstream, body, status, kind) in table {
        let upstream = upstream.always(Answer::json(status, body).head_on_permit());
        let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.event().expect("a ping").name, "ping");
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!((reply.status(), reply.error_type().as_str()), (200, kind), "{reply}");
    }
}

#[test]
fn after_early_pings_another_key_can_still_serve() {
    let refusal = |upstream: Upstream, body: String| {
        upstream.answering_key("slow", Answer::json(429, body).head_on_permit())
    };
    let upstreams = [
        refusal(Upstream::anthropic(), anthropic::error("rate_limit_error", "slow down")),
        refusal(Upstream::openai(), openai::error("slow down", "x", "y")),
    ];
    for upstream in upstreams {
        let gateway = impatient(&upstream)
            .keys(["slow", "good"])
            .limit("head-patience", 0.1)
            .limit("ping-interval", 0.1)
            .start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.event().expect("a ping").name, "ping");
        upstream.permit();
        assert_eq!(exchange.finish().text(), "Hello there!");
        assert_eq!(upstream.keys_seen(), ["slow", "good"]);
    }
}

#[test]
fn a_whole_reply_has_no_pings_before_it() {
    let upstream = Upstream::openai()
        .always(Answer::json(200, openai::whole("late")).head_after(Duration::from_millis(400)));
    let gateway = impatient(&upstream).limit("head-patience", 0.05).limit("ping-interval", 0.05).start();
    assert_eq!(gateway.ask_whole("hi").text(), "late");
}

/// Requirement: Timeout → 504, refused → 502, HTML 502 body not forwarded.
#[test]
fn no_head_within_the_deadline_is_a_504_and_not_retried() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream)
            .limit("first-byte-timeout", 0.3)
            .limit("whole-timeout", 0.3)
            .env("MAX_RETRIES", "2")
            .start();
        for (asked, reply) in [gateway.ask("hi"), gateway.ask_whole("hi")].into_iter().enumerate() {
            assert_eq!((reply.status(), reply.error_type().as_str()), (504, "timeout_error"), "{reply}");
            upstream.closed(asked);
        }
        assert_eq!(upstream.count(), 2);
    }
}

/// Requirement: Given `REQUEST_TIMEOUT=45` and `[poe] timeout = 60`, then 45 is used.
#[test]
fn request_timeout_of_the_environment_is_that_deadline() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).env("REQUEST_TIMEOUT", "1").start();
    assert_eq!(gateway.ask("hi").status(), 504);
    upstream.closed(0);
}

#[test]
fn a_deadline_after_early_pings_is_a_timeout_event() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = impatient(&upstream)
        .limit("head-patience", 0.1)
        .limit("ping-interval", 0.1)
        .limit("first-byte-timeout", 0.5)
        .start();
    let reply = gateway.ask("hi");
    assert_eq!((reply.status(), reply.error_type().as_str()), (200, "timeout_error"), "{reply}");
    assert!(reply.pings() > 0);
}

/// Deviates from the original ("Given `STREAMING_READ_TIMEOUT_SECONDS` unset, then streams have no read timeout;
/// given `0`, error"): without it a silence of 300 s ends a stream; zero is a mistake, as here.
/// Complaint of gateway users: the gateway's own timers are shorter than thinking.
#[test]
fn a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = impatient(&upstream).limit("idle-timeout", 0.4).limit("ping-interval", 0.1).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.error_type(), "timeout_error", "{reply}");
        assert!(reply.raw().contains("first"));
        upstream.closed(0);
    }
}

/// Complaint of gateway users: the gateway's own timers are shorter than thinking.
#[test]
fn a_slow_stream_without_stalls_is_not_interrupted() {
    let slow = |events: Vec<Vec<u8>>| {
        let pause = Piece::Pause(Duration::from_millis(80));
        events.into_iter().flat_map(|event| [Piece::Bytes(event), pause.clone()]).collect()
    };
    let upstream = Upstream::openai().always(Answer::pieces(slow(openai::text(&["a"; 12]))));
    let gateway = impatient(&upstream).limit("idle-timeout", 0.5).limit("first-byte-timeout", 0.5).start();
    assert_eq!(gateway.ask("hi").text(), "a".repeat(12));
}

#[test]
fn the_total_deadline_ends_an_active_stream_too() {
    let word = |bytes: Vec<u8>| [Piece::Bytes(bytes), Piece::Pause(Duration::from_millis(50))];
    let mut pieces = vec![Piece::Bytes(openai::role())];
    pieces.extend((0..200).flat_map(|_| word(openai::content("a"))));
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let reply = impatient(&upstream).limit("total-timeout", 0.5).start().ask("hi");
    assert_eq!(reply.error_type(), "timeout_error", "{reply}");
    upstream.closed(0);
}
