//! A call of a tool as the client gets it: as the kind of call that its tool has.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ItemText;
use crate::{
    anthropic::writer::tool_input,
    convert::client::{custom::CustomInput, responses::context::ToolKind},
    json::{self, RawMembers, Write},
};

/// A call that the client runs.
pub(super) struct Call {
    pub(super) kind: CallKind,
    /// The client's id; it answers to it.
    pub(super) call_id: String,
    /// The upstream's name of the tool, inner text.
    pub(super) name: String,
    /// The arguments, or the input of a custom tool, so far; inner text.
    pub(super) arguments: String,
    /// The input that came with the beginning, inner text. It counts if no arguments follow.
    given: Option<String>,
    custom: Option<CustomInput>,
}

/// What the call is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Function,
    Tool(ToolKind),
}

impl Call {
    /// A call that begins. `name` is inner text; `input` is raw JSON, if the beginning carries it.
    pub(super) fn new(kind: CallKind, call_id: String, name: &str, input: Option<&str>) -> Self {
        let custom = match kind {
            CallKind::Tool(ToolKind::Custom | ToolKind::NamespacedCustom { .. }) => {
                Some(CustomInput::default())
            }
            CallKind::Function | CallKind::Tool(_) => None,
        };
        let given = input.map(json::escape_text);
        Self { kind, call_id, name: name.to_owned(), arguments: String::new(), given, custom }
    }

