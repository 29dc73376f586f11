//! The items of `input`, as what they are in a conversation of the Messages API.

use std::{borrow::Cow, collections::HashMap};

use super::{
    built_in::BuiltInTool, hosted_calls, reasoning::Thought, tool_names::ToolNames, tools::names_in,
};
use crate::{
    compaction,
    convert::{
        Dropped,
        client::{
            request::{
                blocks::is_word,
                pairing::{Answered, Input, Made},
            },
            responses::MessagesTarget,
        },
    },
    fault::RequestError,
    json::{self, JsonWord, Literal},
    openai::responses_request::{InputContent, InputItem, parse_at},
};

/// One item of the conversation.
pub(super) struct Entry<'a> {
    /// Its index in `input`.
    pub(super) at: usize,
    pub(super) content: EntryContent<'a>,
}

impl<'a> Entry<'a> {
    /// The output, if it is one.
    pub(super) fn output(&self) -> Option<&ToolOutput<'a>> {
        if let EntryContent::Result(output) = &self.content { Some(output) } else { None }
    }

    pub(super) fn is_system(&self) -> bool {
        matches!(self.content, EntryContent::System(_))
    }

    /// Whether the assistant said or did it.
    pub(super) fn is_assistant(&self) -> bool {
        match &self.content {
            EntryContent::Assistant(_)
            | EntryContent::Thought(_)
            | EntryContent::Call(_)
            | EntryContent::Acted(_) => true,
            EntryContent::System(_)
            | EntryContent::User(_)
            | EntryContent::Result(_)
            | EntryContent::Drawn(_)
            | EntryContent::Summary(_) => false,
        }
    }
}

/// What an item is.
pub(super) enum EntryContent<'a> {
    System(InputContent<'a>),
    User(InputContent<'a>),
    Assistant(InputContent<'a>),
    Thought(Thought),
    Call(Made<'a>),
    Result(ToolOutput<'a>),
    /// Text of the assistant that an action of OpenAI's servers stands for; inner text.
    Acted(String),
    /// An image that the assistant made, as a data URL; inner text.
    Drawn(String),
    /// A summary of the conversation with its introduction; inner text.
    Summary(String),
}

/// The output of a call.
pub(super) struct ToolOutput<'a> {
    pub(super) answered: Option<Answered<'a>>,
    pub(super) content: OutputContent<'a>,
    pub(super) state: OutputState,
}

pub(super) enum OutputContent<'a> {
    Given(InputContent<'a>),
    /// Inner text.
    Text(String),
}

/// Whether a tool did what it was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputState {
    Done,
    Failed,
}

/// Reads items.
pub(super) struct ItemReader<'r, 'a> {
    target: &'r MessagesTarget<'r>,
    names: &'r ToolNames,
    dropped: &'r mut Dropped,
    /// The calls of local shells by the ids of their items: outputs may name the item.
    local_shells: HashMap<&'a str, Literal<'a>>,
}

impl<'r, 'a> ItemReader<'r, 'a> {
    /// Names what it leaves out in `dropped`.
    pub(super) fn new(
        target: &'r MessagesTarget<'r>,
        names: &'r ToolNames,
        dropped: &'r mut Dropped,
    ) -> Self {
        Self { target, names, dropped, local_shells: HashMap::new() }
    }

    /// The entry of an item; `None` if it says nothing to a model.
    pub(super) fn read(
        &mut self,
        at: usize,
        item: &InputItem<'a>,
    ) -> Result<Option<Entry<'a>>, RequestError> {
        let content = match item.kind() {
            "message" => Some(message(at, item)?),
            "reasoning" => self.thought(item),
            "compaction" | "compaction_summary" => Some(compacted(at, item)?),
            "image_generation_call" => drawn(item).or_else(|| self.leave_out(at, item)),
            "web_search_call" | "mcp_list_tools" | "mcp_approval_request" | "mcp_approval_response" => {
                self.leave_out(at, item)
            }
            // They were read before.
            "additional_tools" | "configuration_update" => None,
            "tool_search_call" | "tool_search_output" if is_hosted_search(item) => None,
            kind => match self.call(at, kind, item)? {
                Some(content) => Some(content),
                None => match hosted_calls::as_text(item) {
                    Some(text) => Some(EntryContent::Acted(text)),
                    None => return Err(unsupported(at, item)),
                },
            },
        };
        Ok(content.map(|content| Entry { at, content }))
    }

    fn thought(&mut self, item: &InputItem<'_>) -> Option<EntryContent<'a>> {
        let thought = Thought::read(item, self.target);
        if thought.is_none() {
            self.dropped.note("input (reasoning of another model)");
        }
        thought.map(EntryContent::Thought)
    }

    fn leave_out(&mut self, at: usize, item: &InputItem<'_>) -> Option<EntryContent<'a>> {
        self.dropped.note(format_args!("input.{at} ({})", item.kind()));
        None
    }

    /// A call of a tool that the client runs, or the output of one; `None` if the item is neither.
    fn call(
        &mut self,
        at: usize,
        kind: &str,
        item: &InputItem<'a>,
    ) -> Result<Option<EntryContent<'a>>, RequestError> {
        let (name, input) = match kind {
            "function_call" => {
                (self.names.upstream(item.namespace, name(at, item)?), Input::Arguments(item.arguments))
            }
            "custom_tool_call" => {
                (self.names.upstream(item.namespace, name(at, item)?), Input::Text(item.input))
            }
            "tool_search_call" => {
                (self.names.upstream_built_in("tool_search"), Input::Arguments(item.arguments))
            }
            "local_shell_call" => (self.built_in(BuiltInTool::LocalShell), Input::Arguments(item.action)),
            "shell_call" => (self.built_in(BuiltInTool::Shell), Input::Arguments(item.action)),
            "apply_patch_call" => (self.built_in(BuiltInTool::ApplyPatch), Input::Arguments(item.operation)),
            "computer_call" => (Cow::Borrowed("computer"), Input::Arguments(item.action.or(item.actions))),
            _ => return self.output(at, kind, item),
        };
        if let (Some(id), Some(call_id), "local_shell_call") = (item.id, item.call_id, kind) {
            self.local_shells.insert(id.inner(), call_id);
        }
        Ok(Some(EntryContent::Call(Made { id: item.call_id.or(item.id), name, input })))
    }

    fn built_in(&self, tool: BuiltInTool) -> Cow<'static, str> {
        self.names.upstream_built_in(tool.kind())
    }

    fn output(
        &self,
        at: usize,
        kind: &str,
        item: &InputItem<'a>,
    ) -> Result<Option<EntryContent<'a>>, RequestError> {
        let content = match kind {
            "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "apply_patch_call_output" => {
                OutputContent::Given(InputContent::read(item.output, format_args!("input.{at}.output"))?)
            }
            // A list of what each command has written; models read the JSON.
            "shell_call_output" => OutputContent::Given(match item.output {
                Some(raw) if Literal::of(raw).is_none() => InputContent::Other(raw),
                raw => InputContent::read(raw, format_args!("input.{at}.output"))?,
            }),
            "computer_call_output" => OutputContent::Given(screenshot(at, item)?),
            "tool_search_output" => OutputContent::Text(self.found(item)),
            _ => return Ok(None),
        };
        let named = item.call_id.or_else(|| {
            let call = self.local_shells.get(item.id?.inner()).copied();
            if kind == "local_shell_call_output" { call.or(item.id) } else { None }
        });
        let is_failed = item.status.is_some_and(|status| status.get() == "\"failed\"");
        Ok(Some(EntryContent::Result(ToolOutput {
            answered: Some(named.map_or(Answered::Next, Answered::Id)),
            content,
            state: if is_failed { OutputState::Failed } else { OutputState::Done },
        })))
    }

    /// The names of the tools that a search has made available; inner text.
    fn found(&self, item: &InputItem<'_>) -> String {
        let names = names_in(item.tools, self.names);
        if names.is_empty() {
            return "No tools were found.".to_owned();
        }
        format!("These tools are available now: {}", names.join(", "))
    }
}

