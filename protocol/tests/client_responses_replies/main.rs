//! Random hub events as a Responses client receives them, checked with the grammar of the event stream.

#[path = "../grammar/responses.rs"]
mod grammar;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use vandamme_protocol::anthropic::event::{
    BlockDelta, Citation, ContentBlockStart, MessagesEvent, ReplyEnding, ReportedUsage, WebSource,
};
use vandamme_protocol::convert::ReplyEncoder as _;
use vandamme_protocol::convert::client::chat::ReplyIdentity;
use vandamme_protocol::convert::client::responses::{ResponsesClientContext, ResponsesEncoder};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::vocabulary::{ErrorKind, StopReason};

const IDENTITY: ReplyIdentity =
    ReplyIdentity { seed: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, created: 1_760_000_000 };
const NAMES: [&str; 2] = ["f", "patch"];
const IDS: [&str; 4] = ["toolu_1", "call|2", "", "é"];

fn context() -> ResponsesClientContext {
    ResponsesClientContext::without_tools("p:m", "p", "m").with_custom_tools(&["patch"])
}

/// An event that owns its texts.
#[derive(Clone, Debug)]
enum Event {
    Start,
    Ping,
    Block(Option<u64>, Block),
    Delta(Option<u64>, Delta),
    Stop(Option<u64>),
    Ending(Option<StopReason>, String, Option<ReportedUsage>),
}

#[derive(Clone, Debug)]
enum Block {
    Text,
    Thinking,
    Compaction,
    Call(usize, usize, Option<String>),
    Search(usize),
    Found(usize, Vec<WebSource>),
    Redacted(String),
    Other,
}

#[derive(Clone, Debug)]
enum Delta {
    Text(String),
    Thinking(String),
    Signature(String),
    Arguments(String),
    Summary(String),
    Citation(String),
    Other,
}

/// Inner text.
fn inner() -> impl Strategy<Value = String> {
    ".{0,6}".prop_map(|text: String| {
        let literal = Value::from(text).to_string();
        literal[1..literal.len() - 1].to_owned()
    })
}

fn index() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..4_u64).prop_map(Some)]
}

fn block() -> impl Strategy<Value = Block> {
    let page = inner().prop_map(|url| WebSource { url, ..WebSource::default() });
    let input =
        prop::option::of(prop_oneof![Just("{\"input\":\"a\\nb\"}".to_owned()), Just("[1]".to_owned())]);
    prop_oneof![
        3 => Just(Block::Text),
        2 => Just(Block::Thinking),
        1 => Just(Block::Compaction),
        3 => (0..IDS.len(), 0..NAMES.len(), input).prop_map(|(id, name, input)| Block::Call(id, name, input)),
        1 => (0..IDS.len()).prop_map(Block::Search),
        1 => (0..IDS.len(), vec(page, 0..3)).prop_map(|(id, pages)| Block::Found(id, pages)),
        1 => inner().prop_map(Block::Redacted),
        1 => Just(Block::Other),
    ]
}

fn delta() -> impl Strategy<Value = Delta> {
    prop_oneof![
        3 => inner().prop_map(Delta::Text),
        2 => inner().prop_map(Delta::Thinking),
        1 => inner().prop_map(Delta::Signature),
        3 => inner().prop_map(Delta::Arguments),
        1 => inner().prop_map(Delta::Summary),
        1 => inner().prop_map(Delta::Citation),
        1 => Just(Delta::Other),
    ]
}

fn ending() -> impl Strategy<Value = Event> {
    let reason = prop::option::of(prop::sample::select(StopReason::ALL.to_vec()));
    let counts = prop::option::of(any::<[Option<u32>; 5]>().prop_map(|counts| {
        let [input, output, cache_read, cache_creation, thinking] = counts.map(|count| count.map(u64::from));
        ReportedUsage { input, output, cache_read, cache_creation, thinking, ..ReportedUsage::default() }
    }));
    (reason, inner(), counts).prop_map(|(reason, why, counts)| Event::Ending(reason, why, counts))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::Start),
        1 => Just(Event::Ping),
        5 => (index(), block()).prop_map(|(index, block)| Event::Block(index, block)),
        9 => (index(), delta()).prop_map(|(index, delta)| Event::Delta(index, delta)),
        4 => index().prop_map(Event::Stop),
        1 => ending(),
    ]
}

impl Block {
    fn start(&self) -> ContentBlockStart<'_> {
        match self {
            Self::Text => ContentBlockStart::Text,
            Self::Thinking => ContentBlockStart::Thinking,
            Self::Compaction => ContentBlockStart::Compaction,
            Self::Call(id, name, input) => {
                ContentBlockStart::ToolUse { id: IDS[*id], name: NAMES[*name], input: input.as_deref() }
            }
            Self::Search(id) => ContentBlockStart::ServerToolUse { id: IDS[*id] },
            Self::Found(id, sources) => ContentBlockStart::SearchResult { id: IDS[*id], sources },
            Self::Redacted(data) => ContentBlockStart::RedactedThinking { data },
            Self::Other => ContentBlockStart::Other,
        }
    }
}

