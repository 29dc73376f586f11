//! Which tools of a request an upstream can call, and under which names.

use std::borrow::Cow;

use super::{client_tools::ClientTool, tool_list::ToolEntry};
use crate::{
    anthropic::request::{ToolChoiceParam, ToolParam},
    convert::upstream::{
        conversation::{RequestTurn, TurnRole},
        names::Names,
    },
    fault::RequestError,
    json::{Literal, trim},
    schema_fit,
};

/// Whether and how a tool is sent to the upstream.
pub(crate) enum ToolSupport {
    Function,
    Client(&'static ClientTool),
    /// The tool runs at Anthropic.
    Unsupported,
}

impl ToolSupport {
    /// By the type of the tool.
    pub(crate) fn from_tool(tool: &ToolParam<'_>) -> Self {
        if tool.r#type.as_ref().is_none_or(|kind| kind.as_str() == "custom") {
            return Self::Function;
        }
        ClientTool::lookup(tool).map_or(Self::Unsupported, Self::Client)
    }
}

/// The inner texts of all tool names in a request: in tools, calls and choices.
pub(crate) fn all_names<'r, 'a>(
    tools: &'r [ToolEntry<'r, 'a>],
    turns: &'r [RequestTurn<'a>],
) -> impl Iterator<Item = &'a str> + Clone + use<'r, 'a> {
    // A listed tool without a name is omitted, but a call without a name needs one.
    let listed =
        tools.iter().filter_map(|entry| entry.tool().name).filter(|name| !trim(name.inner()).is_empty());
    let turns = turns.iter().filter(|turn| turn.role == TurnRole::Assistant);
    let called = turns
        .flat_map(RequestTurn::blocks)
        .filter(|block| block.kind() == "tool_use")
        .filter_map(|block| block.name);
    listed.chain(called).map(Literal::inner)
}

/// The name under which the upstream calls this tool. `None` if the tool is left out: it has no name, or runs at Anthropic.
pub(crate) fn callable_name<'n>(
    entry: &'n ToolEntry<'_, '_>,
    names: &'n Names,
) -> Result<Option<&'n str>, RequestError> {
    let tool = entry.tool();
    let name = tool.name.filter(|name| !trim(name.inner()).is_empty()).map(|name| names.there(name));
    match (ToolSupport::from_tool(tool), tool.name) {
        (ToolSupport::Unsupported, _) => Ok(None),
        (ToolSupport::Function, None) => {
            Err(RequestError::new(format!("{}.name: field required", entry.path())))
        }
        (ToolSupport::Function, Some(_)) => Ok(name),
        (ToolSupport::Client(client), _) => Ok(name.or(Some(client.name))),
    }
}

/// The schema of a function's input, completed as OpenAI requires.
pub(crate) fn function_schema<'a>(entry: &ToolEntry<'_, 'a>) -> Result<Cow<'a, str>, RequestError> {
    match entry.tool().input_schema {
        Some(schema) if schema.get().starts_with('{') => {
            Ok(schema_fit::completed(schema.get()).map_or(Cow::Borrowed(schema.get()), Cow::Owned))
        }
        Some(_) => Err(RequestError::new(format!("{}.input_schema: must be an object", entry.path()))),
        None => Err(RequestError::new(format!("{}.input_schema: field required", entry.path()))),
    }
}

/// The tool that a choice names, and the name in the choice.
pub(crate) fn find_chosen<'r, 'a>(
    tools: &'r [ToolEntry<'r, 'a>],
    choice: &ToolChoiceParam<'a>,
) -> Result<(&'r ToolParam<'a>, Literal<'a>), RequestError> {
    let name = choice.name.ok_or_else(|| RequestError::new("tool_choice.name: field required"))?;
    let decoded = name.decode();
    let is_it = |tool: &&ToolParam<'_>| {
        let given = tool.name.is_some_and(|tool| decoded.as_deref().is_some_and(|name| tool.is(name)));
        given || (tool.name.is_none() && ClientTool::lookup(tool).is_some_and(|tool| name.is(tool.name)))
    };
    let tool = tools.iter().map(ToolEntry::tool).find(is_it);
    let tool = tool.ok_or_else(|| RequestError::new("tool_choice.name: no tool in tools has this name"))?;
    Ok((tool, name))
}
