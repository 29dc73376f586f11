//! The client's choice among its tools.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{built_in::BuiltInTool, tools::ToolTable};
use crate::{
    convert::client::request::{
        search::{self, is_search},
        tool_choice::ToolChoice,
    },
    fault::RequestError,
    json::{JsonWord, Literal},
    openai::responses_request::{ChosenTool, ResponsesToolChoice},
};

/// The choice, in the upstream's names.
pub(super) struct ToolSelection<'a> {
    mode: Mode<'a>,
    /// The tools that it allows, if not all of them; inner texts.
    among: Option<Vec<Cow<'a, str>>>,
}

enum Mode<'a> {
    Open,
    Auto,
    None,
    Any,
    Tool(Cow<'a, str>),
}

impl<'a> ToolSelection<'a> {
    pub(super) fn read(raw: Option<&'a RawValue>, table: &ToolTable<'a>) -> Result<Self, RequestError> {
        let Some(raw) = raw else { return Ok(Self { mode: Mode::Open, among: None }) };
        let unknown =
            || RequestError::new("tool_choice: must be none, auto, required, or an object that names tools");
        if let Some(word) = Literal::of(raw).and_then(Literal::decode) {
            let mode = match &*word {
                "auto" => Mode::Auto,
                "none" => Mode::None,
                "required" => Mode::Any,
                _ => return Err(unknown()),
            };
            return Ok(Self { mode, among: None });
        }
        let choice: ResponsesToolChoice<'a> = serde_json::from_str(raw.get()).map_err(|_| unknown())?;
        if choice.r#type.as_ref().is_some_and(|kind| kind.as_str() == "allowed_tools") {
            return Self::among(choice, table);
        }
        let ResponsesToolChoice { r#type, name, namespace, .. } = choice;
        let chosen = ChosenTool { r#type, name, namespace };
        match chosen.names(table, "tool_choice")? {
            Chosen::Tools(names) => match <[Cow<'a, str>; 1]>::try_from(names) {
                Ok([name]) => Ok(Self { mode: Mode::Tool(name), among: None }),
                Err(names) => Ok(Self { mode: Mode::Any, among: Some(names) }),
            },
            Chosen::Hosted => Err(RequestError::new(format!(
                "tool_choice: this provider cannot run {}; leave the choice to the model or send the request to OpenAI",
                chosen.shown_kind()
            ))),
        }
    }

    fn among(choice: ResponsesToolChoice<'a>, table: &ToolTable<'a>) -> Result<Self, RequestError> {
        let mode = match choice.mode.as_ref().map(JsonWord::as_str) {
            Some("auto") => Mode::Auto,
            Some("required") => Mode::Any,
            Some(_) | None => return Err(RequestError::new("tool_choice.mode: must be auto or required")),
        };
        let tools = choice.tools.unwrap_or_default();
        if tools.is_empty() {
            return Err(RequestError::new("tool_choice.tools: at least one tool is required"));
        }
        let mut among = Vec::new();
        for (at, tool) in tools.iter().enumerate() {
            match tool.names(table, &format!("tool_choice.tools.{at}"))? {
                Chosen::Tools(names) => among.extend(names),
                Chosen::Hosted => {}
            }
        }
        Ok(Self { mode, among: Some(among) })
    }

    /// Whether a tool must be called.
    pub(super) fn is_forced(&self) -> bool {
        match self.mode {
            Mode::Any | Mode::Tool(_) => true,
            Mode::Open | Mode::Auto | Mode::None => false,
        }
    }

    /// Whether the upstream gets the tool of this name. To leave it out is the only way to forbid it.
    pub(super) fn allows(&self, name: &str) -> bool {
        self.among.as_ref().is_none_or(|among| among.iter().any(|known| known == name))
    }

    /// The choice as the upstream gets it.
    pub(super) fn choice(&self) -> ToolChoice<'_> {
        match &self.mode {
            Mode::Open => ToolChoice::Open,
            Mode::Auto => ToolChoice::Auto,
            Mode::None => ToolChoice::None,
            Mode::Any => ToolChoice::Any,
            Mode::Tool(name) => ToolChoice::Tool(name),
        }
    }
}

/// The tools that one entry of a choice means.
enum Chosen<'a> {
    Tools(Vec<Cow<'a, str>>),
    /// Tools that the upstream does not have.
    Hosted,
}

impl<'a> ChosenTool<'a> {
    fn names(&self, table: &ToolTable<'a>, path: &str) -> Result<Chosen<'a>, RequestError> {
        let kind = self.r#type.as_ref().map_or("", JsonWord::as_str);
        let name = || self.name.ok_or_else(|| RequestError::new(format!("{path}.name: field required")));
        let unknown = || RequestError::new(format!("{path}.name: no tool in tools has this name"));
        match kind {
            "function" | "custom" => {
                let name = table.names.upstream(self.namespace, name()?);
                if table.has(&name) { Ok(Chosen::Tools(vec![name])) } else { Err(unknown()) }
            }
            "namespace" => {
                let names: Vec<_> =
                    table.in_namespace(name()?).map(|name| Cow::Owned(name.to_owned())).collect();
                if names.is_empty() { Err(unknown()) } else { Ok(Chosen::Tools(names)) }
            }
            "tool_search" => Ok(built_in(kind, table)),
            kind if BuiltInTool::from_kind(kind).is_some() => Ok(built_in(kind, table)),
            kind if is_search(kind) && table.has_search() => {
                Ok(Chosen::Tools(vec![Cow::Borrowed(search::NAME)]))
            }
            "" => Err(RequestError::new(format!("{path}.type: field required"))),
            _ => Ok(Chosen::Hosted),
        }
    }

    /// The type for an error: names come from clients, which may send anything.
    fn shown_kind(&self) -> &str {
        let kind = self.r#type.as_ref().map_or("", JsonWord::as_str);
        let is_word =
            kind.len() <= 40 && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        if is_word { kind } else { "this tool" }
    }
}

fn built_in<'a>(kind: &str, table: &ToolTable<'a>) -> Chosen<'a> {
    match table.built_in(kind) {
        Some(name) => Chosen::Tools(vec![Cow::Owned(name.to_owned())]),
        None => Chosen::Hosted,
    }
}
