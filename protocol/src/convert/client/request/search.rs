//! A web search that a client asks for, as Anthropic's server tool `web_search`.
//!
//! Clients ask with a tool `web_search` in the form of OpenAI's Responses API (`web_search`, `web_search_preview`,
//! `web_search_2025_08_26`), or with Anthropic's own tool (`web_search_20250305`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    convert::Dropped,
    fault::RequestError,
    json::{Literal, Write},
};

/// The tool that every Claude model with web search knows
/// (platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool, 2026-11).
const TOOL: &str = "web_search_20250305";
/// The name under which the model knows it.
pub(crate) const NAME: &str = "web_search";

/// What the client says about its search.
#[derive(Default, Deserialize)]
pub(crate) struct SearchOptions<'a> {
    #[serde(borrow)]
    pub(crate) user_location: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) search_context_size: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) filters: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) allowed_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) blocked_domains: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) max_uses: Option<&'a RawValue>,
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
pub(crate) struct SearchRequest<'a> {
    /// The type of the tool.
    kind: String,
    allowed: Vec<Literal<'a>>,
    blocked: Vec<Literal<'a>>,
    max_uses: Option<u64>,
    location: Option<UserLocation<'a>>,
}

/// Whether a tool of this type is a web search.
pub(crate) fn is_search(kind: &str) -> bool {
    kind == NAME || kind.strip_prefix(NAME).is_some_and(|rest| rest.starts_with('_'))
}

impl<'a> SearchRequest<'a> {
    /// Reads the options of a tool of the type `kind`. Names what is dropped. `path` is that of the tool.
    pub(crate) fn new(
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

    /// Sets how often it may search, unless the tool says so.
    pub(crate) fn limit(&mut self, most: u64) {
        self.max_uses.get_or_insert(most);
    }

    /// Appends the tool.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
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
pub(crate) fn parsed<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    path: &str,
    expected: &str,
) -> Result<Option<T>, RequestError> {
    let value = raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get())).transpose();
    value.map(Option::flatten).map_err(|_| RequestError::new(format!("{path}: must be {expected}")))
}

/// What a value of each type is called in an error.
pub(crate) const OBJECT: &str = "an object";
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
