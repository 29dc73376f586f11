//! The tap of the Messages API: it reads a forwarded reply and changes no byte of it.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::plain_message::{self, TOOL_USE, stop_reason};
use crate::anthropic::error::{self, bounded_message};
use crate::anthropic::reader::WireCounts;
use crate::convert::{CodecForm, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use crate::fault::Fault;
use crate::json::Object;
use crate::reported::WireDiagnostics;
use crate::sse::{Event, events};
use crate::vocabulary::{self, ErrorKind};

/// Reads one streamed reply. Of deltas, which are nearly all of the events, it reads only the name.
#[derive(Debug, Default)]
pub struct MessagesTap {
    started: bool,
    ended: bool,
    summary: ReplySummary,
}

impl MessagesTap {
    /// A tap for a new reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a block of complete events. If the reply ends in it, returns the place of the event that ends it: what follows
    /// is not part of the reply.
    pub fn observe(&mut self, block: &[u8]) -> Option<Range<usize>> {
        let mut at = 0;
        loop {
            while let Some(length) = delta_length(&block[at..]) {
                self.started = true;
                at += length;
            }
            let event = events(&block[at..]).next()?;
            let start = at;
            at += event.raw().len();
            self.look(&event);
            if self.ended {
                return Some(start..at);
            }
        }
    }

    /// Whether an event other than a ping has been seen.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }

    /// Whether the reply has ended, with `message_stop` or `error`.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The reply so far.
    #[must_use]
    pub fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    fn look(&mut self, event: &Event<'_>) {
        let Some(data) = event.data() else { return };
        let named = event.name().and_then(EventKind::from_name);
        let kind = named.unwrap_or_else(|| EventKind::from_data(&data));
        self.started |= kind != EventKind::Ping && !data.trim_ascii().is_empty();
        match kind {
            EventKind::Ping | EventKind::Other => {}
            EventKind::MessageStart => start(&mut self.summary, &data),
            EventKind::BlockStart => block(&mut self.summary, &data),
            EventKind::MessageDelta => delta(&mut self.summary, &data),
            EventKind::MessageStop => self.ended = true,
            EventKind::Error => {
                self.summary.fault = Some(error_of(&data));
                self.ended = true;
            }
        }
    }
}

impl ReplyCodec for MessagesTap {
    fn push(&mut self, block: Bytes, _out: &mut BytesMut) -> Pushed {
        Pushed::Passed(match self.observe(&block) {
            None => PassedBlock { block, end: None, is_cut: false },
            Some(last) => PassedBlock {
                is_cut: last.end < block.len(),
                block: block.slice(..last.end),
                end: Some(last.start),
            },
        })
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        if self.ended { self.summary.clone() } else { self.fail(Fault::cut(), out) }
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary {
        error::event(fault.kind, &fault.message, out);
        ReplySummary { fault: Some(fault), ..self.summary.clone() }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finishing(&self) -> bool {
        self.ended
    }

    fn passed_error(&self) -> Option<Fault> {
        self.summary.fault.clone()
    }

    fn counted(&self) -> (vocabulary::Usage, u32) {
        (self.summary.usage.unwrap_or_default(), self.summary.tool_calls)
    }

    fn form(&self) -> CodecForm {
        CodecForm::Passthrough
    }
}

/// The summary of a whole Messages object, or of an error object. Nothing counts if the object cannot be parsed.
#[must_use]
pub fn summary_of_message(body: &[u8]) -> ReplySummary {
    parsed_message(body).unwrap_or_default()
}

/// The same summary; `None` if the object cannot be parsed. What can be parsed is complete JSON.
#[must_use]
pub fn parsed_message(body: &[u8]) -> Option<ReplySummary> {
    plain_message::read(body).or_else(|| parsed_by_serde(body))
}

/// Reads a message of any shape, or an error object.
pub(super) fn parsed_by_serde(body: &[u8]) -> Option<ReplySummary> {
    let mut summary = ReplySummary::default();
    let reply: TappedMessage<'_> = serde_json::from_slice(body).ok()?;
    if reply.kind == "error" || reply.error.is_some() {
        summary.fault = Some(error_of(body));
    }
    summary.reported.read_message(reply.id, reply.diagnostics.0.as_ref());
    count(&mut summary, &reply.usage);
    summary.stop_reason = reply.stop_reason.map(|word| stop_reason(&word));
    for block in reply.content.iter().flatten() {
        summary.tool_calls += u32::from(block.kind == TOOL_USE);
    }
    Some(summary)
}

fn start(summary: &mut ReplySummary, data: &[u8]) {
    if let Ok(start) = serde_json::from_slice::<MessageStart<'_>>(data) {
        let Started { id, usage, diagnostics } = &start.message;
        summary.reported.read_message(*id, diagnostics.0.as_ref());
        count(summary, usage);
    }
}

fn block(summary: &mut ReplySummary, data: &[u8]) {
    let start = serde_json::from_slice::<BlockStart<'_>>(data);
    summary.tool_calls += u32::from(start.is_ok_and(|start| start.content_block.kind == TOOL_USE));
}

fn delta(summary: &mut ReplySummary, data: &[u8]) {
    let Ok(delta) = serde_json::from_slice::<MessageDelta<'_>>(data) else { return };
    count(summary, &delta.usage);
    let reason = delta.delta.and_then(|delta| delta.stop_reason);
    summary.stop_reason = reason.map(|word| stop_reason(&word)).or(summary.stop_reason);
}

/// Counts are cumulative: each reported count replaces the previous one.
fn count(summary: &mut ReplySummary, usage: &Object<WireCounts<'_>>) {
    if let Some(usage) = &usage.0 {
        let counts = usage.counts();
        summary.usage = Some(counts.after(summary.usage.unwrap_or_default()));
        summary.reported.set_web_searches(counts.searches);
    }
}

/// The beginning of a delta as Anthropic sends it.
const DELTA: &[u8] = b"event: content_block_delta\ndata: {";

/// The length of the first event if it is a delta with one line of data. The tap reads nothing in it, and its beginning and
/// its end show that: 340 instructions instead of 1,090 (without link-time optimisation).
fn delta_length(block: &[u8]) -> Option<usize> {
    let data = block.strip_prefix(DELTA)?;
    let end = memchr2(b'\r', b'\n', data)?;
    data[end..].starts_with(b"\n\n").then_some(DELTA.len() + end + 2)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum EventKind {
    Ping,
    MessageStart,
    BlockStart,
    MessageDelta,
    MessageStop,
    Error,
    /// Deltas, ends of blocks, and unknown types: the tap does not read them.
    Other,
}

impl EventKind {
    /// `None` for an unknown name: some upstreams omit the name, or name every event `message`.
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"content_block_delta" | b"content_block_stop" => Self::Other,
            b"content_block_start" => Self::BlockStart,
            b"message_start" => Self::MessageStart,
            b"message_delta" => Self::MessageDelta,
            b"message_stop" => Self::MessageStop,
            b"ping" => Self::Ping,
            b"error" => Self::Error,
            _ => return None,
        })
    }

    fn from_data(data: &[u8]) -> Self {
        if is_block_delta(data) {
            return Self::Other;
        }
        let Ok(typed) = serde_json::from_slice::<TypedEvent<'_>>(data) else { return Self::Other };
        // Clients do not treat data without a type as an error that ends the reply, even with an `error` member.
        Self::from_name(typed.kind.as_bytes()).unwrap_or(Self::Other)
    }
}

