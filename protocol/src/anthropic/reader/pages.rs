//! Web pages: those that a search has found, and those that a text cites.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::inner;
use crate::anthropic::event::{Citation, WebSource};

/// A page that a search has found.
#[derive(Deserialize)]
pub(super) struct WirePage<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    page_age: Option<&'a RawValue>,
}

impl WirePage<'_> {
    pub(super) fn source(&self) -> WebSource {
        WebSource {
            url: inner(self.url).to_owned(),
            title: inner(self.title).to_owned(),
            age: inner(self.page_age).to_owned(),
            ..WebSource::default()
        }
    }
}

/// The page that a text cites.
#[derive(Deserialize)]
pub(super) struct WireCitation<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    cited_text: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_index: Option<&'a RawValue>,
}

impl<'a> WireCitation<'a> {
    pub(super) fn citation(&self) -> Citation<'a> {
        let index = inner(self.encrypted_index);
        Citation { url: inner(self.url), title: inner(self.title), quote: inner(self.cited_text), index }
    }
}
