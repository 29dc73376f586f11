//! Both paths with replies that are split or truncated at every byte: the client always receives complete
//! events unchanged, and after a truncation one error event and nothing more.

use serde_json::json;

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::grammar::Ended;
use crate::support::reply::{self, Reply};
use crate::support::upstream::{Answer, Ending, Upstream};

/// A short reply with text beyond ASCII.
fn short_anthropic() -> Answer {
    Answer::events(anthropic::text(&["é\u{1F600}"]))
}

/// A short reply with all that matters: text beyond ASCII, a tool call, the end.
fn short_openai() -> Answer {
    let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}});
    let data = |choice: serde_json::Value| openai::data(&json!({"choices": [choice]}));
    let events = vec![
        data(json!({"index": 0, "delta": {"content": "é\u{1F600}"}})),
        data(json!({"index": 0, "delta": {"tool_calls": [call]}})),
        data(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})),
        openai::done(),
    ];
    Answer::events(events)
}

/// The replies to these answers, through one gateway.
fn replies(upstream: Upstream, answers: impl Iterator<Item = Answer>) -> Vec<Reply> {
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    answers
        .map(|answer| {
            upstream.then(answer);
            let reply = gateway.messages(&prompt(MODEL, "hi")).reply();
            // Two valid answers for each truncated one keep the provider healthy.
            for _ in 0..2 {
                assert_eq!(gateway.ask_whole("hi").text(), "Hello there!");
            }
            reply
        })
        .collect()
}

fn split_at_every_byte(upstream: Upstream, whole: &Answer) -> Vec<Reply> {
    let cuts = (1..whole.body().len()).map(|byte| whole.clone().split_at(byte));
    replies(upstream, cuts)
}

/// The truncated replies, each with its number of bytes.
fn truncated_at_every_byte(upstream: Upstream, whole: &Answer) -> impl Iterator<Item = (usize, Reply)> {
    let broken = (1..whole.body().len()).map(|byte| whole.clone().broken_after(byte, Ending::Cut));
    (1..).zip(replies(upstream, broken))
}

#[test]
fn a_passthrough_stream_split_at_every_byte_is_unchanged() {
    let whole = short_anthropic();
    for reply in split_at_every_byte(Upstream::anthropic(), &whole) {
        assert_eq!(reply.raw().as_bytes(), whole.body());
    }
}

#[test]
fn a_translated_stream_split_at_every_byte_is_the_same_message() {
    for reply in split_at_every_byte(Upstream::openai(), &short_openai()) {
        assert_eq!(reply.text(), "é\u{1F600}");
        assert_eq!(reply.tools(), [("f".to_owned(), json!({}))]);
    }
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn a_passthrough_stream_truncated_at_every_byte_keeps_complete_events_and_ends_with_an_error() {
    let whole = short_anthropic();
    let body = String::from_utf8(whole.body()).expect("text");
    for (byte, reply) in truncated_at_every_byte(Upstream::anthropic(), &whole) {
        let complete =
            body.as_bytes()[..byte].windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
        let complete = &body[..complete];
        assert!(reply.raw().starts_with(complete), "broken off at {byte}: {reply}");
        if !failed_before_the_first_event(&reply) {
            assert_eq!(reply.ended(), Ended::WithError, "broken off at {byte}");
            let added = reply::events(&reply.raw()[complete.len()..]).0;
            let added: Vec<&str> =
                added.iter().map(|event| event.name.as_str()).filter(|name| *name != "ping").collect();
            assert_eq!(added, ["error"], "broken off at {byte}: {reply}");
        }
    }
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn a_translated_stream_truncated_at_every_byte_looks_complete_only_if_the_upstream_had_finished() {
    let whole = short_openai();
    let body = whole.body();
    let text = String::from_utf8_lossy(&body);
    let reason = text.find("finish_reason").expect("there");
    let finished = reason + text[reason..].find('\n').expect("the end of its line");
    for (byte, reply) in truncated_at_every_byte(Upstream::openai(), &whole) {
        if byte > finished + 1 {
            assert_eq!(reply.tools(), [("f".to_owned(), json!({}))], "broken off at {byte}: {reply}");
        } else if byte < finished && !failed_before_the_first_event(&reply) {
            assert_eq!(reply.ended(), Ended::WithError, "broken off at {byte}: {reply}");
        }
    }
}

/// Whether the request failed with an error status, because no event had been sent.
fn failed_before_the_first_event(reply: &Reply) -> bool {
    if reply.is_stream() {
        return false;
    }
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
    true
}
