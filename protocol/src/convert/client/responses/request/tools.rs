//! The tools of a request as functions of the upstream.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{built_in::BuiltInTool, tool_names::ToolNames};
use crate::{
    convert::{
        Dropped,
        client::{
            request::{
                custom_tool::{self, InputFormat},
                schema,
                search::{self, SearchOptions, SearchRequest, is_search},
            },
            responses::context::ToolKind,
        },
    },
    fault::RequestError,
    json::{Literal, Write, trim},
    openai::{
        responses_request::parse_at,
        responses_tool::{ResponsesTool, ToolEnvironment, ToolFormat},
    },
};

/// The function for a search among the client's tools.
const TOOL_SEARCH: &str = "tool_search";
const TOOL_SEARCH_DESCRIPTION: &str =
    "Searches the tools that can be made available, and makes those that it finds available.";
const TOOL_SEARCH_SCHEMA: &str = r#"{"type":"object","properties":{"query":{"type":"string","description":"What the tool must be able to do."}},"required":["query"]}"#;

/// The tools that the model can call.
pub(super) struct ToolTable<'a> {
    tools: Vec<ListedTool<'a>>,
    pub(super) names: ToolNames,
    /// The web search that the upstream runs.
    search: Option<SearchRequest<'a>>,
}

/// A tool of the client as a function.
struct ListedTool<'a> {
    /// The upstream's name, inner text.
    name: Cow<'a, str>,
    form: ToolForm,
    namespace: Option<Literal<'a>>,
    tool: ResponsesTool<'a>,
    path: String,
}

/// What a tool is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolForm {
    Function,
    Custom,
    ToolSearch,
    BuiltIn(BuiltInTool),
}

/// A tool as the client defines it, outside of its namespace.
struct DefinedTool<'a> {
    namespace: Option<Literal<'a>>,
    tool: ResponsesTool<'a>,
    path: String,
    source: ToolSource,
}

/// Where a tool is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToolSource {
    /// In `tools`.
    Request,
    /// In the conversation, which makes it available from there on.
    Conversation,
}

/// Tools that the client defines, in its order.
#[derive(Default)]
pub(super) struct DefinedTools<'a>(Vec<DefinedTool<'a>>);

impl<'a> DefinedTools<'a> {
    /// Adds the list at this path.
    pub(super) fn add(
        &mut self,
        raw: Option<&'a RawValue>,
        source: ToolSource,
        path: &str,
    ) -> Result<(), RequestError> {
        let Some(raw) = raw else { return Ok(()) };
        let list: Vec<&'a RawValue> = parse_at(raw, path)?;
        for (at, raw) in list.into_iter().enumerate() {
            let path = format!("{path}.{at}");
            let tool = ResponsesTool::read(raw, &path)?;
            if tool.kind() != "namespace" {
                self.0.push(DefinedTool { namespace: None, tool, path, source });
                continue;
            }
            let namespace = tool.name.filter(|name| !is_blank(*name));
            let namespace =
                namespace.ok_or_else(|| RequestError::new(format!("{path}.name: field required")))?;
            for (at, raw) in tool.tools.into_iter().enumerate() {
                let path = format!("{path}.tools.{at}");
                let tool = ResponsesTool::read(raw, &path)?;
                self.0.push(DefinedTool { namespace: Some(namespace), tool, path, source });
            }
        }
        Ok(())
    }

    /// The functions for these tools. Names in `dropped` those that run at OpenAI.
    pub(super) fn table(self, dropped: &mut Dropped) -> Result<ToolTable<'a>, RequestError> {
        let searches = self.0.iter().any(|defined| is_client_search(&defined.tool));
        let mut table = ToolTable { tools: Vec::new(), names: ToolNames::default(), search: None };
        let mut hosted = Vec::new();
        let mut rest = Vec::new();
        for defined in self.0 {
            match ToolForm::from_tool(&defined.tool) {
                // The client's search has not found it yet.
                Some(_)
                    if searches && defined.source == ToolSource::Request && defined.tool.defer_loading => {}
                Some(form @ (ToolForm::Function | ToolForm::Custom)) if defined.namespace.is_none() => {
                    table.add_plain(form, defined)?;
                }
                Some(form) => rest.push((form, defined)),
                None => hosted.push(defined),
            }
        }
        // Names outside of namespaces are kept, so they come first.
        rest.into_iter().try_for_each(|(form, defined)| table.add_named(form, defined))?;
        hosted.into_iter().try_for_each(|defined| table.add_hosted(defined, dropped))?;
        Ok(table)
    }
}

