//! Tools and the choice among them.

use crate::{
    anthropic::request::{Tool, ToolChoice},
    bridge::RequestError,
    json::{Literal, Word, Write, trim},
};

/// Appends `tools`, `tool_choice` and `parallel_tool_calls`, as far as there are tools that the upstream can call.
/// Tools that run at Anthropic are left out, together with a choice that names one.
pub(super) fn write(
    tools: &[Tool<'_>],
    choice: Option<&ToolChoice<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let mut kept = 0;
    for (at, tool) in tools.iter().enumerate().filter(|(_, tool)| is_function(tool)) {
        let Some(name) = tool.name else {
            return Err(RequestError::new(format!("tools.{at}.name: field required")));
        };
        if trim(name.inner()).is_empty() {
            continue;
        }
        out.raw(if kept == 0 { ",\"tools\":[" } else { "," });
        kept += 1;
        function(tool, name, at, out)?;
    }
    if kept == 0 {
        return Ok(());
    }
    out.put(b"]");
    choice.map_or(Ok(()), |choice| write_choice(choice, tools, out))
}

fn is_function(tool: &Tool<'_>) -> bool {
    tool.r#type.as_ref().is_none_or(|kind| kind.as_str() == "custom")
}

fn function(tool: &Tool<'_>, name: Literal<'_>, at: usize, out: &mut Vec<u8>) -> Result<(), RequestError> {
    out.put(b"{\"type\":\"function\",\"function\":{\"name\":");
    out.quoted(name.inner());
    out.put(b",\"description\":");
    out.quoted(tool.description.map_or("", Literal::inner));
    out.put(b",\"parameters\":");
    match tool.input_schema.map(|schema| schema.get()) {
        Some(schema) if schema.starts_with('{') => out.raw(schema),
        Some(_) => return Err(RequestError::new(format!("tools.{at}.input_schema: must be an object"))),
        None => return Err(RequestError::new(format!("tools.{at}.input_schema: field required"))),
    }
    if let Some(strict) = tool.strict {
        out.raw(if strict { ",\"strict\":true" } else { ",\"strict\":false" });
    }
    out.put(b"}}");
    Ok(())
}

fn write_choice(choice: &ToolChoice<'_>, tools: &[Tool<'_>], out: &mut Vec<u8>) -> Result<(), RequestError> {
    match choice.r#type.as_ref().map_or("", Word::as_str) {
        // Some clients send an empty object.
        "" => {}
        "auto" => out.put(b",\"tool_choice\":\"auto\""),
        "any" => out.put(b",\"tool_choice\":\"required\""),
        "none" => out.put(b",\"tool_choice\":\"none\""),
        "tool" => forced(choice, tools, out)?,
        _ => return Err(RequestError::new("tool_choice.type: must be auto, any, tool or none")),
    }
    if choice.disable_parallel_tool_use == Some(true) {
        out.put(b",\"parallel_tool_calls\":false");
    }
    Ok(())
}

fn forced(choice: &ToolChoice<'_>, tools: &[Tool<'_>], out: &mut Vec<u8>) -> Result<(), RequestError> {
    let name = choice.name.ok_or_else(|| RequestError::new("tool_choice.name: field required"))?;
    let decoded = name.decode();
    let is_it =
        |tool: &&Tool<'_>| tool.name.is_some_and(|tool| decoded.as_deref().is_some_and(|name| tool.is(name)));
    match tools.iter().find(is_it) {
        Some(tool) if is_function(tool) => {
            out.put(b",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
            out.quoted(name.inner());
            out.put(b"}}");
            Ok(())
        }
        Some(_) => Ok(()),
        None => Err(RequestError::new("tool_choice.name: no tool in tools has this name")),
    }
}
