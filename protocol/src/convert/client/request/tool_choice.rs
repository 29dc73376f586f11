//! The client's choice among tools, as the Messages API has it.

use std::{borrow::Cow, collections::HashSet};

use crate::json::Write;

/// The value of `tool_choice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice<'a> {
    /// The client sets none.
    Open,
    Auto,
    None,
    Any,
    /// The tool of this name; inner text.
    Tool(&'a str),
}

impl ToolChoice<'_> {
    /// Appends `tool_choice`. `parallel` is whether several calls at once are allowed, if the client says so.
    pub(crate) fn write(self, parallel: Option<bool>, out: &mut Vec<u8>) {
        let alone = parallel == Some(false);
        match self {
            Self::Open if !alone => return,
            Self::Open | Self::Auto => out.put(b",\"tool_choice\":{\"type\":\"auto\""),
            Self::None => {
                out.put(b",\"tool_choice\":{\"type\":\"none\"}");
                return;
            }
            Self::Any => out.put(b",\"tool_choice\":{\"type\":\"any\""),
            Self::Tool(name) => {
                out.put(b",\"tool_choice\":{\"type\":\"tool\",\"name\":");
                out.quoted(name);
            }
        }
        out.raw(if alone { ",\"disable_parallel_tool_use\":true}" } else { "}" });
    }
}

/// Appends tools for a request that has none, if its history has calls: Anthropic refuses these otherwise. `called` are the
/// names of the calls.
pub(crate) fn write_stand_ins(called: &[Cow<'_, str>], out: &mut Vec<u8>) {
    let mut separator = ",\"tools\":[{\"name\":";
    let mut written = HashSet::new();
    for name in called.iter().filter(|name| written.insert(&***name)) {
        out.raw(separator);
        out.quoted(name);
        out.put(b",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}");
        separator = ",{\"name\":";
    }
    if !called.is_empty() {
        out.put(b"],\"tool_choice\":{\"type\":\"none\"}");
    }
}
