//! Converts tools and `tool_choice`.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::{
    ChatTurn, ChatUpstream, TurnRole,
    client_tools::ClientTool,
    hosted::{HostedTools, is_web_fetch, is_web_search},
    strict,
    tool_list::ToolEntry,
};
use crate::{
    anthropic::request::{ContentBlock, MessagesContent, ToolChoiceParam, ToolParam},
    convert::{
        Dropped,
        upstream::chat::{HostedSearch, names::Names},
    },
    fault::RequestError,
    json::{JsonWord, Literal, Write, trim},
    schema_fit,
};

/// The tools of a request, and what its upstream accepts.
pub(super) struct Toolbox<'r, 'a> {
    pub(super) tools: &'r [ToolEntry<'r, 'a>],
    pub(super) choice: Option<&'r ToolChoiceParam<'a>>,
    pub(super) turns: &'r [ChatTurn<'a>],
    pub(super) names: &'r Names,
    pub(super) target: &'r ChatUpstream<'r>,
    pub(super) hosted: &'r HostedTools<'r, 'a>,
}

/// Whether and how a tool is sent to the upstream.
enum ToolSupport {
    Function,
    Client(&'static ClientTool),
    /// The tool runs at Anthropic.
    Unsupported,
}

impl ToolSupport {
    fn from_tool(tool: &ToolParam<'_>) -> Self {
        if tool.r#type.as_ref().is_none_or(|kind| kind.as_str() == "custom") {
            return Self::Function;
        }
        ClientTool::lookup(tool).map_or(Self::Unsupported, Self::Client)
    }
}

/// The inner texts of all tool names in a request: in tools, calls and choices.
pub(super) fn all_names<'r, 'a>(
    tools: &'r [ToolEntry<'r, 'a>],
    turns: &'r [ChatTurn<'a>],
) -> impl Iterator<Item = &'a str> + Clone + use<'r, 'a> {
    // A listed tool without a name is omitted, but a call without a name needs one.
    let listed =
        tools.iter().filter_map(|entry| entry.tool().name).filter(|name| !trim(name.inner()).is_empty());
    let called = blocks(turns, TurnRole::Assistant)
        .filter(|block| block.kind() == "tool_use")
        .filter_map(|block| block.name);
    listed.chain(called).map(Literal::inner)
}

fn blocks<'r, 'a>(
    turns: &'r [ChatTurn<'a>],
    role: TurnRole,
) -> impl Iterator<Item = &'r ContentBlock<'a>> + Clone + use<'r, 'a> {
    turns.iter().filter(move |turn| turn.role == role).flat_map(|turn| match &turn.content {
        MessagesContent::Text(_) => &[],
        MessagesContent::Blocks(blocks) => &blocks[..],
    })
}

