//! The web search tool of a Messages request, as the client declares it.

use serde_json::{Map, Value, json};

use super::TOOL_NAME;
use crate::fault::RequestError;

/// The beginning of the tool's type, in all of its versions.
const TYPE: &str = "web_search_20";
/// The most domains of one list.
const MOST_DOMAINS: usize = 100;

/// The client's parameters of the search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchTool {
    /// The most searches of one request.
    pub max_uses: Option<u64>,
    pub domains: Domains,
    pub location: Option<Location>,
}

/// The domains whose pages may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Domains {
    #[default]
    Any,
    Only(Vec<String>),
    Without(Vec<String>),
}

/// The approximate location of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub city: Option<String>,
    pub region: Option<String>,
    /// Two letters.
    pub country: Option<String>,
}

/// Whether a body can have the tool; never `false` if it has.
#[must_use]
pub fn is_mentioned(body: &[u8]) -> bool {
    memchr::memmem::find(body, TYPE.as_bytes()).is_some()
}

/// The same for a request of OpenAI's APIs, which asks by `web_search_options` or a tool.
#[must_use]
pub fn is_mentioned_by_name(body: &[u8]) -> bool {
    memchr::memmem::find(body, TOOL_NAME.as_bytes()).is_some()
}

/// Whether this is a web search tool of the API.
pub(super) fn is_search(tool: &Value) -> bool {
    tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(TYPE))
}

impl Domains {
    /// Whether a page of this address may be shown. A domain includes its subdomains, and may have a path.
    #[must_use]
    pub fn allow(&self, url: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(domains) => domains.iter().any(|domain| covers(domain, url)),
            Self::Without(domains) => !domains.iter().any(|domain| covers(domain, url)),
        }
    }
}

fn covers(domain: &str, url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let domain = domain.split_once("://").map_or(domain, |(_, domain)| domain);
    let (wanted, start) = domain.split_at(domain.find('/').unwrap_or(domain.len()));
    let wanted = wanted.to_ascii_lowercase();
    let is_host = host == wanted || host.strip_suffix(&wanted).is_some_and(|before| before.ends_with('.'));
    // A wildcard ends what is compared of the path.
    let start = start.split('*').next().unwrap_or_default().trim_end_matches('/');
    is_host && path.starts_with(start)
}

impl SearchTool {
    /// Reads the tool at this path of the request.
    pub(super) fn read(tool: &Value, path: &str) -> Result<Self, RequestError> {
        let max_uses = match tool.get("max_uses") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_u64().filter(|uses| *uses > 0).ok_or_else(|| {
                RequestError::new(format!("{path}.max_uses: must be a whole number greater than 0"))
            })?),
        };
        let allowed = domains(tool, "allowed_domains", path)?;
        let blocked = domains(tool, "blocked_domains", path)?;
        let domains = match (allowed.is_empty(), blocked.is_empty()) {
            (true, true) => Domains::Any,
            (false, true) => Domains::Only(allowed),
            (true, false) => Domains::Without(blocked),
            (false, false) => {
                let text = "has allowed_domains and blocked_domains; use one of them";
                return Err(RequestError::new(format!("{path}: {text}")));
            }
        };
        Ok(Self { max_uses, domains, location: tool.get("user_location").and_then(location) })
    }
}

fn domains(tool: &Value, name: &str, path: &str) -> Result<Vec<String>, RequestError> {
    let list = match tool.get(name) {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(value) => value.as_array().filter(|list| list.len() <= MOST_DOMAINS),
    };
    let wrong = || {
        let text = format!("must be a list of at most {MOST_DOMAINS} domains such as \"example.com\"");
        RequestError::new(format!("{path}.{name}: {text}"))
    };
    let is_domain =
        |domain: &&str| !domain.is_empty() && domain.len() <= 253 && !domain.contains(char::is_whitespace);
    let read = |domain: &Value| domain.as_str().filter(is_domain).map(str::to_owned).ok_or_else(wrong);
    list.ok_or_else(wrong)?.iter().map(read).collect()
}

fn location(value: &Value) -> Option<Location> {
    let text = |name: &str| {
        let text = value.get(name)?.as_str()?.trim();
        (!text.is_empty() && text.len() <= 255).then(|| text.to_owned())
    };
    let country = text("country").filter(|country| country.len() == 2 && country.is_ascii());
    let location = Location { city: text("city"), region: text("region"), country };
    (location != Location::default()).then_some(location)
}

/// The tool that the upstream gets instead.
pub(super) fn function(cache_control: Option<&Value>) -> Value {
    let description = "Searches the web and returns numbered pages with title, address and an excerpt. Use it for facts that may \
        have changed or that you do not know. Call it once for each query. Directly after each statement that is taken from a page, \
        write the number of that page as \u{3010}1\u{3011}; for several pages, \u{3010}1\u{3011}\u{3010}3\u{3011}. Use this form for \
        nothing else, and never cite a number that no result has.";
    let mut tool = Map::new();
    tool.insert("name".to_owned(), TOOL_NAME.into());
    tool.insert("description".to_owned(), description.into());
    let query = json!({"type": "string", "description": "What to search for, in a few words."});
    let schema = json!({"type": "object", "properties": {"query": query}, "required": ["query"], "additionalProperties": false});
    tool.insert("input_schema".to_owned(), schema);
    if let Some(cache_control) = cache_control {
        tool.insert("cache_control".to_owned(), cache_control.clone());
    }
    Value::Object(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_its_subdomains_and_paths() {
        for (domain, url, covered) in [
            ("example.com", "https://example.com/a", true),
            ("example.com", "https://docs.Example.com:8443/a?b", true),
            ("example.com", "https://badexample.com/", false),
            ("example.com", "https://example.com.evil.org/", false),
            ("example.com", "https://example.com@evil.org/", false),
            ("example.com/blog", "https://example.com/blog/1", true),
            ("example.com/blog/*", "https://example.com/blog/1", true),
            ("example.com/blog", "https://example.com/shop", false),
            ("https://example.com", "http://example.com", true),
        ] {
            assert_eq!(covers(domain, url), covered, "{domain} {url}");
        }
    }

    /// Requirement: bad parameters of the tool are errors that name the field; both lists of domains are one.
    #[test]
    fn bad_parameters_are_named() {
        let read = |tool: Value| SearchTool::read(&tool, "tools.0").map_err(|error| error.to_string());
        let full = json!({"max_uses": 8, "allowed_domains": ["a.com"], "user_location": {"type": "approximate", "city": "Kiel", "country": "DE"}});
        let location = Location { city: Some("Kiel".into()), region: None, country: Some("DE".into()) };
        assert_eq!(
            read(full),
            Ok(SearchTool {
                max_uses: Some(8),
                domains: Domains::Only(vec!["a.com".into()]),
                location: Some(location)
            })
        );
        for (tool, expected) in [
            (json!({"allowed_domains": ["a"], "blocked_domains": ["b"]}), "use one of them"),
            (json!({"max_uses": 0}), "tools.0.max_uses"),
            (json!({"max_uses": "8"}), "tools.0.max_uses"),
            (json!({"allowed_domains": "a.com"}), "tools.0.allowed_domains"),
            (json!({"blocked_domains": ["a b"]}), "tools.0.blocked_domains"),
        ] {
            assert!(read(tool.clone()).is_err_and(|error| error.contains(expected)), "{tool}");
        }
    }
}
