//! Scans a request body without parsing it: finds its `model` and whether it requests a stream, and edits it so that
//! every other byte is preserved.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

use crate::json::JsonSyntaxError;
use cursor::{CursorResult, JsonCursor, decoded};

mod cursor;
mod diagnostics;
mod form;
mod images;
mod known_prompts;
mod own_items;
mod own_searches;
mod pieces;
mod placed;
mod prefix;
mod prompt_spans;
mod pruned;
mod replay;
mod schemas;
mod session;
mod signs;
mod structure;
mod thinking;
mod tool_ids;
mod tools;
mod trimmed;
mod usage;

pub use diagnostics::with_diagnostics;
pub use form::{FormScanError, form_boundary, form_head};
pub use images::{ImageSource, RequestImage, images, may_have_images, with_image_texts};
pub use known_prompts::{ConversationName, KnownPrompts};
pub use own_items::with_own_items_opened;
pub use own_searches::without_own_searches;
pub use pieces::Pieces;
pub(crate) use placed::placed;
pub use prefix::{PrefixChange, PromptPrefix};
use prompt_spans::FoundSpans;
pub use replay::Filler;
pub(crate) use replay::with_reasoning;
pub(crate) use schemas::with_tool_schemas;
pub use signs::{Sign, Signs};
pub use thinking::{OWN_SIGNATURE, without_own_thinking};
pub use tool_ids::with_tool_ids;
use tools::RequestHistory;
pub use tools::ToolHistory;
pub(crate) use trimmed::{Unwanted, renamed, trimmed, value_at};

/// What the gateway needs to know about a request that it passes through.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// The decoded value of the last top-level `model`.
    pub model: Cow<'a, str>,
    /// The value of the last top-level `stream`; absent or null means [`Streaming::No`].
    pub delivery: Streaming,
    /// The tool calls and results in the last top-level `messages` or `input`.
    pub tools: ToolHistory,
    /// The number of messages in the last top-level `messages` or `input`.
    pub messages: u32,
    /// Whether [`without_own_thinking`] can have an effect.
    pub own_thinking: bool,
    /// Whether [`with_own_items_opened`] can have an effect.
    pub own_items: bool,
    /// Whether [`without_own_searches`] can have an effect.
    pub own_searches: bool,
    /// Whether [`with_tool_ids`] can have an effect for an upstream that requires Anthropic's form.
    pub odd_tool_ids: bool,
    spans: ModelSpans,
    encoding: ModelEncoding,
    /// The value of the last top-level `stream_options`.
    stream_options: Option<Range<usize>>,
    /// The value of the last top-level `metadata`.
    metadata: Option<Range<usize>>,
    /// The value of the last top-level `prompt_cache_key`.
    prompt_cache_key: Option<Range<usize>>,
    /// The value of the last top-level `safeguards`, by which a client asks for verdicts on tool calls.
    pub safeguards: Option<Range<usize>>,
    /// The token limit, if the client sets one: the last top-level `max_tokens`, `max_completion_tokens` or
    /// `max_output_tokens`.
    pub max_tokens: Option<u64>,
    /// The parts of the prompt.
    prompt: FoundSpans,
    /// The offset of the object's closing brace.
    end: usize,
}

/// Whether the client requests the reply as a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streaming {
    /// `"stream": true`
    Yes,
    /// A whole reply.
    No,
}

/// Why a body is not a request, in a wording for the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestScanError {
    /// `offset` is the first byte that is not valid UTF-8.
    #[error("the body is not valid UTF-8 (at byte {offset})")]
    NotUtf8 { offset: usize },
    /// `offset` is the first violation of the grammar, or the body's length if it is truncated.
    #[error("the body is not valid JSON (at byte {offset})")]
    NotJson { offset: usize },
    /// Valid JSON of another type.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// No top-level `model`.
    #[error("model: field required")]
    NoModel,
    /// The last `model` is not a string.
    #[error("model: must be a string")]
    ModelNotAString,
    /// The last `stream` is neither a boolean nor null.
    #[error("stream: must be a boolean")]
    StreamNotABoolean,
}

impl From<JsonSyntaxError> for RequestScanError {
    fn from(JsonSyntaxError { offset }: JsonSyntaxError) -> Self {
        Self::NotJson { offset }
    }
}

