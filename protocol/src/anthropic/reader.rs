//! What an upstream of the Messages API sends, read into events: one event of a stream, or a whole message.
//!
//! Vendors get types wrong, so every member is optional and a wrong type counts as absent.

mod counts;
mod text;
mod web;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    anthropic::event::{BlockDelta, ContentBlockStart, EventSink, FILTERED, MessagesEvent, ReplyEnding},
    json::{List, Literal, NotJson, Object},
    vocabulary::StopReason,
};
pub(crate) use counts::WireCounts;
use text::{inner, literal};

/// Where the reply stands after one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamPosition {
    Running,
    /// Behind `message_stop`.
    Stopped,
    /// Behind an error.
    Failed,
}

/// Emits what one event's data means. `message_stop` and errors are returned instead: what follows from them depends on
/// the rest of the body.
pub(crate) fn read_event(data: &[u8], sink: &mut impl EventSink) -> Result<StreamPosition, NotJson> {
    let Some(event) = object::<WireEvent<'_>>(data)? else { return Ok(StreamPosition::Running) };
    let index = event.index();
    match event.kind() {
        EventType::MessageStart => {
            if let Some(message) = &event.message.0 {
                sink.emit(message.start());
            }
        }
        EventType::BlockStart => {
            if let Some(block) = &event.content_block.0 {
                block.emit_to(index, sink);
            }
        }
        EventType::Delta => {
            if let Some(delta) = &event.delta.0 {
                delta.emit_to(index, sink);
            }
        }
        EventType::BlockStop => sink.emit(MessagesEvent::BlockStop { index }),
        EventType::MessageDelta => {
            let ending = event.delta.0.as_ref().map(WireDelta::ending).unwrap_or_default();
            let counts = event.usage.0.as_ref().map(WireCounts::counts);
            sink.emit(MessagesEvent::MessageDelta { ending, counts });
        }
        EventType::MessageStop => return Ok(StreamPosition::Stopped),
        EventType::Error => return Ok(StreamPosition::Failed),
        EventType::Ping => sink.emit(MessagesEvent::Ping),
        EventType::Other => {}
    }
    Ok(StreamPosition::Running)
}

/// Why a body is no whole message.
#[derive(Debug)]
pub(crate) enum NotAMessage {
    NotJson,
    /// It is an error object.
    Error,
    NoContent,
}

/// Emits a whole message as events, up to its ending.
pub(crate) fn read_message(body: &[u8], sink: &mut impl EventSink) -> Result<(), NotAMessage> {
    let message = object::<WireMessage<'_>>(body).map_err(|NotJson| NotAMessage::NotJson)?;
    let message = message.ok_or(NotAMessage::NoContent)?;
    if message.is_error() {
        return Err(NotAMessage::Error);
    }
    let blocks = message.blocks().ok_or(NotAMessage::NoContent)?;
    sink.emit(message.start());
    for (at, block) in blocks.iter().enumerate() {
        let index = u64::try_from(at).ok();
        block.emit_to(index, sink);
        block.emit_signature_to(index, sink);
        sink.emit(MessagesEvent::BlockStop { index });
    }
    sink.emit(MessagesEvent::MessageDelta { ending: message.ending(), counts: None });
    Ok(())
}

fn object<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<Option<T>, NotJson> {
    let text = std::str::from_utf8(data).map_err(|_| NotJson)?;
    let object: Object<T> = serde_json::from_str(text).map_err(|_| NotJson)?;
    Ok(object.0)
}

/// One event's data.
#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    message: Object<WireMessage<'a>>,
    #[serde(borrow, default = "Default::default")]
    content_block: Object<WireBlock<'a>>,
    #[serde(borrow, default = "Default::default")]
    delta: Object<WireDelta<'a>>,
    #[serde(borrow, default = "Default::default")]
    usage: Object<WireCounts<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventType {
    MessageStart,
    BlockStart,
    Delta,
    BlockStop,
    MessageDelta,
    MessageStop,
    Error,
    Ping,
    /// A type that is new to the API.
    Other,
}

impl WireEvent<'_> {
    fn kind(&self) -> EventType {
        let kind = literal(self.r#type).and_then(Literal::decode);
        match kind.as_deref() {
            Some("message_start") => EventType::MessageStart,
            Some("content_block_start") => EventType::BlockStart,
            Some("content_block_delta") => EventType::Delta,
            Some("content_block_stop") => EventType::BlockStop,
            Some("message_delta") => EventType::MessageDelta,
            Some("message_stop") => EventType::MessageStop,
            Some("error") => EventType::Error,
            Some("ping") => EventType::Ping,
            // Other gateways report errors without a type.
            None if self.error.is_some() => EventType::Error,
            Some(_) | None => EventType::Other,
        }
    }

    /// The index of its block, if that is an integer. One below 0 is no block of the API; it only has to stay different from
    /// every other.
    fn index(&self) -> Option<u64> {
        self.index.and_then(|index| index.get().parse().ok()).map(i64::cast_unsigned)
    }
}