fn is_hosted_search(item: &InputItem<'_>) -> bool {
    item.execution.as_ref().is_some_and(|word| word.as_str() == "server")
}

fn message<'a>(at: usize, item: &InputItem<'a>) -> Result<EntryContent<'a>, RequestError> {
    let content = InputContent::read(item.content, format_args!("input.{at}.content"))?;
    if let InputContent::Other(_) = content {
        let message = format!("input.{at}.content: must be a string or an array of content parts");
        return Err(RequestError::new(message));
    }
    match item.role.as_ref().map(JsonWord::as_str) {
        Some("system" | "developer") => Ok(EntryContent::System(content)),
        Some("user") => Ok(EntryContent::User(content)),
        Some("assistant") => Ok(EntryContent::Assistant(content)),
        Some(_) => {
            Err(RequestError::new(format!("input.{at}.role: must be user, assistant, system or developer")))
        }
        None => Err(RequestError::new(format!("input.{at}.role: field required"))),
    }
}

fn compacted<'a>(at: usize, item: &InputItem<'a>) -> Result<EntryContent<'a>, RequestError> {
    let sealed = item.encrypted_content.and_then(Literal::decode);
    let summary = sealed.and_then(|sealed| compaction::open(&sealed));
    let summary = summary.ok_or_else(|| {
        RequestError::new(format!(
            "input.{at}.encrypted_content: this summary is from another provider, which alone can read it; send the \
             history itself, or compact it with this provider"
        ))
    })?;
    Ok(EntryContent::Summary(json::escape_text(&compaction::introduced(&summary))))
}

fn drawn<'a>(item: &InputItem<'a>) -> Option<EntryContent<'a>> {
    let data = item.result.and_then(Literal::of).map(Literal::inner).filter(|data| !data.is_empty())?;
    let format = item.output_format.as_ref().map_or("png", JsonWord::as_str);
    let is_known = matches!(format, "png" | "jpeg" | "webp" | "gif");
    is_known.then(|| EntryContent::Drawn(format!("data:image/{format};base64,{data}")))
}

/// The screenshot in a computer's output, which is a part and no list.
fn screenshot<'a>(at: usize, item: &InputItem<'a>) -> Result<InputContent<'a>, RequestError> {
    let path = format!("input.{at}.output");
    match item.output {
        Some(raw) if raw.get().starts_with('{') => Ok(InputContent::Parts(vec![parse_at(raw, path)?])),
        raw => InputContent::read(raw, path),
    }
}

fn name<'a>(at: usize, item: &InputItem<'a>) -> Result<Literal<'a>, RequestError> {
    let name = item.name.filter(|name| !name.inner().is_empty());
    name.ok_or_else(|| RequestError::new(format!("input.{at}.name: field required")))
}

/// The refusal of an item whose loss would change the conversation.
fn unsupported(at: usize, item: &InputItem<'_>) -> RequestError {
    RequestError::new(match item.kind() {
        "" => format!("input.{at}.type: field required"),
        "item_reference" => format!(
            "input.{at}: item_reference needs a server that keeps items; send the item itself, with store: false"
        ),
        "compaction_trigger" => format!(
            "input.{at}: compaction_trigger is not supported by this provider; compact with POST /v1/responses/compact"
        ),
        kind if is_word(kind) => {
            format!("input.{at}.type: items of the type {kind} are not supported by this provider")
        }
        _ => format!("input.{at}.type: no item has this type"),
    })
}
