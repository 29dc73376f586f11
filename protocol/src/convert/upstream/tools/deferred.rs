//! Deferred tools: the model gets their definitions once a tool search has found them.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::tool_list::ToolEntry;
use crate::{
    anthropic::request::{ContentBlock, MessagesContent, ToolChoiceParam, ToolParam},
    convert::upstream::conversation::{RequestTurn, TurnRole},
    json::Literal,
};

/// The names (inner texts) of deferred tools that no tool search has found. With a tool search that runs at Anthropic, none is
/// deferred, because the search cannot run.
pub(crate) fn deferred<'a>(
    list: &[ToolEntry<'_, 'a>],
    choice: Option<&ToolChoiceParam<'a>>,
    turns: &[RequestTurn<'a>],
) -> HashSet<&'a str> {
    let tools = || list.iter().map(ToolEntry::tool);
    let is_deferred = |tool: &&ToolParam<'a>| tool.defer_loading == Some(true);
    let searched_there = |tool: &ToolParam<'a>| {
        tool.r#type.as_ref().is_some_and(|kind| kind.as_str().starts_with("tool_search_tool"))
    };
    if tools().any(searched_there) {
        return HashSet::new();
    }
    let mut deferred: HashSet<&str> =
        tools().filter(is_deferred).filter_map(|tool| tool.name).map(Literal::inner).collect();
    if deferred.is_empty() {
        return deferred;
    }
    let called = blocks(turns, TurnRole::Assistant).filter_map(|block| block.name);
    let forced = choice.and_then(|choice| choice.name);
    for name in called.chain(forced) {
        deferred.remove(name.inner());
    }
    for result in blocks(turns, TurnRole::User).filter_map(|block| block.content) {
        for name in found(result) {
            deferred.remove(name.inner());
        }
    }
    deferred
}

fn blocks<'r, 'a>(
    turns: &'r [RequestTurn<'a>],
    role: TurnRole,
) -> impl Iterator<Item = &'r ContentBlock<'a>> {
    turns.iter().filter(move |turn| turn.role == role).flat_map(RequestTurn::blocks)
}

/// The names of the tools that a search result contains.
fn found<'a>(result: &'a RawValue) -> Vec<Literal<'a>> {
    if memchr::memmem::find(result.get().as_bytes(), b"tool_reference").is_none() {
        return vec![];
    }
    let Ok(MessagesContent::Blocks(blocks)) = MessagesContent::read(result) else { return vec![] };
    let references = blocks.iter().filter(|block| block.kind() == "tool_reference");
    references.filter_map(|block| block.tool_name).collect()
}