/// A message: its head in `message_start`, or all of it as a whole reply.
#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    stop_details: Object<WireStopDetails<'a>>,
    #[serde(borrow, default = "Default::default")]
    usage: Object<WireCounts<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> WireMessage<'a> {
    fn is_error(&self) -> bool {
        self.error.is_some() || literal(self.r#type).is_some_and(|kind| kind.is("error"))
    }

    fn start(&self) -> MessagesEvent<'a> {
        let counts = self.usage.0.as_ref().map(WireCounts::counts);
        MessagesEvent::MessageStart { id: inner(self.id), model: inner(self.model), counts }
    }

    /// Its content; `None` if it has no list of blocks.
    fn blocks(&self) -> Option<Vec<WireBlock<'a>>> {
        let raw = self.content.filter(|content| content.get().starts_with('['))?;
        let blocks: List<Object<WireBlock<'a>>> = serde_json::from_str(raw.get()).ok()?;
        Some(blocks.0.into_iter().filter_map(|block| block.0).collect())
    }

    fn ending(&self) -> ReplyEnding<'a> {
        ending(self.stop_reason, self.stop_sequence, &self.stop_details)
    }
}

/// A content block: its beginning, or all of it.
#[derive(Deserialize)]
struct WireBlock<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    /// Of thinking that came whole. In a stream, it follows as a delta.
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    /// Of a compaction: the summary. Of a search's result: the pages.
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// Of a search's result.
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    /// Of hidden thoughts.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> WireBlock<'a> {
    /// Emits its beginning, and its text as a delta.
    fn emit_to(&self, index: Option<u64>, sink: &mut impl EventSink) {
        let kind = literal(self.r#type).and_then(Literal::decode);
        let sources = match kind.as_deref() {
            Some("web_search_tool_result") => web::sources(self.content),
            Some(_) | None => vec![],
        };
        let (block, delta) = match kind.as_deref() {
            Some("text") => (ContentBlockStart::Text, BlockDelta::Text(inner(self.text))),
            Some("thinking") => (ContentBlockStart::Thinking, BlockDelta::Thinking(inner(self.thinking))),
            Some("compaction") => (ContentBlockStart::Compaction, BlockDelta::Summary(inner(self.content))),
            Some("tool_use") => {
                let (id, name) = (inner(self.id), inner(self.name));
                (ContentBlockStart::ToolUse { id, name, input: self.input() }, BlockDelta::Other)
            }
            Some("redacted_thinking") => {
                (ContentBlockStart::RedactedThinking { data: inner(self.data) }, BlockDelta::Other)
            }
            Some("server_tool_use") if inner(self.name) == "web_search" => {
                (ContentBlockStart::ServerToolUse { id: inner(self.id) }, BlockDelta::Other)
            }
            Some("web_search_tool_result") => {
                let id = inner(self.tool_use_id);
                (ContentBlockStart::SearchResult { id, sources: &sources }, BlockDelta::Other)
            }
            Some(_) | None => (ContentBlockStart::Other, BlockDelta::Other),
        };
        sink.emit(MessagesEvent::BlockStart { index, block });
        if let BlockDelta::Text(text) | BlockDelta::Thinking(text) | BlockDelta::Summary(text) = delta
            && !text.is_empty()
        {
            sink.emit(MessagesEvent::Delta { index, delta });
        }
        if let ContentBlockStart::Text = block {
            for citation in web::citations(self.citations) {
                sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Citation(citation.citation()) });
            }
        }
    }

    /// Emits the signature of thinking that came whole.
    fn emit_signature_to(&self, index: Option<u64>, sink: &mut impl EventSink) {
        let signature = inner(self.signature);
        let kind = literal(self.r#type).and_then(Literal::decode);
        if kind.as_deref() == Some("thinking") && !signature.is_empty() {
            sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Signature(signature) });
        }
    }

    /// `None` for an empty object, with which every streamed call begins.
    fn input(&self) -> Option<&'a str> {
        let input = self.input?.get();
        let is_empty = input.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let is_empty = is_empty.is_some_and(|inside| inside.trim().is_empty());
        (!is_empty && input != "null" && input != "\"\"").then_some(input)
    }
}

/// A piece of a block, or of the message.
#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    citation: Object<web::WireCitation<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    stop_details: Object<WireStopDetails<'a>>,
}

#[derive(Deserialize)]
struct WireStopDetails<'a> {
    #[serde(borrow)]
    explanation: Option<&'a RawValue>,
}

