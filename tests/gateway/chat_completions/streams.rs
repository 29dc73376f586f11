//! Streams without a proper end: they never look complete, and clients can always read the error.

use serde_json::json;

use super::{ask, impatient, streamed_before};
use crate::support::canned::openai;
use crate::support::chat::{self, Chat, Error};
use crate::support::upstream::{Answer, Ending, Upstream};

/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
#[test]
fn a_missing_done_is_added_after_a_finish_reason() {
    let events = openai::text(&["complete"]);
    let done = events.len() - 1;
    for kept in [done - 1, done] {
        let reply = streamed_before(Answer::events(events[..kept].to_vec()));
        let mut expected = events[..kept].concat();
        expected.extend(openai::done());
        assert_eq!(reply.body, expected, "{reply}");
    }
}

#[test]
fn the_upstreams_done_is_not_sent_twice() {
    let events = openai::text(&["complete"]);
    for ending in [Ending::KeepAlive, Ending::Close, Ending::Cut] {
        let reply = streamed_before(Answer::events(events.clone()).ending(ending));
        assert_eq!(reply.body, events.concat(), "{ending:?}");
    }
}

#[test]
fn an_end_without_a_finish_reason_is_an_error() {
    let events = openai::text(&["first", "second"]);
    for kept in 1..=3 {
        for ending in [Ending::KeepAlive, Ending::Cut] {
            let reply = streamed_before(Answer::events(events[..kept].to_vec()).ending(ending));
            assert!(reply.body.starts_with(&events[..kept].concat()), "{reply}");
            assert_eq!(Error::of(&reply).words(), ("server_error", None));
            assert_eq!(Chat::of(&reply).chunks.len(), kept);
        }
    }
}

#[test]
fn an_end_before_every_choice_has_finished_is_an_error() {
    let choice = |index: u32, content: &str, finish: Option<&str>| {
        openai::chunk(&json!([{"index": index, "delta": {"content": content}, "finish_reason": finish}]))
    };
    let events = vec![
        choice(0, "a", None),
        choice(1, "b", None),
        choice(0, "", Some("stop")),
        choice(1, "only half of", None),
    ];
    let reply = streamed_before(Answer::events(events.clone()).ending(Ending::Cut));
    assert!(reply.body.starts_with(&events.concat()), "{reply}");
    assert_eq!(Error::of(&reply).words(), ("server_error", None));
}

#[test]
fn a_stream_truncated_inside_a_chunk_omits_that_chunk_and_ends_with_an_error() {
    let events = openai::text(&["first", "second"]);
    let complete = events[..2].concat();
    for ending in [Ending::Cut, Ending::Reset] {
        let reply = streamed_before(Answer::events(events.clone()).broken_after(complete.len() + 30, ending));
        if reply.status() == 502 {
            // A reset may overtake bytes that were sent before it.
            assert_eq!(ending, Ending::Reset);
            continue;
        }
        assert_eq!(Chat::of(&reply).text(), "first", "{reply}");
        assert_eq!(Error::of(&reply).words(), ("server_error", None));
    }
}

#[test]
fn an_error_of_the_upstream_in_mid_stream_is_forwarded_and_ends_the_stream() {
    let error = openai::data(&json!({"error": {"message": "Busy", "type": "server_error", "param": null,
                                               "code": "overloaded"}}));
    let begun = openai::text(&["first"])[..2].to_vec();
    for after in [vec![], vec![openai::done()]] {
        let mut events = begun.clone();
        events.push(error.clone());
        events.extend(after);
        let reply = streamed_before(Answer::events(events));
        assert_eq!(reply.body, [begun.concat(), error.clone()].concat(), "{reply}");
        assert_eq!(Error::of(&reply).message, "Busy");
    }
}

#[test]
fn an_error_as_the_first_event_is_a_status() {
    let said = [
        (
            json!({"error": {"message": "Busy", "type": "overloaded_error"}}),
            503,
            ("server_error", Some("overloaded")),
        ),
        (
            json!({"error": {"message": "Busy", "code": 429}}),
            429,
            ("rate_limit_error", Some("rate_limit_exceeded")),
        ),
        (json!({"error": {"message": "Busy"}}), 502, ("server_error", None)),
    ];
    for (event, status, words) in said {
        let reply = streamed_before(Answer::events(vec![openai::data(&event), openai::done()]));
        assert_eq!(reply.status(), status, "{reply}");
        let error = Error::of(&reply);
        assert_eq!((error.words(), error.message.as_str()), (words, "Busy"));
    }
}

#[test]
fn a_chunk_over_the_limit_ends_the_stream_with_an_error() {
    let events = openai::text(&["first", &"x".repeat(200_000)]);
    let upstream = Upstream::openai().always(Answer::events(events));
    let reply = ask(&impatient(&upstream).limit("event", 65536).start());
    assert_eq!(Chat::of(&reply).text(), "first");
    assert_eq!(Error::of(&reply).words(), ("server_error", None));
}

/// Requirement: After the first byte to the client no retry ever happens.
#[test]
fn after_the_first_chunk_there_is_no_retry() {
    let events = openai::text(&["first", "second"]);
    let begun = events[..1].concat().len();
    for ending in [Ending::Cut, Ending::Reset] {
        let upstream = Upstream::openai().always(Answer::events(events.clone()).broken_after(begun, ending));
        let gateway = crate::support::gateway::Gateway::before(&upstream).keys(["k1", "k2"]).start();
        let reply = ask(&gateway);
        if ending == Ending::Cut {
            assert_eq!(Error::of(&reply).words(), ("server_error", None));
            assert_eq!(upstream.count(), 1);
        }
    }
}

#[test]
fn text_that_only_looks_like_an_error_is_no_error() {
    for delta in
        [json!({"content": "{\"error\":{\"message\":\"x\"}}"}), json!({"content": "a", "error": {"x": 1}})]
    {
        let events = openai::stream(vec![openai::delta(&delta)], "stop");
        let reply = streamed_before(Answer::events(events.clone()));
        assert_eq!(reply.body, events.concat());
    }
    let null = openai::data(&json!({"error": null, "choices": [{"index": 0, "delta": {"content": "a"},
                                                                "finish_reason": "stop"}]}));
    let reply = streamed_before(Answer::events(vec![null, openai::done()]));
    assert_eq!(chat::text(&reply), "a");
}
