//! Fixtures of Anthropic and of Chat Completions vendors as a Responses client receives them: streams split and truncated
//! anywhere, and whole replies.

use bytes::BytesMut;
use serde_json::Value;
use vandamme_protocol::convert::client::responses::ResponsesEncoder;
use vandamme_protocol::convert::{ReplyDecoder, ReplySummary, Transcoder};
use vandamme_protocol::vocabulary::StopReason;

use crate::fixtures::{Fixture, of_kind, of_messages};
use crate::reply;
use crate::responses_client::{Tools, check_reply, check_wire, of_chat, of_messages as messages, streamed};
use crate::responses_grammar::Reply;

const CLIENTS: [Tools; 2] = [Tools::Functions, Tools::Custom];

/// A stream of this size is short enough to be cut at every byte.
const SHORT: usize = 1500;

/// The short streams of chat vendors.
fn short_of_chat() -> Vec<Fixture> {
    of_kind("stream").into_iter().filter(|fixture| fixture.body.len() < SHORT).collect()
}

#[test]
fn every_fixture_is_grammatical_and_a_whole_reply_is_its_events() {
    for tools in CLIENTS {
        for fixture in of_messages("stream").into_iter().chain(of_messages("whole")) {
            eprintln!("{}", fixture.name);
            check_reply(|| messages(tools), &fixture.body, fixture.body.len() / 2);
        }
        for fixture in of_kind("stream").into_iter().chain(of_kind("whole")) {
            eprintln!("{}", fixture.name);
            check_reply(|| of_chat(tools, &fixture.dialect()), &fixture.body, fixture.body.len() / 2);
        }
    }
}

#[test]
fn every_stream_is_the_same_split_at_every_byte() {
    fn check<D: ReplyDecoder>(fixture: &Fixture, transcoder: impl Fn() -> Transcoder<D, ResponsesEncoder>) {
        let expected = streamed(transcoder(), &[&fixture.body]);
        let step = fixture.body.len() / SHORT + 1;
        for cut in (1..fixture.body.len()).step_by(step) {
            let (front, back) = fixture.body.split_at(cut);
            assert_eq!(streamed(transcoder(), &[front, back]), expected, "{} cut at {cut}", fixture.name);
        }
    }
    for fixture in of_messages("stream") {
        check(&fixture, || messages(Tools::Functions));
    }
    for fixture in short_of_chat() {
        check(&fixture, || of_chat(Tools::Functions, &fixture.dialect()));
    }
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn no_truncated_stream_looks_complete() {
    let mut last = Vec::new();
    for fixture in of_messages("stream") {
        for end in 0..fixture.body.len() {
            let (wire, outcome) = streamed(messages(Tools::Functions), &[&fixture.body[..end]]);
            // Most cuts are within an event.
            if wire == last {
                continue;
            }
            last.clone_from(&wire);
            let reply = check_wire(&wire, &outcome).expect("readable");
            assert_eq!(reply.status(), "failed", "{} broken off at {end}", fixture.name);
        }
    }
    for fixture in short_of_chat() {
        let whole = streamed(of_chat(Tools::Functions, &fixture.dialect()), &[&fixture.body]);
        for end in 0..fixture.body.len() {
            let so_far = &fixture.body[..end];
            let (wire, outcome) = streamed(of_chat(Tools::Functions, &fixture.dialect()), &[so_far]);
            if wire == last {
                continue;
            }
            last.clone_from(&wire);
            let Some(reply) = check_wire(&wire, &outcome) else { continue };
            // Behind the finish reason, only the usage is missing.
            let is_whole = outcome.stop_reason == whole.1.stop_reason && outcome.stop_reason.is_some();
            assert!(reply.status() == "failed" || is_whole, "{} broken off at {end}", fixture.name);
        }
    }
}

/// A Messages client and a Responses client get the same content of the same reply.
#[test]
fn nothing_of_a_reply_is_lost() {
    for fixture in of_kind("stream") {
        let context = reply::context(reply::Asked::ForThinking, &fixture.dialect());
        let Some(message) = reply::message(&reply::streamed(&[&fixture.body], &context).0) else { continue };
        let (wire, outcome) = streamed(of_chat(Tools::Functions, &fixture.dialect()), &[&fixture.body]);
        let Some(told) = check_wire(&wire, &outcome) else { continue };
        let blocks = || message["content"].as_array().into_iter().flatten();
        let texts = |kind: &str| -> String {
            blocks().filter(|block| block["type"] == kind).filter_map(|block| block[kind].as_str()).collect()
        };
        // A client of Messages has no other place for a refusal.
        let said = told.text() + &told.refusal();
        assert_eq!((said, told.reasoning()), (texts("text"), texts("thinking")), "{}", fixture.name);
        let calls = blocks().filter(|block| block["type"] == "tool_use").map(|call| call["name"].clone());
        let names: Vec<_> = told.calls().into_iter().map(|[_, name, _]| Value::from(name)).collect();
        assert_eq!(names, calls.collect::<Vec<_>>(), "{}", fixture.name);
        assert_eq!(outcome.tool_calls as usize, names.len(), "{}", fixture.name);
        check_ending(&fixture, &told, &outcome);
    }
}

fn check_ending(fixture: &Fixture, told: &Reply, outcome: &ReplySummary) {
    let expected = match outcome.stop_reason {
        Some(StopReason::MaxTokens | StopReason::ModelContextWindowExceeded) => "incomplete",
        Some(StopReason::PauseTurn) => "incomplete",
        Some(StopReason::Refusal) if told.refusal().is_empty() => "incomplete",
        Some(_) => "completed",
        None => "failed",
    };
    assert_eq!(told.status(), expected, "{}", fixture.name);
    let usage = outcome.usage.unwrap_or_default();
    assert_eq!(told.response["usage"]["input_tokens"], usage.prompt_total(), "{}", fixture.name);
    assert_eq!(told.response["usage"]["output_tokens"], usage.output, "{}", fixture.name);
}

#[test]
fn a_refusal_is_explained_and_is_the_whole_answer() {
    for kind in ["stream", "whole"] {
        let is_refusal = |fixture: &Fixture| fixture.name.contains("refusal-with-an-explanation");
        let fixture = of_messages(kind).into_iter().find(is_refusal).expect("a fixture");
        let mut out = BytesMut::new();
        let (wire, outcome) = match kind {
            "stream" => streamed(messages(Tools::Functions), &[&fixture.body]),
            _ => {
                let outcome = messages(Tools::Functions).whole_as_stream(&fixture.body, &mut out);
                (out.to_vec(), outcome.expect("a reply"))
            }
        };
        let reply = check_wire(&wire, &outcome).expect("readable");
        assert!(!reply.refusal().is_empty());
        assert_eq!(reply.status(), "completed");
    }
}
