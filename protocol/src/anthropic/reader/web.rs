//! What an upstream's search has found: the pages, and the citations of a text that came whole.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::inner;
use crate::{
    anthropic::event::{Citation, WebSource},
    json::{List, Object},
};

/// The pages of a search; none if it has failed.
pub(super) fn sources(content: Option<&RawValue>) -> Vec<WebSource> {
    let pages = list::<WirePage<'_>>(content);
    pages
        .map(|page| WebSource {
            url: inner(page.url).to_owned(),
            title: inner(page.title).to_owned(),
            age: inner(page.page_age).to_owned(),
            ..WebSource::default()
        })
        .collect()
}

/// The sources of a text that came whole.
pub(super) fn citations(citations: Option<&RawValue>) -> impl Iterator<Item = WireCitation<'_>> {
    list(citations)
}

/// The objects of a list.
fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> impl Iterator<Item = T> {
    let raw = raw.filter(|raw| raw.get().starts_with('['));
    let list: Option<List<Object<T>>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    list.unwrap_or_default().0.into_iter().filter_map(|object| object.0)
}

/// A page that a search has found.
#[derive(Deserialize)]
struct WirePage<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    page_age: Option<&'a RawValue>,
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
