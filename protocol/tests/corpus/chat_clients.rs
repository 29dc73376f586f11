//! Anthropic's fixtures as a Chat Completions client receives them: streams split and truncated anywhere, whole
//! replies, errors.

use serde_json::{Value, json};
use vandamme_protocol::convert::client::chat::MessagesReplyContext;
use vandamme_protocol::convert::passthrough::{
    MessagesTap, events_as_message, message_as_events, summary_of_message,
};
use vandamme_protocol::openai::error::{body, read};

use crate::chat::{check, context, streamed, transcoder};
use crate::errors::status;
use crate::fixtures::{Fixture, all_agree, ledger, of_messages};

/// For a client that requests all optional data.
fn curious() -> MessagesReplyContext {
    context(json!({"reasoning_effort": "low", "stream_options": {"include_usage": true}}))
}

fn stream_snapshot(fixture: &Fixture) -> String {
    let (wire, outcome) = streamed(&[&fixture.body], &curious());
    let wire = String::from_utf8(wire).expect("UTF-8");
    let data = wire.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks: String = data.map(|data| format!("  {data}\n")).collect();
    format!("streamed\n{chunks}{}", ledger(&outcome))
}

fn whole_snapshot(fixture: &Fixture) -> String {
    match transcoder(curious()).whole(&fixture.body) {
        Ok(whole) => {
            let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
            format!("whole\n{body:#}\n{}", ledger(&whole.summary))
        }
        Err(fault) => format!("fault\n  {} {}: {}\n", fault.status, fault.kind.anthropic(), fault.message),
    }
}

fn error_snapshot(fixture: &Fixture) -> String {
    let fault = read(status(fixture), &fixture.body);
    let told = String::from_utf8(body(fault.kind, &fault.message, &Default::default())).expect("UTF-8");
    format!("{}\n{told}\n", fault.status)
}

#[test]
fn every_fixture_of_anthropic_matches_its_snapshot_for_a_chat_client() {
    let of = |kind: &str, snapshot: fn(&Fixture) -> String| {
        of_messages(kind).into_iter().map(move |fixture| fixture.compare(&snapshot(&fixture)))
    };
    let streams = of("stream", stream_snapshot);
    all_agree(streams.chain(of("whole", whole_snapshot)).chain(of("error", error_snapshot)));
}

#[test]
fn every_stream_of_anthropic_is_the_same_whole_and_split_at_every_byte() {
    for fixture in of_messages("stream") {
        check(&fixture.body, fixture.body.len() / 2);
        let expected = streamed(&[&fixture.body], &curious());
        for cut in 1..fixture.body.len() {
            let (front, back) = fixture.body.split_at(cut);
            assert_eq!(streamed(&[front, back], &curious()), expected, "{} cut at {cut}", fixture.name);
        }
    }
}

#[test]
fn no_truncated_stream_of_anthropic_looks_complete() {
    for fixture in of_messages("stream") {
        for end in 0..fixture.body.len() {
            let (wire, outcome) = streamed(&[&fixture.body[..end]], &curious());
            let is_told = String::from_utf8_lossy(&wire).contains("\"finish_reason\":\"");
            assert!(outcome.fault.is_some() && !is_told, "{} broken off at {end}", fixture.name);
        }
    }
}

#[test]
fn the_ledger_receives_the_same_for_a_translation_and_a_passthrough() {
    for fixture in of_messages("stream") {
        let (_, outcome) = streamed(&[&fixture.body], &curious());
        let mut tap = MessagesTap::new();
        tap.observe(&fixture.body);
        let passed = tap.summary();
        assert_eq!(passed.tool_calls, outcome.tool_calls, "{}", fixture.name);
        assert_eq!(passed.fault.is_some(), outcome.fault.is_some(), "{}", fixture.name);
        assert_eq!(passed.usage.unwrap_or_default(), outcome.usage.unwrap_or_default(), "{}", fixture.name);
    }
}

#[test]
fn a_collected_stream_of_anthropic_has_the_same_content() {
    for fixture in of_messages("stream") {
        let (_, outcome) = streamed(&[&fixture.body], &curious());
        match events_as_message(&fixture.body) {
            Ok(message) => {
                let passed = summary_of_message(&message);
                assert_eq!(passed.tool_calls, outcome.tool_calls, "{}", fixture.name);
                assert_eq!(
                    passed.usage.unwrap_or_default().output,
                    outcome.usage.unwrap_or_default().output,
                    "{}",
                    fixture.name
                );
                let again = message_as_events(&message).expect("a message");
                assert_eq!(events_as_message(&again).as_ref(), Ok(&message), "{}", fixture.name);
            }
            Err(fault) => assert_eq!(outcome.fault, Some(fault), "{}", fixture.name),
        }
    }
}
