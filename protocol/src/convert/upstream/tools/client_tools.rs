//! Tools that Anthropic has defined and the client runs: the model knows them without a schema, other models do not.
//!
//! Sources: platform.claude.com/docs/en/agents-and-tools/tool-use (bash, text editor, computer use, memory).

use crate::{anthropic::request::ToolParam, json::Write};

/// The description of such a tool for other models.
pub(crate) struct ClientTool {
    /// The name that the API fixes.
    pub(crate) name: &'static str,
    description: &'static str,
    /// The schema of its input.
    schema: &'static str,
}

const BASH: ClientTool = ClientTool {
    name: "bash",
    description: "Runs a command in a shell that keeps its state between calls.",
    schema: r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},"restart":{"type":"boolean","description":"Start the shell anew instead."}}}"#,
};

const EDITOR: ClientTool = ClientTool {
    name: "str_replace_based_edit_tool",
    description: "Views, creates and edits text files.",
    schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string","description":"The file or directory."},"file_text":{"type":"string","description":"create: the whole content."},"old_str":{"type":"string","description":"str_replace: the text to be replaced, which must stand in the file exactly once."},"new_str":{"type":"string","description":"str_replace, insert: the new text."},"insert_line":{"type":"integer","description":"insert: the line after which the text goes, 0 for the start."},"insert_text":{"type":"string","description":"insert: the new text."},"view_range":{"type":"array","items":{"type":"integer"},"description":"view: first and last line, -1 for the end."}},"required":["command","path"]}"#,
};

const MEMORY: ClientTool = ClientTool {
    name: "memory",
    description: "Reads and writes files that outlast the conversation, below /memories.",
    schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"file_text":{"type":"string","description":"create: the whole content."},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string","description":"rename"},"new_path":{"type":"string","description":"rename"},"view_range":{"type":"array","items":{"type":"integer"}}},"required":["command"]}"#,
};

const COMPUTER: ClientTool = ClientTool {
    name: "computer",
    description: "Looks at a screen and uses its mouse and keyboard.",
    schema: r#"{"type":"object","properties":{"action":{"type":"string","enum":["screenshot","left_click","right_click","middle_click","double_click","triple_click","left_click_drag","left_mouse_down","left_mouse_up","mouse_move","cursor_position","scroll","type","key","hold_key","wait","zoom"]},"coordinate":{"type":"array","items":{"type":"integer"},"description":"x and y in pixels."},"start_coordinate":{"type":"array","items":{"type":"integer"}},"region":{"type":"array","items":{"type":"integer"},"description":"zoom: two corners."},"text":{"type":"string","description":"What to type, or the keys to press."},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"},"duration":{"type":"number","description":"Seconds."}},"required":["action"]}"#,
};

impl ClientTool {
    /// The client tool of this type (`bash_20250124`).
    pub(crate) fn lookup(tool: &ToolParam<'_>) -> Option<&'static Self> {
        let kind = tool.r#type.as_ref()?.as_str();
        let known =
            [("bash_", &BASH), ("text_editor_", &EDITOR), ("memory_", &MEMORY), ("computer_", &COMPUTER)];
        known.into_iter().find(|(prefix, _)| kind.starts_with(prefix)).map(|(_, tool)| tool)
    }

    /// Appends description and schema.
    pub(crate) fn write(&self, tool: &ToolParam<'_>, out: &mut Vec<u8>) {
        out.put(b",\"description\":\"");
        out.raw(self.description);
        if let (Some(width), Some(height)) = (tool.display_width_px, tool.display_height_px) {
            out.raw(" The screen has ");
            out.number(width);
            out.raw(" x ");
            out.number(height);
            out.raw(" pixels.");
        }
        out.put(b"\",\"parameters\":");
        out.raw(self.schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_json() {
        for tool in [&BASH, &EDITOR, &MEMORY, &COMPUTER] {
            let schema: serde_json::Value = serde_json::from_str(tool.schema).expect("JSON");
            assert_eq!(schema["type"], "object", "{}", tool.name);
        }
    }
}
