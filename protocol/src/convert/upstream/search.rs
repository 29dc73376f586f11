//! The web pages that an upstream reports as found, and which parts of the text cite them.
//!
//! Vendors report pages in three ways: as annotations of the text, each with the range in which it counts (OpenAI, OpenRouter
//! and compatible servers), as a list that the text cites by number (Perplexity), and as a list alone (GLM).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::citation_marks::CitationMarks;
use crate::{
    anthropic::event::WebSource,
    json::{self, List, Literal, Object},
    web_search,
};

/// Maximum number of sources; further sources are dropped.
const MOST: usize = 64;
/// Maximum number of citations; further citations are dropped.
const MOST_CITATIONS: usize = 256;
/// Maximum length of an address, and of a quoted part of a page, in characters.
const LONGEST_URL: usize = 4096;
const LONGEST_QUOTE: usize = 1024;
/// Maximum length of a list that is remembered, so that its repetition is not read again.
const LONGEST_LIST: usize = 64 << 10;

/// The searches of one reply: their sources, their number, and the citations.
#[derive(Debug, Default)]
pub(super) struct Search {
    sources: Vec<WebSource>,
    /// The number of sources that the client has received.
    shown: usize,
    /// All citations so far, so that a repeated annotation counts once.
    citations: Vec<PageCitation>,
    /// The number of searches that the upstream reported.
    counted: Option<u64>,
    /// The sources by their numbers in the text.
    numbered: Vec<Option<usize>>,
    marks: CitationMarks,
    /// The last list of pages. Perplexity repeats it in every chunk.
    last_list: String,
    /// The number of characters of the text so far.
    position: u64,
    /// Whether a citation began or ended at the end of the text so far.
    is_boundary: bool,
    is_over: bool,
}

/// A part of the text that cites a page, in characters.
#[derive(Debug, PartialEq, Eq)]
struct PageCitation {
    source: usize,
    start: u64,
    end: u64,
    is_sent: bool,
}

impl PageCitation {
    /// Whether the vendor says where the citation counts. Some write 0 for both ends.
    fn has_range(&self) -> bool {
        self.start < self.end
    }
}

#[derive(Deserialize)]
struct Annotation<'a> {
    /// The object with the members. Some vendors put the members directly into the annotation.
    #[serde(borrow, default = "Default::default")]
    url_citation: Object<FoundPage<'a>>,
}

/// A page in any vendor's form.
#[derive(Deserialize)]
struct FoundPage<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    /// GLM.
    #[serde(borrow)]
    link: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    /// OpenRouter, GLM.
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// Perplexity.
    #[serde(borrow)]
    snippet: Option<&'a RawValue>,
    /// Perplexity.
    #[serde(borrow)]
    date: Option<&'a RawValue>,
    /// GLM.
    #[serde(borrow)]
    publish_date: Option<&'a RawValue>,
    /// GLM: the name of the page in the text, `ref_1`.
    #[serde(borrow)]
    refer: Option<&'a RawValue>,
    #[serde(borrow)]
    start_index: Option<&'a RawValue>,
    #[serde(borrow)]
    end_index: Option<&'a RawValue>,
}

impl FoundPage<'_> {
    fn source(&self) -> Option<WebSource> {
        let url = text(self.url.or(self.link), LONGEST_URL);
        let quote = text(self.content.or(self.snippet), LONGEST_QUOTE);
        let title = json::escape_text(&text(self.title, LONGEST_QUOTE));
        let age = json::escape_text(&text(self.date.or(self.publish_date), LONGEST_QUOTE));
        Some(WebSource { title, age, ..web_source(&url, &quote)? })
    }

    /// Its number in the text, if the page has a name there.
    fn number(&self) -> Option<usize> {
        let name = self.refer.and_then(Literal::of).and_then(Literal::decode)?;
        name.strip_prefix("ref_")?.parse().ok().filter(|number| *number > 0)
    }
}

/// A string, cut to this number of characters; empty if absent.
fn text(raw: Option<&RawValue>, longest: usize) -> String {
    let text = raw.and_then(Literal::of).and_then(Literal::decode).unwrap_or_default();
    text.chars().take(longest).collect()
}

/// A page with this address; `None` if it is not on the web.
fn web_source(url: &str, quote: &str) -> Option<WebSource> {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    is_web.then(|| WebSource {
        url: json::escape_text(url),
        quote: json::escape_text(quote),
        sealed: web_search::seal(url, quote),
        index: web_search::sealed_index(url, quote),
        ..WebSource::default()
    })
}

