//! The events of a Messages stream as an upstream sends them, and whole messages.
//!
//! Vendors get types wrong, so everything is optional and a wrong type counts as absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    json::{self, List, Literal, Object},
    vocabulary::{StopReason, Usage},
};

/// One event's data.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) message: Object<Message<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) content_block: Object<Block<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) delta: Object<Delta<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) usage: Object<Counts<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MessageStart,
    BlockStart,
    Delta,
    BlockStop,
    MessageDelta,
    MessageStop,
    Error,
    /// Pings, and what may be added to the API.
    Other,
}

impl<'a> Event<'a> {
    /// Takes one JSON object apart. `Ok(None)` is JSON, but no object.
    pub(crate) fn read(data: &'a [u8]) -> Result<Option<Self>, BadJson> {
        object(data)
    }

    pub(crate) fn kind(&self) -> Kind {
        let kind = literal(self.r#type).and_then(Literal::decode);
        match kind.as_deref() {
            Some("message_start") => Kind::MessageStart,
            Some("content_block_start") => Kind::BlockStart,
            Some("content_block_delta") => Kind::Delta,
            Some("content_block_stop") => Kind::BlockStop,
            Some("message_delta") => Kind::MessageDelta,
            Some("message_stop") => Kind::MessageStop,
            Some("error") => Kind::Error,
            // Gateways of other makes report errors without a type.
            None if self.error.is_some() => Kind::Error,
            Some(_) | None => Kind::Other,
        }
    }

    /// The block that it is about, if that is an integer.
    pub(crate) fn index(&self) -> Option<i64> {
        self.index.and_then(|index| index.get().parse().ok())
    }
}

/// The data is not JSON.
#[derive(Debug)]
pub(crate) struct BadJson;

fn object<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<Option<T>, BadJson> {
    let text = std::str::from_utf8(data).map_err(|_| BadJson)?;
    let object: Object<T> = serde_json::from_str(text).map_err(|_| BadJson)?;
    Ok(object.0)
}

/// A message: its head in `message_start`, or all of it as a whole reply.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    stop_details: Object<StopDetails<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) usage: Object<Counts<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// Takes one JSON object apart. `Ok(None)` is JSON, but no object.
    pub(crate) fn read(body: &'a [u8]) -> Result<Option<Self>, BadJson> {
        object(body)
    }

    /// Whether it is an error object instead.
    pub(crate) fn is_error(&self) -> bool {
        self.error.is_some() || literal(self.r#type).is_some_and(|kind| kind.is("error"))
    }

    /// Its content; `None` if it has no list of blocks.
    pub(crate) fn blocks(&self) -> Option<Vec<Block<'a>>> {
        let raw = self.content.filter(|content| content.get().starts_with('['))?;
        let blocks: List<Object<Block<'a>>> = serde_json::from_str(raw.get()).ok()?;
        Some(blocks.0.into_iter().filter_map(|block| block.0).collect())
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        stop_reason(self.stop_reason)
    }

    /// Inner text of what a refusal explains.
    pub(crate) fn explanation(&self) -> &'a str {
        inner(self.stop_details.0.as_ref().and_then(|details| details.explanation))
    }
}

/// A content block: its beginning, or all of it.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Block<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    /// Of a compaction: the summary.
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Where a text comes from.
#[derive(Deserialize)]
pub(crate) struct Citation<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
}

impl<'a> Citation<'a> {
    /// Inner text; empty for what has no address.
    pub(crate) fn url(&self) -> &'a str {
        inner(self.url)
    }

    /// Inner text.
    pub(crate) fn title(&self) -> &'a str {
        inner(self.title)
    }
}

/// What a client can be shown of a block. Texts are inner texts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown<'a> {
    Text(&'a str),
    Thinking(&'a str),
    /// The summary that takes the place of the conversation so far.
    Compaction(&'a str),
    /// A call that the client has to run.
    ToolUse {
        id: &'a str,
        name: &'a str,
        /// Raw JSON, if it says anything.
        input: Option<&'a str>,
    },
    /// Calls that the vendor runs itself, their results, hidden thoughts, files, the change to another model, and what may
    /// be added to the API.
    Nothing,
}

impl<'a> Block<'a> {
    /// The sources of a text that came whole.
    pub(crate) fn citations(&self) -> Vec<Citation<'a>> {
        let list = self.citations.filter(|list| list.get().starts_with('['));
        let list: Option<List<Object<Citation<'a>>>> =
            list.and_then(|list| serde_json::from_str(list.get()).ok());
        list.unwrap_or_default().0.into_iter().filter_map(|citation| citation.0).collect()
    }

    pub(crate) fn shown(&self) -> Shown<'a> {
        let kind = literal(self.r#type).and_then(Literal::decode);
        match kind.as_deref() {
            Some("text") => Shown::Text(inner(self.text)),
            Some("thinking") => Shown::Thinking(inner(self.thinking)),
            Some("compaction") => Shown::Compaction(inner(self.content)),
            Some("tool_use") => {
                Shown::ToolUse { id: inner(self.id), name: inner(self.name), input: self.input() }
            }
            Some(_) | None => Shown::Nothing,
        }
    }

    /// In a stream every call begins with `{}`, which says nothing yet.
    fn input(&self) -> Option<&'a str> {
        let input = self.input?.get();
        let is_empty = input.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let is_empty = is_empty.is_some_and(|inside| inside.trim().is_empty());
        (!is_empty && input != "null" && input != "\"\"").then_some(input)
    }
}

