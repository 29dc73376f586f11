//! The tools that are available at the end of a request: those of `tools`, changed by the system messages that add and remove tools
//! (`tool_addition`, `tool_removal`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    anthropic::request::{ContentBlock, MessagesContent, ToolParam},
    convert::{
        Dropped,
        upstream::conversation::{BlockPath, RequestTurn, TurnRole},
    },
    json::{JsonWord, Literal},
};

/// One tool, and where it is defined.
pub(crate) struct ToolEntry<'r, 'a> {
    tool: Definition<'r, 'a>,
    /// The position in `tools`, or the turn and the block that define the tool.
    defined_at: DefinedAt,
    /// Whether the tool was removed and not added again.
    is_removed: bool,
    /// Whether the tool was added by name, so it is no longer deferred.
    pub(crate) is_added: bool,
}

enum Definition<'r, 'a> {
    Declared(&'r ToolParam<'a>),
    Inline(Box<ToolParam<'a>>),
}

#[derive(Clone, Copy)]
enum DefinedAt {
    Tools(usize),
    Block(BlockPath),
}

impl<'a> ToolEntry<'_, 'a> {
    pub(crate) fn tool(&self) -> &ToolParam<'a> {
        match &self.tool {
            Definition::Declared(tool) => tool,
            Definition::Inline(tool) => tool,
        }
    }

    /// Its path in the request.
    pub(crate) fn path(&self) -> String {
        match self.defined_at {
            DefinedAt::Tools(at) => format!("tools.{at}"),
            DefinedAt::Block(path) => format!("{path}.tool.definition"),
        }
    }
}

/// The tool that a change names.
#[derive(Deserialize)]
struct ToolChange<'a> {
    #[serde(borrow)]
    r#type: Option<JsonWord<'a>>,
    #[serde(borrow)]
    name: Option<Literal<'a>>,
    #[serde(borrow)]
    definition: Option<&'a RawValue>,
}

/// All tools that the model may use.
pub(crate) fn tool_list<'r, 'a>(
    tools: &'r [ToolParam<'a>],
    turns: &[RequestTurn<'a>],
    dropped: &mut Dropped,
) -> Vec<ToolEntry<'r, 'a>> {
    let declared = tools.iter().enumerate().map(|(at, tool)| ToolEntry {
        tool: Definition::Declared(tool),
        defined_at: DefinedAt::Tools(at),
        is_removed: false,
        is_added: false,
    });
    let mut list: Vec<_> = declared.collect();
    for (turn, blocks) in turns.iter().enumerate().filter_map(|(at, turn)| Some((at, changes_in(turn)?))) {
        for (at, block) in blocks.iter().enumerate() {
            let is_known = match block.kind() {
                "tool_addition" => add(block, BlockPath { turn, at }, &mut list),
                "tool_removal" => remove(block, &mut list),
                _ => true,
            };
            if !is_known {
                dropped.note(format_args!("messages.{turn}.content.{at} ({})", block.kind()));
            }
        }
    }
    list.retain(|entry| !entry.is_removed);
    list
}

fn changes_in<'t, 'a>(turn: &'t RequestTurn<'a>) -> Option<&'t [ContentBlock<'a>]> {
    match (&turn.content, turn.role) {
        (MessagesContent::Blocks(blocks), TurnRole::System) => Some(blocks),
        (MessagesContent::Blocks(_) | MessagesContent::Text(_), _) => None,
    }
}

/// Whether the change was possible. Tools of MCP servers run at Anthropic and cannot be added.
fn add<'a>(block: &ContentBlock<'a>, path: BlockPath, list: &mut Vec<ToolEntry<'_, 'a>>) -> bool {
    let Some(change) = change(block) else { return false };
    match change.r#type.as_ref().map_or("", JsonWord::as_str) {
        "tool_definition" => {
            let definition =
                change.definition.and_then(|raw| serde_json::from_str::<ToolParam<'a>>(raw.get()).ok());
            let Some(tool) = definition else { return false };
            // A new definition replaces an old one.
            if let Some(name) = tool.name {
                named(name, list).for_each(|entry| entry.is_removed = true);
            }
            let tool = Definition::Inline(Box::new(tool));
            list.push(ToolEntry {
                tool,
                defined_at: DefinedAt::Block(path),
                is_removed: false,
                is_added: true,
            });
            true
        }
        "tool_reference" => change.name.is_some_and(|name| {
            // The last definition counts.
            let entry = named(name, list).last();
            entry.map(|entry| (entry.is_removed, entry.is_added) = (false, true)).is_some()
        }),
        _ => false,
    }
}

/// Whether the change was possible. A removal without effect is reported, because the client may mean a tool that remains.
fn remove<'a>(block: &ContentBlock<'a>, list: &mut [ToolEntry<'_, 'a>]) -> bool {
    let Some(change) = change(block) else { return false };
    match (change.r#type.as_ref().map_or("", JsonWord::as_str), change.name) {
        ("tool_reference", Some(name)) => named(name, list).map(|entry| entry.is_removed = true).count() > 0,
        _ => false,
    }
}

fn change<'a>(block: &ContentBlock<'a>) -> Option<ToolChange<'a>> {
    serde_json::from_str(block.tool?.get()).ok()
}

fn named<'l, 'r, 'a>(
    name: Literal<'a>,
    list: &'l mut [ToolEntry<'r, 'a>],
) -> impl Iterator<Item = &'l mut ToolEntry<'r, 'a>> {
    let decoded = name.decode();
    list.iter_mut().filter(move |entry| {
        let own = entry.tool().name;
        own.is_some_and(|own| decoded.as_deref().map_or(own.inner() == name.inner(), |name| own.is(name)))
    })
}
