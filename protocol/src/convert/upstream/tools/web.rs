//! Anthropic's web search and web fetch in a list of tools, and the limits that a client sets to them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{support::ToolSupport, tool_list::ToolEntry};
use crate::{
    anthropic::request::{ToolChoiceParam, ToolParam},
    convert::Dropped,
    fault::RequestError,
    json::{JsonWord, Literal, Write},
};

/// Whether a tool of this type (`web_search_20250305`) searches the web at Anthropic.
pub(crate) fn is_web_search(tool: &ToolParam<'_>) -> bool {
    tool.r#type.as_ref().is_some_and(|kind| kind.as_str().starts_with("web_search_"))
}

/// Whether a tool of this type (`web_fetch_20250910`) reads web pages at Anthropic.
pub(crate) fn is_web_fetch(tool: &ToolParam<'_>) -> bool {
    tool.r#type.as_ref().is_some_and(|kind| kind.as_str().starts_with("web_fetch_"))
}

/// What an upstream can do on the web, for the refusal of what it cannot do.
#[derive(Clone, Copy)]
pub(crate) struct WebAccess<'r> {
    pub(crate) provider: &'r str,
    pub(crate) searches: bool,
    pub(crate) fetches: bool,
    /// What is added to the refusal of a search.
    pub(crate) advice: &'static str,
}

impl WebAccess<'_> {
    /// Refuses a request for web tools only, if the upstream has no access to the web: the model would invent results, and the client
    /// would present them as found.
    pub(crate) fn check(
        &self,
        tools: &[ToolEntry<'_, '_>],
        choice: Option<&ToolChoiceParam<'_>>,
    ) -> Result<(), RequestError> {
        let Self { provider, searches, fetches, advice } = *self;
        let chosen = choice.and_then(|choice| choice.name);
        let kind = choice.and_then(|choice| choice.r#type.as_ref()).map_or("", JsonWord::as_str);
        let is_alone = tools
            .iter()
            .all(|entry| matches!(ToolSupport::from_tool(entry.tool()), ToolSupport::Unsupported));
        let is_requested = |tool: &ToolParam<'_>| match kind {
            "none" => false,
            "tool" => tool.name.is_some_and(|own| chosen.is_some_and(|name| own.inner() == name.inner())),
            _ => is_alone,
        };
        let is_refused = |tool: &ToolParam<'_>| {
            (is_web_search(tool) && !searches) || (is_web_fetch(tool) && is_alone && !fetches)
        };
        let serves = searches && tools.iter().any(|entry| is_web_search(entry.tool()));
        let refused = tools.iter().find(|entry| is_refused(entry.tool()) && is_requested(entry.tool()));
        let Some(entry) = refused.filter(|_| !serves) else { return Ok(()) };
        let (does, advice, service) = if is_web_search(entry.tool()) {
            ("search the web", advice, ", or name a search service in `by` of [web-search]")
        } else {
            ("fetch web pages", "", "")
        };
        Err(RequestError::new(format!(
            "{}: provider '{provider}' cannot {does}{advice}; choose a model of a provider that can (anthropic, openrouter), or set \
             web-search in [{provider}] if it searches by itself{service}",
            entry.path(),
        )))
    }
}

/// Where the user is, as far as the client says.
#[derive(Default, Deserialize)]
pub(crate) struct UserLocation<'a> {
    #[serde(borrow)]
    city: Option<Literal<'a>>,
    #[serde(borrow)]
    region: Option<Literal<'a>>,
    #[serde(borrow)]
    country: Option<Literal<'a>>,
    #[serde(borrow)]
    pub(crate) timezone: Option<Literal<'a>>,
}

impl UserLocation<'_> {
    /// Appends the members, without braces.
    pub(crate) fn write(&self, names: &[&str], out: &mut Vec<u8>) {
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

/// All members of a location.
pub(crate) const EVERY_PLACE: [&str; 4] = ["city", "region", "country", "timezone"];

/// What a client allows a search to do.
pub(crate) struct SearchLimits<'a> {
    pub(crate) path: String,
    pub(crate) allowed: Vec<Literal<'a>>,
    pub(crate) blocked: Vec<Literal<'a>>,
    pub(crate) max_uses: Option<u64>,
    pub(crate) location: Option<UserLocation<'a>>,
}

impl<'a> SearchLimits<'a> {
    /// Reads the limits, with the rules of the Messages API.
    pub(crate) fn read(entry: &ToolEntry<'_, 'a>) -> Result<Self, RequestError> {
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

    pub(crate) fn drop_all(&self, dropped: &mut Dropped) {
        self.drop_domains(dropped);
        self.drop_uses(dropped);
        if self.location.is_some() {
            dropped.note(format_args!("{}.user_location", self.path));
        }
    }

    pub(crate) fn drop_domains(&self, dropped: &mut Dropped) {
        for (name, domains) in [("allowed_domains", &self.allowed), ("blocked_domains", &self.blocked)] {
            if !domains.is_empty() {
                dropped.note(format_args!("{}.{name}", self.path));
            }
        }
    }

    pub(crate) fn drop_uses(&self, dropped: &mut Dropped) {
        if self.max_uses.is_some() {
            dropped.note(format_args!("{}.max_uses", self.path));
        }
    }
}

/// A member that is not `null`.
pub(crate) fn set(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

pub(crate) fn domains<'a>(
    raw: Option<&'a RawValue>,
    path: &str,
    name: &str,
) -> Result<Vec<Literal<'a>>, RequestError> {
    let list = set(raw).map(|raw| serde_json::from_str(raw.get()));
    let list = list.transpose();
    list.map(Option::unwrap_or_default)
        .map_err(|_| RequestError::new(format!("{path}.{name}: must be an array of strings")))
}

pub(crate) fn count(raw: Option<&RawValue>, path: &str, name: &str) -> Result<Option<u64>, RequestError> {
    let count = set(raw).map(|raw| raw.get().parse::<u64>().ok().filter(|count| *count > 0));
    match count {
        Some(None) => Err(RequestError::new(format!("{path}.{name}: must be a whole number, at least 1"))),
        Some(count @ Some(_)) => Ok(count),
        None => Ok(None),
    }
}

/// Appends the member with a comma behind it, if the list has entries.
pub(crate) fn write_list(name: &str, domains: &[Literal<'_>], out: &mut Vec<u8>) {
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
pub(crate) fn write_count(name: &str, count: Option<u64>, out: &mut Vec<u8>) {
    if let Some(count) = count {
        out.quoted(name);
        out.put(b":");
        out.number(count);
        out.put(b",");
    }
}
