//! Content parts of Responses as blocks.

use std::{cell::Cell, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    convert::client::{
        request::blocks::{BlockDraft, is_word},
        responses::UpstreamKind,
    },
    fault::RequestError,
    json::JsonWord,
    openai::responses_request::InputPart,
};

/// The marks that Anthropic takes in one request.
const MOST_MARKS: u8 = 4;
const SHORT: &str = r#"{"type":"ephemeral"}"#;
const LONG: &str = r#"{"type":"ephemeral","ttl":"1h"}"#;

/// Parses a part; `None` if it is empty. `path` names it in errors.
pub(super) fn block<'a>(
    part: &InputPart<'a>,
    path: &dyn fmt::Display,
    upstream: UpstreamKind,
) -> Result<Option<BlockDraft<'a>>, RequestError> {
    Ok(match part.kind() {
        "input_text" | "output_text" | "text" => BlockDraft::text(part.text),
        "refusal" => BlockDraft::text(part.refusal),
        "input_image" | "computer_screenshot" => Some(image(part, path)?),
        "input_file" => Some(file(part, path, upstream)?),
        "" => return Err(RequestError::new(format!("{path}.type: field required"))),
        kind if is_word(kind) => {
            return Err(RequestError::new(format!("{path}: {kind} is not supported by this provider")));
        }
        _ => return Err(RequestError::new(format!("{path}.type: no content part has this type"))),
    })
}

/// What a tool returned and the upstream cannot read. It stays in the history for good: the model learns what it does
/// not see.
pub(super) fn left_out(part: &InputPart<'_>) -> Option<String> {
    match part.kind() {
        "input_text"
        | "output_text"
        | "text"
        | "refusal"
        | "input_image"
        | "computer_screenshot"
        | "input_file" => None,
        kind if is_word(kind) => Some(format!("[{kind} left out: this provider cannot read it]")),
        _ => None,
    }
}

fn image<'a>(part: &InputPart<'a>, path: &dyn fmt::Display) -> Result<BlockDraft<'a>, RequestError> {
    match part.image_url {
        Some(url) => BlockDraft::image(url, &format_args!("{path}.image_url")),
        None if part.file_id.is_some() => Err(unknown_file(path)),
        None => Err(RequestError::new(format!("{path}.image_url: field required"))),
    }
}

fn file<'a>(
    part: &InputPart<'a>,
    path: &dyn fmt::Display,
    upstream: UpstreamKind,
) -> Result<BlockDraft<'a>, RequestError> {
    match (part.file_data, part.file_url) {
        (Some(data), _) => BlockDraft::file(data, part.filename, &format_args!("{path}.file_data")),
        (None, Some(url)) => {
            let document = BlockDraft::document_at(url, part.filename, &format_args!("{path}.file_url"))?;
            match upstream {
                UpstreamKind::ChatCompletions if document.is_fetched_document() => {
                    Err(RequestError::new(format!(
                        "{path}.file_url: this provider cannot fetch documents; send the content as file_data"
                    )))
                }
                UpstreamKind::Messages | UpstreamKind::ChatCompletions | UpstreamKind::Responses => {
                    Ok(document)
                }
            }
        }
        (None, None) if part.file_id.is_some() => Err(unknown_file(path)),
        (None, None) => Err(RequestError::new(format!("{path}.file_data: field required"))),
    }
}

fn unknown_file(path: &dyn fmt::Display) -> RequestError {
    RequestError::new(format!("{path}.file_id: the file is kept at OpenAI; send its content in the request"))
}

/// The client's marks for the cache, as far as Anthropic takes them.
#[derive(Debug)]
pub(super) struct CacheMarks {
    left: Cell<u8>,
}

#[derive(Deserialize)]
struct Breakpoint<'a> {
    #[serde(borrow)]
    ttl: Option<JsonWord<'a>>,
}

impl CacheMarks {
    pub(super) fn new() -> Self {
        Self { left: Cell::new(MOST_MARKS) }
    }

    /// The `cache_control` for a part with this breakpoint.
    pub(super) fn mark(&self, breakpoint: Option<&RawValue>) -> Option<&'static RawValue> {
        let breakpoint = breakpoint.filter(|breakpoint| breakpoint.get() != "false")?;
        self.left.set(self.left.get().checked_sub(1)?);
        let read: Option<Breakpoint<'_>> = serde_json::from_str(breakpoint.get()).ok();
        let ttl = read.and_then(|breakpoint| breakpoint.ttl);
        // OpenAI's shortest time is half an hour, and Anthropic's five minutes.
        cache_control(match ttl.as_ref().map(JsonWord::as_str) {
            None | Some("5m" | "30m") => CacheTime::Short,
            Some(_) => CacheTime::Long,
        })
    }

    /// Whether the client has made marks.
    pub(super) fn has_some(&self) -> bool {
        self.left.get() < MOST_MARKS
    }
}

/// How long the upstream keeps a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheTime {
    Short,
    Long,
}

/// The value of `cache_control`.
pub(super) fn cache_control(time: CacheTime) -> Option<&'static RawValue> {
    serde_json::from_str(match time {
        CacheTime::Short => SHORT,
        CacheTime::Long => LONG,
    })
    .ok()
}