impl<'a> WireDelta<'a> {
    /// Emits every piece that it carries, whatever type it claims.
    fn emit_to(&self, index: Option<u64>, sink: &mut impl EventSink) {
        let mut is_empty = true;
        let mut emit = |delta: BlockDelta<'_>| {
            is_empty = false;
            sink.emit(MessagesEvent::Delta { index, delta });
        };
        let mut piece = |inner: &'a str, delta: fn(&'a str) -> BlockDelta<'a>| {
            if !inner.is_empty() {
                emit(delta(inner));
            }
        };
        piece(inner(self.text), BlockDelta::Text);
        piece(self.summary(), BlockDelta::Summary);
        piece(inner(self.thinking), BlockDelta::Thinking);
        piece(inner(self.signature), BlockDelta::Signature);
        piece(inner(self.partial_json), BlockDelta::Arguments);
        if let Some(citation) = &self.citation.0 {
            emit(BlockDelta::Citation(citation.citation()));
        }
        if is_empty {
            sink.emit(MessagesEvent::Delta { index, delta: BlockDelta::Other });
        }
    }

    /// The piece of a compaction's summary, inner text.
    fn summary(&self) -> &'a str {
        let content = inner(self.content);
        let is_summary = || literal(self.r#type).is_some_and(|kind| kind.is("compaction_delta"));
        if content.is_empty() || !is_summary() { "" } else { content }
    }

    fn ending(&self) -> ReplyEnding<'a> {
        ending(self.stop_reason, self.stop_sequence, &self.stop_details)
    }
}

fn ending<'a>(
    reason: Option<&'a RawValue>,
    sequence: Option<&'a RawValue>,
    details: &Object<WireStopDetails<'a>>,
) -> ReplyEnding<'a> {
    let explanation = inner(details.0.as_ref().and_then(|details| details.explanation));
    let is_filtered = explanation == FILTERED;
    ReplyEnding {
        reason: stop_reason(reason),
        sequence: literal(sequence).map(Literal::inner),
        explanation: if is_filtered { "" } else { explanation },
        is_filtered,
        ..ReplyEnding::default()
    }
}

/// An unknown word ends a turn like any other.
fn stop_reason(raw: Option<&RawValue>) -> Option<StopReason> {
    let word = literal(raw)?.decode()?;
    Some(StopReason::from_anthropic(&word).unwrap_or(StopReason::EndTurn))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is emitted, as text.
    #[derive(Default)]
    struct Emitted(Vec<String>);

    impl EventSink for Emitted {
        fn emit(&mut self, event: MessagesEvent<'_>) {
            self.0.push(format!("{event:?}"));
        }
    }

    fn read(data: &str) -> (StreamPosition, Vec<String>) {
        let mut emitted = Emitted::default();
        let position = read_event(data.as_bytes(), &mut emitted).unwrap();
        (position, emitted.0)
    }

    #[test]
    fn a_whole_message_has_the_signature_of_its_thinking() {
        let whole = r#"{"content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"x","signature":"s"}]}"#;
        let mut emitted = Emitted::default();
        read_message(whole.as_bytes(), &mut emitted).unwrap();
        let signatures = emitted.0.iter().filter(|event| event.contains("Signature"));
        assert_eq!(signatures.collect::<Vec<_>>(), [r#"Delta { index: Some(0), delta: Signature("s") }"#]);
    }

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let delta = r#"{"type":"content_block_delta","index":"0","delta":{"text":[],"partial_json":1}}"#;
        assert_eq!(read(delta).1, ["Delta { index: None, delta: Other }"]);
        for data in [
            r#"{"type":7,"delta":{"text":"x"}}"#,
            r#"{"type":"message_start","message":[]}"#,
            r#"{"type":"content_block_start","content_block":3}"#,
            "[]",
        ] {
            assert_eq!(read(data), (StreamPosition::Running, vec![]), "{data}");
        }
        let usage = r#"{"type":"message_delta","usage":"none","delta":{"stop_reason":1}}"#;
        assert!(read(usage).1[0].contains("reason: None") && read(usage).1[0].contains("counts: None"));
    }

    #[test]
    fn an_error_is_recognised_with_and_without_its_type() {
        for data in [r#"{"type":"error","error":{}}"#, r#"{"error":{"message":"m"}}"#] {
            assert_eq!(read(data), (StreamPosition::Failed, vec![]), "{data}");
        }
        assert_eq!(
            read(r#"{"type":"ping","error":null}"#),
            (StreamPosition::Running, vec!["Ping".to_owned()])
        );
    }

    #[test]
    fn every_piece_of_a_delta_is_an_event_whatever_type_it_claims() {
        let data = r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a\n","thinking":"b","partial_json":"{"}}"#;
        let of = |delta: &str| format!("Delta {{ index: Some(2), delta: {delta} }}");
        let expected = [r#"Text("a\\n")"#, r#"Thinking("b")"#, r#"Arguments("{")"#].map(of);
        assert_eq!(read(data).1, expected);
    }

    #[test]
    fn an_empty_input_is_absent() {
        for (input, expected) in [
            ("{}", None),
            ("{ }", None),
            ("null", None),
            ("{\"a\":1}", Some("{\"a\":1}")),
            ("[]", Some("[]")),
        ] {
            let block = format!(r#"{{"type":"tool_use","input":{input}}}"#);
            let block: WireBlock<'_> = serde_json::from_str(&block).unwrap();
            assert_eq!(block.input(), expected);
        }
    }
}
