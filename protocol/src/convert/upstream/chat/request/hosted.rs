//! Requests for the provider's own web search and web fetch: Anthropic's server tools in the form of the provider.
//!
//! | form | where | allowed domains | blocked domains | uses | location |
//! |---|---|---|---|---|---|
//! | members | body | - | - | - | - |
//! | OpenRouter | `tools` | yes | yes | yes | yes |
//! | OpenAI | body | - | - | - | yes |
//! | Perplexity | body | yes, 20 | yes, 20 | - | without time zone |
//! | Z.ai, BigModel | `tools` | one | - | - | - |
//!
//! A limit that the provider does not have is dropped by name.

use super::ChatUpstream;
use crate::{
    anthropic::request::ToolChoiceParam,
    convert::{
        Dropped,
        upstream::{
            hosted_search::HostedSearch,
            tools::{
                EVERY_PLACE, SearchLimits, ToolEntry, count, domains, is_web_fetch, is_web_search, set,
                write_count, write_list,
            },
        },
    },
    fault::RequestError,
    json::{JsonWord, Write},
};

/// Maximum number of domains at Perplexity (docs.perplexity.ai, "Domain filter", 2026-11).
const PERPLEXITY_DOMAINS: usize = 20;

/// The web tools of a request that the provider runs itself.
pub(super) struct HostedTools<'r, 'a> {
    form: Option<&'r HostedSearch>,
    /// The search that the provider runs: the first one, unless the client forbids tools.
    search: Option<&'r ToolEntry<'r, 'a>>,
    is_allowed: bool,
    /// Whether the model searches without being asked: OpenRouter's suffix `:online`
    /// (openrouter.ai/docs/guides/features/plugins/web-search, 2026-11). A tool beside it would search twice.
    is_online: bool,
}