impl ToolForm {
    /// `None` for tools that run at OpenAI.
    fn from_tool(tool: &ResponsesTool<'_>) -> Option<Self> {
        match tool.kind() {
            "function" => Some(Self::Function),
            "custom" => Some(Self::Custom),
            TOOL_SEARCH => is_client_search(tool).then_some(Self::ToolSearch),
            "shell" if tool.environment.as_ref().is_some_and(is_hosted) => None,
            kind => BuiltInTool::from_kind(kind).map(Self::BuiltIn),
        }
    }
}

fn is_client_search(tool: &ResponsesTool<'_>) -> bool {
    tool.kind() == TOOL_SEARCH && tool.execution.as_ref().is_some_and(|word| word.as_str() == "client")
}

/// Whether a shell runs in a container of OpenAI's.
fn is_hosted(environment: &ToolEnvironment<'_>) -> bool {
    environment.r#type.as_ref().is_some_and(|kind| kind.as_str() != "local")
}

fn is_blank(name: Literal<'_>) -> bool {
    trim(name.inner()).is_empty()
}

impl<'a> DefinedTool<'a> {
    fn name(&self) -> Result<Literal<'a>, RequestError> {
        let name = self.tool.name.filter(|name| !is_blank(*name));
        name.ok_or_else(|| RequestError::new(format!("{}.name: field required", self.path)))
    }

    fn listed(self, name: Cow<'a, str>, form: ToolForm) -> ListedTool<'a> {
        let Self { namespace, tool, path, .. } = self;
        ListedTool { name, form, namespace, tool, path }
    }
}

impl<'a> ToolTable<'a> {
    fn add_plain(&mut self, form: ToolForm, defined: DefinedTool<'a>) -> Result<(), RequestError> {
        let name = defined.name()?;
        // A tool that the conversation loads again is one tool all the same.
        if self.names.take(name) {
            self.tools.push(defined.listed(Cow::Borrowed(name.inner()), form));
        }
        Ok(())
    }

    fn add_named(&mut self, form: ToolForm, defined: DefinedTool<'a>) -> Result<(), RequestError> {
        let name = match (form, defined.namespace) {
            (ToolForm::BuiltIn(tool), _) => self.names.build_in(tool.kind()),
            (ToolForm::ToolSearch, _) | (_, None) => self.names.build_in(TOOL_SEARCH),
            (ToolForm::Function | ToolForm::Custom, Some(namespace)) => {
                self.names.flatten(namespace, defined.name()?)
            }
        };
        self.tools.extend(name.map(|name| defined.listed(Cow::Owned(name), form)));
        Ok(())
    }

    /// A web search is the upstream's, if it may use the web. Other tools are left out.
    fn add_hosted(&mut self, defined: DefinedTool<'a>, dropped: &mut Dropped) -> Result<(), RequestError> {
        let DefinedTool { tool, path, .. } = defined;
        let kind = tool.kind();
        if kind.is_empty() {
            return Err(RequestError::new(format!("{path}.type: field required")));
        }
        let may_use_web = match tool.external_web_access.filter(|_| is_search(kind)) {
            Some(raw) => parse_at(raw, format_args!("{path}.external_web_access"))?,
            None => true,
        };
        if is_search(kind) && may_use_web && self.search.is_none() && !self.names.has(search::NAME) {
            let options = SearchOptions {
                user_location: tool.user_location,
                search_context_size: tool.search_context_size,
                filters: tool.filters,
                ..SearchOptions::default()
            };
            self.search = Some(SearchRequest::new(kind, options, &path, dropped)?);
        } else {
            dropped.note(format_args!("{path} ({kind})"));
        }
        Ok(())
    }

    /// Sets how often the upstream may search, unless the tool says so.
    pub(super) fn limit_searches(&mut self, most: u64) {
        if let Some(search) = &mut self.search {
            search.limit(most);
        }
    }

    pub(super) fn has_search(&self) -> bool {
        self.search.is_some()
    }

