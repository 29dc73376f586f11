//! The end of a stream: the same bytes however they are split, and never a complete reply after an error.

use std::time::Duration;

use serde_json::json;

use super::{WAYS, Way, impatient};
use crate::support::canned::{anthropic, openai};
use crate::support::chat::{Chat, Error};
use crate::support::upstream::{Answer, Dialect, Ending, Piece, Upstream};

/// Long enough for both pieces to arrive separately.
const APART: Piece = Piece::Pause(Duration::from_millis(60));

fn with_crlf(events: Vec<Vec<u8>>) -> Vec<u8> {
    String::from_utf8(events.concat()).expect("text").replace('\n', "\r\n").into_bytes()
}

/// An error as the last event of a stream.
fn error_event(way: Way) -> Vec<u8> {
    match way.upstream {
        Dialect::Anthropic => anthropic::event(
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}),
        ),
        Dialect::OpenAi => {
            openai::data(&json!({"error": {"message": "Busy", "type": "x", "param": null, "code": 529}}))
        }
    }
}

fn in_two(bytes: &[u8], at: usize) -> Answer {
    let (front, back) = bytes.split_at(at);
    Answer::pieces(vec![Piece::Bytes(front.to_vec()), APART, Piece::Bytes(back.to_vec())])
}

#[test]
fn the_last_line_feed_is_forwarded_even_if_it_arrives_alone() {
    for way in WAYS {
        let mut failed = way.begun("first");
        failed.push(error_event(way));
        for events in [way.events(&["first"]), failed] {
            let bytes = with_crlf(events);
            for at in bytes.len() - 4..bytes.len() {
                let reply = way.before(in_two(&bytes, at));
                if way.is_passthrough() {
                    assert_eq!(reply.raw().as_bytes(), bytes, "{way:?}, cut at {at}: {reply}");
                }
                assert!(reply.complete && reply.raw().contains("first"), "{way:?}: {reply}");
            }
        }
    }
}

#[test]
fn a_final_cr_alone_does_not_delay_the_stream() {
    for way in WAYS {
        let bytes = String::from_utf8(way.events(&["first"]).concat()).expect("text").replace('\n', "\r");
        let pieces = vec![Piece::Bytes(bytes.clone().into_bytes())];
        let reply = way.before(Answer::pieces(pieces));
        assert!(reply.complete, "{way:?}");
        if way.is_passthrough() {
            assert_eq!(reply.raw(), bytes, "{way:?}");
        }
    }
}

#[test]
fn an_early_error_without_its_last_line_feed_is_still_a_status() {
    for way in WAYS {
        let bytes = with_crlf(vec![error_event(way)]);
        for at in bytes.len() - 4..bytes.len() {
            let reply = way.before(in_two(&bytes, at));
            assert!(matches!(reply.status(), 503 | 529), "{way:?}, cut at {at}: {reply}");
            assert_eq!(way.failure(&reply), "Busy");
        }
    }
}

#[test]
fn bytes_after_the_end_are_never_forwarded_however_they_are_split() {
    for way in WAYS {
        let mut failed = way.begun("first");
        failed.push(error_event(way));
        for events in [way.events(&["first"]), failed] {
            let reply = events.concat();
            let behind = [&b"\n"[..], &way.delta("LATER"), &openai::done(), &error_event(way)].concat();
            let bytes = [&reply[..], &behind].concat();
            let mut seen = vec![];
            for at in [bytes.len(), reply.len() - 1, reply.len(), reply.len() + 1, reply.len() + 9, 1] {
                let got = way.before(in_two(&bytes, at));
                assert!(got.complete && !got.raw().contains("LATER"), "{way:?}, cut at {at}: {got}");
                if way.is_passthrough() {
                    assert_eq!(got.raw().as_bytes(), reply, "{way:?}, cut at {at}: {got}");
                }
                seen.push(got.body.len());
            }
            assert!(seen.iter().all(|length| *length == seen[0]), "{way:?}: {seen:?}");
        }
    }
}

#[test]
fn a_failed_stream_of_chat_completions_has_no_done() {
    for way in WAYS.into_iter().filter(|way| way.client == Dialect::OpenAi) {
        let begun = way.begun("first");
        let broken =
            |ending| Answer::events(way.events(&["first"])).broken_after(begun.concat().len(), ending);
        let mut reported = begun.clone();
        reported.extend([error_event(way), openai::done()]);
        let mut huge = begun.clone();
        huge.push(way.delta(&"x".repeat(100_000)));
        let mut silent: Vec<Piece> = begun.iter().cloned().map(Piece::Bytes).collect();
        silent.push(Piece::Silence);
        for answer in
            [broken(Ending::Cut), Answer::events(reported), Answer::events(huge), Answer::pieces(silent)]
        {
            let upstream = way.upstream().always(answer);
            let gateway = impatient(&upstream).limit("idle-timeout", 0.4).limit("event", 65536).start();
            let reply = way.streamed(&gateway);
            assert!(!reply.raw().contains("[DONE]"), "{way:?}: {reply}");
            assert_eq!(Chat::of(&reply).text(), "first");
            Error::of(&reply);
        }
    }
}

#[test]
fn a_stream_that_fails_after_early_pings_has_no_done() {
    for way in WAYS.into_iter().filter(|way| way.client == Dialect::OpenAi) {
        let answer = Answer::json(500, way.error("Broken")).head_after(Duration::from_millis(400));
        let upstream = way.upstream().always(answer);
        let gateway = impatient(&upstream).limit("head-patience", 0.05).start();
        let reply = way.streamed(&gateway);
        assert!(reply.is_stream() && !reply.raw().contains("[DONE]"), "{way:?}: {reply}");
        assert_eq!(Error::of(&reply).message, "Broken");
    }
}

#[test]
fn a_stream_ended_by_a_shutdown_has_no_done() {
    let upstream = Upstream::openai();
    let mut pieces: Vec<Piece> = openai::text(&["first"])[..2].iter().cloned().map(Piece::Bytes).collect();
    pieces.push(Piece::Silence);
    let upstream = upstream.always(Answer::pieces(pieces));
    let gateway = impatient(&upstream).limit("drain", 0.2).start();
    let mut exchange = WAYS[2].call(&gateway).open();
    for _ in 0..2 {
        exchange.event();
    }
    gateway.run.signal("TERM");
    let reply = exchange.finish();
    assert!(!reply.raw().contains("[DONE]"), "{reply}");
    assert!(Error::of(&reply).message.contains("shutting down"), "{reply}");
}