/// Finds the top-level `model` and `stream` of a JSON object, in any order and with escaped keys; the last duplicate
/// wins, as in every common parser.
///
/// Only the structure is checked: one object, matching brackets, terminated strings, and nothing after it. The upstream
/// checks the meaning of the members.
///
/// # Errors
/// Returns the first [`RequestScanError`] that applies; a missing field is reported only for a body that is valid to
/// its end.
pub fn head(body: &[u8]) -> Result<RequestHead<'_>, RequestScanError> {
    if let Err(error) = simdutf8::compat::from_utf8(body) {
        return Err(RequestScanError::NotUtf8 { offset: error.valid_up_to() });
    }
    let found = scan(body)?;
    let Some(last) = found.model else { return Err(RequestScanError::NoModel) };
    let value = &body[last.clone()];
    if value.first() != Some(&b'"') {
        return Err(RequestScanError::ModelNotAString);
    }
    let model = decoded(value).ok_or(RequestScanError::NotJson { offset: last.start })?;
    let delivery = match found.stream.map(|span| &body[span]) {
        None | Some(b"false" | b"null") => Streaming::No,
        Some(b"true") => Streaming::Yes,
        Some(_) => return Err(RequestScanError::StreamNotABoolean),
    };
    let spans = ModelSpans { earlier: found.earlier, last };
    Ok(RequestHead {
        model,
        delivery,
        tools: found.history.tools,
        messages: found.history.messages,
        own_thinking: found.history.own_thinking,
        own_items: found.history.own_items,
        own_searches: found.history.own_searches,
        odd_tool_ids: found.history.odd_tool_ids,
        spans,
        encoding: ModelEncoding::Json,
        stream_options: found.stream_options,
        metadata: found.metadata,
        prompt_cache_key: found.prompt_cache_key,
        safeguards: found.safeguards,
        max_tokens: found.max_tokens.and_then(|span| std::str::from_utf8(&body[span]).ok()?.parse().ok()),
        prompt: found.prompt,
        end: found.end,
    })
}

impl RequestHead<'static> {
    /// Returns the head of a request without a body.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self {
            model: Cow::Borrowed(""),
            delivery: Streaming::No,
            tools: ToolHistory::default(),
            messages: 0,
            own_thinking: false,
            own_items: false,
            own_searches: false,
            odd_tool_ids: false,
            spans: ModelSpans { earlier: vec![], last: 0..0 },
            encoding: ModelEncoding::Json,
            stream_options: None,
            metadata: None,
            prompt_cache_key: None,
            safeguards: None,
            max_tokens: None,
            prompt: FoundSpans::default(),
            end: 0,
        }
    }
}

impl RequestHead<'_> {
    /// Returns the same head, independent of the body.
    #[must_use]
    pub fn into_owned(self) -> RequestHead<'static> {
        RequestHead { model: Cow::Owned(self.model.into_owned()), ..self }
    }

    /// Returns the body with the value of every top-level `model` replaced and everything else byte-identical. `body`
    /// must be the body that was scanned. It is returned uncopied if it already has this model.
    #[must_use]
    pub fn with_model(&self, body: &Bytes, model: &str) -> Pieces {
        if self.spans.earlier.is_empty() && self.model == model {
            return body.clone().into();
        }
        Pieces::new(body, &mut self.model_edits(model))
    }

    /// Does the same for Chat Completions, whose streams report usage on request only: a streamed request is changed to
    /// request it. Also returns whether the client requested it.
    #[must_use]
    pub fn with_model_and_usage(&self, body: &Bytes, model: &str) -> (Pieces, UsageAsked) {
        if self.delivery == Streaming::No {
            return (self.with_model(body, model), UsageAsked::ByClient);
        }
        let Some(edit) = usage::asking(body, self.stream_options.clone(), self.end) else {
            return (self.with_model(body, model), UsageAsked::ByClient);
        };
        let mut edits = self.model_edits(model);
        edits.push(edit);
        (Pieces::new(body, &mut edits), UsageAsked::ByGateway)
    }

    fn model_edits(&self, model: &str) -> Vec<Splice> {
        let model = match self.encoding {
            ModelEncoding::Json => literal(model),
            ModelEncoding::FormField => model.to_owned(),
        };
        let spans = self.spans.earlier.iter().chain([&self.spans.last]);
        spans.map(|span| Splice { span: span.clone(), text: model.clone() }).collect()
    }
}

/// A text as a JSON string.
fn literal(text: &str) -> String {
    let is_plain = !text.bytes().any(|byte| matches!(byte, 0..=0x1F | b'"' | b'\\'));
    if is_plain {
        // The name of nearly every model.
        return ["\"", text, "\""].concat();
    }
    serde_json::to_string(text).expect("a string has a JSON form")
}

/// Who requested the usage of a Chat Completions stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageAsked {
    ByClient,
    /// The gateway only; the usage must not be sent to the client.
    ByGateway,
}

/// A span of a body and its replacement.
#[derive(Debug)]
pub(crate) struct Splice {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

/// Returns the body with these spans replaced. The spans must not overlap.
pub(crate) fn spliced(body: &Bytes, edits: &mut [Splice]) -> Bytes {
    Pieces::new(body, edits).joined()
}

/// Whether a body is one complete JSON value: matching brackets, terminated strings, and nothing after it. This
/// distinguishes a complete reply from a truncated one.
#[must_use]
pub fn is_complete_json(body: &[u8]) -> bool {
    let mut cursor = JsonCursor::new(body);
    cursor.value().and_then(|_| cursor.end()).is_ok()
}

/// How a body writes its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelEncoding {
    /// A JSON string, with its quotes.
    Json,
    /// The content of a part of a form.
    FormField,
}

#[derive(Debug)]
struct ModelSpans {
    /// Values that a later duplicate overrides; almost always empty, which needs no allocation.
    earlier: Vec<Range<usize>>,
    last: Range<usize>,
}