    /// Whether the model can call nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.search.is_none()
    }

    /// The upstream's names of the tools in a namespace; inner texts.
    pub(super) fn in_namespace(&self, namespace: Literal<'_>) -> impl Iterator<Item = &str> {
        let namespace = namespace.decode().unwrap_or_default();
        let tools =
            self.tools.iter().filter(move |tool| tool.namespace.is_some_and(|own| own.is(&namespace)));
        tools.map(|tool| &*tool.name)
    }

    /// Whether there is a tool with this name of the upstream's; inner text.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    /// The upstream's name of a built-in tool that is in the request.
    pub(super) fn built_in(&self, kind: &str) -> Option<&str> {
        let mut tools = self.tools.iter();
        let found = tools.find(|tool| match tool.form {
            ToolForm::BuiltIn(tool) => tool.kind() == kind,
            ToolForm::ToolSearch => kind == TOOL_SEARCH,
            ToolForm::Function | ToolForm::Custom => false,
        });
        found.map(|tool| &*tool.name)
    }

    /// The tools whose calls are not plain functions for the client, by the upstream's name.
    pub(super) fn kinds(&self) -> Vec<(String, ToolKind)> {
        self.tools.iter().filter_map(|tool| Some((decoded(&tool.name), tool.kind()?))).collect()
    }

    /// Appends `tools` with those that are allowed. Returns whether there are any.
    pub(super) fn write(
        &self,
        is_allowed: &dyn Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, RequestError> {
        let mut separator = ",\"tools\":[";
        for tool in self.tools.iter().filter(|tool| is_allowed(&tool.name)) {
            out.raw(separator);
            tool.write(out)?;
            separator = ",";
        }
        if let Some(search) = self.search.as_ref().filter(|_| is_allowed(search::NAME)) {
            out.raw(separator);
            search.write(out);
            separator = ",";
        }
        let is_written = separator == ",";
        out.raw(if is_written { "]" } else { "" });
        Ok(is_written)
    }
}

/// What inner text means; a text that is no valid Unicode keeps its escapes.
fn decoded(inner: &str) -> String {
    crate::json::decode_text(inner).map_or_else(|| inner.to_owned(), Cow::into_owned)
}

impl ListedTool<'_> {
    /// The client's name, without its namespace.
    fn own_name(&self) -> String {
        decoded(self.tool.name.map_or("", Literal::inner))
    }

    fn kind(&self) -> Option<ToolKind> {
        match (self.form, self.namespace) {
            (ToolForm::Function, None) => None,
            (ToolForm::Function, Some(namespace)) => {
                Some(ToolKind::Namespaced { namespace: decoded(namespace.inner()), name: self.own_name() })
            }
            (ToolForm::Custom, None) => Some(ToolKind::Custom),
            (ToolForm::Custom, Some(namespace)) => Some(ToolKind::NamespacedCustom {
                namespace: decoded(namespace.inner()),
                name: self.own_name(),
            }),
            (ToolForm::ToolSearch, _) => Some(ToolKind::ToolSearch),
            (ToolForm::BuiltIn(tool), _) => Some(tool.tool_kind()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Self { form, tool, path, .. } = self;
        out.put(b"{\"name\":");
        out.quoted(&self.name);
        let description = tool.description.map(Literal::inner).filter(|text| !text.is_empty());
        match form {
            ToolForm::Function => {
                write_description(description, out);
                schema::write_function(tool.parameters, tool.strict, path, out)?;
            }
            ToolForm::Custom => {
                write_description(description, out);
                out.put(b",\"input_schema\":");
                custom_tool::write_schema(tool.format.as_ref().map(input_format).as_ref(), path, out)?;
            }
            ToolForm::ToolSearch => {
                write_description(description.or(Some(TOOL_SEARCH_DESCRIPTION)), out);
                match tool.parameters {
                    Some(_) => schema::write_function(tool.parameters, None, path, out)?,
                    None => write_schema(TOOL_SEARCH_SCHEMA, out),
                }
            }
            ToolForm::BuiltIn(built_in) => {
                write_description(Some(built_in.description()), out);
                write_schema(built_in.schema(), out);
            }
        }
        out.put(b"}");
        Ok(())
    }
}

fn write_description(description: Option<&str>, out: &mut Vec<u8>) {
    if let Some(description) = description {
        out.put(b",\"description\":");
        out.quoted(description);
    }
}

fn write_schema(schema: &str, out: &mut Vec<u8>) {
    out.put(b",\"input_schema\":");
    out.raw(schema);
}

fn input_format<'r, 'a>(format: &'r ToolFormat<'a>) -> InputFormat<'r, 'a> {
    InputFormat {
        kind: format.r#type.as_ref(),
        syntax: format.syntax.as_ref(),
        definition: format.definition,
        grammar_path: Some(""),
    }
}

/// The upstream's names of the tools in this list; inner texts. Whatever is no list of tools names none.
pub(super) fn names_in(raw: Option<&RawValue>, names: &ToolNames) -> Vec<String> {
    let list: Option<Vec<&RawValue>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let read = |raw| ResponsesTool::read(raw, "").ok();
    let mut found = Vec::new();
    for tool in list.into_iter().flatten().filter_map(read) {
        let namespace = tool.name.filter(|_| tool.kind() == "namespace");
        let names_of = match namespace {
            Some(_) => tool.tools.into_iter().filter_map(read).filter_map(|tool| tool.name).collect(),
            None => Vec::from_iter(tool.name),
        };
        found.extend(names_of.into_iter().map(|name| names.upstream(namespace, name).into_owned()));
    }
    found
}
