//! A stream that is split or truncated at every byte.

use serde_json::json;

use super::{ask, ask_whole, call, impatient};
use crate::support::canned::openai;
use crate::support::chat::{self, Chat, Error};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Ending, Upstream};

/// A short stream with all that matters: text beyond ASCII, the end, the usage.
fn events() -> Vec<Vec<u8>> {
    let data = |choice: serde_json::Value| openai::data(&json!({"choices": [choice], "usage": null}));
    vec![
        data(json!({"index": 0, "delta": {"content": "é\u{1F600}"}})),
        data(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        openai::data(&json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})),
        openai::done(),
    ]
}

/// The replies to these answers, through one gateway.
fn replies(answers: impl Iterator<Item = Answer>, ask: impl Fn(&Gateway) -> Reply) -> Vec<Reply> {
    let upstream = Upstream::openai();
    let gateway = impatient(&upstream).start();
    answers
        .map(|answer| {
            upstream.then(answer);
            let reply = ask(&gateway);
            // Two valid answers for each truncated one keep the provider healthy.
            for _ in 0..2 {
                assert_eq!(chat::text(&ask_whole(&gateway)), "Hello there!");
            }
            reply
        })
        .collect()
}

fn split_at_every_byte() -> impl Iterator<Item = Answer> {
    let whole = Answer::events(events());
    (1..whole.body().len()).map(move |byte| whole.clone().split_at(byte))
}

#[test]
fn a_stream_split_at_every_byte_is_unchanged() {
    for reply in replies(split_at_every_byte(), ask) {
        assert_eq!(reply.body, events().concat(), "{reply}");
    }
}

#[test]
fn a_stream_split_at_every_byte_has_no_usage_unless_the_request_asks_for_it() {
    let silent = |gateway: &Gateway| call(gateway, &chat::prompt(MODEL, "hi")).reply();
    for reply in replies(split_at_every_byte(), silent) {
        let chat = Chat::of(&reply);
        assert_eq!((chat.text().as_str(), chat.chunks.len()), ("é\u{1F600}", 2), "{reply}");
        assert!(!reply.raw().contains("usage"), "{reply}");
    }
}

#[test]
fn a_stream_truncated_at_every_byte_keeps_complete_chunks_and_never_looks_complete() {
    let whole = Answer::events(events());
    let body = whole.body();
    let finished = events()[..2].concat().len();
    let broken = (1..body.len()).map(|byte| whole.clone().broken_after(byte, Ending::Cut));
    for (byte, reply) in (1..).zip(replies(broken, ask)) {
        let complete = body[..byte].windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
        if !reply.is_stream() {
            assert_eq!((reply.status(), complete), (502, 0), "broken off at {byte}: {reply}");
            assert_eq!(Error::of(&reply).words(), ("server_error", None));
            continue;
        }
        assert!(reply.body.starts_with(&body[..complete]), "broken off at {byte}: {reply}");
        let added = &reply.body[complete..];
        if complete >= finished {
            // A chunk that lacks only its blank line counts.
            let chunk = body[complete..byte].trim_ascii_end();
            let chunk = if chunk.ends_with(b"}}") { [chunk, b"\n\n"].concat() } else { Vec::new() };
            assert_eq!(added, [chunk, openai::done()].concat(), "broken off at {byte}: {reply}");
        } else {
            assert!(added.starts_with(b"data: {\"error\":"), "broken off at {byte}: {reply}");
            assert_eq!(Error::of(&reply).words(), ("server_error", None));
        }
    }
}
