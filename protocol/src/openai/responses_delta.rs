//! Reads the events that nearly all of a Responses stream consists of: a piece of a text, and nothing else that has a meaning.
//!
//! The reader knows exactly what it reads. It leaves every other event, and everything that may be invalid, to
//! [`ResponsesEvent`](super::responses_stream::ResponsesEvent): escaped names and ids, members that occur twice, values of another
//! type than usual, deep nesting, numbers with an exponent.

use super::responses_stream::{EventKind, TextKind};
use crate::json::plain::{PlainReader, Seen};

/// A piece of a text. The texts are inner texts, empty if absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainTextDelta<'a> {
    pub(crate) kind: TextKind,
    pub(crate) output_index: Option<u64>,
    /// The number of the part inside the item.
    pub(crate) part: Option<u64>,
    pub(crate) item_id: &'a str,
    pub(crate) delta: &'a str,
}

/// The nesting that is skipped in members without a meaning. `logprobs` has three levels.
const DEEPEST: u8 = 4;

impl<'a> PlainTextDelta<'a> {
    /// Reads this event, or returns `None` if it must be read as a `ResponsesEvent`.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let mut reader = PlainReader::new(simdutf8::basic::from_utf8(data).ok()?);
        let mut seen = Seen::default();
        let (mut kind, mut delta, mut item_id) = (None, None, None);
        let (mut output_index, mut content_index, mut summary_index) = (None, None, None);
        reader.members(|reader, name| {
            match name {
                b"type" => {
                    seen.note(0)?;
                    kind = Some(reader.word()?);
                }
                b"delta" => {
                    seen.note(1)?;
                    delta = Some(reader.string()?);
                }
                b"item_id" => {
                    seen.note(2)?;
                    item_id = reader.word_or_null()?;
                }
                b"output_index" => {
                    seen.note(3)?;
                    output_index = reader.count_or_null()?;
                }
                b"content_index" => {
                    seen.note(4)?;
                    content_index = reader.count_or_null()?;
                }
                b"summary_index" => {
                    seen.note(5)?;
                    summary_index = reader.count_or_null()?;
                }
                // They have no place in such an event.
                b"text" | b"refusal" | b"arguments" | b"input" | b"annotation" | b"item" | b"response"
                | b"error" => return None,
                _ => return reader.skip(DEEPEST),
            }
            Some(())
        })?;
        reader.end()?;
        let kind = match EventKind::parse(kind?) {
            EventKind::Delta(kind) => kind,
            EventKind::Alive
            | EventKind::ItemAdded
            | EventKind::ItemDone
            | EventKind::Done(_)
            | EventKind::Annotation
            | EventKind::Over
            | EventKind::Failed
            | EventKind::Error
            | EventKind::Other => return None,
        };
        let part = if kind == TextKind::Summary { summary_index } else { content_index };
        Some(Self { kind, output_index, part, item_id: item_id.unwrap_or_default(), delta: delta? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openai::responses_stream::ResponsesEvent;

    /// Kind, output index, part, item id and delta.
    type OwnedDelta = (TextKind, Option<u64>, Option<u64>, String, String);

    /// What serde reads of the same event.
    fn by_serde(data: &str) -> Option<OwnedDelta> {
        let event = ResponsesEvent::read(data.as_bytes()).ok()??;
        let EventKind::Delta(kind) = event.kind() else { return None };
        let (id, delta) = (event.item_id().to_owned(), event.delta().into_owned());
        Some((kind, event.output_index(), event.part(kind), id, delta))
    }

    fn check(data: &str) -> bool {
        let Some(plain) = PlainTextDelta::read(data.as_bytes()) else { return false };
        let PlainTextDelta { kind, output_index, part, item_id, delta } = plain;
        let plain = (kind, output_index, part, item_id.to_owned(), delta.to_owned());
        assert_eq!(Some(plain), by_serde(data), "{data}");
        true
    }

    #[test]
    fn the_usual_events_are_plain() {
        for data in [
            r#"{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"a\n\"é","logprobs":[],"obfuscation":"x"}"#,
            r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":2,"delta":"x"}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"a\":"}"#,
            r#"{ "delta" : "x", "type" : "response.refusal.delta", "item_id":null }"#,
        ] {
            assert!(check(data), "{data}");
        }
    }

    #[test]
    fn every_other_event_is_left() {
        for data in [
            r#"{"type":"response.output_text.done","text":"a"}"#,
            r#"{"type":"response.output_text.delta","delta":"a","delta":"b"}"#,
            r#"{"type":"response.output_text.delta","delta":{"a":1}}"#,
            r#"{"type":"response.output_text.delta","delta":"a","output_index":1.0}"#,
            r#"{"type":"response.output_text.delta","delta":"a","item":{"type":"message"}}"#,
            r#"{"type":"response.output_text.delta","delta":"a"}x"#,
            r#"{"type":"response.output_text.delta"}"#,
            r#"{"delta":"a"}"#,
            "[]",
            "",
        ] {
            assert!(!check(data), "{data}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_by_hand_is_what_serde_reads(
            members in proptest::collection::vec((0..9_usize, 0..9_usize), 0..7),
        ) {
            const NAMES: [&str; 9] = ["type", "delta", "item_id", "output_index", "content_index", "summary_index",
                "text", "x", "\\u0074ype"];
            const VALUES: [&str; 9] = ["\"response.output_text.delta\"", "\"response.reasoning_summary_text.delta\"",
                "\"a\\ud83d\"", "1", "null", "{\"a\":[1,{}]}", "01", "1e1", "\"response.completed\""];
            let members: Vec<String> =
                members.into_iter().map(|(name, value)| format!("\"{}\":{}", NAMES[name], VALUES[value])).collect();
            check(&format!("{{{}}}", members.join(",")));
        }
    }
}
