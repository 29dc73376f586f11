//! `input`: one text, or items.

use serde_json::value::RawValue;

use super::{
    items::{Entry, EntryContent, ItemReader},
    tools::{DefinedTools, ToolSource},
};
use crate::{
    convert::client::request::blocks::is_blank,
    fault::RequestError,
    json::Literal,
    openai::responses_request::{InputContent, InputItem, ResponsesRequestBody, parse_at},
};

/// `input`: a text or items.
pub(super) enum Input<'a> {
    Text(Literal<'a>),
    Items(Vec<InputItem<'a>>),
}

impl<'a> Input<'a> {
    pub(super) fn read(request: &ResponsesRequestBody<'a>) -> Result<Self, RequestError> {
        let raw = request.input.ok_or_else(|| RequestError::new("input: field required"))?;
        if let Some(text) = Literal::of(raw) {
            return Ok(Self::Text(text));
        }
        if !raw.get().starts_with('[') {
            return Err(RequestError::new("input: must be a string or an array of items"));
        }
        let items: Vec<&'a RawValue> = parse_at(raw, "input")?;
        // Instructions are enough to be answered.
        let instructs =
            request.instructions.and_then(Literal::of).is_some_and(|text| !is_blank(text.inner()));
        if items.is_empty() && !instructs {
            return Err(RequestError::new("input: at least one item is required"));
        }
        let items = items.into_iter().enumerate().map(|(at, raw)| parse_at(raw, format_args!("input.{at}")));
        items.collect::<Result<_, _>>().map(Self::Items)
    }

    pub(super) fn items(&self) -> &[InputItem<'a>] {
        match self {
            Self::Text(_) => &[],
            Self::Items(items) => items,
        }
    }

    /// The tools of the request, and those that the conversation makes available.
    pub(super) fn tools(&self, request: &ResponsesRequestBody<'a>) -> Result<DefinedTools<'a>, RequestError> {
        let mut tools = DefinedTools::default();
        tools.add(request.tools, ToolSource::Request, "tools")?;
        for (at, item) in self.items().iter().enumerate() {
            if matches!(item.kind(), "additional_tools" | "tool_search_output") {
                tools.add(item.tools, ToolSource::Conversation, &format!("input.{at}.tools"))?;
            }
        }
        Ok(tools)
    }

    pub(super) fn entries(&self, reader: &mut ItemReader<'_, 'a>) -> Result<Vec<Entry<'a>>, RequestError> {
        match self {
            Self::Text(text) => {
                Ok(vec![Entry { at: 0, content: EntryContent::User(InputContent::Text(*text)) }])
            }
            Self::Items(items) => {
                let entries = items.iter().enumerate().map(|(at, item)| reader.read(at, item));
                entries.filter_map(Result::transpose).collect()
            }
        }
    }
}