/// The parameter by which OpenAI marks an address that a text cites. Its list of pages has the address without it.
const MARKED_BY_OPENAI: &str = "utm_source=openai";

/// Whether two addresses differ in OpenAI's mark only.
fn is_same_page(one: &str, other: &str) -> bool {
    let is_marked = |url: &str| url.contains(MARKED_BY_OPENAI);
    (is_marked(one) || is_marked(other)) && without_mark(one).eq(without_mark(other))
}

/// The parts of an address: what stands before the query, its parameters, and the fragment.
fn without_mark(url: &str) -> impl Iterator<Item = &str> {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parameters = query.split('&').filter(|parameter| !matches!(*parameter, MARKED_BY_OPENAI | ""));
    std::iter::once(path).chain(parameters).chain(["#", fragment])
}

impl Search {
    /// Adds a list of annotations. They count characters from this position of the text.
    pub(super) fn take_annotations(&mut self, annotations: &str, from: u64) {
        let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(annotations) else { return };
        for raw in list {
            self.take_annotation(raw.get(), from);
        }
    }

    /// Adds one annotation.
    pub(super) fn take_annotation(&mut self, annotation: &str, from: u64) {
        let inside = serde_json::from_str::<Object<Annotation<'_>>>(annotation).ok();
        let inside = inside.and_then(|annotation| annotation.0?.url_citation.0);
        let beside = || serde_json::from_str::<Object<FoundPage<'_>>>(annotation).ok()?.0;
        let Some(page) = inside.or_else(beside) else { return };
        let Some(source) = page.source().and_then(|source| self.add(source)) else { return };
        let [start, end] = [page.start_index, page.end_index].map(|at| json::read_count(at).unwrap_or(0));
        let shift = |at: u64| if start < end { at.saturating_add(from) } else { at };
        self.cite(PageCitation { source, start: shift(start), end: shift(end), is_sent: false });
    }

    /// Adds a list of pages that the text does not cite by number.
    pub(super) fn take_sources(&mut self, list: &RawValue) {
        let Ok(pages) = serde_json::from_str::<List<Object<FoundPage<'_>>>>(list.get()) else { return };
        for source in pages.0.iter().filter_map(|page| page.0.as_ref()?.source()).take(MOST) {
            self.add(source);
        }
    }

    /// The number of characters of the text so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Adds a list of found pages, or of their addresses. The text cites them by their position.
    pub(super) fn take_pages(&mut self, list: &RawValue) {
        if self.last_list == list.get() {
            return;
        }
        self.last_list.clear();
        if list.get().len() <= LONGEST_LIST {
            self.last_list.push_str(list.get());
        }
        let Ok(pages) = serde_json::from_str::<List<&RawValue>>(list.get()) else { return };
        self.numbered.clear();
        for (at, raw) in pages.0.into_iter().enumerate().take(MOST) {
            let page = serde_json::from_str::<Object<FoundPage<'_>>>(raw.get()).ok().and_then(|page| page.0);
            let number = page.as_ref().and_then(FoundPage::number).unwrap_or(at + 1);
            let address = || web_source(&text(Some(raw), LONGEST_URL), "");
            let source = page.as_ref().map_or_else(address, FoundPage::source);
            let source = source.and_then(|source| self.add(source));
            if number <= MOST {
                self.numbered.resize(self.numbered.len().max(number), None);
                self.numbered[number - 1] = source;
            }
        }
    }

    /// Adds a page, and returns its position. Each page counts once; a citation may know its title.
    fn add(&mut self, source: WebSource) -> Option<usize> {
        let is_same = |known: &WebSource| known.url == source.url || is_same_page(&known.url, &source.url);
        if let Some(at) = self.sources.iter().position(is_same) {
            let known = &mut self.sources[at];
            if known.title.is_empty() {
                known.title = source.title;
            }
            return Some(at);
        }
        let at = self.sources.len();
        (at < MOST).then(|| {
            self.sources.push(source);
            at
        })
    }

    fn cite(&mut self, citation: PageCitation) {
        let PageCitation { source, start, end, .. } = citation;
        let is_same = |known: &PageCitation| (known.source, known.start, known.end) == (source, start, end);
        if self.citations.iter().any(is_same) || self.citations.len() >= MOST_CITATIONS {
            return;
        }
        // The text that cites the page is already sent: its block ends before the next text.
        self.is_boundary |= citation.has_range() && end <= self.position;
        self.citations.push(citation);
    }

