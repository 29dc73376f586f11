//! Slow upstreams: comments, early replies, deadlines.

use std::time::Duration;

use super::{ask, ask_whole, call, impatient, refusal, silent_after_the_first_word};
use crate::support::canned::openai;
use crate::support::chat::{self, Chat, Error};
use crate::support::client::Exchange;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::upstream::{Answer, Piece, Upstream};

const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// A gateway that sends comments early.
fn talkative(upstream: &Upstream) -> Setup {
    impatient(upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1)
}

fn open(gateway: &Gateway) -> Exchange {
    call(gateway, &chat::prompt(MODEL, "hi")).open()
}

#[test]
fn a_silent_stream_receives_comments() {
    let upstream = silent_after_the_first_word();
    let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
    let mut exchange = open(&gateway);
    for word in ["", "first"] {
        let chunk = exchange.event().expect("a chunk").data;
        assert_eq!(chunk["choices"][0]["delta"]["content"], word);
    }
    for _ in 0..3 {
        assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
    }
}

#[test]
fn a_comment_never_splits_a_chunk() {
    let events = openai::text(&["first", "second"]);
    let (front, back) = events[2].split_at(events[2].len() / 2);
    let mut pieces: Vec<Piece> = events[..2].iter().cloned().map(Piece::Bytes).collect();
    pieces.extend([Piece::Bytes(front.to_vec()), Piece::Permit, Piece::Bytes(back.to_vec())]);
    pieces.extend(events[3..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
    let mut exchange = call(&gateway, &chat::prompt_with_usage(MODEL, "hi")).open();
    while exchange.event().expect("a comment at last").raw != KEEP_ALIVE {}
    upstream.permit();
    let reply = exchange.finish();
    let without: String =
        reply.all_events().into_iter().map(|event| event.raw).filter(|raw| raw != KEEP_ALIVE).collect();
    assert_eq!(without.as_bytes(), events.concat());
}

#[test]
fn a_slow_head_within_the_limit_keeps_its_status() {
    let upstream = Upstream::openai().always(refusal(400).head_after(Duration::from_millis(300)));
    let reply = ask(&impatient(&upstream).limit("ping-interval", 0.05).start());
    assert_eq!(reply.status(), 400);
    assert_eq!(Error::of(&reply).message, "refused with 400");
}

#[test]
fn after_the_early_comments_the_answer_follows() {
    let upstream = Upstream::openai().always(Answer::events(openai::text(&["late"])).head_on_permit());
    let gateway = talkative(&upstream).start();
    let mut exchange = open(&gateway);
    assert_eq!(exchange.status(), 200);
    for _ in 0..2 {
        assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
    }
    upstream.permit();
    let reply = exchange.finish();
    assert_eq!(chat::text(&reply), "late");
    assert!(chat::keep_alives(&reply) >= 2, "{reply}");
}

#[test]
fn after_early_comments_an_error_of_the_upstream_is_an_error_chunk() {
    let page = || Answer::whole(502, "text/html", "<html>");
    for (answer, words) in [
        (refusal(529), ("server_error", Some("overloaded"))),
        (refusal(404), ("invalid_request_error", Some("model_not_found"))),
        (page(), ("server_error", None)),
    ] {
        let upstream = Upstream::openai().always(answer.head_on_permit());
        let gateway = talkative(&upstream).start();
        let mut exchange = open(&gateway);
        assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!(Error::of(&reply).words(), words, "{reply}");
        assert!(Chat::of(&reply).chunks.is_empty(), "{reply}");
    }
}

#[test]
fn after_early_comments_another_key_can_still_serve() {
    let upstream = Upstream::openai().answering_key("slow", refusal(429).head_on_permit());
    let gateway = talkative(&upstream).keys(["slow", "good"]).start();
    let mut exchange = open(&gateway);
    assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
    upstream.permit();
    assert_eq!(chat::text(&exchange.finish()), "Hello there!");
    assert_eq!(upstream.keys_seen(), ["slow", "good"]);
}

#[test]
fn after_early_comments_a_whole_reply_is_sent_as_a_stream() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("whole")).head_on_permit());
    let gateway = talkative(&upstream).start();
    let mut exchange = open(&gateway);
    assert_eq!(exchange.event().expect("a comment").raw, KEEP_ALIVE);
    upstream.permit();
    let reply = exchange.finish();
    assert_eq!(Chat::of(&reply).text(), "whole", "{reply}");
}

#[test]
fn a_whole_reply_has_no_comments_before_it() {
    let answer = Answer::json(200, openai::whole("late")).head_after(Duration::from_millis(400));
    let upstream = Upstream::openai().always(answer);
    let gateway = impatient(&upstream).limit("head-patience", 0.05).limit("ping-interval", 0.05).start();
    assert_eq!(ask_whole(&gateway).raw(), openai::whole("late"));
}

/// Requirement: Timeout → 504, refused → 502, HTML 502 body not forwarded.
#[test]
fn no_head_within_the_deadline_is_a_504_and_not_retried() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream)
        .limit("first-byte-timeout", 0.3)
        .limit("whole-timeout", 0.3)
        .env("MAX_RETRIES", "2")
        .start();
    for (asked, reply) in [ask(&gateway), ask_whole(&gateway)].into_iter().enumerate() {
        assert_eq!(reply.status(), 504, "{reply}");
        assert_eq!(Error::of(&reply).words(), ("server_error", Some("timeout")));
        upstream.closed(asked);
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_deadline_after_early_comments_is_an_error_chunk() {
    let upstream = Upstream::openai().always(Answer::silence());
    let reply = ask(&talkative(&upstream).limit("first-byte-timeout", 0.5).start());
    assert_eq!(Error::of(&reply).words(), ("server_error", Some("timeout")));
    assert!(chat::keep_alives(&reply) > 0);
}

/// Deviates from the original ("Given `STREAMING_READ_TIMEOUT_SECONDS` unset, then streams have no read timeout;
/// given `0`, error"): without it a silence of 300 s ends a stream; zero is a mistake, as here.
/// Complaint of gateway users: the gateway's own timers are shorter than thinking.
#[test]
fn a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream() {
    let upstream = silent_after_the_first_word();
    let reply = ask(&impatient(&upstream).limit("idle-timeout", 0.4).limit("ping-interval", 0.1).start());
    assert_eq!(Error::of(&reply).words(), ("server_error", Some("timeout")));
    assert_eq!(Chat::of(&reply).text(), "first");
    upstream.closed(0);
}

#[test]
fn a_stream_that_lacks_only_its_end_is_completed_at_once() {
    let events = openai::text(&["complete"]);
    let finished = events[..3].concat();
    let upstream = Upstream::openai().always(Answer::events(events).silent_after(finished.len()));
    let reply = ask(&impatient(&upstream).limit("idle-timeout", 0.4).start());
    assert_eq!(chat::text(&reply), "complete");
    upstream.closed(0);
}
