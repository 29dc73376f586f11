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

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ChatUpstream, tool_list::ToolEntry};
use crate::{
    anthropic::request::{ToolChoiceParam, ToolParam},
    convert::{Dropped, upstream::chat::HostedSearch},
    fault::RequestError,
    json::{JsonWord, Literal, Write},
};

/// Maximum number of domains at Perplexity (docs.perplexity.ai, "Domain filter", 2026-11).
const PERPLEXITY_DOMAINS: usize = 20;

/// Whether a tool of this type (`web_search_20250305`) searches the web at Anthropic.
pub(super) fn is_web_search(tool: &ToolParam<'_>) -> bool {
    tool.r#type.as_ref().is_some_and(|kind| kind.as_str().starts_with("web_search_"))
}

/// Whether a tool of this type (`web_fetch_20250910`) reads web pages at Anthropic.
pub(super) fn is_web_fetch(tool: &ToolParam<'_>) -> bool {
    tool.r#type.as_ref().is_some_and(|kind| kind.as_str().starts_with("web_fetch_"))
}

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
            HostedSearch::OpenAi => limits.write_openai(dropped, out),
            HostedSearch::Perplexity => limits.write_perplexity(dropped, out),
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
                    HostedSearch::OpenRouter if !self.is_online => limits.write_openrouter(&mut out),
                    HostedSearch::Zai => limits.write_glm("search_pro_jina", dropped, &mut out),
                    HostedSearch::Bigmodel => limits.write_glm("search_std", dropped, &mut out),
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

/// Where the user is, as far as the client says.
#[derive(Default, Deserialize)]
struct UserLocation<'a> {
    #[serde(borrow)]
    city: Option<Literal<'a>>,
    #[serde(borrow)]
    region: Option<Literal<'a>>,
    #[serde(borrow)]
    country: Option<Literal<'a>>,
    #[serde(borrow)]
    timezone: Option<Literal<'a>>,
}

impl UserLocation<'_> {
    /// Appends the members, without braces.
    fn write(&self, names: &[&str], out: &mut Vec<u8>) {
        let all = [
            ("city", self.city),
            ("region", self.region),
            ("country", self.country),
            ("timezone", self.timezone),
        ];
        let mut separator = "\"";
        for (name, value) in all {
            let Some(value) = value.filter(|_| names.contains(&name)) else { continue };
            out.raw(separator);
            out.raw(name);
            out.put(b"\":");
            out.quoted(value.inner());
            separator = ",\"";
        }
    }
}

const EVERY_PLACE: [&str; 4] = ["city", "region", "country", "timezone"];

/// What a client allows a search to do.
struct SearchLimits<'a> {
    path: String,
    allowed: Vec<Literal<'a>>,
    blocked: Vec<Literal<'a>>,
    max_uses: Option<u64>,
    location: Option<UserLocation<'a>>,
}

impl<'a> SearchLimits<'a> {
    /// Reads the limits, with the rules of the Messages API.
    fn read(entry: &ToolEntry<'_, 'a>) -> Result<Self, RequestError> {
        let (tool, path) = (entry.tool(), entry.path());
        let allowed = domains(tool.allowed_domains, &path, "allowed_domains")?;
        let blocked = domains(tool.blocked_domains, &path, "blocked_domains")?;
        if !allowed.is_empty() && !blocked.is_empty() {
            return Err(RequestError::new(format!(
                "{path}: allowed_domains and blocked_domains cannot be used together"
            )));
        }
        let max_uses = count(tool.max_uses, &path, "max_uses")?;
        let location = set(tool.user_location).map(|raw| serde_json::from_str(raw.get()));
        let location = location.transpose();
        let location =
            location.map_err(|_| RequestError::new(format!("{path}.user_location: must be an object")))?;
        Ok(Self { path, allowed, blocked, max_uses, location })
    }

    fn drop_all(&self, dropped: &mut Dropped) {
        self.drop_domains(dropped);
        self.drop_uses(dropped);
        if self.location.is_some() {
            dropped.note(format_args!("{}.user_location", self.path));
        }
    }

    fn drop_domains(&self, dropped: &mut Dropped) {
        for (name, domains) in [("allowed_domains", &self.allowed), ("blocked_domains", &self.blocked)] {
            if !domains.is_empty() {
                dropped.note(format_args!("{}.{name}", self.path));
            }
        }
    }

