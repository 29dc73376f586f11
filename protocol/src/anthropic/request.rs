//! A Messages request, borrowed from its bytes and parsed only as deep as a codec must look. Codecs of upstreams take it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::RequestError;
use crate::json::{JsonWord, Literal, request_body, wrong_type};

request_body! {
    /// The top level.
    pub(crate) struct MessagesRequestBody<'a> {
        pub(crate) max_tokens: Option<&'a RawValue>,
        pub(crate) system: Option<&'a RawValue>,
        pub(crate) messages: Option<Vec<MessageParam<'a>>>,
        pub(crate) tools: Option<Vec<ToolParam<'a>>>,
        pub(crate) tool_choice: Option<ToolChoiceParam<'a>>,
        pub(crate) stop_sequences: Option<Vec<Literal<'a>>>,
        pub(crate) temperature: Option<&'a RawValue>,
        pub(crate) top_p: Option<&'a RawValue>,
        pub(crate) stream: Option<bool>,
        pub(crate) thinking: Option<ThinkingConfig<'a>>,
        pub(crate) output_config: Option<OutputConfig<'a>>,
        /// What `output_config.format` was called in its beta.
        pub(crate) output_format: Option<OutputFormat<'a>>,
        pub(crate) metadata: Option<Metadata<'a>>,
        pub(crate) top_k: Option<&'a RawValue>,
        /// Whether the server is to judge tool calls (Claude Code's auto mode).
        pub(crate) safeguards: Option<&'a RawValue>,
    }
}

impl<'a> MessagesRequestBody<'a> {
    /// Parses a whole body.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let text = simdutf8::basic::from_utf8(body)
            .map_err(|_| RequestError::new("the request body is not UTF-8"))?;
        serde_json::from_str(text).map_err(|error| RequestError::unreadable(&error))
    }
}

/// One entry of `safeguards`.
#[derive(Deserialize)]
#[serde(expecting = "a safeguard object")]
pub(crate) struct Safeguard<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
}

/// One turn.
#[derive(Deserialize)]
#[serde(expecting = "an object with role and content")]
pub(crate) struct MessageParam<'a> {
    #[serde(borrow)]
    pub(crate) role: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    /// Of a system message: what holds from this turn on.
    #[serde(borrow)]
    pub(crate) output_config: Option<OutputConfig<'a>>,
    /// Of a system message: when it stops being shown to the model.
    #[serde(borrow)]
    pub(crate) clear_at: Option<JsonWord<'a>>,
}

/// One content block of any kind, its kinds' fields side by side.
#[derive(Deserialize)]
#[serde(expecting = "a content block object")]
pub(crate) struct ContentBlock<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) id: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) tool_use_id: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) tool_name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) is_error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) thinking: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Literal<'a>>,
    /// Of a document or a search result.
    #[serde(borrow)]
    pub(crate) title: Option<Literal<'a>>,
    /// Of a document.
    #[serde(borrow)]
    pub(crate) context: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) cache_control: Option<&'a RawValue>,
    /// Of a change of the tools.
    #[serde(borrow)]
    pub(crate) tool: Option<&'a RawValue>,
    /// Of a call of an MCP server's tool.
    #[serde(borrow)]
    pub(crate) server_name: Option<Literal<'a>>,
}

impl ContentBlock<'_> {
    /// Its `type`, empty if absent.
    pub(crate) fn kind(&self) -> &str {
        self.r#type.as_ref().map_or("", JsonWord::as_str)
    }
}

/// Where an image or a document is.
#[derive(Deserialize)]
#[serde(expecting = "a source object")]
pub(crate) struct SourceParam<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) media_type: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) data: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) url: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
}

/// One entry of `tools`.
#[derive(Deserialize)]
#[serde(expecting = "a tool object")]
pub(crate) struct ToolParam<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) input_schema: Option<&'a RawValue>,
    pub(crate) strict: Option<bool>,
    pub(crate) defer_loading: Option<bool>,
    /// Of a computer.
    pub(crate) display_width_px: Option<u64>,
    pub(crate) display_height_px: Option<u64>,
    /// Of a web search or a web fetch.
    #[serde(borrow)]
    pub(crate) allowed_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) blocked_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) max_uses: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) user_location: Option<&'a RawValue>,
    /// Of a web fetch.
    #[serde(borrow)]
    pub(crate) max_content_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) citations: Option<&'a RawValue>,
}

/// The client's wish for or against tools.
#[derive(Deserialize)]
#[serde(expecting = "a tool_choice object")]
pub(crate) struct ToolChoiceParam<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

/// Whether the client wants to see thinking. Only `disabled` says no; new kinds keep appearing.
#[derive(Deserialize)]
#[serde(expecting = "a thinking object")]
pub(crate) struct ThinkingConfig<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    pub(crate) budget_tokens: Option<u64>,
}

/// How much is to be thought, and in what form it is to be answered.
#[derive(Deserialize)]
#[serde(expecting = "an output_config object")]
pub(crate) struct OutputConfig<'a> {
    #[serde(borrow)]
    pub(crate) effort: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) format: Option<OutputFormat<'a>>,
}

/// The form of an answer.
#[derive(Deserialize)]
#[serde(expecting = "a format object")]
pub(crate) struct OutputFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) schema: Option<&'a RawValue>,
}

/// Whose request it is.
#[derive(Deserialize)]
#[serde(expecting = "a metadata object")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    pub(crate) user_id: Option<Literal<'a>>,
}

/// `content` or `system`: one string or a list of blocks.
pub(crate) enum MessagesContent<'a> {
    Text(Literal<'a>),
    Blocks(Vec<ContentBlock<'a>>),
}

impl<'a> MessagesContent<'a> {
    /// Takes a raw value apart. The error says what was expected, without echoing what was found.
    pub(crate) fn read(raw: &'a RawValue) -> Result<Self, String> {
        if let Some(literal) = Literal::of(raw) {
            return Ok(Self::Text(literal));
        }
        if !raw.get().starts_with('[') {
            return Err("must be a string or an array of content blocks".into());
        }
        serde_json::from_str(raw.get()).map(Self::Blocks).map_err(|error| wrong_type(&error))
    }
}
