//! A Responses request as it stands in the client's bytes: borrowed, and parsed only as deep as a codec must look.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::RequestError;
use crate::json::{JsonWord, Literal, request_body, wrong_type};

request_body! {
    /// The top level of the request.
    pub(crate) struct ResponsesRequestBody<'a> {
        pub(crate) input: Option<&'a RawValue>,
        pub(crate) instructions: Option<&'a RawValue>,
        pub(crate) tools: Option<&'a RawValue>,
        pub(crate) tool_choice: Option<&'a RawValue>,
        pub(crate) parallel_tool_calls: Option<&'a RawValue>,
        pub(crate) max_tool_calls: Option<&'a RawValue>,
        pub(crate) max_output_tokens: Option<&'a RawValue>,
        pub(crate) temperature: Option<&'a RawValue>,
        pub(crate) top_p: Option<&'a RawValue>,
        pub(crate) top_logprobs: Option<&'a RawValue>,
        pub(crate) reasoning: Option<&'a RawValue>,
        pub(crate) text: Option<&'a RawValue>,
        pub(crate) include: Option<&'a RawValue>,
        pub(crate) stream: Option<bool>,
        pub(crate) stream_options: Option<&'a RawValue>,
        pub(crate) metadata: Option<&'a RawValue>,
        pub(crate) user: Option<&'a RawValue>,
        pub(crate) safety_identifier: Option<&'a RawValue>,
        pub(crate) service_tier: Option<&'a RawValue>,
        pub(crate) truncation: Option<&'a RawValue>,
        pub(crate) prompt_cache_key: Option<&'a RawValue>,
        pub(crate) prompt_cache_retention: Option<&'a RawValue>,
        pub(crate) prompt_cache_options: Option<&'a RawValue>,
        /// What only a server that keeps responses can do.
        pub(crate) store: Option<&'a RawValue>,
        pub(crate) background: Option<&'a RawValue>,
        pub(crate) previous_response_id: Option<&'a RawValue>,
        pub(crate) conversation: Option<&'a RawValue>,
        pub(crate) prompt: Option<&'a RawValue>,
    }
}

impl<'a> ResponsesRequestBody<'a> {
    /// Parses a whole body.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let text = simdutf8::basic::from_utf8(body)
            .map_err(|_| RequestError::new("the request body is not UTF-8"))?;
        serde_json::from_str(text).map_err(|error| RequestError::unreadable(&error))
    }
}

/// Parses the member at this path.
pub(crate) fn parse_at<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    path: impl std::fmt::Display,
) -> Result<T, RequestError> {
    serde_json::from_str(raw.get())
        .map_err(|error| RequestError::new(format!("{path}: {}", wrong_type(&error))))
}

/// How much is to be thought.
#[derive(Default, Deserialize)]
#[serde(expecting = "a reasoning object")]
pub(crate) struct ReasoningOptions<'a> {
    #[serde(borrow)]
    pub(crate) effort: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) summary: Option<&'a RawValue>,
    /// The former name of `summary`.
    #[serde(borrow)]
    pub(crate) generate_summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) context: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) mode: Option<&'a RawValue>,
}

/// The form of the answer.
#[derive(Default, Deserialize)]
#[serde(expecting = "a text object")]
pub(crate) struct TextOptions<'a> {
    #[serde(borrow)]
    pub(crate) format: Option<TextFormat<'a>>,
    #[serde(borrow)]
    pub(crate) verbosity: Option<&'a RawValue>,
}

impl TextOptions<'_> {
    /// Whether the answer is to have a form of this type.
    pub(crate) fn has_kind(&self, kind: &str) -> bool {
        let form = self.format.as_ref().and_then(|format| format.r#type.as_ref());
        form.is_some_and(|form| form.as_str() == kind)
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a format object")]
pub(crate) struct TextFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) description: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) schema: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) strict: Option<&'a RawValue>,
}

/// One item of `input`, its types' fields side by side.
#[derive(Deserialize)]
#[serde(expecting = "an item object")]
pub(crate) struct InputItem<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) role: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) id: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) call_id: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) namespace: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) output: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) status: Option<&'a RawValue>,
    /// Of a shell call, a computer call or a web search.
    #[serde(borrow)]
    pub(crate) action: Option<&'a RawValue>,
    /// Of a computer call: several at once.
    #[serde(borrow)]
    pub(crate) actions: Option<&'a RawValue>,
    /// Of an `apply_patch` call.
    #[serde(borrow)]
    pub(crate) operation: Option<&'a RawValue>,
    /// Of a tool search: who runs it.
    #[serde(borrow)]
    pub(crate) execution: Option<JsonWord<'a>>,
    /// Of a tool search's output, or tools that become available here.
    #[serde(borrow)]
    pub(crate) tools: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) encrypted_content: Option<Literal<'a>>,
    /// Of a call of an MCP server's tool.
    #[serde(borrow)]
    pub(crate) server_label: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
    /// Of a code interpreter's call or a program.
    #[serde(borrow)]
    pub(crate) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) outputs: Option<&'a RawValue>,
    /// Of a file search.
    #[serde(borrow)]
    pub(crate) queries: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) results: Option<&'a RawValue>,
    /// Of an image's generation, or a program's output.
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) output_format: Option<JsonWord<'a>>,
    /// Of a configuration update: what holds from here on.
    #[serde(borrow)]
    pub(crate) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) text: Option<&'a RawValue>,
}

impl InputItem<'_> {
    /// Its `type`; a message and a reference need not have one.
    pub(crate) fn kind(&self) -> &str {
        match &self.r#type {
            Some(kind) => kind.as_str(),
            None if self.role.is_some() => "message",
            None if self.id.is_some() => "item_reference",
            None => "",
        }
    }
}

/// One part of a content list, its types' fields side by side.
#[derive(Deserialize)]
#[serde(expecting = "a content part object")]
pub(crate) struct InputPart<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) refusal: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) image_url: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) file_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) file_data: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) file_url: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) filename: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) prompt_cache_breakpoint: Option<&'a RawValue>,
}

impl InputPart<'_> {
    /// Its `type`; empty if absent.
    pub(crate) fn kind(&self) -> &str {
        self.r#type.as_ref().map_or("", JsonWord::as_str)
    }
}

/// `content` or `output`: absent, one string, a list of parts, or something else.
pub(crate) enum InputContent<'a> {
    Nothing,
    Text(Literal<'a>),
    Parts(Vec<InputPart<'a>>),
    Other(&'a RawValue),
}

impl<'a> InputContent<'a> {
    /// Parses a raw value. `path` names it in errors.
    pub(crate) fn read(
        raw: Option<&'a RawValue>,
        path: impl std::fmt::Display,
    ) -> Result<Self, RequestError> {
        let Some(raw) = raw else { return Ok(Self::Nothing) };
        if let Some(literal) = Literal::of(raw) {
            return Ok(Self::Text(literal));
        }
        if !raw.get().starts_with('[') {
            return Ok(Self::Other(raw));
        }
        parse_at(raw, path).map(Self::Parts)
    }
}

/// The choice among tools, if it is not a word.
#[derive(Deserialize)]
#[serde(expecting = "a tool_choice object")]
pub(crate) struct ResponsesToolChoice<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) namespace: Option<Literal<'a>>,
    /// Of `allowed_tools`.
    #[serde(borrow)]
    pub(crate) mode: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) tools: Option<Vec<ChosenTool<'a>>>,
}

/// A tool that a choice names.
#[derive(Clone, Deserialize)]
#[serde(expecting = "a tool object")]
pub(crate) struct ChosenTool<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) namespace: Option<Literal<'a>>,
}
