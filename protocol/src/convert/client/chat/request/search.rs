//! A web search that a Chat Completions client asks for, as Anthropic's server tool `web_search`.
//!
//! Clients ask with `web_search_options` (OpenAI's search models), with a tool `web_search` in the form of OpenAI's Responses API
//! (`web_search`, `web_search_preview`, `web_search_2025_08_26`), or with Anthropic's own tool (`web_search_20250305`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    convert::Dropped,
    fault::RequestError,
    json::{JsonWord, Literal, Write},
    openai::request::{ChatRequestBody, ChatTool},
};

/// The tool that every Claude model with web search knows
/// (platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool, 2026-11).
const TOOL: &str = "web_search_20250305";
const NAME: &str = "web_search";

/// What the client says about its search.
#[derive(Default, Deserialize)]
struct SearchOptions<'a> {
    #[serde(borrow)]
    user_location: Option<&'a RawValue>,
    #[serde(borrow)]
    search_context_size: Option<&'a RawValue>,
    #[serde(borrow)]
    filters: Option<&'a RawValue>,
    #[serde(borrow)]
    allowed_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    blocked_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    max_uses: Option<&'a RawValue>,
}

impl<'a> From<&ChatTool<'a>> for SearchOptions<'a> {
    fn from(tool: &ChatTool<'a>) -> Self {
        Self {
            user_location: tool.user_location,
            search_context_size: tool.search_context_size,
            filters: tool.filters,
            allowed_domains: tool.allowed_domains,
            blocked_domains: tool.blocked_domains,
            max_uses: tool.max_uses,
        }
    }
}

#[derive(Deserialize)]
struct DomainFilters<'a> {
    #[serde(borrow)]
    allowed_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    blocked_domains: Option<&'a RawValue>,
}

/// In `web_search_options`, the members are in `approximate`; in a tool, they stand beside the type.
#[derive(Deserialize)]
struct UserLocation<'a> {
    #[serde(borrow)]
    approximate: Option<Place<'a>>,
    #[serde(borrow)]
    city: Option<Literal<'a>>,
    #[serde(borrow)]
    region: Option<Literal<'a>>,
    #[serde(borrow)]
    country: Option<Literal<'a>>,
    #[serde(borrow)]
    timezone: Option<Literal<'a>>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    city: Option<Literal<'a>>,
    #[serde(borrow)]
    region: Option<Literal<'a>>,
    #[serde(borrow)]
    country: Option<Literal<'a>>,
    #[serde(borrow)]
    timezone: Option<Literal<'a>>,
}

/// The search of a request.
pub(super) struct SearchRequest<'a> {
    /// The type of the tool.
    kind: String,
    allowed: Vec<Literal<'a>>,
    blocked: Vec<Literal<'a>>,
    max_uses: Option<u64>,
    location: Option<UserLocation<'a>>,
}

/// Whether a tool of this type is a web search.
fn is_search(kind: &str) -> bool {
    kind == NAME || kind.strip_prefix(NAME).is_some_and(|rest| rest.starts_with('_'))
}

