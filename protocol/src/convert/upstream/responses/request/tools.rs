//! Writes tools and `tool_choice`.

use super::{super::ResponsesUpstream, hosted::HostedSearchTool, members};
use crate::{
    anthropic::request::ToolChoiceParam,
    convert::{
        Dropped,
        upstream::{
            conversation::RequestTurn,
            names::Names,
            strict,
            tools::{ToolEntry, ToolSupport, callable_name, deferred, find_chosen, function_schema},
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
    pub(super) target: &'r ResponsesUpstream<'r>,
    pub(super) hosted: &'r HostedSearchTool<'r, 'a>,
}

impl Toolbox<'_, '_> {
    /// Appends `tools`, `tool_choice` and `parallel_tool_calls`, if there are tools that the upstream can call or runs itself. Other
    /// tools that run at Anthropic are omitted, and so is a choice that names one.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let deferred = deferred(self.tools, self.choice, self.turns);
        let mut listed = 0;
        for entry in self.tools {
            let tool = entry.tool();
            if let ToolSupport::Unsupported = ToolSupport::from_tool(tool) {
                if let Some(hosted) = self.hosted.entry(entry, dropped) {
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
            write_function(entry, name, out)?;
        }
        if listed == 0 {
            return Ok(());
        }
        out.put(b"]");
        if let Some(choice) = self.choice {
            self.write_choice(choice, listed, out)?;
        }
        self.write_parallel(out);
        Ok(())
    }

    fn write_choice(
        &self,
        choice: &ToolChoiceParam<'_>,
        listed: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        match choice.r#type.as_ref().map_or("", JsonWord::as_str) {
            // Some clients send an empty object.
            "" => {}
            "auto" => out.put(b",\"tool_choice\":\"auto\""),
            "any" => out.put(b",\"tool_choice\":\"required\""),
            "none" => out.put(b",\"tool_choice\":\"none\""),
            "tool" => self.force(choice, listed, out)?,
            _ => return Err(RequestError::new("tool_choice.type: must be auto, any, tool or none")),
        }
        Ok(())
    }

    /// `listed` is the number of tools that were written.
    fn force(
        &self,
        choice: &ToolChoiceParam<'_>,
        listed: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let (tool, name) = find_chosen(self.tools, choice)?;
        match ToolSupport::from_tool(tool) {
            ToolSupport::Function | ToolSupport::Client(_) => {
                out.put(b",\"tool_choice\":{\"type\":\"function\",\"name\":");
                out.quoted(self.names.there(tool.name.unwrap_or(name)));
                out.put(b"}");
            }
            ToolSupport::Unsupported if !self.hosted.is_chosen(tool) => {}
            ToolSupport::Unsupported if listed == 1 => {
                out.put(b",\"tool_choice\":\"required\"");
            }
            ToolSupport::Unsupported => {
                // The API has no choice of this tool alone, but one among some of the tools.
                out.put(b",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"web_search\"}]}");
            }
        }
        Ok(())
    }

    fn write_parallel(&self, out: &mut Vec<u8>) {
        let own = self.target.members.map(|members| members::parallel_tool_calls(members));
        let forbids = self.choice.is_some_and(|choice| choice.disable_parallel_tool_use == Some(true));
        let value = own.unwrap_or(forbids.then_some("false"));
        if let Some(value) = value {
            out.put(b",\"parallel_tool_calls\":");
            out.raw(value);
        }
    }
}

/// Appends what separates an entry of `tools` from the one before.
fn begin_entry(listed: &mut usize, out: &mut Vec<u8>) {
    out.raw(if *listed == 0 { ",\"tools\":[" } else { "," });
    *listed += 1;
}

/// The API takes a function without `strict` for a strict one, so it is always set.
fn write_function(entry: &ToolEntry<'_, '_>, name: &str, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let tool = entry.tool();
    out.put(b"{\"type\":\"function\",\"name\":");
    out.quoted(name);
    let is_strict = match ToolSupport::from_tool(tool) {
        ToolSupport::Client(client) => {
            client.write(tool, out);
            false
        }
        ToolSupport::Function | ToolSupport::Unsupported => {
            let schema = function_schema(entry)?;
            out.put(b",\"description\":");
            out.quoted(tool.description.map_or("", Literal::inner));
            out.put(b",\"parameters\":");
            out.raw(&schema);
            tool.strict == Some(true) && strict::qualifies(&schema)
        }
    };
    out.raw(if is_strict { ",\"strict\":true}" } else { ",\"strict\":false}" });
    Ok(())
}
