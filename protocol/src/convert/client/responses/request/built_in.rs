//! OpenAI's built-in tools that the client runs, as functions.
//!
//! The arguments of each function are the object that the call's item has: `action` of a shell's call, `operation` of
//! `apply_patch`.

use crate::convert::client::responses::context::ToolKind;

/// A tool that the client runs, which OpenAI's models know without a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltInTool {
    LocalShell,
    Shell,
    ApplyPatch,
}

const LOCAL_SHELL_SCHEMA: &str = r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string","description":"The directory in which it runs."},"timeout_ms":{"type":"integer","description":"Milliseconds after which it is stopped."},"env":{"type":"object","additionalProperties":{"type":"string"},"description":"Environment variables to set."}},"required":["command"]}"#;
const SHELL_SCHEMA: &str = r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"The command lines."},"timeout_ms":{"type":"integer","description":"Milliseconds after which a command is stopped."},"max_output_length":{"type":"integer","description":"The number of characters of output to return."}},"required":["commands"]}"#;
const APPLY_PATCH_SCHEMA: &str = r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string","description":"The path of the file, relative to the workspace."},"diff":{"type":"string","description":"For create_file: the lines of the file, each with + before it. For update_file: the changes, each beginning with a line @@ that may name the surrounding function or class; then lines with a space before them for context, - for removed and + for added lines. Three lines of context before and after a change are enough. Not for delete_file."}},"required":["type","path"]}"#;

impl BuiltInTool {
    const ALL: [Self; 3] = [Self::LocalShell, Self::Shell, Self::ApplyPatch];

    /// The tool of this type.
    pub(super) fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.kind() == kind)
    }

    /// The type of the tool, and the name of its function.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::LocalShell => "local_shell",
            Self::Shell => "shell",
            Self::ApplyPatch => "apply_patch",
        }
    }

    /// What the function does.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::LocalShell => "Runs a program on the user's machine and returns its output.",
            Self::Shell => {
                "Runs shell commands on the user's machine and returns the output and the exit code of each. Commands of \
                 one call may run at the same time."
            }
            Self::ApplyPatch => "Creates, changes or deletes one file.",
        }
    }

    /// The schema of the function.
    pub(super) fn schema(self) -> &'static str {
        match self {
            Self::LocalShell => LOCAL_SHELL_SCHEMA,
            Self::Shell => SHELL_SCHEMA,
            Self::ApplyPatch => APPLY_PATCH_SCHEMA,
        }
    }

    /// What the reply must know of it.
    pub(super) fn tool_kind(self) -> ToolKind {
        match self {
            Self::LocalShell => ToolKind::LocalShell,
            Self::Shell => ToolKind::Shell,
            Self::ApplyPatch => ToolKind::ApplyPatch,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_schema_is_an_object_that_has_what_it_requires() {
        for tool in BuiltInTool::ALL {
            let schema: Value = serde_json::from_str(tool.schema()).unwrap();
            assert_eq!(schema["type"], "object");
            let required = schema["required"].as_array().unwrap();
            assert!(required.iter().all(|name| schema["properties"].get(name.as_str().unwrap()).is_some()));
            assert_eq!(BuiltInTool::from_kind(tool.kind()), Some(tool));
        }
        assert_eq!(BuiltInTool::from_kind("code_interpreter"), None);
    }
}
