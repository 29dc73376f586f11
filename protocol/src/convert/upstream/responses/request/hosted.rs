//! Requests for the provider's own web search: the tool `web_search` in place of Anthropic's.
//!
//! | form | tool | allowed domains | blocked domains | uses | location |
//! |---|---|---|---|---|---|
//! | members of the configuration | - | - | - | - | - |
//! | OpenAI | `web_search` | yes | - | `max_tool_calls` | yes |
//! | others | `web_search` | yes | - | - | yes |
//!
//! The forms are those of the SDK (openai 3.57.0 on PyPI, types/responses/web_search_tool_param.py).
//! A limit that the provider does not have is dropped by name.

use super::super::ResponsesUpstream;
use crate::{
    anthropic::request::{ToolChoiceParam, ToolParam},
    convert::{
        Dropped,
        upstream::{
            hosted_search::HostedSearch,
            tools::{EVERY_PLACE, SearchLimits, ToolEntry, WebAccess, is_web_search, write_list},
        },
    },
    fault::RequestError,
    json::{JsonWord, Write},
};

/// The type of the tool.
const WEB_SEARCH: &str = "{\"type\":\"web_search\"";

/// The web search of a request that the provider runs itself.
pub(super) struct HostedSearchTool<'r, 'a> {
    form: Option<&'r HostedSearch>,
    /// The first search, unless the client forbids tools or the provider cannot search.
    search: Option<RequestedSearch<'r, 'a>>,
}

struct RequestedSearch<'r, 'a> {
    entry: &'r ToolEntry<'r, 'a>,
    limits: SearchLimits<'a>,
    form: &'r HostedSearch,
}

impl<'r, 'a> HostedSearchTool<'r, 'a> {
    /// Refuses limits that the Messages API would refuse.
    pub(super) fn new(
        tools: &'r [ToolEntry<'r, 'a>],
        choice: Option<&ToolChoiceParam<'a>>,
        target: &'r ResponsesUpstream<'_>,
    ) -> Result<Self, RequestError> {
        let form = target.dialect.web_search.as_ref();
        let kind = choice.and_then(|choice| choice.r#type.as_ref()).map_or("", JsonWord::as_str);
        let access =
            WebAccess { provider: target.provider, searches: form.is_some(), fetches: false, advice: "" };
        access.check(tools, choice)?;
        let entry = tools.iter().find(|entry| is_web_search(entry.tool())).filter(|_| kind != "none");
        let search = match entry.zip(form) {
            Some((entry, form)) => Some(RequestedSearch { entry, limits: SearchLimits::read(entry)?, form }),
            None => None,
        };
        Ok(Self { form, search })
    }

    /// Whether the provider searches for this request.
    pub(super) fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// Whether this tool is the search and has an entry that can be chosen.
    pub(super) fn is_chosen(&self, tool: &ToolParam<'_>) -> bool {
        self.is_the_search(tool) && self.is_a_tool()
    }

    fn is_the_search(&self, tool: &ToolParam<'_>) -> bool {
        self.search.as_ref().is_some_and(|search| std::ptr::addr_eq(search.entry.tool(), tool))
    }

    /// Whether the search is an entry of `tools`.
    fn is_a_tool(&self) -> bool {
        self.search.as_ref().is_some_and(|search| match search.form {
            HostedSearch::Members(_) => false,
            HostedSearch::OpenAi
            | HostedSearch::OpenRouter
            | HostedSearch::Perplexity
            | HostedSearch::Zai
            | HostedSearch::Bigmodel => true,
        })
    }

    /// Whether the reply is to list the pages that were found. Other vendors list them anyway, or refuse the wish.
    pub(super) fn lists_sources(&self) -> bool {
        self.searches() && self.form == Some(&HostedSearch::OpenAi)
    }

    /// Appends the members of the body that belong to the search, each with a comma before it.
    pub(super) fn write_members(&self, dropped: &mut Dropped, out: &mut Vec<u8>) {
        let Some(RequestedSearch { limits, form, .. }) = &self.search else { return };
        match form {
            HostedSearch::Members(members) => {
                out.put(b",");
                out.raw(members);
                limits.drop_all(dropped);
            }
            HostedSearch::OpenAi => {
                // The search is the only tool that the server runs.
                if let Some(uses) = limits.max_uses {
                    out.put(b",\"max_tool_calls\":");
                    out.number(uses);
                }
            }
            HostedSearch::OpenRouter
            | HostedSearch::Perplexity
            | HostedSearch::Zai
            | HostedSearch::Bigmodel => {
                limits.drop_uses(dropped);
            }
        }
    }

    /// The entry of `tools` for a tool that runs at Anthropic. `None` if there is none; the tool is noted as dropped unless the
    /// members of the body request it.
    pub(super) fn entry(&self, entry: &ToolEntry<'_, '_>, dropped: &mut Dropped) -> Option<Vec<u8>> {
        let tool = entry.tool();
        let search = self.search.as_ref().filter(|_| self.is_the_search(tool));
        let Some(RequestedSearch { limits, form, .. }) = search else {
            let kind = tool.r#type.as_ref().map_or("", JsonWord::as_str);
            dropped.note(format_args!("{} ({kind})", entry.path()));
            return None;
        };
        if !self.is_a_tool() {
            return None;
        }
        if !limits.blocked.is_empty() {
            dropped.note(format_args!("{}.blocked_domains", limits.path));
        }
        Some(web_search(limits, form))
    }
}

/// OpenAI takes a search without a location for one in the United States.
fn web_search(limits: &SearchLimits<'_>, form: &HostedSearch) -> Vec<u8> {
    let mut out = WEB_SEARCH.as_bytes().to_vec();
    if !limits.allowed.is_empty() {
        out.put(b",\"filters\":{");
        write_list("allowed_domains", &limits.allowed, &mut out);
        out.pop();
        out.put(b"}");
    }
    if limits.location.is_some() || *form == HostedSearch::OpenAi {
        out.put(b",\"user_location\":{\"type\":\"approximate\",");
        if let Some(location) = &limits.location {
            let start = out.len();
            location.write(&EVERY_PLACE, &mut out);
            out.raw(if out.len() > start { "," } else { "" });
        }
        out.pop();
        out.put(b"}");
    }
    out.put(b"}");
    out
}