impl<'r, 'a> HostedTools<'r, 'a> {
    pub(super) fn new(
        tools: &'r [ToolEntry<'r, 'a>],
        choice: Option<&ToolChoiceParam<'a>>,
        target: &'r ChatUpstream<'_>,
    ) -> Self {
        let form = target.dialect.hosted_search(target.model);
        let kind = choice.and_then(|choice| choice.r#type.as_ref()).map_or("", JsonWord::as_str);
        let is_allowed = kind != "none";
        let search = tools.iter().find(|entry| is_web_search(entry.tool()));
        let is_online = form == Some(&HostedSearch::OpenRouter) && target.model.ends_with(":online");
        Self { form, search: search.filter(|_| is_allowed && form.is_some()), is_allowed, is_online }
    }

    /// Whether the provider can search.
    pub(super) fn can_search(&self) -> bool {
        self.form.is_some()
    }

    /// Whether the provider can read web pages.
    pub(super) fn can_fetch(&self) -> bool {
        self.form.is_some_and(HostedSearch::fetches)
    }

    /// Whether the provider searches for this request.
    pub(super) fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// Appends the members of the body that request the search, if the form has members, each with a comma before it.
    pub(super) fn write_members(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let (Some(form), Some(entry)) = (self.form, self.search) else { return Ok(()) };
        let limits = SearchLimits::read(entry)?;
        match form {
            HostedSearch::Members(members) => {
                out.put(b",");
                out.raw(members);
                limits.drop_all(dropped);
            }
            HostedSearch::OpenAi => write_openai(&limits, dropped, out),
            HostedSearch::Perplexity => write_perplexity(&limits, dropped, out),
            HostedSearch::OpenRouter if self.is_online => limits.drop_all(dropped),
            HostedSearch::OpenRouter | HostedSearch::Zai | HostedSearch::Bigmodel => {}
        }
        Ok(())
    }

    /// The entry of `tools` for this web tool. `None` if the provider has no such entry; the tool is noted as dropped unless
    /// the members of the body request it.
    pub(super) fn entry(
        &self,
        entry: &ToolEntry<'_, '_>,
        dropped: &mut Dropped,
    ) -> Result<Option<Vec<u8>>, RequestError> {
        let tool = entry.tool();
        let is_the_search = self.search.is_some_and(|search| std::ptr::eq(search.tool(), tool));
        let mut out = Vec::new();
        match self.form {
            Some(form) if is_the_search => {
                let limits = SearchLimits::read(entry)?;
                match form {
                    HostedSearch::OpenRouter if !self.is_online => write_openrouter(&limits, &mut out),
                    HostedSearch::Zai => write_glm(&limits, "search_pro_jina", dropped, &mut out),
                    HostedSearch::Bigmodel => write_glm(&limits, "search_std", dropped, &mut out),
                    HostedSearch::Members(_)
                    | HostedSearch::OpenRouter
                    | HostedSearch::OpenAi
                    | HostedSearch::Perplexity => {}
                }
            }
            Some(form) if self.is_allowed && form.fetches() && is_web_fetch(tool) => {
                write_openrouter_fetch(entry, dropped, &mut out)?;
            }
            Some(_) | None => {
                let kind = tool.r#type.as_ref().map_or("", JsonWord::as_str);
                dropped.note(format_args!("{} ({kind})", entry.path()));
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}

/// Source: `WebSearchServerToolConfig` of OpenRouter's SDKs, 2026-11. The engine is OpenRouter's own, since the searches of the
/// models' vendors ignore `max_uses` and report no pages (pydantic/pydantic-ai#7458).
fn write_openrouter(limits: &SearchLimits<'_>, out: &mut Vec<u8>) {
    out.put(b"{\"type\":\"openrouter:web_search\",\"parameters\":{\"engine\":\"exa\",");
    write_list("allowed_domains", &limits.allowed, out);
    write_list("excluded_domains", &limits.blocked, out);
    write_count("max_uses", limits.max_uses, out);
    if let Some(location) = &limits.location {
        out.put(b"\"user_location\":{\"type\":\"approximate\"");
        let end = out.len();
        out.put(b",");
        location.write(&EVERY_PLACE, out);
        if out.len() == end + 1 {
            out.pop();
        }
        out.put(b"},");
    }
    out.pop();
    out.put(b"}}");
}

fn write_openai(limits: &SearchLimits<'_>, dropped: &mut Dropped, out: &mut Vec<u8>) {
    out.put(b",\"web_search_options\":{");
    if let Some(location) = &limits.location {
        out.put(b"\"user_location\":{\"type\":\"approximate\",\"approximate\":{");
        location.write(&EVERY_PLACE, out);
        out.put(b"}}");
    }
    out.put(b"}");
    limits.drop_domains(dropped);
    limits.drop_uses(dropped);
}

/// A blocked domain has a `-` before it.
fn write_perplexity(limits: &SearchLimits<'_>, dropped: &mut Dropped, out: &mut Vec<u8>) {
    let (name, sign, domains) = match limits.allowed.is_empty() {
        false => ("allowed_domains", "", &limits.allowed),
        true => ("blocked_domains", "-", &limits.blocked),
    };
    let mut separator = ",\"search_domain_filter\":[";
    for domain in domains.iter().take(PERPLEXITY_DOMAINS) {
        out.raw(separator);
        out.put(b"\"");
        out.raw(sign);
        out.raw(domain.inner());
        out.put(b"\"");
        separator = ",";
    }
    if !domains.is_empty() {
        out.put(b"]");
    }
    if domains.len() > PERPLEXITY_DOMAINS {
        dropped.note(format_args!("{}.{name} beyond {PERPLEXITY_DOMAINS}", limits.path));
    }
    if let Some(location) = &limits.location {
        out.put(b",\"web_search_options\":{\"user_location\":{");
        location.write(&["city", "region", "country"], out);
        out.put(b"}}");
        if location.timezone.is_some() {
            dropped.note(format_args!("{}.user_location.timezone", limits.path));
        }
    }
    limits.drop_uses(dropped);
}

/// `search_result` makes the reply list the pages; `before` puts them before the text.
fn write_glm(limits: &SearchLimits<'_>, engine: &str, dropped: &mut Dropped, out: &mut Vec<u8>) {
    out.put(b"{\"type\":\"web_search\",\"web_search\":{\"enable\":true,\"search_engine\":");
    out.string(engine);
    out.put(b",\"search_result\":true,\"result_sequence\":\"before\"");
    match &limits.allowed[..] {
        [domain] => {
            out.put(b",\"search_domain_filter\":");
            out.quoted(domain.inner());
        }
        [] | [_, _, ..] => limits.drop_domains(dropped),
    }
    out.put(b"}}");
    limits.drop_uses(dropped);
    if limits.location.is_some() {
        dropped.note(format_args!("{}.user_location", limits.path));
    }
}

/// Source: `WebFetchServerToolConfig` of OpenRouter's SDKs, 2026-11. The reply does not say which pages were read.
fn write_openrouter_fetch(
    entry: &ToolEntry<'_, '_>,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let (tool, path) = (entry.tool(), entry.path());
    out.put(b"{\"type\":\"openrouter:web_fetch\",\"parameters\":{");
    let start = out.len();
    write_list("allowed_domains", &domains(tool.allowed_domains, &path, "allowed_domains")?, out);
    write_list("blocked_domains", &domains(tool.blocked_domains, &path, "blocked_domains")?, out);
    write_count("max_uses", count(tool.max_uses, &path, "max_uses")?, out);
    write_count("max_content_tokens", count(tool.max_content_tokens, &path, "max_content_tokens")?, out);
    if out.len() > start {
        out.pop();
    }
    out.put(b"}}");
    if set(tool.citations).is_some() {
        dropped.note(format_args!("{path}.citations"));
    }
    Ok(())
}