    /// Stores the number of searches that the upstream reports.
    pub(super) fn count(&mut self, searches: Option<u64>) {
        self.counted = searches.or(self.counted);
    }

    /// The number of searches: the upstream's count, otherwise one if there are sources.
    pub(super) fn requests(&self) -> u64 {
        self.counted.unwrap_or(u64::from(!self.sources.is_empty()))
    }

    /// Splits text where a citation begins or ends. `None` if none does.
    pub(super) fn split<'t>(&mut self, inner: &'t str) -> Option<(&'t str, &'t str)> {
        let position = self.position;
        let open = self.citations.iter().filter(|citation| !citation.is_sent && citation.has_range());
        let ends = open.flat_map(|citation| [citation.start, citation.end]);
        let next = ends.filter(|end| *end > position).min()?;
        json::split_after(inner, next - position)
    }

    /// Notes text that is sent.
    pub(super) fn passed(&mut self, inner: &str) {
        self.position += json::characters(inner);
        self.marks.scan(inner);
        let at = self.position;
        let mut open = self.citations.iter().filter(|citation| !citation.is_sent && citation.has_range());
        self.is_boundary |= open.any(|citation| citation.start == at || citation.end == at);
    }

    /// Whether the next text has other citations than the text before it. Answers once.
    pub(super) fn take_boundary(&mut self) -> bool {
        std::mem::take(&mut self.is_boundary)
    }

    /// Whether the client has received no page yet, although there are some.
    pub(super) fn is_due(&self) -> bool {
        self.shown == 0 && !self.sources.is_empty()
    }

    /// The pages that the client has not received.
    pub(super) fn unshown(&self) -> &[WebSource] {
        self.sources.get(self.shown..).unwrap_or_default()
    }

    pub(super) fn shown(&mut self) {
        self.shown = self.sources.len();
    }

    /// No text follows: the next text that ends has all remaining citations.
    pub(super) fn over(&mut self) {
        self.is_over = true;
    }

    /// Another text follows after all.
    pub(super) fn resume(&mut self) {
        self.is_over = false;
    }

    /// The pages that the text cites which ends here.
    pub(super) fn cited(&mut self) -> Vec<&WebSource> {
        self.is_boundary = false;
        let (position, is_over) = (self.position, self.is_over);
        let mut cited = Vec::new();
        for citation in self.citations.iter_mut().filter(|citation| !citation.is_sent) {
            if is_over || !citation.has_range() || citation.end <= position {
                citation.is_sent = true;
                cited.push(citation.source);
            }
        }
        let numbered = &self.numbered;
        let of_marks = self.marks.drain(|number| numbered.get(number - 1).is_some());
        cited.extend(of_marks.into_iter().filter_map(|number| *numbered.get(number - 1)?));
        let mut seen = Vec::new();
        cited.retain(|source| {
            let is_new = !seen.contains(source);
            seen.push(*source);
            is_new
        });
        cited.into_iter().filter_map(|source| self.sources.get(source)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    fn urls(search: &mut Search) -> Vec<String> {
        search.cited().into_iter().map(|source| source.url.clone()).collect()
    }

    #[test]
    fn pages_are_read_from_both_forms_and_once() {
        let mut search = Search::default();
        search.take_annotations(
            r#"[{"type":"url_citation","url_citation":{"url":"https://a","title":"A \"q\"","content":"said"}},
                {"type":"url_citation","url":"https://b","title":"B"}, 7, {"url_citation":{"url":"javascript:x"}},
                {"url_citation":{"url":"https://a"}}, {"type":"file_citation"}]"#,
            0,
        );
        let said: Vec<_> = search.unshown().iter().map(|s| (&*s.url, &*s.title, &*s.quote)).collect();
        assert_eq!(said, [("https://a", r#"A \"q\""#, "said"), ("https://b", "B", "")]);
        assert_eq!((search.requests(), urls(&mut search).len(), urls(&mut search).len()), (1, 2, 0));
        search.count(Some(3));
        search.count(None);
        assert_eq!(search.requests(), 3);
    }

    /// Requirement: a page is one page with OpenAI's mark and without it, and keeps the address that came first.
    #[test]
    fn openais_mark_makes_no_other_page() {
        for (listed, cited, is_same) in [
            ("https://a/b", "https://a/b?utm_source=openai", true),
            ("https://a/b?utm_source=openai", "https://a/b", true),
            ("https://a/b?x=1&y=2#top", "https://a/b?x=1&utm_source=openai&y=2#top", true),
            ("https://a/b?x=1", "https://a/b?utm_source=openai&x=1", true),
            ("https://a/b?x=1", "https://a/b?x=2&utm_source=openai", false),
            ("https://a/b?utm_source=other", "https://a/b?utm_source=openai", false),
            ("https://a/b#utm_source=openai", "https://a/b", false),
            ("https://a/b#c", "https://a/b?utm_source=openai#d", false),
            ("https://a/b?x", "https://a/b?y", false),
        ] {
            let mut search = Search::default();
            search.take_sources(&raw(&format!(r#"[{{"url":"{listed}"}}]"#)));
            search.take_annotation(&format!(r#"{{"url":"{cited}","title":"T"}}"#), 0);
            search.take_annotation(&format!(r#"{{"url":"{listed}","title":"U"}}"#), 0);
            assert_eq!(search.unshown().len(), if is_same { 1 } else { 2 }, "{listed} {cited}");
            let first = if is_same { listed } else { cited };
            assert_eq!(search.cited()[0].url, first);
            assert_eq!(search.unshown()[0].title, if is_same { "T" } else { "U" });
        }
    }

    #[test]
    fn text_is_split_where_citations_begin_and_end() {
        let mut search = Search::default();
        search.take_annotations(
            r#"[{"url_citation":{"url":"https://a","start_index":2,"end_index":4}},
                {"url_citation":{"url":"https://b","start_index":4,"end_index":6}},
                {"url_citation":{"url":"https://a","start_index":2,"end_index":4}}]"#,
            0,
        );
        let mut rest = r"01\u00e93\ud83d\ude00\n67";
        let mut parts = vec![];
        while let Some((front, back)) = search.split(rest) {
            search.passed(front);
            assert!(search.take_boundary());
            parts.push((front.to_owned(), urls(&mut search)));
            rest = back;
        }
        let expected: [(&str, &[&str]); 3] =
            [("01", &[]), (r"\u00e93", &["https://a"]), (r"\ud83d\ude00\n", &["https://b"])];
        let parts: Vec<(&str, Vec<&str>)> =
            parts.iter().map(|(text, urls)| (&**text, urls.iter().map(|url| &**url).collect())).collect();
        assert_eq!(parts, expected.map(|(text, urls)| (text, urls.to_vec())));
        assert_eq!(rest, "67");
    }

    #[test]
    fn the_numbers_in_the_text_cite_the_pages_of_a_list() {
        let mut search = Search::default();
        search.passed("Sunny[2] and[1");
        search.passed("][9].");
        search.take_pages(&raw(r#"[{"url":"https://a","date":"2026-11-01"},{"url":"https://b"}]"#));
        assert_eq!(urls(&mut search), ["https://a", "https://b"]);
        assert_eq!(search.unshown()[0].age, "2026-11-01");
        search.passed("Again[2].");
        search.take_pages(&raw(r#"["https://a","https://c"]"#));
        assert_eq!(urls(&mut search), ["https://c"]);

        let mut search = Search::default();
        search
            .take_pages(&raw(r#"[{"link":"https://x","refer":"ref_2"},{"link":"ftp://y","refer":"ref_1"}]"#));
        search.passed("a[ref_1], b[ref_2], c[ref_3]");
        assert_eq!(urls(&mut search), ["https://x"]);
    }

    #[test]
    fn sources_and_citations_have_a_bound() {
        let mut search = Search::default();
        for number in 0..1000 {
            let page = format!(r#"{{"url":"https://{number}","start_index":1,"end_index":{number}}}"#);
            search.take_annotations(&format!("[{page}]"), 0);
            search.take_pages(&raw(&format!("[{page}]")));
        }
        assert_eq!((search.sources.len(), search.citations.len()), (MOST, MOST));
        for number in 0..1000 {
            let page = format!(r#"{{"url":"https://1","start_index":1,"end_index":{number}}}"#);
            search.take_annotations(&format!("[{page}]"), 0);
        }
        assert_eq!(search.citations.len(), MOST_CITATIONS);
    }
}