impl<'a> SearchRequest<'a> {
    /// Reads the client's search: the first tool, otherwise the options. Names what is dropped, among it tools of other types that
    /// run at a vendor, and the search if a function has its name. `functions` are the names of the client's own tools.
    pub(super) fn read(
        request: &ChatRequestBody<'a>,
        functions: &[Literal<'_>],
        dropped: &mut Dropped,
    ) -> Result<Option<Self>, RequestError> {
        let is_taken = functions.iter().any(|name| name.is(NAME));
        let mut search = None;
        for (at, tool) in request.tools.iter().flatten().enumerate() {
            let kind = tool.r#type.as_ref().map_or("function", JsonWord::as_str);
            if matches!(kind, "function" | "custom") {
                continue;
            }
            let path = format!("tools.{at}");
            if is_search(kind) && search.is_none() && !is_taken {
                search = Some(Self::with(kind, tool.into(), &path, dropped)?);
            } else {
                dropped.note(format_args!("{path} ({kind})"));
            }
        }
        let options = request.web_search_options.filter(|options| options.get() != "null");
        match (options, &search) {
            (Some(raw), None) if !is_taken => {
                let path = "web_search_options";
                search = Some(Self::with(
                    NAME,
                    parsed(Some(raw), path, OBJECT)?.unwrap_or_default(),
                    path,
                    dropped,
                )?);
            }
            (Some(_), _) => dropped.note("web_search_options"),
            (None, _) => {}
        }
        Ok(search)
    }

    fn with(
        kind: &str,
        options: SearchOptions<'a>,
        path: &str,
        dropped: &mut Dropped,
    ) -> Result<Self, RequestError> {
        if options.search_context_size.is_some_and(|size| size.get() != "null") {
            dropped.note(format_args!("{path}.search_context_size"));
        }
        // Anthropic writes the date of a version without separators.
        let version = kind.strip_prefix("web_search_").unwrap_or_default();
        let is_anthropic = version.len() == 8 && version.bytes().all(|byte| byte.is_ascii_digit());
        let filters: Option<DomainFilters<'_>> = parsed(options.filters, &format!("{path}.filters"), OBJECT)?;
        let filters = filters.as_ref();
        let allowed = options.allowed_domains.or_else(|| filters?.allowed_domains);
        let blocked = options.blocked_domains.or_else(|| filters?.blocked_domains);
        Ok(Self {
            kind: if is_anthropic { kind } else { TOOL }.to_owned(),
            allowed: parsed(allowed, &format!("{path}.allowed_domains"), DOMAINS)?.unwrap_or_default(),
            blocked: parsed(blocked, &format!("{path}.blocked_domains"), DOMAINS)?.unwrap_or_default(),
            max_uses: parsed(options.max_uses, &format!("{path}.max_uses"), COUNT)?,
            location: parsed(options.user_location, &format!("{path}.user_location"), OBJECT)?,
        })
    }

    /// Appends the tool.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put(b"{\"type\":");
        out.string(&self.kind);
        out.put(b",\"name\":");
        out.quoted(NAME);
        if let Some(uses) = self.max_uses {
            out.put(b",\"max_uses\":");
            out.number(uses);
        }
        write_list("allowed_domains", &self.allowed, out);
        write_list("blocked_domains", &self.blocked, out);
        if let Some(location) = &self.location {
            location.write(out);
        }
        out.put(b"}");
    }
}

/// A member that is not `null`.
fn parsed<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    path: &str,
    expected: &str,
) -> Result<Option<T>, RequestError> {
    let value = raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get())).transpose();
    value.map(Option::flatten).map_err(|_| RequestError::new(format!("{path}: must be {expected}")))
}

/// What a value of each type is called in an error.
const OBJECT: &str = "an object";
const DOMAINS: &str = "an array of strings";
const COUNT: &str = "a whole number";

impl UserLocation<'_> {
    /// Appends the location, unless it says nothing.
    fn write(&self, out: &mut Vec<u8>) {
        let inside = self.approximate.as_ref();
        let members = [
            ("city", self.city.or_else(|| inside?.city)),
            ("region", self.region.or_else(|| inside?.region)),
            ("country", self.country.or_else(|| inside?.country)),
            ("timezone", self.timezone.or_else(|| inside?.timezone)),
        ];
        if members.iter().all(|(_, value)| value.is_none()) {
            return;
        }
        out.put(b",\"user_location\":{\"type\":\"approximate\"");
        for (name, value) in members {
            let Some(value) = value else { continue };
            out.put(b",");
            out.quoted(name);
            out.put(b":");
            out.quoted(value.inner());
        }
        out.put(b"}");
    }
}

fn write_list(name: &str, domains: &[Literal<'_>], out: &mut Vec<u8>) {
    if domains.is_empty() {
        return;
    }
    out.put(b",");
    out.quoted(name);
    for (at, domain) in domains.iter().enumerate() {
        out.raw(if at == 0 { ":[" } else { "," });
        out.quoted(domain.inner());
    }
    out.put(b"]");
}