/// Recognises unnamed deltas without parsing them, in the spelling that all known senders use.
fn is_block_delta(data: &[u8]) -> bool {
    let value = data.strip_prefix(br#"{"type":"#).map(<[u8]>::trim_ascii_start);
    value.is_some_and(|value| value.starts_with(br#""content_block_delta""#))
}

/// A failing upstream may send another shape; then the text of the body is the message.
fn error_of(data: &[u8]) -> Fault {
    let (kind, message) = match serde_json::from_slice::<ErrorEvent>(data) {
        Ok(ErrorEvent { error }) => (error.kind, error.message.unwrap_or_default()),
        Err(_) => (None, String::from_utf8_lossy(data).into_owned()),
    };
    let kind = kind.and_then(|word| ErrorKind::from_anthropic(&word)).unwrap_or(ErrorKind::Api);
    Fault::reported(kind, bounded_message(message))
}

#[derive(Deserialize)]
struct TypedEvent<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    message: Started<'a>,
}

#[derive(Deserialize)]
struct Started<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    diagnostics: Object<WireDiagnostics>,
    #[serde(borrow, default)]
    usage: Object<WireCounts<'a>>,
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    #[serde(borrow)]
    content_block: TappedBlock<'a>,
}

#[derive(Deserialize)]
struct TappedBlock<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    delta: Option<StopDelta>,
    #[serde(borrow, default)]
    usage: Object<WireCounts<'a>>,
}