    fn drop_uses(&self, dropped: &mut Dropped) {
        if self.max_uses.is_some() {
            dropped.note(format_args!("{}.max_uses", self.path));
        }
    }

    /// Source: `WebSearchServerToolConfig` of OpenRouter's SDKs, 2026-11. The engine is OpenRouter's own, since the searches of the
    /// models' vendors ignore `max_uses` and report no pages (pydantic/pydantic-ai#7458).
    fn write_openrouter(&self, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"openrouter:web_search\",\"parameters\":{\"engine\":\"exa\",");
        write_list("allowed_domains", &self.allowed, out);
        write_list("excluded_domains", &self.blocked, out);
        write_count("max_uses", self.max_uses, out);
        if let Some(location) = &self.location {
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

    fn write_openai(&self, dropped: &mut Dropped, out: &mut Vec<u8>) {
        out.put(b",\"web_search_options\":{");
        if let Some(location) = &self.location {
            out.put(b"\"user_location\":{\"type\":\"approximate\",\"approximate\":{");
            location.write(&EVERY_PLACE, out);
            out.put(b"}}");
        }
        out.put(b"}");
        self.drop_domains(dropped);
        self.drop_uses(dropped);
    }

    /// A blocked domain has a `-` before it.
    fn write_perplexity(&self, dropped: &mut Dropped, out: &mut Vec<u8>) {
        let (name, sign, domains) = match self.allowed.is_empty() {
            false => ("allowed_domains", "", &self.allowed),
            true => ("blocked_domains", "-", &self.blocked),
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
            dropped.note(format_args!("{}.{name} beyond {PERPLEXITY_DOMAINS}", self.path));
        }
        if let Some(location) = &self.location {
            out.put(b",\"web_search_options\":{\"user_location\":{");
            location.write(&["city", "region", "country"], out);
            out.put(b"}}");
            if location.timezone.is_some() {
                dropped.note(format_args!("{}.user_location.timezone", self.path));
            }
        }
        self.drop_uses(dropped);
    }

    /// `search_result` makes the reply list the pages; `before` puts them before the text.
    fn write_glm(&self, engine: &str, dropped: &mut Dropped, out: &mut Vec<u8>) {
        out.put(b"{\"type\":\"web_search\",\"web_search\":{\"enable\":true,\"search_engine\":");
        out.string(engine);
        out.put(b",\"search_result\":true,\"result_sequence\":\"before\"");
        match &self.allowed[..] {
            [domain] => {
                out.put(b",\"search_domain_filter\":");
                out.quoted(domain.inner());
            }
            [] | [_, _, ..] => self.drop_domains(dropped),
        }
        out.put(b"}}");
        self.drop_uses(dropped);
        if self.location.is_some() {
            dropped.note(format_args!("{}.user_location", self.path));
        }
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

/// A member that is not `null`.
fn set(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn domains<'a>(raw: Option<&'a RawValue>, path: &str, name: &str) -> Result<Vec<Literal<'a>>, RequestError> {
    let list = set(raw).map(|raw| serde_json::from_str(raw.get()));
    let list = list.transpose();
    list.map(Option::unwrap_or_default)
        .map_err(|_| RequestError::new(format!("{path}.{name}: must be an array of strings")))
}

fn count(raw: Option<&RawValue>, path: &str, name: &str) -> Result<Option<u64>, RequestError> {
    let count = set(raw).map(|raw| raw.get().parse::<u64>().ok().filter(|count| *count > 0));
    match count {
        Some(None) => Err(RequestError::new(format!("{path}.{name}: must be a whole number, at least 1"))),
        Some(count @ Some(_)) => Ok(count),
        None => Ok(None),
    }
}

/// Appends the member with a comma behind it, if the list has entries.
fn write_list(name: &str, domains: &[Literal<'_>], out: &mut Vec<u8>) {
    if domains.is_empty() {
        return;
    }
    out.quoted(name);
    for (at, domain) in domains.iter().enumerate() {
        out.raw(if at == 0 { ":[" } else { "," });
        out.quoted(domain.inner());
    }
    out.put(b"],");
}

/// Appends the member with a comma behind it, if the client sets it.
fn write_count(name: &str, count: Option<u64>, out: &mut Vec<u8>) {
    if let Some(count) = count {
        out.quoted(name);
        out.put(b":");
        out.number(count);
        out.put(b",");
    }
}
