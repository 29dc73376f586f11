//! Parses the events of a Responses stream, and whole response objects.
//!
//! Vendors leave members out and send wrong types, so everything is optional, and a value of a wrong type counts as absent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use super::responses_item::{ResponseItem, arguments, inner, literal};
use super::responses_usage::ResponsesUsage;
use crate::{
    fault::Fault,
    json::{self, List, Literal, NotJson, Object},
    vocabulary::StopReason,
};

/// What an event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// The upstream works on the reply, which has no content yet.
    Alive,
    ItemAdded,
    ItemDone,
    /// A piece of this text.
    Delta(TextKind),
    /// All of this text.
    Done(TextKind),
    Annotation,
    /// The reply is over; the response object says how.
    Over,
    Failed,
    /// An error outside of a response object.
    Error,
    /// Any other event. It has no meaning of its own.
    Other,
}

/// The texts that arrive in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    Output,
    Refusal,
    Summary,
    Reasoning,
    Arguments,
    CustomInput,
}

impl EventKind {
    pub(crate) fn parse(word: &str) -> Self {
        match word.strip_prefix("response.").unwrap_or(word) {
            "created" | "queued" | "in_progress" => Self::Alive,
            "output_item.added" => Self::ItemAdded,
            "output_item.done" => Self::ItemDone,
            "output_text.annotation.added" => Self::Annotation,
            "completed" | "incomplete" => Self::Over,
            "failed" | "cancelled" => Self::Failed,
            "error" => Self::Error,
            text => Self::of_text(text).unwrap_or(Self::Other),
        }
    }

    fn of_text(word: &str) -> Option<Self> {
        let (kind, step) = word.rsplit_once('.')?;
        let kind = match kind {
            "output_text" => TextKind::Output,
            "refusal" => TextKind::Refusal,
            "reasoning_summary_text" | "reasoning_summary" => TextKind::Summary,
            // OpenRouter and LM Studio have left out `_text`.
            "reasoning_text" | "reasoning" => TextKind::Reasoning,
            "function_call_arguments" => TextKind::Arguments,
            "custom_tool_call_input" => TextKind::CustomInput,
            _ => return None,
        };
        match step {
            "delta" => Some(Self::Delta(kind)),
            "done" => Some(Self::Done(kind)),
            _ => None,
        }
    }
}

/// One event's data.
#[derive(Deserialize)]
pub(crate) struct ResponsesEvent<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    output_index: Option<&'a RawValue>,
    #[serde(borrow)]
    content_index: Option<&'a RawValue>,
    #[serde(borrow)]
    summary_index: Option<&'a RawValue>,
    #[serde(borrow)]
    item_id: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) annotation: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) item: Object<ResponseItem<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) response: Object<ResponseObject<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> ResponsesEvent<'a> {
    /// Parses one JSON object. Returns `Ok(None)` for JSON that is not an object.
    pub(crate) fn read(data: &'a [u8]) -> Result<Option<Self>, NotJson> {
        let text = simdutf8::basic::from_utf8(data).map_err(|_| NotJson)?;
        let event: Object<Self> = serde_json::from_str(text).map_err(|_| NotJson)?;
        Ok(event.0)
    }

    pub(crate) fn kind(&self) -> EventKind {
        match literal(self.r#type).and_then(Literal::decode) {
            Some(word) => EventKind::parse(&word),
            // An error in the shape of Chat Completions.
            None if self.error.is_some_and(is_error) => EventKind::Error,
            None => EventKind::Other,
        }
    }

    /// Whether this is the event's type.
    pub(crate) fn is_of_type(&self, word: &str) -> bool {
        literal(self.r#type).is_some_and(|own| own.is(word))
    }

    pub(crate) fn output_index(&self) -> Option<u64> {
        json::read_count(self.output_index)
    }

    /// Returns the number of the part inside the item.
    pub(crate) fn part(&self, kind: TextKind) -> Option<u64> {
        match kind {
            TextKind::Summary => json::read_count(self.summary_index),
            TextKind::Output
            | TextKind::Refusal
            | TextKind::Reasoning
            | TextKind::Arguments
            | TextKind::CustomInput => json::read_count(self.content_index),
        }
    }

    /// Returns the inner text of the item's id; empty if absent.
    pub(crate) fn item_id(&self) -> &'a str {
        inner(self.item_id)
    }

    /// Returns the inner text of a piece.
    pub(crate) fn delta(&self) -> Cow<'a, str> {
        arguments(self.delta)
    }

    /// Returns the inner text of a whole text of this kind.
    pub(crate) fn whole(&self, kind: TextKind) -> Cow<'a, str> {
        match kind {
            TextKind::Output | TextKind::Summary | TextKind::Reasoning => Cow::Borrowed(inner(self.text)),
            TextKind::Refusal => Cow::Borrowed(inner(self.refusal)),
            TextKind::Arguments => arguments(self.arguments),
            TextKind::CustomInput => Cow::Borrowed(inner(self.input)),
        }
    }

    /// Returns the fault that an event of these kinds reports. This event must be parsed from `data`.
    pub(crate) fn fault(&self, data: &[u8]) -> Option<Fault> {
        match self.kind() {
            EventKind::Error => Some(error::read_inside(data)),
            EventKind::Failed => {
                let response = self.response.0.as_ref();
                let error = response.and_then(|response| response.error).or(self.error);
                Some(match error.filter(|error| is_error(error)) {
                    Some(error) => error::read_inside(error.get().as_bytes()),
                    None => response.and_then(ResponseObject::fault).unwrap_or_else(|| {
                        Fault::bad_gateway("the upstream failed in the middle of its reply")
                    }),
                })
            }
            EventKind::Over => self.response.0.as_ref().and_then(ResponseObject::fault),
            EventKind::Alive
            | EventKind::ItemAdded
            | EventKind::ItemDone
            | EventKind::Delta(_)
            | EventKind::Done(_)
            | EventKind::Annotation
            | EventKind::Other => None,
        }
    }

    /// Returns why the reply that this event ends is incomplete; `None` if it is complete. The status of the object counts, or the
    /// type of the event.
    pub(crate) fn incomplete(&self) -> Option<StopReason> {
        let response = self.response.0.as_ref();
        let by_type = self.is_of_type("response.incomplete");
        let reason = || response.map_or(StopReason::MaxTokens, ResponseObject::incomplete_reason);
        response.and_then(ResponseObject::incomplete).or_else(|| by_type.then(reason))
    }
}