#[derive(Default)]
struct Scan {
    earlier: Vec<Range<usize>>,
    model: Option<Range<usize>>,
    stream: Option<Range<usize>>,
    stream_options: Option<Range<usize>>,
    metadata: Option<Range<usize>>,
    prompt_cache_key: Option<Range<usize>>,
    safeguards: Option<Range<usize>>,
    max_tokens: Option<Range<usize>>,
    history: RequestHistory,
    prompt: FoundSpans,
    end: usize,
}

fn scan(body: &[u8]) -> Result<Scan, RequestScanError> {
    let mut cursor = JsonCursor::new(body);
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        cursor.end()?;
        return Err(RequestScanError::NotAnObject);
    }
    let mut found = Scan::default();
    cursor.members(|cursor, key| found.member(key, cursor))?;
    found.end = cursor.at() - 1;
    cursor.end()?;
    Ok(found)
}

impl Scan {
    fn member(&mut self, key: &str, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        if matches!(key, "messages" | "input") {
            let start = cursor.at();
            self.history = RequestHistory::scan(cursor)?;
            self.prompt.note(key, &(start..cursor.at()));
            return Ok(());
        }
        let value = cursor.value()?;
        self.prompt.note(key, &value);
        match key {
            "model" => self.earlier.extend(self.model.replace(value)),
            "stream" => self.stream = Some(value),
            "stream_options" => self.stream_options = Some(value),
            "metadata" => self.metadata = Some(value),
            "prompt_cache_key" => self.prompt_cache_key = Some(value),
            "safeguards" => self.safeguards = Some(value),
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => self.max_tokens = Some(value),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_its_message() {
        for (body, words) in [
            ("", "the body is not valid JSON (at byte 0)"),
            ("{\"model\":\"m\"", "the body is not valid JSON (at byte 12)"),
            ("{\"model\":\"m}", "the body is not valid JSON (at byte 12)"),
            ("{\"model\":\"m\",}", "the body is not valid JSON (at byte 13)"),
            ("{\"model\":\"m\"} x", "the body is not valid JSON (at byte 14)"),
            ("{\"model\":\"m\",\"a\":[1}]}", "the body is not valid JSON (at byte 19)"),
            ("{\"model\":\"m\",\"a\":tru}", "the body is not valid JSON (at byte 17)"),
            ("{\"model\":\"\\ud800\"}", "the body is not valid JSON (at byte 9)"),
            ("{\"model\":\"a\nb\"}", "the body is not valid JSON (at byte 9)"),
            ("{\"a\nb\":1,\"model\":\"m\"}", "the body is not valid JSON (at byte 1)"),
            ("{model:\"m\"}", "the body is not valid JSON (at byte 1)"),
            ("hello", "the body is not valid JSON (at byte 0)"),
            ("[{\"model\":\"m\"}]", "the body must be a JSON object"),
            ("\"model\"", "the body must be a JSON object"),
            ("{\"a\":{\"model\":\"m\"}}", "model: field required"),
            ("{\"model\":null}", "model: must be a string"),
            ("{\"model\":\"m\",\"model\":1}", "model: must be a string"),
            ("{\"model\":\"m\",\"stream\":\"true\"}", "stream: must be a boolean"),
        ] {
            assert_eq!(head(body.as_bytes()).unwrap_err().to_string(), words, "{body}");
        }
        let error = head(b"{\"model\":\"\xFF\"}").unwrap_err();
        assert_eq!(error.to_string(), "the body is not valid UTF-8 (at byte 10)");
    }

    #[test]
    fn the_last_of_duplicates_counts_and_all_are_replaced() {
        let body =
            Bytes::from_static(b"{\"model\":7, \"mod\\u0065l\" :\"b\",\"stream\":true,\"stream\":null}");
        let head = head(&body).unwrap();
        assert_eq!((&*head.model, head.delivery), ("b", Streaming::No));
        let edited = head.with_model(&body, "c\"").joined();
        assert_eq!(
            edited,
            &b"{\"model\":\"c\\\"\", \"mod\\u0065l\" :\"c\\\"\",\"stream\":true,\"stream\":null}"[..]
        );
    }

    #[test]
    fn a_body_that_already_names_the_model_is_returned_itself() {
        let body = Bytes::from("{\"model\":\"m\",\"stream\":true}".to_owned());
        let head = head(&body).unwrap();
        assert_eq!(head.delivery, Streaming::Yes);
        assert_eq!(head.with_model(&body, "m").joined().as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_value_is_complete_only_when_nothing_is_open_and_nothing_follows() {
        for whole in ["{}", " [1, {\"a\":\"]\"}]\n", "\"\\\\\"", "-1.5e3", "null"] {
            assert!(is_complete_json(whole.as_bytes()), "{whole}");
        }
        for broken in ["", " ", "{", "[1", "\"\\\"", "{}}", "[}", "nul", "{} {}"] {
            assert!(!is_complete_json(broken.as_bytes()), "{broken}");
        }
    }
}
