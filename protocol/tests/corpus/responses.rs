//! Every fixture of the Responses API: what a Messages client receives, split and truncated anywhere, passed through or
//! translated, in both forms.

use serde_json::Value;
use vandamme_protocol::convert::passthrough::{
    ResponsesTap, events_as_response, parsed_response, response_as_events,
};
use vandamme_protocol::convert::upstream::responses::ResponsesReplyContext;

use crate::fixtures::{Fixture, all_agree, ledger, of_responses};
use crate::reply::message;
use crate::responses_reply::{self, message_of, plain, streamed, thinking, transcoder};
use crate::responses_tap;

fn context(fixture: &Fixture) -> ResponsesReplyContext {
    if fixture.name.contains("web-search") { plain().with_search() } else { thinking() }
}

fn stream_snapshot(fixture: &Fixture) -> String {
    let (wire, summary) = streamed(&[&fixture.body], &context(fixture));
    let wire = String::from_utf8(wire).expect("UTF-8");
    let data = wire.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: String = data.map(|data| format!("  {data}\n")).collect();
    format!("streamed\n{events}{}", ledger(&summary))
}

fn whole_snapshot(fixture: &Fixture) -> String {
    match transcoder(context(fixture)).whole(&fixture.body) {
        Ok(whole) => {
            let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
            format!("whole\n{body:#}\n{}", ledger(&whole.summary))
        }
        Err(fault) => format!("fault\n  {} {}: {}\n", fault.status, fault.kind.anthropic(), fault.message),
    }
}

#[test]
fn every_reply_matches_its_snapshot() {
    let streams =
        of_responses("stream").into_iter().map(|fixture| fixture.compare(&stream_snapshot(&fixture)));
    let wholes = of_responses("whole").into_iter().map(|fixture| fixture.compare(&whole_snapshot(&fixture)));
    all_agree(streams.chain(wholes));
}

/// Complaint of gateway users: characters break at the borders of chunks.
#[test]
fn every_stream_is_grammatical_and_the_same_split_at_every_byte() {
    for fixture in of_responses("stream") {
        responses_reply::check(&fixture.body, fixture.body.len() / 2);
        let context = context(&fixture);
        let expected = streamed(&[&fixture.body], &context);
        for cut in 1..fixture.body.len() {
            let (front, back) = fixture.body.split_at(cut);
            assert_eq!(streamed(&[front, back], &context), expected, "{} cut at {cut}", fixture.name);
        }
        for size in [1, 7, 64, 4096] {
            responses_tap::check(&fixture.body, size);
        }
    }
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn no_truncated_stream_looks_complete_unless_its_upstream_had_finished() {
    for fixture in of_responses("stream") {
        let context = context(&fixture);
        let whole = message(&streamed(&[&fixture.body], &context).0);
        for end in 0..fixture.body.len() {
            let (wire, summary) = streamed(&[&fixture.body[..end]], &context);
            let said = message(&wire);
            assert_eq!(said.is_none(), summary.fault.is_some());
            if said.is_some() {
                assert!(has_finished(&fixture.body[..end]), "{} broken off at {end}", fixture.name);
                assert_eq!(said, whole, "{} broken off at {end}", fixture.name);
            }
        }
    }
}

/// Whether an upstream's text contains the end of the reply, by the simplest reader.
fn has_finished(so_far: &[u8]) -> bool {
    let text = String::from_utf8_lossy(so_far);
    text.lines().filter_map(|line| line.strip_prefix("data: ")).any(|data| {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete"))
    })
}

/// Complaint of gateway users: cached tokens are lost or counted as fresh.
#[test]
fn the_ledger_receives_the_same_for_a_translation_and_a_passthrough() {
    for fixture in of_responses("stream") {
        let (_, summary) = streamed(&[&fixture.body], &context(&fixture));
        let mut tap = ResponsesTap::new();
        tap.pass(fixture.body.clone().into());
        assert_eq!(tap.summary(), &summary, "{}", fixture.name);
    }
    for fixture in of_responses("whole") {
        let passed = parsed_response(&fixture.body).expect("JSON");
        match transcoder(context(&fixture)).whole(&fixture.body) {
            Ok(whole) => assert_eq!(passed, whole.summary, "{}", fixture.name),
            Err(fault) => assert_eq!(passed.fault, Some(fault), "{}", fixture.name),
        }
    }
}

#[test]
fn a_reply_says_the_same_in_its_other_form() {
    for fixture in of_responses("stream") {
        let (wire, summary) = streamed(&[&fixture.body], &thinking());
        match events_as_response(&fixture.body) {
            Ok(response) => {
                assert_eq!(unsigned(message_of(&response).ok()), unsigned(message(&wire)), "{}", fixture.name)
            }
            Err(fault) => assert_eq!(Some(fault), summary.fault, "{}", fixture.name),
        }
    }
    for fixture in of_responses("whole") {
        responses_reply::check_body(&fixture.body);
        responses_tap::check_body(&fixture.body);
        match response_as_events(&fixture.body) {
            Ok(events) => {
                let (wire, _) = streamed(&[&events], &thinking());
                assert_eq!(message(&wire), message_of(&fixture.body).ok(), "{}", fixture.name);
                responses_tap::check(&events, 100);
            }
            Err(fault) => assert_eq!(message_of(&fixture.body), Err(fault), "{}", fixture.name),
        }
    }
}

/// A message without its signatures: some vendors encrypt the same reasoning anew for every event.
fn unsigned(message: Option<Value>) -> Option<Value> {
    let mut message = message?;
    for block in message["content"].as_array_mut().into_iter().flatten() {
        block.as_object_mut().and_then(|block| block.remove("signature"));
    }
    Some(message)
}