/// A response object: a whole reply, or the state of one.
#[derive(Deserialize)]
pub(crate) struct ResponseObject<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    incomplete_details: Object<IncompleteDetails<'a>>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) usage: Object<ResponsesUsage<'a>>,
}

#[derive(Deserialize)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

impl<'a> ResponseObject<'a> {
    /// Parses a whole reply. Returns `Ok(None)` for JSON that is not an object.
    pub(crate) fn read(body: &'a [u8]) -> Result<Option<Self>, NotJson> {
        let text = simdutf8::basic::from_utf8(body).map_err(|_| NotJson)?;
        let response: Object<Self> = serde_json::from_str(text).map_err(|_| NotJson)?;
        Ok(response.0)
    }

    /// Whether there is an error, in any form.
    pub(crate) fn has_error(&self) -> bool {
        self.error.is_some_and(is_error)
    }

    /// Whether there is a list of items.
    pub(crate) fn has_output(&self) -> bool {
        self.output.is_some_and(|output| output.get().starts_with('['))
    }

    /// Returns the items.
    pub(crate) fn items(&self) -> Vec<ResponseItem<'a>> {
        let list = self.output.and_then(|list| serde_json::from_str(list.get()).ok());
        let list: List<Object<ResponseItem<'a>>> = list.unwrap_or_default();
        list.0.into_iter().filter_map(|item| item.0).collect()
    }

    /// Returns the fault that the object reports: an error, or that the reply was cancelled.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let is = |word: &str| literal(self.status).is_some_and(|status| status.is(word));
        match self.error.filter(|error| is_error(error)) {
            Some(error) if !is("completed") && !is("incomplete") => {
                Some(error::read_inside(error.get().as_bytes()))
            }
            Some(_) | None if is("failed") => {
                Some(Fault::bad_gateway("the upstream failed in the middle of its reply"))
            }
            Some(_) | None if is("cancelled") => Some(Fault::bad_gateway("the upstream cancelled its reply")),
            Some(_) | None => None,
        }
    }

    /// Whether the upstream still works on the reply.
    pub(crate) fn is_unfinished(&self) -> bool {
        literal(self.status).is_some_and(|status| status.is("queued") || status.is("in_progress"))
    }

    /// Returns why a reply is incomplete, if its status says that it is.
    pub(crate) fn incomplete(&self) -> Option<StopReason> {
        let is_incomplete = literal(self.status).is_some_and(|status| status.is("incomplete"));
        is_incomplete.then(|| self.incomplete_reason())
    }

    /// Returns why an incomplete reply ended. Without a known reason, it counts as cut at a limit.
    fn incomplete_reason(&self) -> StopReason {
        let details = self.incomplete_details.0.as_ref();
        let reason = details.and_then(|details| literal(details.reason)).and_then(Literal::decode);
        match reason.as_deref() {
            Some("content_filter") => StopReason::Refusal,
            // The reply was cut at a sensible place, because the client sent more.
            Some("steered") => StopReason::EndTurn,
            Some(word) if word.contains("context") => StopReason::ModelContextWindowExceeded,
            Some(word) => StopReason::from_finish_reason(word)
                .filter(|reason| *reason != StopReason::EndTurn && *reason != StopReason::ToolUse)
                .unwrap_or(StopReason::MaxTokens),
            None => StopReason::MaxTokens,
        }
    }
}

/// What a reply does in its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyManner {
    #[default]
    Answers,
    Refuses,
}

impl ReplyManner {
    /// Returns the reason of a reply: `tool_use` exactly if there are calls, unless the reply is incomplete.
    pub(crate) fn stop_reason(self, incomplete: Option<StopReason>, calls: u32) -> StopReason {
        match (incomplete, self) {
            (Some(reason), _) => reason.with_calls(calls),
            (None, _) if calls > 0 => StopReason::ToolUse,
            (None, Self::Refuses) => StopReason::Refusal,
            (None, Self::Answers) => StopReason::EndTurn,
        }
    }
}

fn is_error(error: &RawValue) -> bool {
    matches!(error.get().as_bytes().first(), Some(b'{' | b'"'))
}
