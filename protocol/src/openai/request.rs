//! A Chat Completions request as it stands in the client's bytes: borrowed, and parsed only as deep as a codec must
//! look.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::RequestError;
use crate::json::{JsonWord, Literal, request_body, wrong_type};

request_body! {
    /// The top level of the request.
    pub(crate) struct ChatRequestBody<'a> {
        pub(crate) messages: Option<Vec<ChatMessage<'a>>>,
        pub(crate) tools: Option<Vec<ChatTool<'a>>>,
        pub(crate) tool_choice: Option<&'a RawValue>,
        pub(crate) parallel_tool_calls: Option<bool>,
        /// The predecessor of `tools`, from before parallel calls existed.
        pub(crate) functions: Option<Vec<FunctionDefinition<'a>>>,
        /// The choice among `functions`.
        pub(crate) function_call: Option<&'a RawValue>,
        pub(crate) max_tokens: Option<&'a RawValue>,
        pub(crate) max_completion_tokens: Option<&'a RawValue>,
        pub(crate) temperature: Option<&'a RawValue>,
        pub(crate) top_p: Option<&'a RawValue>,
        pub(crate) stop: Option<&'a RawValue>,
        pub(crate) n: Option<&'a RawValue>,
        pub(crate) stream: Option<bool>,
        pub(crate) stream_options: Option<StreamOptions>,
        pub(crate) reasoning_effort: Option<JsonWord<'a>>,
        pub(crate) response_format: Option<ResponseFormat<'a>>,
        pub(crate) user: Option<Literal<'a>>,
        /// The successor of `user`.
        pub(crate) safety_identifier: Option<Literal<'a>>,
        /// Anthropic's own; clients add it if they know that the upstream is Anthropic's.
        pub(crate) thinking: Option<&'a RawValue>,
        /// Anthropic's own.
        pub(crate) top_k: Option<&'a RawValue>,
        /// Requests a web search.
        pub(crate) web_search_options: Option<&'a RawValue>,
    }
}

impl<'a> ChatRequestBody<'a> {
    /// Parses a whole body.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let text = simdutf8::basic::from_utf8(body)
            .map_err(|_| RequestError::new("the request body is not UTF-8"))?;
        serde_json::from_str(text).map_err(|error| RequestError::unreadable(&error))
    }
}

/// Options of a stream.
#[derive(Deserialize)]
#[serde(expecting = "a stream_options object")]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

/// The form that an answer must have.
#[derive(Deserialize)]
#[serde(expecting = "a response_format object")]
pub(crate) struct ResponseFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a json_schema object")]
pub(crate) struct JsonSchema<'a> {
    #[serde(borrow)]
    pub(crate) schema: Option<&'a RawValue>,
}

/// One message of any role; the fields of all roles are in one struct.
#[derive(Deserialize)]
#[serde(expecting = "a message object")]
pub(crate) struct ChatMessage<'a> {
    #[serde(borrow)]
    pub(crate) role: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) refusal: Option<Literal<'a>>,
    /// An answer that the model spoke.
    #[serde(borrow)]
    pub(crate) audio: Option<&'a RawValue>,
    /// The thoughts of an earlier turn, as compatible vendors write them.
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    /// The name of a speaker, which is not used, or of the function that a message of role `function` is from.
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) tool_calls: Option<Vec<ChatToolCall<'a>>>,
    #[serde(borrow)]
    pub(crate) function_call: Option<CalledFunction<'a>>,
    #[serde(borrow)]
    pub(crate) tool_call_id: Option<Literal<'a>>,
}

impl ChatMessage<'_> {
    /// Whether it has thoughts, which only the vendor that made them can read.
    pub(crate) fn has_reasoning(&self) -> bool {
        let thoughts = [self.reasoning_content, self.reasoning, self.reasoning_details];
        thoughts.into_iter().flatten().any(|value| !matches!(value.get(), "\"\"" | "[]"))
    }

    /// Whether it names who of several users or assistants speaks.
    pub(crate) fn names_a_speaker(&self) -> bool {
        let role = self.role.as_ref().map(JsonWord::as_str);
        self.name.is_some() && !matches!(role, Some("function" | "tool"))
    }
}

/// A call by the assistant.
#[derive(Deserialize)]
#[serde(expecting = "a tool call object")]
pub(crate) struct ChatToolCall<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) function: Option<CalledFunction<'a>>,
    /// In place of `function`, for a tool with plain-text input.
    #[serde(borrow)]
    pub(crate) custom: Option<CustomCalled<'a>>,
}

/// The called custom tool.
#[derive(Clone, Copy, Deserialize)]
#[serde(expecting = "a custom tool object")]
pub(crate) struct CustomCalled<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
}