impl<'a> Toolbox<'_, 'a> {
    /// Appends `tools`, `tool_choice` and `parallel_tool_calls`, if there are tools that the upstream can call or runs itself. Other
    /// tools that run at Anthropic are omitted, and so is a choice that names one. A request for web tools only is refused if the
    /// upstream has no access to the web.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.refuse_web()?;
        self.hosted.write_members(dropped, out)?;
        let deferred = self.deferred();
        let (mut listed, mut functions) = (0, 0);
        for entry in self.tools {
            let tool = entry.tool();
            let support = ToolSupport::from_tool(tool);
            let name = match (&support, tool.name) {
                (ToolSupport::Unsupported, _) => {
                    if let Some(hosted) = self.hosted.entry(entry, dropped)? {
                        begin_entry(&mut listed, out);
                        out.put(&hosted);
                    }
                    continue;
                }
                (ToolSupport::Function, None) => {
                    return Err(RequestError::new(format!("{}.name: field required", entry.path())));
                }
                (ToolSupport::Function, Some(name)) if trim(name.inner()).is_empty() => continue,
                (ToolSupport::Function, Some(name)) => self.names.there(name),
                (ToolSupport::Client(_), Some(name)) if !trim(name.inner()).is_empty() => {
                    self.names.there(name)
                }
                (ToolSupport::Client(client), _) => client.name,
            };
            if !entry.is_added && tool.name.is_some_and(|name| deferred.contains(name.inner())) {
                continue;
            }
            begin_entry(&mut listed, out);
            functions += 1;
            out.put(b"{\"type\":\"function\",\"function\":{\"name\":");
            out.quoted(name);
            match support {
                ToolSupport::Client(client) => client.write(tool, out),
                ToolSupport::Function | ToolSupport::Unsupported => function(entry, out)?,
            }
            out.put(b"}}");
        }
        if listed == 0 {
            self.write_stubs(out);
            return Ok(());
        }
        out.put(b"]");
        // A choice among hosted tools alone is left to the model.
        let choice = self.choice.filter(|_| functions > 0);
        choice.map_or(Ok(()), |choice| self.write_choice(choice, out))
    }

    /// Refuses a request for web tools only, if the upstream has no access to the web: the model would invent results, and the client
    /// would present them as found.
    fn refuse_web(&self) -> Result<(), RequestError> {
        let chosen = self.choice.and_then(|choice| choice.name);
        let kind = self.choice.and_then(|choice| choice.r#type.as_ref()).map_or("", JsonWord::as_str);
        let is_alone = self
            .tools
            .iter()
            .all(|entry| matches!(ToolSupport::from_tool(entry.tool()), ToolSupport::Unsupported));
        let is_requested = |tool: &ToolParam<'_>| match kind {
            "none" => false,
            "tool" => tool.name.is_some_and(|own| chosen.is_some_and(|name| own.inner() == name.inner())),
            _ => is_alone,
        };
        let (searches, fetches) = (self.hosted.can_search(), self.hosted.can_fetch());
        let is_refused = |tool: &ToolParam<'_>| {
            (is_web_search(tool) && !searches) || (is_web_fetch(tool) && is_alone && !fetches)
        };
        let serves = searches && self.tools.iter().any(|entry| is_web_search(entry.tool()));
        let refused = self.tools.iter().find(|entry| is_refused(entry.tool()) && is_requested(entry.tool()));
        let Some(entry) = refused.filter(|_| !serves) else { return Ok(()) };
        let provider = self.target.provider;
        let form = self.target.dialect.web_search.as_ref();
        let (does, advice, service) = if is_web_search(entry.tool()) {
            let service = ", or name a search service in `by` of [web-search]";
            ("search the web", form.map_or("", HostedSearch::advice), service)
        } else {
            ("fetch web pages", "", "")
        };
        Err(RequestError::new(format!(
            "{}: provider '{provider}' cannot {does}{advice}; choose a model of a provider that can (anthropic, openrouter), or set \
             web-search in [{provider}] if it searches by itself{service}",
            entry.path(),
        )))
    }

    /// The names (inner texts) of deferred tools that no tool search has found. With a tool search that runs at Anthropic, none is
    /// deferred, because the search cannot run.
    fn deferred(&self) -> HashSet<&'a str> {
        let tools = || self.tools.iter().map(ToolEntry::tool);
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
        let called = blocks(self.turns, TurnRole::Assistant).filter_map(|block| block.name);
        let forced = self.choice.and_then(|choice| choice.name);
        for name in called.chain(forced) {
            deferred.remove(name.inner());
        }
        for result in blocks(self.turns, TurnRole::User).filter_map(|block| block.content) {
            for name in found(result) {
                deferred.remove(name.inner());
            }
        }
        deferred
    }

    /// Lists tools that only the history calls, because some upstreams refuse calls of unlisted tools. The model must not call them.
    fn write_stubs(&self, out: &mut Vec<u8>) {
        let mut listed = HashSet::new();
        let calls = blocks(self.turns, TurnRole::Assistant).filter(|block| block.kind() == "tool_use");
        for name in calls.filter_map(|block| block.name) {
            if !listed.insert(name.inner()) {
                continue;
            }
            out.raw(if listed.len() == 1 { ",\"tools\":[" } else { "," });
            out.put(b"{\"type\":\"function\",\"function\":{\"name\":");
            out.quoted(self.names.there(name));
            out.put(b",\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}");
        }
        if !listed.is_empty() {
            out.put(b"],\"tool_choice\":\"none\"");
        }
    }

    fn write_choice(&self, choice: &ToolChoiceParam<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        match choice.r#type.as_ref().map_or("", JsonWord::as_str) {
            // Some clients send an empty object.
            "" => {}
            "auto" => out.put(b",\"tool_choice\":\"auto\""),
            "any" => out.put(b",\"tool_choice\":\"required\""),
            "none" => out.put(b",\"tool_choice\":\"none\""),
            "tool" => self.force(choice, out)?,
            _ => return Err(RequestError::new("tool_choice.type: must be auto, any, tool or none")),
        }
        if choice.disable_parallel_tool_use == Some(true) {
            out.put(b",\"parallel_tool_calls\":false");
        }
        Ok(())
    }

    fn force(&self, choice: &ToolChoiceParam<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let name = choice.name.ok_or_else(|| RequestError::new("tool_choice.name: field required"))?;
        let decoded = name.decode();
        let is_it = |tool: &&ToolParam<'_>| {
            let given = tool.name.is_some_and(|tool| decoded.as_deref().is_some_and(|name| tool.is(name)));
            given || (tool.name.is_none() && ClientTool::lookup(tool).is_some_and(|tool| name.is(tool.name)))
        };
        let Some(tool) = self.tools.iter().map(ToolEntry::tool).find(is_it) else {
            return Err(RequestError::new("tool_choice.name: no tool in tools has this name"));
        };
        if let ToolSupport::Unsupported = ToolSupport::from_tool(tool) {
            return Ok(());
        }
        out.put(b",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
        out.quoted(self.names.there(tool.name.unwrap_or(name)));
        out.put(b"}}");
        Ok(())
    }
}

/// Appends what separates an entry of `tools` from the one before.
fn begin_entry(listed: &mut usize, out: &mut Vec<u8>) {
    out.raw(if *listed == 0 { ",\"tools\":[" } else { "," });
    *listed += 1;
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

fn function(entry: &ToolEntry<'_, '_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let tool = entry.tool();
    out.put(b",\"description\":");
    out.quoted(tool.description.map_or("", Literal::inner));
    out.put(b",\"parameters\":");
    let schema = match tool.input_schema {
        Some(schema) if schema.get().starts_with('{') => schema,
        Some(_) => {
            return Err(RequestError::new(format!("{}.input_schema: must be an object", entry.path())));
        }
        None => return Err(RequestError::new(format!("{}.input_schema: field required", entry.path()))),
    };
    let completed = schema_fit::completed(schema.get());
    let schema = completed.as_deref().unwrap_or(schema.get());
    out.raw(schema);
    if let Some(strict) = tool.strict {
        out.raw(if strict && strict::qualifies(schema) { ",\"strict\":true" } else { ",\"strict\":false" });
    }
    Ok(())
}
