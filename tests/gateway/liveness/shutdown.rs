//! The shutdown of the process: streams may finish, for a limited time.

use super::both_silent_after_the_first_word;
use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Piece, Upstream};

/// Requirement: SIGTERM ends the server gracefully; a busy port ends it with a non-zero code. `--daemon` either
/// works or exits non-zero.
#[test]
fn after_sigterm_streams_finish_and_the_process_exits() {
    let events = anthropic::text(&["first", "second"]);
    let mut pieces: Vec<Piece> = events[..4].iter().cloned().map(Piece::Bytes).collect();
    pieces.push(Piece::Permit);
    pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let mut gateway = Gateway::before(&upstream).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    gateway.run.signal("TERM");
    gateway.run.await_refusal(gateway.address);
    upstream.permit();
    assert_eq!(exchange.finish().text(), "firstsecond");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn a_stream_that_outlives_the_drain_ends_with_an_error_event() {
    for upstream in both_silent_after_the_first_word() {
        let mut gateway = Gateway::before(&upstream).limit("drain", 0.5).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        gateway.run.signal("TERM");
        let reply = exchange.finish();
        assert!(["api_error", "overloaded_error"].contains(&reply.error_type().as_str()), "{reply}");
        assert_eq!(gateway.run.wait().code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_without_waiting() {
    for signal in ["TERM", "INT"] {
        let [upstream, _] = both_silent_after_the_first_word();
        let mut gateway = Gateway::before(&upstream).limit("drain", 600).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        gateway.run.signal(signal);
        gateway.run.await_refusal(gateway.address);
        gateway.run.signal(signal);
        gateway.run.wait();
        upstream.closed(0);
    }
}

#[test]
fn a_request_that_waits_for_its_head_receives_an_error_and_is_logged() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    for body in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")] {
        let mut gateway = Gateway::before(&upstream).limit("drain", 0.5).start();
        let before = upstream.count();
        let waiting = gateway.messages(&body).send();
        upstream.request(before);
        gateway.run.signal("TERM");
        let reply = waiting.finish();
        assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
        assert_eq!(gateway.run.wait().code(), Some(0));
        let log = gateway.log();
        assert!(log.contains("api_error: the gateway is shutting down"), "{log}");
    }
}
