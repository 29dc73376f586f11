//! Web search that the gateway runs for an upstream without one: the requests of its rounds, the one reply that the client gets
//! of them, and the APIs of search services.
//!
//! The upstream gets an ordinary tool in the place of the server tool. When the model calls it, the gateway runs the search and
//! asks the model again. The client sees what Anthropic's own search shows
//! (platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool): `server_tool_use`, `web_search_tool_result`, and text
//! with citations.

mod citing;
mod conversation;
mod history;
mod reply;
mod sealed;
mod services;
mod tool;

pub use conversation::Conversation;
pub use reply::{Progress, SearchReply};
pub(crate) use sealed::{index as sealed_index, seal, text_of as sealed_text};
pub use services::{SearchQuery, Service, ServiceRequest, UnreadableAnswer};
pub use tool::{Domains, Location, SearchTool, is_mentioned, is_mentioned_by_name};

/// The prefix of a search's id if this gateway created its blocks.
pub const OWN_SEARCH: &str = "srvtoolu_vdm1";

/// The name of the tool, for clients and for upstreams.
pub const TOOL_NAME: &str = "web_search";

/// The longest text of one page that a model gets, in characters.
const LONGEST_TEXT: usize = 2000;
/// The longest title and address, in characters.
const LONGEST_TITLE: usize = 300;
const LONGEST_URL: usize = 2048;
/// The longest text that a citation quotes, in characters. Anthropic's has 150 too.
const LONGEST_QUOTE: usize = 150;

/// A page that a search has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub url: String,
    pub title: String,
    /// When it was published or found, in the service's format.
    pub age: Option<String>,
    /// The service's excerpt of the page.
    pub text: String,
}

/// A call of the tool, to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchCall {
    /// The id that the client sees.
    pub id: String,
    /// The id that the upstream has given, or the client's for a call of an earlier turn.
    pub upstream_id: String,
    /// The model's arguments, as JSON.
    pub input: String,
}

impl SearchCall {
    /// The text to search for; `None` if the arguments have none.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        let input: serde_json::Value = serde_json::from_str(&self.input).ok()?;
        let query = input.get("query")?.as_str()?.trim();
        (!query.is_empty()).then(|| query.to_owned())
    }
}

/// Why a search has no result. The names are those of the Messages API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchError {
    Unavailable,
    TooManyRequests,
    QueryTooLong,
    InvalidInput,
    MaxUsesExceeded,
}

impl SearchError {
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::TooManyRequests => "too_many_requests",
            Self::QueryTooLong => "query_too_long",
            Self::InvalidInput => "invalid_input",
            Self::MaxUsesExceeded => "max_uses_exceeded",
        }
    }

    /// The text that the model gets.
    const fn advice(self) -> &'static str {
        match self {
            Self::Unavailable => {
                "The search service is unavailable. Say that the search failed; do not invent results."
            }
            Self::TooManyRequests => {
                "The search service is busy. Say that the search failed; do not invent results."
            }
            Self::QueryTooLong => "The query is too long. Search again with fewer words.",
            Self::InvalidInput => "The search was refused. It needs a text in `query`.",
            Self::MaxUsesExceeded => {
                "No further search is allowed in this turn. Answer from what you have found."
            }
        }
    }
}

/// The result of a search.
pub type Found = Result<Vec<Page>, SearchError>;

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some((end, _)) => text[..end].to_owned(),
    }
}

impl Page {
    /// `None` without a web address, which nothing could cite.
    fn new(url: &str, title: &str, age: Option<&str>, text: &str) -> Option<Self> {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        let fits = url.len() <= LONGEST_URL && !url.contains(char::is_whitespace);
        (is_web && fits).then(|| Self {
            url: url.to_owned(),
            title: cut(title.trim(), LONGEST_TITLE),
            age: age.map(|age| cut(age.trim(), 64)).filter(|age| !age.is_empty()),
            text: cut(text.trim(), LONGEST_TEXT),
        })
    }
}
