//! Every whole fixture: the message that a client receives, which equals the sum of its stream's events.

use bytes::BytesMut;
use serde_json::Value;
use vandamme_protocol::convert::passthrough::summary_of_completion;

use crate::fixtures::{Fixture, all_agree, ledger, of_kind};
use crate::reply::{Asked, context, message, transcoder};

fn snapshot(fixture: &Fixture) -> String {
    match transcoder(context(Asked::ForThinking, &fixture.dialect())).whole(&fixture.body) {
        Ok(whole) => {
            let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
            format!("whole\n{body:#}\n{}", ledger(&whole.summary))
        }
        Err(fault) => format!("fault\n  {} {}: {}\n", fault.status, fault.kind.anthropic(), fault.message),
    }
}

#[test]
fn every_whole_reply_matches_its_snapshot() {
    all_agree(of_kind("whole").iter().map(|fixture| fixture.compare(&snapshot(fixture))));
}

#[test]
fn every_whole_reply_is_the_same_as_events() {
    for fixture in of_kind("whole") {
        let context = || context(Asked::ForThinking, &fixture.dialect());
        let mut events = BytesMut::new();
        let streamed = transcoder(context()).whole_as_stream(&fixture.body, &mut events);
        match (transcoder(context()).whole(&fixture.body), streamed) {
            (Ok(whole), Ok(outcome)) => {
                assert_eq!(whole.summary, outcome, "{}", fixture.name);
                let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
                assert_eq!(message(&events), Some(body), "{}", fixture.name);
            }
            (Err(whole), Err(streamed)) => assert_eq!(whole, streamed, "{}", fixture.name),
            both => panic!("{}: {both:?}", fixture.name),
        }
    }
}

#[test]
fn the_ledger_receives_the_same_for_a_translation_and_a_passthrough() {
    for fixture in of_kind("whole") {
        let passed = summary_of_completion(&fixture.body);
        match transcoder(context(Asked::ForThinking, &fixture.dialect())).whole(&fixture.body) {
            Ok(whole) => {
                assert_eq!(
                    passed.usage.unwrap_or_default(),
                    whole.summary.usage.unwrap_or_default(),
                    "{}",
                    fixture.name
                );
                assert_eq!(passed.tool_calls, whole.summary.tool_calls, "{}", fixture.name);
                assert_eq!(passed.fault, None, "{}", fixture.name);
            }
            Err(fault) => {
                let passed = passed.fault.unwrap_or_else(|| panic!("{}", fixture.name));
                assert_eq!((passed.kind, passed.message), (fault.kind, fault.message), "{}", fixture.name);
            }
        }
    }
}