/// What is new: in a block, or in the message.
#[derive(Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) citation: Object<Citation<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    stop_details: Object<StopDetails<'a>>,
}

/// Why a reply was refused.
#[derive(Deserialize)]
pub(crate) struct StopDetails<'a> {
    #[serde(borrow)]
    explanation: Option<&'a RawValue>,
}

impl<'a> Delta<'a> {
    /// Inner text of the summary of a compaction.
    pub(crate) fn summary(&self) -> &'a str {
        let is_summary = literal(self.r#type).is_some_and(|kind| kind.is("compaction_delta"));
        inner(self.content.filter(|_| is_summary))
    }

    /// Inner text of what a refusal explains.
    pub(crate) fn explanation(&self) -> &'a str {
        inner(self.stop_details.0.as_ref().and_then(|details| details.explanation))
    }

    /// Inner text of an answer.
    pub(crate) fn text(&self) -> &'a str {
        inner(self.text)
    }

    /// Inner text of a thought.
    pub(crate) fn thinking(&self) -> &'a str {
        inner(self.thinking)
    }

    /// Inner text of a call's arguments.
    pub(crate) fn arguments(&self) -> &'a str {
        inner(self.partial_json)
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        stop_reason(self.stop_reason)
    }
}

/// `usage`. Counts are cumulative: what is carried replaces what was known.
#[derive(Deserialize)]
pub(crate) struct Counts<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    /// Every run of a model for this reply. What a compaction, an advisor or a model that declined has used stands here
    /// alone.
    #[serde(borrow, default = "Default::default")]
    iterations: List<Object<Self>>,
    #[serde(borrow, default = "Default::default")]
    output_tokens_details: Object<OutputCounts<'a>>,
}

#[derive(Deserialize)]
struct OutputCounts<'a> {
    #[serde(borrow)]
    thinking_tokens: Option<&'a RawValue>,
}

impl Counts<'_> {
    /// How much of the output are thoughts, if that is said.
    pub(crate) fn thinking(&self) -> Option<u64> {
        json::count(self.output_tokens_details.0.as_ref()?.thinking_tokens)
    }

    /// What is known now, if this was known before.
    pub(crate) fn after(&self, known: Usage) -> Usage {
        let mut iterations = self.iterations.0.iter().filter_map(|counts| counts.0.as_ref()).peekable();
        if iterations.peek().is_some() {
            return iterations.fold(Usage::default(), |sum, counts| sum.plus(counts.own(Usage::default())));
        }
        self.own(known)
    }

    fn own(&self, known: Usage) -> Usage {
        Usage {
            input: json::count(self.input_tokens).unwrap_or(known.input),
            output: json::count(self.output_tokens).unwrap_or(known.output),
            cache_read: json::count(self.cache_read_input_tokens).unwrap_or(known.cache_read),
            cache_creation: json::count(self.cache_creation_input_tokens).unwrap_or(known.cache_creation),
        }
    }
}

/// A word that is not known here ends a turn like any other.
fn stop_reason(raw: Option<&RawValue>) -> Option<StopReason> {
    let word = literal(raw)?.decode()?;
    Some(StopReason::from_anthropic(&word).unwrap_or(StopReason::EndTurn))
}

fn literal(raw: Option<&RawValue>) -> Option<Literal<'_>> {
    raw.and_then(Literal::of)
}

fn inner(raw: Option<&RawValue>) -> &str {
    literal(raw).map_or("", Literal::inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let data =
            br#"{"type":7,"index":"0","message":[],"content_block":3,"delta":{"text":[],"partial_json":1},
            "usage":"none"}"#;
        let event = Event::read(data).unwrap().unwrap();
        assert_eq!((event.kind(), event.index()), (Kind::Other, None));
        assert!(event.message.0.is_none() && event.content_block.0.is_none() && event.usage.0.is_none());
        let delta = event.delta.0.unwrap();
        assert_eq!((delta.text(), delta.arguments(), delta.stop_reason()), ("", "", None));
    }

    #[test]
    fn an_error_is_one_with_and_without_its_type() {
        for data in [r#"{"type":"error","error":{}}"#, r#"{"error":{"message":"m"}}"#] {
            assert_eq!(Event::read(data.as_bytes()).unwrap().unwrap().kind(), Kind::Error, "{data}");
        }
        let ping = Event::read(br#"{"type":"ping","error":null}"#).unwrap().unwrap();
        assert_eq!(ping.kind(), Kind::Other);
    }

    #[test]
    fn an_empty_input_says_nothing() {
        for (input, said) in [
            ("{}", None),
            ("{ }", None),
            ("null", None),
            ("{\"a\":1}", Some("{\"a\":1}")),
            ("[]", Some("[]")),
        ] {
            let block = format!(r#"{{"type":"tool_use","input":{input}}}"#);
            let block: Block<'_> = serde_json::from_str(&block).unwrap();
            assert_eq!(block.input(), said);
        }
    }
}