    /// Takes a piece of the arguments. Returns the piece for the client; both inner text.
    pub(super) fn push<'p>(&mut self, piece: &'p str) -> Cow<'p, str> {
        self.given = None;
        let piece = match &mut self.custom {
            Some(custom) => Cow::Owned(custom.push(piece)),
            None => Cow::Borrowed(piece),
        };
        self.arguments.push_str(&piece);
        piece
    }

    /// The call is over. Returns the missing rest, inner text.
    pub(super) fn finish(&mut self) -> String {
        let given = self.given.take();
        let rest = match &mut self.custom {
            Some(custom) => {
                let mut rest = given.map(|input| custom.push(&input)).unwrap_or_default();
                rest.push_str(&custom.finish());
                rest
            }
            // Clients parse the arguments.
            None if self.arguments.is_empty() => given.unwrap_or_else(|| "{}".to_owned()),
            None => String::new(),
        };
        self.arguments.push_str(&rest);
        rest
    }

    /// The text that streams, if the call has one: others have an object, which is complete at the end.
    pub(super) fn streamed_text(&self) -> Option<ItemText> {
        match &self.kind {
            CallKind::Function | CallKind::Tool(ToolKind::Namespaced { .. }) => Some(ItemText::Arguments),
            CallKind::Tool(ToolKind::Custom | ToolKind::NamespacedCustom { .. }) => Some(ItemText::Input),
            CallKind::Tool(
                ToolKind::ToolSearch | ToolKind::LocalShell | ToolKind::Shell | ToolKind::ApplyPatch,
            ) => None,
        }
    }

    /// The prefix of the item's id.
    pub(super) fn id_prefix(&self) -> &'static str {
        match &self.kind {
            CallKind::Function | CallKind::Tool(ToolKind::Namespaced { .. }) => "fc_",
            CallKind::Tool(ToolKind::Custom | ToolKind::NamespacedCustom { .. }) => "ctc_",
            CallKind::Tool(ToolKind::ToolSearch) => "tsc_",
            CallKind::Tool(ToolKind::LocalShell) => "lsh_",
            CallKind::Tool(ToolKind::Shell) => "sh_",
            CallKind::Tool(ToolKind::ApplyPatch) => "apc_",
        }
    }

    /// Appends the item behind its id.
    pub(super) fn write(&self, status: &str, out: &mut impl Write) {
        out.put(b"\",\"type\":\"");
        out.raw(self.type_name());
        out.put(b"\",\"status\":\"");
        // The API knows no incomplete patch.
        let is_patch = self.kind == CallKind::Tool(ToolKind::ApplyPatch);
        out.raw(if is_patch && status == "incomplete" { "in_progress" } else { status });
        out.put(b"\",\"call_id\":");
        out.string(&self.call_id);
        match &self.kind {
            CallKind::Function => self.write_text(b",\"arguments\":", out),
            CallKind::Tool(ToolKind::Namespaced { namespace, .. }) => {
                out.put(b",\"namespace\":");
                out.string(namespace);
                self.write_text(b",\"arguments\":", out);
            }
            CallKind::Tool(ToolKind::Custom) => self.write_text(b",\"input\":", out),
            CallKind::Tool(ToolKind::NamespacedCustom { namespace, .. }) => {
                out.put(b",\"namespace\":");
                out.string(namespace);
                self.write_text(b",\"input\":", out);
            }
            CallKind::Tool(ToolKind::ToolSearch) => {
                out.put(b",\"execution\":\"client\",\"arguments\":");
                self.write_object(&[], out);
            }
            CallKind::Tool(ToolKind::LocalShell) => {
                out.put(b",\"action\":");
                self.write_object(&LOCAL_SHELL, out);
            }
            CallKind::Tool(ToolKind::Shell) => {
                out.put(b",\"action\":");
                self.write_object(&SHELL, out);
            }
            CallKind::Tool(ToolKind::ApplyPatch) => {
                out.put(b",\"operation\":");
                self.write_object(&APPLY_PATCH, out);
            }
        }
        out.put(b"}");
    }

    fn type_name(&self) -> &'static str {
        match &self.kind {
            CallKind::Function | CallKind::Tool(ToolKind::Namespaced { .. }) => "function_call",
            CallKind::Tool(ToolKind::Custom | ToolKind::NamespacedCustom { .. }) => "custom_tool_call",
            CallKind::Tool(ToolKind::ToolSearch) => "tool_search_call",
            CallKind::Tool(ToolKind::LocalShell) => "local_shell_call",
            CallKind::Tool(ToolKind::Shell) => "shell_call",
            CallKind::Tool(ToolKind::ApplyPatch) => "apply_patch_call",
        }
    }

    /// Appends the name as the client knows it.
    pub(super) fn write_name(&self, out: &mut impl Write) {
        match &self.kind {
            CallKind::Tool(ToolKind::Namespaced { name, .. } | ToolKind::NamespacedCustom { name, .. }) => {
                out.string(name)
            }
            CallKind::Function | CallKind::Tool(_) => out.quoted(&self.name),
        }
    }

    fn write_text(&self, member: &[u8], out: &mut impl Write) {
        out.put(b",\"name\":");
        self.write_name(out);
        out.put(member);
        out.quoted(&self.arguments);
    }

    /// Appends the arguments as an object that has these members. Clients require them, and an upstream leaves members out.
    fn write_object(&self, required: &[Member], out: &mut impl Write) {
        let mut given = Vec::new();
        match &*self.arguments {
            "" => given.put(b"{}"),
            arguments => tool_input(arguments, &mut given),
        }
        // What `tool_input` writes is an object.
        let members: RawMembers<'_> = serde_json::from_slice(&given).unwrap_or_default();
        let mut separator = "{";
        for member in required {
            let value = members.value(member.name).filter(|value| (member.is_valid)(value));
            let Some(value) = value.map(RawValue::get).or_else(|| (member.default)(&members)) else {
                continue;
            };
            out.raw(separator);
            out.string(member.name);
            out.raw(":");
            out.raw(value);
            separator = ",";
        }
        for (name, value) in members.unique() {
            if required.iter().any(|member| member.name == name) {
                continue;
            }
            out.raw(separator);
            out.string(name);
            out.raw(":");
            out.raw(value.get());
            separator = ",";
        }
        out.raw(if separator == "{" { "{}" } else { "}" });
    }
}

/// A member that an object must have.
struct Member {
    name: &'static str,
    is_valid: fn(&RawValue) -> bool,
    /// In place of a missing or an invalid value, if the other members require one.
    default: fn(&RawMembers<'_>) -> Option<&'static str>,
}

const LOCAL_SHELL: [Member; 3] = [
    Member { name: "type", is_valid: |value| value.get() == "\"exec\"", default: |_| Some("\"exec\"") },
    Member { name: "command", is_valid: is_list, default: |_| Some("[]") },
    Member { name: "env", is_valid: is_object, default: |_| Some("{}") },
];
const SHELL: [Member; 1] = [Member { name: "commands", is_valid: is_list, default: |_| Some("[]") }];
const APPLY_PATCH: [Member; 3] = [
    Member { name: "type", is_valid: is_text, default: |_| Some("\"update_file\"") },
    Member { name: "path", is_valid: is_text, default: |_| Some("\"\"") },
    Member { name: "diff", is_valid: is_text, default: no_diff },
];

fn is_list(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

fn is_text(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// A file is deleted without a diff.
fn no_diff(operation: &RawMembers<'_>) -> Option<&'static str> {
    let deletes = operation.value("type").is_some_and(|kind| kind.get() == "\"delete_file\"");
    (!deletes).then_some("\"\"")
}
