//! Parses the items of a Responses reply.
//!
//! Vendors leave members out and send wrong types, so everything is optional, and a value of a wrong type counts as absent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, List, Literal, Object};

/// The kinds of items that have a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseItemKind {
    Message,
    Reasoning,
    FunctionCall,
    CustomCall,
    /// Another call that the client runs.
    ClientCall,
    WebSearch,
    /// Perplexity: the pages that it has found.
    FoundPages,
    Other,
}

/// An item of the output.
#[derive(Deserialize)]
pub(crate) struct ResponseItem<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    action: Object<SearchAction<'a>>,
    #[serde(borrow)]
    results: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SearchAction<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    sources: Option<&'a RawValue>,
}

impl<'a> ResponseItem<'a> {
    pub(crate) fn kind(&self) -> ResponseItemKind {
        match literal(self.r#type).and_then(Literal::decode).as_deref() {
            Some("message") => ResponseItemKind::Message,
            Some("reasoning") => ResponseItemKind::Reasoning,
            Some("function_call") => ResponseItemKind::FunctionCall,
            Some("custom_tool_call") => ResponseItemKind::CustomCall,
            Some("local_shell_call" | "shell_call" | "apply_patch_call") => ResponseItemKind::ClientCall,
            Some("web_search_call") => ResponseItemKind::WebSearch,
            Some("search_results") => ResponseItemKind::FoundPages,
            Some(_) => ResponseItemKind::Other,
            // Some servers leave the type of a message out.
            None if self.content.is_some() => ResponseItemKind::Message,
            None => ResponseItemKind::Other,
        }
    }

    /// Returns the inner text of the type; empty if absent.
    pub(crate) fn type_name(&self) -> &'a str {
        inner(self.r#type)
    }

    /// Returns the inner text of the id; empty if absent.
    pub(crate) fn id(&self) -> &'a str {
        inner(self.id)
    }

    /// Returns the inner text of a call's id, or of the item's id; empty if both are absent.
    pub(crate) fn call_id(&self) -> &'a str {
        let id = inner(self.call_id);
        if id.is_empty() { self.id() } else { id }
    }

    /// Returns the inner text of a call's name; empty if absent.
    pub(crate) fn name(&self) -> &'a str {
        inner(self.name)
    }

    /// Returns the inner text of a function's arguments.
    pub(crate) fn arguments(&self) -> Cow<'a, str> {
        arguments(self.arguments)
    }

    /// Returns the inner text of a custom tool's input.
    pub(crate) fn input(&self) -> &'a str {
        inner(self.input)
    }

    /// Returns the parts of the content, also if it is one string.
    pub(crate) fn parts(&self) -> Vec<ResponsePart<'a>> {
        parts(self.content)
    }

    /// Returns the parts of a summary.
    pub(crate) fn summary(&self) -> Vec<ResponsePart<'a>> {
        parts(self.summary)
    }

    /// Returns the inner text of the hidden reasoning, if there is any.
    pub(crate) fn encrypted_content(&self) -> Option<&'a str> {
        literal(self.encrypted_content).map(Literal::inner).filter(|inner| !inner.is_empty())
    }

    /// Whether a message refuses.
    pub(crate) fn refuses(&self) -> bool {
        self.kind() == ResponseItemKind::Message && self.parts().iter().any(|part| part.is_refusal)
    }

    /// Whether this is a web search. Other actions of the tool open a page that was found.
    pub(crate) fn searches(&self) -> bool {
        let action = self.action.0.as_ref().and_then(|action| literal(action.r#type));
        match self.kind() {
            ResponseItemKind::WebSearch => action.is_none_or(|action| action.is("search")),
            ResponseItemKind::FoundPages => true,
            ResponseItemKind::Message
            | ResponseItemKind::Reasoning
            | ResponseItemKind::FunctionCall
            | ResponseItemKind::CustomCall
            | ResponseItemKind::ClientCall
            | ResponseItemKind::Other => false,
        }
    }

    /// Returns the list of the pages that a web search has found.
    pub(crate) fn sources(&self) -> Option<&'a RawValue> {
        self.action.0.as_ref()?.sources
    }

    /// Returns the list of the pages that the text cites by their numbers.
    pub(crate) fn found_pages(&self) -> Option<&'a RawValue> {
        self.results.filter(|_| self.kind() == ResponseItemKind::FoundPages)
    }
}

/// A text of a message or of reasoning.
pub(crate) struct ResponsePart<'a> {
    /// Inner text.
    pub(crate) text: &'a str,
    pub(crate) is_refusal: bool,
    pub(crate) annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

impl<'a> WirePart<'a> {
    fn part(&self) -> Option<ResponsePart<'a>> {
        let refusal = literal(self.refusal).filter(|refusal| !refusal.inner().is_empty());
        let text = refusal.or_else(|| literal(self.text))?.inner();
        Some(ResponsePart { text, is_refusal: refusal.is_some(), annotations: self.annotations })
    }
}

/// Returns the parts of a list that have a text.
fn parts(raw: Option<&RawValue>) -> Vec<ResponsePart<'_>> {
    if let Some(text) = literal(raw) {
        return vec![ResponsePart { text: text.inner(), is_refusal: false, annotations: None }];
    }
    let list = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let list: List<Object<WirePart<'_>>> = list.unwrap_or_default();
    list.0.iter().filter_map(|part| part.0.as_ref()?.part()).collect()
}

/// Returns the inner text of arguments. A vendor may send JSON instead of a string that contains JSON.
pub(super) fn arguments(raw: Option<&RawValue>) -> Cow<'_, str> {
    match raw {
        None => Cow::Borrowed(""),
        Some(raw) => match Literal::of(raw) {
            Some(literal) => Cow::Borrowed(literal.inner()),
            None if raw.get().starts_with('{') => Cow::Owned(json::escape_text(raw.get())),
            None => Cow::Borrowed(""),
        },
    }
}

pub(super) fn literal(raw: Option<&RawValue>) -> Option<Literal<'_>> {
    raw.and_then(Literal::of)
}

/// Returns the inner text of a string; empty if absent.
pub(super) fn inner(raw: Option<&RawValue>) -> &str {
    literal(raw).map_or("", Literal::inner)
}
