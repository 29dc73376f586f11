//! Tools and the choice among them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::search;
use crate::{
    convert::{
        Dropped,
        client::request::{
            blocks::write_cache_control,
            custom_tool::{self, InputFormat},
            schema,
            tool_choice::{self, ToolChoice},
        },
    },
    fault::RequestError,
    json::{JsonWord, Literal, Write, trim},
    openai::request::{
        AllowedTools, ChatRequestBody, ChatTool, ChatToolChoice, CustomFormat, CustomTool, FunctionDefinition,
    },
};

/// The client's choice among the tools.
pub(super) enum ToolSelection<'a> {
    /// The client sets none.
    Open,
    Auto,
    None,
    Any,
    Tool(Literal<'a>),
    /// As `Auto`, of these alone.
    AutoAmong(Vec<Literal<'a>>),
    /// As `Any`, of these alone.
    AnyAmong(Vec<Literal<'a>>),
}

impl<'a> ToolSelection<'a> {
    pub(super) fn read(request: &ChatRequestBody<'a>) -> Result<Self, RequestError> {
        match (request.tool_choice, request.function_call) {
            (Some(raw), _) => Self::parse(raw, "tool_choice"),
            (None, Some(raw)) => Self::parse(raw, "function_call"),
            (None, None) => Ok(Self::Open),
        }
    }

    fn parse(raw: &'a RawValue, field: &str) -> Result<Self, RequestError> {
        let unknown =
            || RequestError::new(format!("{field}: must be none, auto, required or name a function"));
        if let Some(word) = Literal::of(raw).and_then(Literal::decode) {
            return match &*word {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" | "any" => Ok(Self::Any),
                _ => Err(unknown()),
            };
        }
        let choice: ChatToolChoice<'_> = serde_json::from_str(raw.get()).map_err(|_| unknown())?;
        let kind = choice.r#type.as_ref().map_or("function", JsonWord::as_str);
        if kind == "allowed_tools" {
            return Self::among(choice.allowed_tools, field);
        }
        let function = choice.function.and_then(|function| function.name).or(choice.name);
        let custom = choice.custom.and_then(|custom| custom.name);
        match (kind, function, custom) {
            ("function", Some(name), _) | ("custom", _, Some(name)) => Ok(Self::Tool(name)),
            ("function" | "custom", _, _) => {
                Err(RequestError::new(format!("{field}.{kind}.name: field required")))
            }
            _ => Err(unknown()),
        }
    }

    fn among(allowed: Option<AllowedTools<'a>>, field: &str) -> Result<Self, RequestError> {
        let wrong = |what: &str| RequestError::new(format!("{field}.allowed_tools{what}"));
        let allowed = allowed.ok_or_else(|| wrong(": field required"))?;
        let names = allowed.tools.iter().map(ChatTool::name).collect::<Option<Vec<_>>>();
        let names = names.ok_or_else(|| wrong(".tools: each must name a tool"))?;
        match allowed.mode.as_ref().map(JsonWord::as_str) {
            _ if names.is_empty() => Err(wrong(".tools: at least one tool is required")),
            Some("auto") => Ok(Self::AutoAmong(names)),
            Some("required") => Ok(Self::AnyAmong(names)),
            Some(_) | None => Err(wrong(".mode: must be auto or required")),
        }
    }

    /// Whether a tool must be called.
    pub(super) fn is_forced(&self) -> bool {
        match self {
            Self::Any | Self::Tool(_) | Self::AnyAmong(_) => true,
            Self::Open | Self::Auto | Self::None | Self::AutoAmong(_) => false,
        }
    }

    /// The tools that it names.
    fn named(&self) -> &[Literal<'a>] {
        match self {
            Self::Tool(name) => std::slice::from_ref(name),
            Self::AutoAmong(names) | Self::AnyAmong(names) => names,
            Self::Open | Self::Auto | Self::None | Self::Any => &[],
        }
    }

    /// Whether the upstream gets this function. To leave it out is the only way to forbid it.
    fn allows(&self, name: Literal<'_>) -> bool {
        match self {
            Self::AutoAmong(names) | Self::AnyAmong(names) => {
                let name = name.decode().unwrap_or_default();
                names.iter().any(|known| known.is(&name))
            }
            Self::Open | Self::Auto | Self::None | Self::Any | Self::Tool(_) => true,
        }
    }

    fn choice(&self) -> ToolChoice<'a> {
        match self {
            Self::Open => ToolChoice::Open,
            Self::Auto | Self::AutoAmong(_) => ToolChoice::Auto,
            Self::None => ToolChoice::None,
            Self::Any | Self::AnyAmong(_) => ToolChoice::Any,
            Self::Tool(name) => ToolChoice::Tool(name.inner()),
        }
    }
}

/// Appends `tools` and `tool_choice`, as far as there are tools that the upstream can call. `called` are the names that
/// the history knows: Anthropic refuses a history with calls if there are no tools, so that these stand in then.
pub(super) fn write(
    request: &ChatRequestBody<'_>,
    choice: &ToolSelection<'_>,
    called: &[Cow<'_, str>],
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let mut list = ToolWriter { out, choice, names: Vec::new(), written: 0 };
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        match ToolKind::from_tool(tool) {
            ToolKind::Function => {
                let function = tool.function.as_ref();
                let function = function
                    .ok_or_else(|| RequestError::new(format!("tools.{at}.function: field required")))?;
                list.function(function, tool.cache_control, &format_args!("tools.{at}.function"))?;
            }
            ToolKind::Custom => {
                let custom = tool.custom.as_ref();
                let custom =
                    custom.ok_or_else(|| RequestError::new(format!("tools.{at}.custom: field required")))?;
                list.custom(custom, tool.cache_control, &format_args!("tools.{at}.custom"))?;
            }
            // A web search, or a tool that the upstream does not have.
            ToolKind::Other => {}
        }
    }
    for (at, function) in request.functions.iter().flatten().enumerate() {
        list.function(function, None, &format_args!("functions.{at}"))?;
    }
    let search = search::read(request, &list.names, dropped)?;
    if list.names.is_empty() && search.is_none() {
        tool_choice::write_stand_ins(called, out);
        return Ok(());
    }
    if let Some(search) = search {
        list.separate();
        search.write(list.out);
    }
    choice.named().iter().try_for_each(|name| list.has(*name))?;
    out.put(b"]");
    // With `functions` there never was more than one call.
    let parallel = request.functions.as_ref().map(|_| false).or(request.parallel_tool_calls);
    choice.choice().write(parallel, out);
    Ok(())
}

/// The names of the custom tools among the client's.
pub(super) fn custom_names(request: &ChatRequestBody<'_>) -> Vec<String> {
    let tools = request.tools.iter().flatten().filter(|tool| ToolKind::from_tool(tool) == ToolKind::Custom);
    let names = tools.filter_map(|tool| tool.custom.as_ref()?.name?.decode());
    names.map(std::borrow::Cow::into_owned).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolKind {
    Function,
    Custom,
    Other,
}

impl ToolKind {
    fn from_tool(tool: &ChatTool<'_>) -> Self {
        match (tool.r#type.as_ref().map(JsonWord::as_str), &tool.custom) {
            (Some("custom"), _) | (None, Some(_)) => Self::Custom,
            (Some("function") | None, _) => Self::Function,
            (Some(_), _) => Self::Other,
        }
    }
}

/// The tools as they are written.
struct ToolWriter<'o, 'a> {
    out: &'o mut Vec<u8>,
    choice: &'o ToolSelection<'a>,
    names: Vec<Literal<'a>>,
    written: usize,
}

impl<'a> ToolWriter<'_, 'a> {
    fn function(
        &mut self,
        function: &FunctionDefinition<'a>,
        cache_control: Option<&RawValue>,
        path: &dyn std::fmt::Display,
    ) -> Result<(), RequestError> {
        if !self.begin(function.name, function.description, path)? {
            return Ok(());
        }
        schema::write_function(function.parameters, function.strict, path, self.out)?;
        write_cache_control(cache_control, self.out);
        self.out.put(b"}");
        Ok(())
    }

    /// A custom tool becomes a function with one string property, whose description states the form of the text.
    fn custom(
        &mut self,
        tool: &CustomTool<'a>,
        cache_control: Option<&RawValue>,
        path: &dyn std::fmt::Display,
    ) -> Result<(), RequestError> {
        if !self.begin(tool.name, tool.description, path)? {
            return Ok(());
        }
        self.out.put(b",\"input_schema\":");
        custom_tool::write_schema(tool.format.as_ref().map(input_format).as_ref(), path, self.out)?;
        write_cache_control(cache_control, self.out);
        self.out.put(b"}");
        Ok(())
    }

    /// Begins a tool with its name and description. Answers whether the upstream is to know it.
    fn begin(
        &mut self,
        name: Option<Literal<'a>>,
        description: Option<Literal<'a>>,
        path: &dyn std::fmt::Display,
    ) -> Result<bool, RequestError> {
        let name = name.filter(|name| !trim(name.inner()).is_empty());
        let name = name.ok_or_else(|| RequestError::new(format!("{path}.name: field required")))?;
        self.names.push(name);
        if !self.choice.allows(name) {
            return Ok(false);
        }
        self.separate();
        self.out.put(b"{\"name\":");
        self.out.quoted(name.inner());
        if let Some(description) = description.filter(|text| !text.inner().is_empty()) {
            self.out.put(b",\"description\":");
            self.out.quoted(description.inner());
        }
        Ok(true)
    }

    /// Appends what is before an entry.
    fn separate(&mut self) {
        self.out.raw(if self.written == 0 { ",\"tools\":[" } else { "," });
        self.written += 1;
    }

    fn has(&self, name: Literal<'_>) -> Result<(), RequestError> {
        let decoded = name.decode().unwrap_or_default();
        if self.names.iter().any(|known| known.is(&decoded)) {
            return Ok(());
        }
        let path = if matches!(self.choice, ToolSelection::Tool(_)) {
            "function.name"
        } else {
            "allowed_tools.tools"
        };
        Err(RequestError::new(format!("tool_choice.{path}: no function in tools has this name")))
    }
}

fn input_format<'r, 'a>(format: &'r CustomFormat<'a>) -> InputFormat<'r, 'a> {
    let grammar = format.grammar.as_ref();
    InputFormat {
        kind: format.r#type.as_ref(),
        syntax: grammar.and_then(|grammar| grammar.syntax.as_ref()),
        definition: grammar.and_then(|grammar| grammar.definition),
        grammar_path: grammar.map(|_| ".grammar"),
    }
}
