//! Every whole fixture: the message a client gets, which is also the sum of the events of its stream.

use bytes::BytesMut;
use serde_json::Value;
use vandamme_protocol::convert::passthrough::summary_of_whole_chat;
use vandamme_protocol::convert::upstream::chat::{whole, whole_as_events};

use crate::fixtures::{Fixture, all_agree, ledger, of_kind};
use crate::reply::{Asked, SEED, context, message};

fn snapshot(fixture: &Fixture) -> String {
    match whole(&fixture.body, context(Asked::ForThinking, &fixture.dialect()), SEED) {
        Ok(whole) => {
            let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
            format!("whole\n{body:#}\n{}", ledger(&whole.outcome))
        }
        Err(fault) => format!("fault\n  {} {}: {}\n", fault.status, fault.kind.anthropic(), fault.message),
    }
}

#[test]
fn every_whole_reply_says_to_its_client_what_its_snapshot_says() {
    all_agree(of_kind("whole").iter().map(|fixture| fixture.compare(&snapshot(fixture))));
}

#[test]
fn every_whole_reply_is_the_same_as_events() {
    for fixture in of_kind("whole") {
        let context = || context(Asked::ForThinking, &fixture.dialect());
        let mut events = BytesMut::new();
        let streamed = whole_as_events(&fixture.body, context(), SEED, &mut events);
        match (whole(&fixture.body, context(), SEED), streamed) {
            (Ok(whole), Ok(outcome)) => {
                assert_eq!(whole.outcome, outcome, "{}", fixture.name);
                let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
                assert_eq!(message(&events), Some(body), "{}", fixture.name);
            }
            (Err(whole), Err(streamed)) => assert_eq!(whole, streamed, "{}", fixture.name),
            both => panic!("{}: {both:?}", fixture.name),
        }
    }
}

#[test]
fn the_ledger_gets_the_same_whether_a_whole_reply_is_translated_or_passed_through() {
    for fixture in of_kind("whole") {
        let passed = summary_of_whole_chat(&fixture.body);
        match whole(&fixture.body, context(Asked::ForThinking, &fixture.dialect()), SEED) {
            Ok(whole) => {
                assert_eq!(passed.usage, whole.outcome.usage.unwrap_or_default(), "{}", fixture.name);
                assert_eq!(passed.tool_calls, whole.outcome.tool_calls, "{}", fixture.name);
                assert_eq!(passed.error, None, "{}", fixture.name);
            }
            Err(fault) => {
                let (kind, message) = passed.error.unwrap_or_else(|| panic!("{}", fixture.name));
                assert_eq!((kind, message), (fault.kind, fault.message), "{}", fixture.name);
            }
        }
    }
}