impl Delta {
    fn delta(&self) -> BlockDelta<'_> {
        match self {
            Self::Text(text) => BlockDelta::Text(text),
            Self::Thinking(text) => BlockDelta::Thinking(text),
            Self::Signature(text) => BlockDelta::Signature(text),
            Self::Arguments(text) => BlockDelta::Arguments(text),
            Self::Summary(text) => BlockDelta::Summary(text),
            Self::Citation(url) => BlockDelta::Citation(Citation { url, title: "t", quote: "", index: "" }),
            Self::Other => BlockDelta::Other,
        }
    }
}

impl Event {
    fn event(&self) -> MessagesEvent<'_> {
        match self {
            Self::Start => MessagesEvent::MessageStart { id: "msg_1", model: "m", counts: None },
            Self::Ping => MessagesEvent::Ping,
            Self::Block(index, block) => MessagesEvent::BlockStart { index: *index, block: block.start() },
            Self::Delta(index, delta) => MessagesEvent::Delta { index: *index, delta: delta.delta() },
            Self::Stop(index) => MessagesEvent::BlockStop { index: *index },
            Self::Ending(reason, explanation, counts) => {
                let ending = ReplyEnding { reason: *reason, explanation, ..ReplyEnding::default() };
                MessagesEvent::MessageDelta { ending, counts: *counts }
            }
        }
    }
}

/// The stream of these events, and the whole reply.
fn encoded(events: &[Event], last: MessagesEvent<'_>) -> (Vec<u8>, Vec<u8>) {
    let mut stream = ResponsesEncoder::new(context(), IDENTITY);
    let mut whole = ResponsesEncoder::new(context(), IDENTITY);
    let mut out = BytesMut::new();
    for event in events.iter().map(Event::event).chain([last]) {
        stream.stream(event, &mut out);
        whole.collect(event);
    }
    (out.to_vec(), whole.into_body())
}

fn decoded(inner: &str) -> String {
    serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_default()
}

fn letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}

/// The text and the thoughts of these events.
fn said(events: &[Event]) -> (String, String) {
    let (mut text, mut thoughts) = (String::new(), String::new());
    for event in events {
        if let Event::Delta(_, Delta::Text(inner) | Delta::Summary(inner)) = event {
            text.push_str(&decoded(inner));
        } else if let Event::Delta(_, Delta::Thinking(inner)) = event {
            thoughts.push_str(&decoded(inner));
        }
    }
    (text, thoughts)
}

/// Whether these events end as a refusal, and its explanation.
fn refusal(events: &[Event]) -> Option<String> {
    let mut stop = None;
    let mut last = String::new();
    for event in events {
        if let Event::Ending(reason, explanation, _) = event {
            stop = reason.or(stop);
            if !explanation.is_empty() {
                last.clone_from(explanation);
            }
        }
    }
    (stop == Some(StopReason::Refusal)).then(|| decoded(&last))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_events_are_a_valid_stream_whose_response_is_the_whole_reply(events in vec(event(), 0..24)) {
        let (wire, whole) = encoded(&events, MessagesEvent::MessageStop);
        let reply = grammar::check(&wire);
        prop_assert!(matches!(reply.status(), "completed" | "incomplete"));
        prop_assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), reply.response.clone());
        let (text, thoughts) = said(&events);
        // Blocks that overlap are items of their own, so only what arrives is the same.
        let has_summary = events.iter().any(|event| matches!(event, Event::Block(_, Block::Compaction)));
        prop_assert!(has_summary || letters(&reply.text()) == letters(&text), "all text arrives");
        prop_assert_eq!(letters(&reply.reasoning()), letters(&thoughts));
        let calls = events.iter().filter(|event| matches!(event, Event::Block(_, Block::Call(..)))).count();
        prop_assert_eq!(reply.calls().len(), calls);
        match (refusal(&events), calls) {
            (None, _) => prop_assert_eq!(reply.refusal(), ""),
            (Some(explanation), 1..) => {
                prop_assert_eq!((reply.refusal(), reply.status()), (explanation, "incomplete"));
            }
            (Some(explanation), 0) => {
                prop_assert!(!reply.refusal().is_empty() && reply.status() == "completed");
                prop_assert!(explanation.is_empty() || reply.refusal() == explanation);
            }
        }
    }

    #[test]
    fn any_events_before_an_error_are_a_failed_stream(events in vec(event(), 0..24)) {
        let fault = Fault { kind: ErrorKind::RateLimit, status: 429, message: "try again in 5 s".into() };
        let reply = grammar::check(&encoded(&events, MessagesEvent::Error(&fault)).0);
        prop_assert_eq!(reply.status(), "failed");
        prop_assert_eq!(&reply.error().unwrap()["code"], "rate_limit_exceeded");
    }
}

#[test]
fn a_failure_of_which_nothing_is_known_is_a_stream_of_its_own() {
    let mut out = BytesMut::new();
    vandamme_protocol::openai::error::response_failed(ErrorKind::Timeout, "too slow", &mut out);
    assert_eq!(grammar::check(&out).status(), "failed");
}