#[derive(Deserialize)]
struct StopDelta {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct TappedMessage<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<Vec<TappedBlock<'a>>>,
    stop_reason: Option<String>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    diagnostics: Object<WireDiagnostics>,
    #[serde(borrow, default)]
    usage: Object<WireCounts<'a>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ErrorEvent {
    error: FailureDetail,
}

#[derive(Deserialize)]
struct FailureDetail {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::StopReason;

    fn tapped(stream: &str) -> MessagesTap {
        let mut tap = MessagesTap::new();
        tap.observe(stream.as_bytes());
        tap
    }

    fn fault(kind: ErrorKind, message: &str) -> Option<Fault> {
        Some(Fault::reported(kind, message.to_owned()))
    }

    #[test]
    fn pings_and_comments_start_nothing() {
        let tap = tapped(
            "event: ping\ndata: {\"type\":\"ping\"}\n\n: hello\n\ndata: {\"type\": \"ping\"}\n\ndata:\n\n",
        );
        assert!(!tap.started() && !tap.ended());
        assert!(tapped("data: {\"type\":\"content_block_delta\"}\n\n").started());
    }

    #[test]
    fn an_error_ends_a_reply_in_every_shape_that_clients_know() {
        let typed = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        let bare = r#"{"error":{"message":"busy","code":500}}"#;
        for (name, data, expected) in [
            ("", typed, fault(ErrorKind::Overloaded, "busy")),
            ("event: error\n", typed, fault(ErrorKind::Overloaded, "busy")),
            ("event: message\n", typed, fault(ErrorKind::Overloaded, "busy")),
            ("event: error\n", bare, fault(ErrorKind::Api, "busy")),
            ("event: error\n", "went away", fault(ErrorKind::Api, "went away")),
        ] {
            let tap = tapped(&format!("{name}data: {data}\n\n"));
            assert!(tap.started() && tap.ended());
            assert_eq!(tap.summary().fault, expected);
        }
        assert_eq!(summary_of_message(bare.as_bytes()).fault, fault(ErrorKind::Api, "busy"));
    }

    #[test]
    fn the_event_that_ends_a_reply_is_found_and_nothing_behind_it_is_read() {
        let (front, back) = ("\n\n: c\n\ndata: {}\n\n", "event: error\ndata: {}\n\n");
        for end in ["\revent: message_stop\r\ndata: {}\r\n\r\n", "event: error\rdata: {}\r\r"] {
            let mut tap = MessagesTap::new();
            let found = tap.observe([front, end, back].concat().as_bytes());
            assert_eq!(found, Some(front.len()..front.len() + end.len()));
            assert_eq!(tap.summary().fault.is_some(), end.contains("error"));
        }
        assert_eq!(MessagesTap::new().observe(front.as_bytes()), None);
    }

