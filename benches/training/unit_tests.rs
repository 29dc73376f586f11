//! The unit tests of the training: what it demands, and that requests and replies belong together. The training itself
//! has no test harness.
#![expect(dead_code, reason = "the training is started by main.rs")]

#[path = "../gateway/chunks.rs"]
mod chunks;
mod client;
mod gateway;
#[path = "../gateway/listener.rs"]
mod listener;
mod load;
mod phases;
mod prose;
mod recorded;
mod replies;
mod requests;
mod script;
mod tally;
mod tls;
mod upstream;

use std::collections::BTreeSet;
use std::error::Error;

use fastrand::Rng;
use serde_json::Value;

use replies::Story;
use requests::{Api, Form, Request};
use script::Script;
use tally::{Outcome, Tally};

/// Why the training ends early.
type Trouble = Box<dyn Error + Send + Sync>;

const FORMS: [Form; 2] = [Form::Whole, Form::Stream];
const APIS: [Api; 2] = [Api::Messages, Api::Chat];

fn every_kind() -> impl Iterator<Item = (&'static str, Request)> {
    let forms = APIS.into_iter().flat_map(|client| FORMS.map(|form| (client, form)));
    let requests = forms.flat_map(|(client, form)| APIS.map(|upstream| (client, upstream, form)));
    requests.flat_map(|(client, upstream, form)| {
        let request =
            Request { client, upstream, form, script: Script::Story(1), model: "any", counts: false };
        ["HTTP", "TLS"].map(|listener| (listener, request.clone()))
    })
}

fn tally_of(kinds: impl Iterator<Item = (&'static str, Request)>) -> Tally {
    let tally = Tally::default();
    for (listener, request) in kinds {
        tally.count(listener, &request, Outcome::Complete);
    }
    tally
}

/// Requirement: a training counts only if every kind of request was served.
#[test]
fn a_kind_that_was_not_served_fails_the_training() {
    tally_of(every_kind()).check(1).expect("every kind was served");
    let missing = tally_of(every_kind().skip(1)).check(1).expect_err("one is missing").to_string();
    assert_eq!(missing, "15 of 16 kinds of requests were sent");
    let few = tally_of(every_kind()).check(2).expect_err("one reply each").to_string();
    assert!(few.ends_with("1 complete replies, 0 others"), "{few}");
}

/// Requirement: a training in which requests fail unexpectedly does not count; requests that shall fail may do so.
#[test]
fn unexpected_failures_fail_the_training() {
    let tally = tally_of(every_kind());
    let (listener, request) = every_kind().next().expect("a kind");
    let failing = Request { script: Script::Fails(1), ..request.clone() };
    tally.count(listener, &failing, Outcome::Other);
    tally.check(1).expect("failures that are a part of the training");
    tally.count(listener, &request, Outcome::Other);
    let error = tally.check(1).expect_err("a request failed").to_string();
    assert!(error.ends_with("1 complete replies, 1 others"), "{error}");
}

/// Requirement: a reply is complete only with status 200 and the end of its form.
#[test]
fn a_reply_is_judged_by_status_and_end() {
    for (_, request) in every_kind() {
        let end: &[u8] = match (request.form, request.client) {
            (Form::Whole, _) => b"{}\n",
            (Form::Stream, Api::Messages) => b"data: {\"type\":\"message_stop\"}\n\n",
            (Form::Stream, Api::Chat) => b"data: [DONE]\n\n",
        };
        assert_eq!(Outcome::of_reply(&request, 200, end), Outcome::Complete, "{request:?}");
        assert_eq!(Outcome::of_reply(&request, 503, end), Outcome::Other, "{request:?}");
        assert_eq!(Outcome::of_reply(&request, 200, b"data: x\n\n"), Outcome::Other, "{request:?}");
    }
}

/// Requirement: every drawn request is valid JSON with the marker that selects its reply, and all scripts are drawn.
#[test]
fn drawn_requests_select_their_replies() {
    let mut rng = Rng::with_seed(1);
    let mut scripts = BTreeSet::new();
    for _ in 0..100 {
        let request = Request::draw(&mut rng);
        let bytes = request.bytes(&mut rng);
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head") + 4;
        let body: Value = serde_json::from_slice(&bytes[head..]).expect("JSON");
        assert_eq!(body["model"], request.model);
        assert_eq!(Script::of_body(&bytes[head..]), request.script);
        scripts.insert(request.script.marker().split(' ').next().map(str::to_owned));
    }
    assert_eq!(scripts.len(), 3, "{scripts:?}");
}

/// Requirement: stories have text, thinking and tool calls, as whole replies and as streams, in both APIs.
#[test]
fn stories_have_every_content() {
    let parts = [
        (
            Api::Messages,
            ["\"text_delta\"", "\"thinking_delta\"", "\"input_json_delta\""],
            ["\"text\"", "\"thinking\"", "\"tool_use\""],
        ),
        (
            Api::Chat,
            ["{\"content\":", "\"reasoning_content\"", "\"tool_calls\""],
            ["\"content\"", "\"reasoning_content\"", "\"tool_calls\""],
        ),
    ];
    for (api, streamed, whole) in parts {
        let stories = || (0..40).map(Story::new);
        let streams: Vec<String> = stories().map(|mut story| story.events(api).concat()).collect();
        let wholes: Vec<String> = stories().map(|story| story.whole(api)).collect();
        for (parts, replies) in [(streamed, streams), (whole, wholes)] {
            for part in parts {
                let with = replies.iter().filter(|reply| reply.contains(part)).count();
                assert!(with >= 5, "{api:?}: {with} of 40 replies have {part}");
            }
        }
    }
}

/// Requirement: the recorded replies are those of both APIs, whole and streamed, and errors come last.
#[test]
fn recorded_replies_are_found() {
    let recorded = recorded::load().expect("tests/fixtures");
    for (api, form) in APIS.into_iter().flat_map(|api| FORMS.map(|form| (api, form))) {
        let is_of = |reply: &&recorded::Recorded| (reply.api, reply.form, reply.status) == (api, form, 200);
        assert!(recorded.iter().any(|reply| is_of(&reply)), "{api:?} {form:?}");
    }
    let first_error = recorded.iter().position(|reply| reply.status != 200).expect("errors");
    assert!(recorded[first_error..].iter().all(|reply| reply.status != 200));
}
