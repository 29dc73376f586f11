//! Converts tools and `tool_choice`.

use std::collections::HashSet;

use super::{ChatUpstream, hosted::HostedTools};
use crate::{
    anthropic::request::ToolChoiceParam,
    convert::{
        Dropped,
        upstream::{
            conversation::{RequestTurn, TurnRole},
            hosted_search::HostedSearch,
            names::Names,
            strict,
            tools::{
                ToolEntry, ToolSupport, WebAccess, callable_name, deferred, find_chosen, function_schema,
            },
        },
    },
    fault::RequestError,
    json::{JsonWord, Literal, Write},
};

/// The tools of a request, and what its upstream accepts.
pub(super) struct Toolbox<'r, 'a> {
    pub(super) tools: &'r [ToolEntry<'r, 'a>],
    pub(super) choice: Option<&'r ToolChoiceParam<'a>>,
    pub(super) turns: &'r [RequestTurn<'a>],
    pub(super) names: &'r Names,
    pub(super) target: &'r ChatUpstream<'r>,
    pub(super) hosted: &'r HostedTools<'r, 'a>,
}

impl<'a> Toolbox<'_, 'a> {
    /// Appends `tools`, `tool_choice` and `parallel_tool_calls`, if there are tools that the upstream can call or runs itself. Other
    /// tools that run at Anthropic are omitted, and so is a choice that names one. A request for web tools only is refused if the
    /// upstream has no access to the web.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.refuse_web()?;
        self.hosted.write_members(dropped, out)?;
        let deferred = deferred(self.tools, self.choice, self.turns);
        let (mut listed, mut functions) = (0, 0);
        for entry in self.tools {
            let tool = entry.tool();
            let support = ToolSupport::from_tool(tool);
            if let ToolSupport::Unsupported = support {
                if let Some(hosted) = self.hosted.entry(entry, dropped)? {
                    begin_entry(&mut listed, out);
                    out.put(&hosted);
                }
                continue;
            }
            let Some(name) = callable_name(entry, self.names)? else { continue };
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

    /// Refuses a search or a fetch that nobody would make.
    fn refuse_web(&self) -> Result<(), RequestError> {
        let access = WebAccess {
            provider: self.target.provider,
            searches: self.hosted.can_search(),
            fetches: self.hosted.can_fetch(),
            advice: self.target.dialect.web_search.as_ref().map_or("", HostedSearch::advice),
        };
        access.check(self.tools, self.choice)
    }

    /// Lists tools that only the history calls, because some upstreams refuse calls of unlisted tools. The model must not call them.
    fn write_stubs(&self, out: &mut Vec<u8>) {
        let mut listed = HashSet::new();
        let calls =
            self.turns.iter().filter(|turn| turn.role == TurnRole::Assistant).flat_map(RequestTurn::blocks);
        let calls = calls.filter(|block| block.kind() == "tool_use");
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
        let (tool, name) = find_chosen(self.tools, choice)?;
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

fn function(entry: &ToolEntry<'_, '_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let tool = entry.tool();
    out.put(b",\"description\":");
    out.quoted(tool.description.map_or("", Literal::inner));
    out.put(b",\"parameters\":");
    let schema = function_schema(entry)?;
    out.raw(&schema);
    if let Some(strict) = tool.strict {
        out.raw(if strict && strict::qualifies(&schema) { ",\"strict\":true" } else { ",\"strict\":false" });
    }
    Ok(())
}
