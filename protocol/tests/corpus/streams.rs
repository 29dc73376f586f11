//! Every streamed fixture: split and truncated anywhere, passed through or translated.

use serde_json::Value;
use vandamme_protocol::convert::passthrough::ChatTap;
use vandamme_protocol::request::UsageAsked;

use crate::fixtures::{Fixture, all_agree, ledger, of_kind};
use crate::reply::{self, Asked, context, message, streamed};

fn snapshot(fixture: &Fixture) -> String {
    let (wire, outcome) = streamed(&[&fixture.body], &context(Asked::ForThinking, &fixture.dialect()));
    let wire = String::from_utf8(wire).expect("UTF-8");
    let data = wire.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: String = data.map(|data| format!("  {data}\n")).collect();
    format!("streamed\n{events}{}", ledger(&outcome))
}

/// Complaint of gateway users: turns end silently or for the wrong reason.
#[test]
fn every_stream_matches_its_snapshot() {
    all_agree(of_kind("stream").iter().map(|fixture| fixture.compare(&snapshot(fixture))));
}

/// Requirement: All `index` values are integers; blocks do not overlap; indexes 0..n-1.
/// Complaint of gateway users: content block not found.
#[test]
fn every_stream_is_grammatical_and_equals_its_whole_reply() {
    for fixture in of_kind("stream") {
        reply::check(&fixture.body, fixture.body.len() / 2, &fixture.dialect());
    }
}

/// Complaint of gateway users: characters break at the borders of chunks.
#[test]
fn every_stream_split_at_every_byte_gives_the_same_bytes() {
    for fixture in of_kind("stream") {
        let context = context(Asked::ForThinking, &fixture.dialect());
        let expected = streamed(&[&fixture.body], &context);
        for cut in 1..fixture.body.len() {
            let (front, back) = fixture.body.split_at(cut);
            assert_eq!(streamed(&[front, back], &context), expected, "{} cut at {cut}", fixture.name);
        }
    }
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn no_truncated_stream_looks_complete_unless_its_upstream_had_finished() {
    for fixture in of_kind("stream") {
        let context = context(Asked::ForThinking, &fixture.dialect());
        let whole = message(&streamed(&[&fixture.body], &context).0);
        for end in 0..fixture.body.len() {
            let so_far = &fixture.body[..end];
            let (wire, outcome) = streamed(&[so_far], &context);
            let said = message(&wire);
            assert_eq!(said.is_none(), outcome.fault.is_some());
            let Some(said) = said else { continue };
            assert!(has_finished(so_far), "{} broken off at {end}", fixture.name);
            let whole = whole.as_ref().expect("a stream that failed had not finished before");
            assert_eq!(said["content"], whole["content"], "{} broken off at {end}", fixture.name);
        }
    }
}

/// Whether an upstream's text contains the end of the reply, by the simplest reader.
fn has_finished(so_far: &[u8]) -> bool {
    let text = String::from_utf8_lossy(so_far);
    text.lines().filter_map(|line| line.strip_prefix("data: ")).any(|data| {
        let chunk: Value = serde_json::from_str(data).unwrap_or_default();
        data == "[DONE]" || chunk["choices"][0]["finish_reason"].is_string()
    })
}

/// Complaint of gateway users: cached tokens are lost or counted as fresh.
#[test]
fn the_ledger_receives_the_same_for_a_translation_and_a_passthrough() {
    for fixture in of_kind("stream") {
        let (_, outcome) = streamed(&[&fixture.body], &context(Asked::ForThinking, &fixture.dialect()));
        let mut tap = ChatTap::new(UsageAsked::ByClient);
        tap.pass(fixture.body.clone().into());
        let passed = tap.summary();
        // After an error the gateway reads no further, but a client of the upstream's own bytes can.
        if outcome.fault.is_none() {
            assert_eq!(
                passed.usage.unwrap_or_default(),
                outcome.usage.unwrap_or_default(),
                "{}",
                fixture.name
            );
            assert_eq!(passed.tool_calls, outcome.tool_calls, "{}", fixture.name);
            assert_eq!(passed.fault, None, "{}", fixture.name);
        }
    }
}
