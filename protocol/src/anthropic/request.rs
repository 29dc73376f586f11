//! A Messages request as it stands in the client's bytes: borrowed, and parsed only as deep as a bridge must look.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::json::{Literal, Word, wrong_type};

/// The top level. Fields that no bridge needs are skipped.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) system: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    #[serde(borrow)]
    pub(crate) stop_sequences: Option<Vec<Literal<'a>>>,
    #[serde(borrow)]
    pub(crate) temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) top_p: Option<&'a RawValue>,
    pub(crate) stream: Option<bool>,
    #[serde(borrow)]
    pub(crate) thinking: Option<Thinking<'a>>,
    #[serde(borrow)]
    pub(crate) output_config: Option<OutputConfig<'a>>,
    /// What `output_config.format` was called in its beta.
    #[serde(borrow)]
    pub(crate) output_format: Option<OutputFormat<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub(crate) top_k: Option<&'a RawValue>,
    pub(crate) mcp_servers: Option<Vec<IgnoredAny>>,
}

/// One turn.
#[derive(Deserialize)]
#[serde(expecting = "an object with role and content")]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Option<Word<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
}

/// One content block of any kind, its kinds' fields side by side.
#[derive(Deserialize)]
#[serde(expecting = "a content block object")]
pub(crate) struct Block<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
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
}

impl Block<'_> {
    /// Its `type`, empty if absent.
    pub(crate) fn kind(&self) -> &str {
        self.r#type.as_ref().map_or("", Word::as_str)
    }
}

/// Where an image or a document is.
#[derive(Deserialize)]
#[serde(expecting = "a source object")]
pub(crate) struct Source<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
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
pub(crate) struct Tool<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
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
}

/// The client's wish for or against tools.
#[derive(Deserialize)]
#[serde(expecting = "a tool_choice object")]
pub(crate) struct ToolChoice<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

/// Whether the client wants to see thinking. Only `disabled` says no; new kinds keep appearing.
#[derive(Deserialize)]
#[serde(expecting = "a thinking object")]
pub(crate) struct Thinking<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
    pub(crate) budget_tokens: Option<u64>,
}

/// How much is to be thought, and in what form it is to be answered.
#[derive(Deserialize)]
#[serde(expecting = "an output_config object")]
pub(crate) struct OutputConfig<'a> {
    #[serde(borrow)]
    pub(crate) effort: Option<Word<'a>>,
    #[serde(borrow)]
    pub(crate) format: Option<OutputFormat<'a>>,
}

/// The form of an answer.
#[derive(Deserialize)]
#[serde(expecting = "a format object")]
pub(crate) struct OutputFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Word<'a>>,
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
pub(crate) enum Content<'a> {
    Text(Literal<'a>),
    Blocks(Vec<Block<'a>>),
}

impl<'a> Content<'a> {
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
