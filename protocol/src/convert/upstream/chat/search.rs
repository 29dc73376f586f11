//! The web pages that an upstream reports as found: `url_citation` annotations (OpenAI, OpenRouter, and compatible servers).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    anthropic::event::WebSource,
    json::{self, List, Literal, Object},
};

/// Maximum number of sources; further sources are dropped.
const MOST: usize = 64;
/// Maximum length of an address, and of a quoted part of a page, in characters.
const LONGEST_URL: usize = 4096;
const LONGEST_QUOTE: usize = 1024;

/// The searches of one reply: their sources and their number.
#[derive(Debug, Default)]
pub(super) struct Search {
    sources: Vec<WebSource>,
    is_shown: bool,
    /// The number of sources that were cited.
    cited: usize,
    /// The number of searches that the upstream reported.
    counted: Option<u64>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    /// The object with the members. Some vendors put the members directly into the annotation.
    #[serde(borrow, default = "Default::default")]
    url_citation: Object<SearchCitation<'a>>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SearchCitation<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl Annotation<'_> {
    fn source(self) -> Option<WebSource> {
        let beside = SearchCitation { url: self.url, title: self.title, content: self.content };
        let citation = self.url_citation.0.unwrap_or(beside);
        let text = |raw: Option<&RawValue>, longest: usize| {
            let text = raw.and_then(Literal::of).and_then(Literal::decode).unwrap_or_default();
            json::escape_text(&text.chars().take(longest).collect::<String>())
        };
        let url = text(citation.url, LONGEST_URL);
        let is_web = url.starts_with("http://") || url.starts_with("https://");
        is_web.then(|| WebSource {
            url,
            title: text(citation.title, LONGEST_QUOTE),
            quote: text(citation.content, LONGEST_QUOTE),
        })
    }
}

impl Search {
    /// Adds a list of annotations; each page counts once.
    pub(super) fn take(&mut self, annotations: &RawValue) {
        let Ok(list) = serde_json::from_str::<List<Object<Annotation<'_>>>>(annotations.get()) else {
            return;
        };
        for source in list.0.into_iter().filter_map(|annotation| annotation.0?.source()) {
            let is_known = self.sources.iter().any(|known| known.url == source.url);
            if !is_known && self.sources.len() < MOST {
                self.sources.push(source);
            }
        }
    }

    /// Stores the number of searches that the upstream reports.
    pub(super) fn count(&mut self, searches: Option<u64>) {
        self.counted = searches.or(self.counted);
    }

    /// The number of searches: the upstream's count, otherwise one if there are sources.
    pub(super) fn requests(&self) -> u64 {
        self.counted.unwrap_or(u64::from(!self.sources.is_empty()))
    }

    pub(super) fn sources(&self) -> &[WebSource] {
        &self.sources
    }

    /// Whether there are results that have not been sent to the client.
    pub(super) fn is_due(&self) -> bool {
        !self.is_shown && !self.sources.is_empty()
    }

    pub(super) fn shown(&mut self) {
        self.is_shown = true;
    }

    /// The sources that no text has cited so far.
    pub(super) fn cited(&mut self) -> &[WebSource] {
        let first = std::mem::replace(&mut self.cited, self.sources.len());
        self.sources.get(first..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_from_both_forms_and_once() {
        let mut search = Search::default();
        search.take(&serde_json::from_str::<Box<RawValue>>(
            r#"[{"type":"url_citation","url_citation":{"url":"https://a","title":"A \"q\"","content":"said"}},
                {"type":"url_citation","url":"https://b","title":"B"}, 7, {"url_citation":{"url":"javascript:x"}},
                {"url_citation":{"url":"https://a"}}, {"type":"file_citation"}]"#,
        ).unwrap());
        let said: Vec<_> = search.sources().iter().map(|s| (&*s.url, &*s.title, &*s.quote)).collect();
        assert_eq!(said, [("https://a", r#"A \"q\""#, "said"), ("https://b", "B", "")]);
        assert_eq!((search.requests(), search.cited().len(), search.cited().len()), (1, 2, 0));
        search.count(Some(3));
        search.count(None);
        assert_eq!(search.requests(), 3);
    }
}
