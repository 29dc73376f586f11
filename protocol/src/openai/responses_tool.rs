//! A tool of a Responses request.
//!
//! Types of tools share names of members, but not what these hold: the `environment` of a shell is an object, that of
//! `computer_use_preview` is a word. So only the members of its own type are read of a tool.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::responses_request::parse_at;
use crate::fault::RequestError;
use crate::json::{JsonWord, Literal};

/// One tool.
#[derive(Default)]
pub(crate) struct ResponsesTool<'a> {
    kind: Option<JsonWord<'a>>,
    pub(crate) name: Option<Literal<'a>>,
    pub(crate) description: Option<Literal<'a>>,
    pub(crate) parameters: Option<&'a RawValue>,
    pub(crate) strict: Option<bool>,
    /// Of a custom tool.
    pub(crate) format: Option<ToolFormat<'a>>,
    /// Of a namespace.
    pub(crate) tools: Vec<&'a RawValue>,
    /// Of a tool search: who runs it.
    pub(crate) execution: Option<JsonWord<'a>>,
    /// Whether only a tool search makes it available.
    pub(crate) defer_loading: bool,
    /// Of a web search.
    pub(crate) external_web_access: Option<&'a RawValue>,
    pub(crate) user_location: Option<&'a RawValue>,
    pub(crate) search_context_size: Option<&'a RawValue>,
    pub(crate) filters: Option<&'a RawValue>,
    /// Of a shell: where it runs.
    pub(crate) environment: Option<ToolEnvironment<'a>>,
}

/// The members of all types side by side.
#[derive(Deserialize)]
#[serde(expecting = "a tool object")]
struct ToolMembers<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    strict: Option<&'a RawValue>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    execution: Option<&'a RawValue>,
    #[serde(borrow)]
    defer_loading: Option<&'a RawValue>,
    #[serde(borrow)]
    external_web_access: Option<&'a RawValue>,
    #[serde(borrow)]
    user_location: Option<&'a RawValue>,
    #[serde(borrow)]
    search_context_size: Option<&'a RawValue>,
    #[serde(borrow)]
    filters: Option<&'a RawValue>,
    #[serde(borrow)]
    environment: Option<&'a RawValue>,
}

impl<'a> ResponsesTool<'a> {
    /// Reads the tool at this path.
    pub(crate) fn read(raw: &'a RawValue, path: &str) -> Result<Self, RequestError> {
        let members: ToolMembers<'a> = parse_at(raw, path)?;
        let ToolMembers { external_web_access, user_location, search_context_size, filters, .. } = members;
        let tool = Self {
            kind: member(members.r#type, path, "type")?,
            defer_loading: members.defer_loading.is_some_and(|raw| raw.get() == "true"),
            external_web_access,
            user_location,
            search_context_size,
            filters,
            ..Self::default()
        };
        let name = || member(members.name, path, "name");
        let description = || member(members.description, path, "description");
        Ok(match tool.kind() {
            "function" => Self {
                name: name()?,
                description: description()?,
                parameters: members.parameters,
                strict: member(members.strict, path, "strict")?,
                ..tool
            },
            "custom" => Self {
                name: name()?,
                description: description()?,
                format: member(members.format, path, "format")?,
                ..tool
            },
            "namespace" => Self {
                name: name()?,
                tools: member(members.tools, path, "tools")?.unwrap_or_default(),
                ..tool
            },
            "tool_search" => Self {
                description: description()?,
                parameters: members.parameters,
                execution: member(members.execution, path, "execution")?,
                ..tool
            },
            "shell" => Self { environment: member(members.environment, path, "environment")?, ..tool },
            _ => tool,
        })
    }

    /// Its `type`; empty if absent.
    pub(crate) fn kind(&self) -> &str {
        self.kind.as_ref().map_or("", JsonWord::as_str)
    }
}

/// Reads a member of the tool at this path.
fn member<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    path: &str,
    name: &str,
) -> Result<Option<T>, RequestError> {
    raw.map(|raw| parse_at(raw, format_args!("{path}.{name}"))).transpose()
}

/// The form of a custom tool's input.
#[derive(Deserialize)]
#[serde(expecting = "a format object")]
pub(crate) struct ToolFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) syntax: Option<JsonWord<'a>>,
    #[serde(borrow)]
    pub(crate) definition: Option<Literal<'a>>,
}

/// Where a shell runs.
#[derive(Deserialize)]
#[serde(expecting = "an environment object")]
pub(crate) struct ToolEnvironment<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<JsonWord<'a>>,
}