    #[test]
    fn every_run_of_a_model_counts() {
        let iterations = r#"[{"type":"compaction","input_tokens":900,"output_tokens":30},
            {"type":"message","input_tokens":5,"output_tokens":7.0,"cache_read_input_tokens":40,"cache_creation_input_tokens":2}]"#;
        let usage = |iterations: &str| {
            format!(
                r#"{{"input_tokens":5,"output_tokens":7,"cache_read_input_tokens":40,"iterations":{iterations}}}"#
            )
        };
        for (iterations, expected) in [
            (iterations, [905, 37, 40, 2]),
            ("[]", [5, 7, 40, 0]),
            ("null", [5, 7, 40, 0]),
            ("7", [5, 7, 40, 0]),
        ] {
            let whole = format!(r#"{{"type":"message","content":[],"usage":{}}}"#, usage(iterations));
            let data = format!(r#"{{"type":"message_delta","delta":{{}},"usage":{}}}"#, usage(iterations))
                .replace('\n', "");
            let streamed = tapped(&format!("data: {data}\n\n"));
            for summary in [&summary_of_message(whole.as_bytes()), streamed.summary()] {
                let usage = summary.usage.unwrap();
                let counts = [usage.input, usage.output, usage.cache_read, usage.cache_creation];
                assert_eq!(counts, expected, "{iterations}");
            }
        }
    }

    #[test]
    fn an_upstreams_words_are_bounded() {
        let long = "x".repeat(1 << 20);
        let json = format!(r#"{{"error":{{"type":"{long}","message":"{long}"}}}}"#);
        for data in [&long, &json] {
            let tap = tapped(&format!("event: error\ndata: {data}\n\n"));
            let fault = tap.summary().fault.clone().unwrap();
            assert_eq!((fault.kind, fault.message.len()), (ErrorKind::Api, 2048));
        }
    }

    #[test]
    fn what_only_looks_like_an_error_is_no_end() {
        for name in ["", "event: message\n"] {
            assert!(!tapped(&format!("{name}data: {{\"error\":{{\"message\":\"x\"}}}}\n\n")).ended());
        }
    }

    /// The pieces of streams that begin like a delta, and of others.
    const PIECES: [&str; 15] = [
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n",
        "event: content_block_delta\ndata: {}\n\n",
        "event: content_block_delta\ndata: {",
        "event: content_block_delta\r\ndata: {}\r\n\r\n",
        "event: content_block_delta\n\n",
        "\ndata: }\n\n",
        "\nevent: message_stop\n\n",
        "\revent: error\n\n",
        "event: error\ndata: {}\n\n",
        "event: message_stop\ndata: {}\n\n",
        "event: ping\ndata: {}\n\n",
        "event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\"}}\n\n",
        "\n",
        "\r",
        "}",
    ];

    proptest! {
        /// Requirement: what is known of deltas by their beginning is what reading them shows.
        #[test]
        fn deltas_known_by_their_beginning_change_nothing(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        ) {
            let block = pieces.concat();
            let (mut tap, mut reading) = (MessagesTap::new(), MessagesTap::new());
            let mut at = 0;
            let end = events(block.as_bytes()).find_map(|event| {
                let start = at;
                at += event.raw().len();
                reading.look(&event);
                reading.ended.then_some(start..at)
            });
            prop_assert_eq!(tap.observe(block.as_bytes()), end);
            prop_assert_eq!((tap.started, tap.ended, &tap.summary), (reading.started, reading.ended, &reading.summary));
        }
    }

    /// Requirement: a delta in Anthropic's form is known without being read.
    #[test]
    fn a_common_delta_is_known_by_its_beginning() {
        assert_eq!(delta_length(PIECES[0].as_bytes()), Some(PIECES[0].len()));
        for piece in &PIECES[2..] {
            assert_eq!(delta_length(piece.as_bytes()), None, "{piece:?}");
        }
    }

    #[test]
    fn an_end_without_data_is_none_as_clients_ignore_such_events() {
        assert!(!tapped("event: message_stop\n\n").ended());
    }

    #[test]
    fn a_later_count_overrides_only_what_it_carries() {
        let tap = tapped(concat!(
            "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":0,\"cache_read_input_tokens\":5}}}\n\n",
            "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":9.0,\"output_tokens\":1}}\n\n",
            "event: message_delta\ndata: {\"delta\":{},\"usage\":{\"output_tokens\":2,\"cache_read_input_tokens\":null}}\n\n",
        ));
        let summary = tap.summary();
        let usage = summary.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (9, 5, 2));
        assert_eq!(summary.stop_reason, Some(StopReason::EndTurn));
    }

    #[test]
    fn a_body_that_is_no_reply_counts_as_nothing() {
        for body in ["", "[]", "{}", "<html>", "{\"content\":null,\"usage\":null,\"error\":null}"] {
            assert_eq!(summary_of_message(body.as_bytes()), ReplySummary::default(), "{body}");
        }
    }
}
