//! Streams without a proper end, silent ones and large ones.

use std::time::Duration;

use serde_json::json;

use super::{ask, call, impatient, streamed_before};
use crate::support::canned::responses as canned;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::responses;
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

/// Requirement: a stream that ends early ends with an error, never as if complete, whatever the client's API.
#[test]
fn a_truncated_stream_ends_with_an_error() {
    let events = canned::text(&["first", "second"]);
    for kept in [3, 5, events.len() - 1] {
        for ending in [Ending::KeepAlive, Ending::Cut] {
            let reply = streamed_before(Answer::events(events[..kept].to_vec()).ending(ending));
            assert!(reply.body.starts_with(&events[..kept].concat()), "{reply}");
            let all = responses::events(&reply);
            assert_eq!(
                all.last().map(|event| event["type"].clone()),
                Some(json!("response.failed")),
                "{reply}"
            );
        }
    }
    let cut = events[..5].concat().len() + 20;
    let reply = streamed_before(Answer::events(events.clone()).broken_after(cut, Ending::Cut));
    assert!(reply.body.starts_with(&events[..5].concat()), "{reply}");
    assert_eq!(responses::error(&reply).1.as_deref(), Some("server_error"), "{reply}");

    let upstream = Upstream::openai().always(Answer::events(events[..5].to_vec()).ending(Ending::Cut));
    let gateway = impatient(&upstream).start();
    let reply = gateway.ask("hi");
    assert_eq!(reply.error_type(), "api_error", "{reply}");
}

/// Requirement: the error that ends a broken stream belongs to the response that has begun.
#[test]
fn the_error_of_a_broken_stream_continues_its_response() {
    let events = canned::text(&["first", "second"]);
    let reply = streamed_before(Answer::events(events[..4].to_vec()).ending(Ending::Cut));
    let all = responses::events(&reply);
    let (first, last) = (&all[0], &all[all.len() - 1]);
    assert_eq!(last["type"], "response.failed");
    for member in ["id", "model", "created_at"] {
        assert_eq!(last["response"][member], first["response"][member], "{last}");
    }
    assert_eq!(last["sequence_number"], json!(all.len() - 1), "{last}");
}

/// Requirement: a stream whose last event lacks only its blank line is complete, passed on and translated.
#[test]
fn a_last_event_without_its_blank_line_counts() {
    for left_out in ["\n", "\n\n"] {
        let mut events = canned::text(&["first", "second"]);
        let last = events.last_mut().expect("events");
        last.truncate(last.len() - left_out.len());
        let whole = [&events.concat(), left_out.as_bytes()].concat();
        for ending in [Ending::KeepAlive, Ending::Close] {
            let answer = Answer::events(events.clone()).ending(ending);
            assert_eq!(streamed_before(answer.clone()).body, whole, "{ending:?}");
            let upstream = Upstream::openai().always(answer);
            let reply = impatient(&upstream).start().ask("hi");
            assert_eq!(reply.text(), "firstsecond", "{reply}");
        }
    }
}

/// Requirement: the same if the last event is the first behind the announcement, in a part of its own.
#[test]
fn a_reply_without_output_may_lack_its_last_blank_line() {
    let events = canned::text(&["first"]);
    let last = events.last().expect("events");
    let pieces = vec![
        Piece::Bytes(events[0].clone()),
        Piece::Pause(Duration::from_millis(20)),
        Piece::Bytes(last[..last.len() - 2].to_vec()),
    ];
    let reply = streamed_before(Answer::pieces(pieces).ending(Ending::Close));
    assert_eq!(reply.body, [&events[0][..], last].concat(), "{reply}");
}

/// Requirement: a stream that ends before its first event is repeated, then an error with a status.
#[test]
fn an_empty_stream_is_an_error_with_a_status() {
    let reply = streamed_before(Answer::events(vec![]));
    assert_eq!(reply.status(), 502, "{reply}");
}

/// Requirement: a silent stream is kept alive with comments, which no client takes for an event.
#[test]
fn silence_is_filled_with_comments() {
    let events = canned::text(&["first"]);
    let begun = events[..5].concat().len();
    let upstream = Upstream::openai().always(Answer::events(events).silent_after(begun));
    let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    for _ in 0..5 {
        exchange.event().expect("an event");
    }
    let comment = exchange.event().expect("a comment");
    assert!(comment.raw.starts_with(':'), "{}", comment.raw);
    exchange.hang_up();
    upstream.closed(0);
}

/// Requirement: an event over the limit ends the stream with an error.
#[test]
fn an_event_over_the_limit_ends_the_stream_with_an_error() {
    let events = canned::text(&["first", &"x".repeat(200_000)]);
    let upstream = Upstream::openai().always(Answer::events(events.clone()));
    let reply = ask(&impatient(&upstream).limit("event", 65536).start());
    assert!(reply.body.starts_with(&events[..5].concat()), "{reply}");
    assert_eq!(responses::error(&reply).1.as_deref(), Some("server_error"), "{reply}");
}

/// Requirement: the upstream is not read faster than the client reads.
#[test]
fn a_slow_client_stops_the_upstream() {
    let delta = json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                       "delta": "x".repeat(1000), "logprobs": []});
    let event = format!("event: response.output_text.delta\ndata: {delta}\n\n");
    let begun = canned::text(&["first"])[..5].to_vec();
    let upstream = Upstream::openai().always(Answer::events(begun).flooding(event));
    let gateway: Gateway = impatient(&upstream).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    exchange.event().expect("the first event");
    let rests = upstream.written_until_it_rests(0);
    assert!(rests < 64 << 20, "{rests}");
    exchange.hang_up();
    upstream.closed(0);
}
