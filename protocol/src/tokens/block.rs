//! The kinds of blocks of a request that count in ways of their own.

/// The kind of a block or an item.
#[derive(Default, Clone, Copy)]
pub(super) enum BlockKind {
    Image,
    Document,
    ToolUse,
    ToolResult,
    /// An item of the Responses API.
    Message,
    #[default]
    Other,
}

/// The form of a document in its source.
#[derive(Clone, Copy)]
pub(super) enum SourceKind {
    /// As plain text.
    Text,
    /// As blocks, which count in place.
    Blocks,
    Other,
}

/// The kind that a block's `type` names.
pub(super) fn kind(word: &str) -> BlockKind {
    match word {
        "image" | "image_url" | "input_image" => BlockKind::Image,
        "document" | "input_file" => BlockKind::Document,
        "message" => BlockKind::Message,
        // Items of the Responses API, such as `function_call` and `function_call_output`.
        _ if word.ends_with("call_output") || word == "tool_search_output" => BlockKind::ToolResult,
        _ if word.ends_with("_call") => BlockKind::ToolUse,
        // Includes the tools of servers and of MCP.
        _ if word.ends_with("tool_use") => BlockKind::ToolUse,
        _ if word.ends_with("tool_result") => BlockKind::ToolResult,
        _ => BlockKind::Other,
    }
}

/// The form that a source's `type` names.
pub(super) fn source_kind(word: &str) -> SourceKind {
    match word {
        "text" => SourceKind::Text,
        "content" => SourceKind::Blocks,
        _ => SourceKind::Other,
    }
}