/// The called function.
#[derive(Clone, Copy, Deserialize)]
#[serde(expecting = "a function object")]
pub(crate) struct CalledFunction<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// One entry of `tools`, or of the tools that a choice allows.
#[derive(Deserialize)]
#[serde(expecting = "a tool object")]
pub(crate) struct ChatTool<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) function: Option<FunctionDefinition<'a>>,
    #[serde(borrow)]
    pub(crate) custom: Option<CustomTool<'a>>,
    /// Anthropic's own.
    #[serde(borrow)]
    pub(crate) cache_control: Option<&'a RawValue>,
    /// Of a web search.
    #[serde(borrow)]
    pub(crate) user_location: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) search_context_size: Option<&'a RawValue>,
    /// OpenAI's Responses API: the domains of a web search.
    #[serde(borrow)]
    pub(crate) filters: Option<&'a RawValue>,
    /// Of Anthropic's web search.
    #[serde(borrow)]
    pub(crate) allowed_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) blocked_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) max_uses: Option<&'a RawValue>,
}

impl<'a> ChatTool<'a> {
    /// Returns the name of the function or custom tool.
    pub(crate) fn name(&self) -> Option<Literal<'a>> {
        let function = self.function.as_ref().and_then(|function| function.name);
        function.or_else(|| self.custom.as_ref()?.name)
    }
}

/// A tool with plain-text input, which a grammar can restrict.
#[derive(Deserialize)]
#[serde(expecting = "a custom tool object")]
pub(crate) struct CustomTool<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) format: Option<CustomFormat<'a>>,
}

/// The required form of a custom tool's input.
#[derive(Deserialize)]
#[serde(expecting = "a format object")]
pub(crate) struct CustomFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) grammar: Option<Grammar<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a grammar object")]
pub(crate) struct Grammar<'a> {
    #[serde(borrow)]
    pub(crate) syntax: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) definition: Option<Literal<'a>>,
}

/// A function that the model can call.
#[derive(Deserialize)]
#[serde(expecting = "a function object")]
pub(crate) struct FunctionDefinition<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) parameters: Option<&'a RawValue>,
    pub(crate) strict: Option<bool>,
}

/// The client's tool choice, if it is not a single word.
#[derive(Deserialize)]
#[serde(expecting = "a tool choice object")]
pub(crate) struct ChatToolChoice<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) function: Option<CalledFunction<'a>>,
    #[serde(borrow)]
    pub(crate) custom: Option<CustomCalled<'a>>,
    /// The function's name in `function_call`.
    #[serde(borrow)]
    pub(crate) name: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) allowed_tools: Option<AllowedTools<'a>>,
}

/// A choice among some of the tools.
#[derive(Deserialize)]
#[serde(expecting = "an allowed_tools object")]
pub(crate) struct AllowedTools<'a> {
    #[serde(borrow)]
    pub(crate) mode: Option<JsonWord<'a>>,
    #[serde(borrow, default)]
    pub(crate) tools: Vec<ChatTool<'a>>,
}

/// One part of a message's content, of any type.
#[derive(Deserialize)]
#[serde(expecting = "a content part object")]
pub(crate) struct ContentPart<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) refusal: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) file: Option<&'a RawValue>,
    /// Anthropic's own.
    #[serde(borrow)]
    pub(crate) cache_control: Option<&'a RawValue>,
}

impl ContentPart<'_> {
    /// Returns its `type`; empty if absent.
    pub(crate) fn kind(&self) -> &str {
        self.r#type.as_ref().map_or("", JsonWord::as_str)
    }
}

/// The location of an image.
#[derive(Deserialize)]
#[serde(expecting = "an image_url object")]
pub(crate) struct ImageUrl<'a> {
    #[serde(borrow)]
    pub(crate) url: Option<Literal<'a>>,
}

/// An attached file.
#[derive(Deserialize)]
#[serde(expecting = "a file object")]
pub(crate) struct FilePart<'a> {
    #[serde(borrow)]
    pub(crate) file_data: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) filename: Option<Literal<'a>>,
}

/// `content`: absent, one string, or a list of parts.
pub(crate) enum ChatContent<'a> {
    Nothing,
    Text(Literal<'a>),
    Parts(Vec<ContentPart<'a>>),
}

impl<'a> ChatContent<'a> {
    /// Parses a raw value. The error states what was expected, without echoing the value.
    pub(crate) fn read(raw: Option<&'a RawValue>) -> Result<Self, String> {
        let Some(raw) = raw else { return Ok(Self::Nothing) };
        if let Some(literal) = Literal::of(raw) {
            return Ok(Self::Text(literal));
        }
        if !raw.get().starts_with('[') {
            return Err("must be a string or an array of content parts".into());
        }
        serde_json::from_str(raw.get()).map(Self::Parts).map_err(|error| wrong_type(&error))
    }
}
