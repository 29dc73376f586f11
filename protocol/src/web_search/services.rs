//! The APIs of search services: the request for a query, and the pages of an answer. Shapes are those of the vendors'
//! documentation, named at each service.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Domains, LONGEST_TEXT, Location, Page};

/// A service that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Brave,
    Tavily,
    Exa,
    Serper,
    SearXng,
}

/// One query.
#[derive(Clone, Copy, Debug)]
pub struct SearchQuery<'a> {
    pub text: &'a str,
    pub domains: &'a Domains,
    pub location: Option<&'a Location>,
    /// The most pages.
    pub pages: usize,
}

/// A request to a service, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRequest {
    pub url: String,
    /// JSON, sent by POST; `None` for a GET.
    pub body: Option<String>,
}

/// The answer is not what the service documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer has no list of results")]
pub struct UnreadableAnswer;

impl Service {
    pub const ALL: [Self; 5] = [Self::Brave, Self::Tavily, Self::Exa, Self::Serper, Self::SearXng];

    /// The name in the configuration and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brave => "brave",
            Self::Tavily => "tavily",
            Self::Exa => "exa",
            Self::Serper => "serper",
            Self::SearXng => "searxng",
        }
    }

    /// `None` for a service that users run themselves.
    #[must_use]
    pub const fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Brave => Some("https://api.search.brave.com"),
            Self::Tavily => Some("https://api.tavily.com"),
            Self::Exa => Some("https://api.exa.ai"),
            Self::Serper => Some("https://google.serper.dev"),
            Self::SearXng => None,
        }
    }

    /// The header for the key, and what precedes the key in it; `None` for a service without keys.
    #[must_use]
    pub const fn key_header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Brave => Some(("x-subscription-token", "")),
            Self::Tavily => Some(("authorization", "Bearer ")),
            Self::Exa | Self::Serper => Some(("x-api-key", "")),
            Self::SearXng => None,
        }
    }

    /// The longest query that the service accepts, in characters.
    #[must_use]
    pub const fn longest_query(self) -> usize {
        match self {
            // api-dashboard.search.brave.com: at most 400 characters; docs.tavily.com has the same limit.
            Self::Brave | Self::Tavily => 400,
            Self::Exa | Self::Serper | Self::SearXng => 2000,
        }
    }

    #[must_use]
    pub fn request(self, base_url: &str, query: &SearchQuery<'_>) -> ServiceRequest {
        let base = base_url.trim_end_matches('/');
        match self {
            Self::Brave => brave(base, query),
            Self::Tavily => tavily(base, query),
            Self::Exa => exa(base, query),
            Self::Serper => serper(base, query),
            Self::SearXng => {
                let text = encoded(&with_sites(query, self.longest_query()));
                ServiceRequest { url: format!("{base}/search?q={text}&format=json"), body: None }
            }
        }
    }

    /// The pages of an answer that the client allows.
    ///
    /// # Errors
    /// It has no list of results.
    pub fn pages(self, answer: &[u8], query: &SearchQuery<'_>) -> Result<Vec<Page>, UnreadableAnswer> {
        let answer: Value = serde_json::from_slice(answer).map_err(|_| UnreadableAnswer)?;
        let list = match self {
            // A query without results has no `web` (api-dashboard.search.brave.com).
            Self::Brave
                if answer.get("type").is_some_and(|kind| kind == "search") && answer.get("web").is_none() =>
            {
                return Ok(vec![]);
            }
            Self::Brave => answer.pointer("/web/results"),
            Self::Tavily | Self::Exa | Self::SearXng => answer.get("results"),
            Self::Serper => answer.get("organic"),
        };
        let list = list.and_then(Value::as_array).ok_or(UnreadableAnswer)?;
        let pages = list.iter().filter_map(page).filter(|page| query.domains.allow(&page.url));
        Ok(pages.take(query.pages).collect())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The query with operators for domains, for services without a parameter for them. The answer is filtered anyway, so operators
/// that would make the query too long are left out.
fn with_sites(query: &SearchQuery<'_>, longest: usize) -> String {
    let operators = match query.domains {
        Domains::Any => return query.text.to_owned(),
        Domains::Only(domains) => {
            let sites: Vec<_> = domains.iter().map(|domain| format!("site:{domain}")).collect();
            format!("({})", sites.join(" OR "))
        }
        Domains::Without(domains) => {
            let sites: Vec<_> = domains.iter().map(|domain| format!("-site:{domain}")).collect();
            sites.join(" ")
        }
    };
    let full = format!("{} {operators}", query.text);
    if full.chars().count() <= longest { full } else { query.text.to_owned() }
}

fn country<'a>(query: &SearchQuery<'a>) -> Option<&'a str> {
    query.location.and_then(|location| location.country.as_deref())
}

/// api-dashboard.search.brave.com/api-reference/web/search/get
fn brave(base: &str, query: &SearchQuery<'_>) -> ServiceRequest {
    let text = encoded(&with_sites(query, Service::Brave.longest_query()));
    let place = country(query).map(|country| format!("&country={}", encoded(&country.to_ascii_uppercase())));
    let (pages, place) = (query.pages.min(20), place.unwrap_or_default());
    let url = format!(
        "{base}/res/v1/web/search?q={text}&count={pages}&text_decorations=false&extra_snippets=true{place}"
    );
    ServiceRequest { url, body: None }
}

/// docs.tavily.com/documentation/api-reference/endpoint/search. `country` takes names instead of codes, so no location is sent.
fn tavily(base: &str, query: &SearchQuery<'_>) -> ServiceRequest {
    let mut body = json!({"query": query.text, "max_results": query.pages.min(20)});
    put_domains(&mut body, query.domains, ["include_domains", "exclude_domains"]);
    ServiceRequest { url: format!("{base}/search"), body: Some(body.to_string()) }
}

/// exa.ai/docs/reference/search
fn exa(base: &str, query: &SearchQuery<'_>) -> ServiceRequest {
    let contents = json!({"text": {"maxCharacters": LONGEST_TEXT}});
    let mut body = json!({"query": query.text, "numResults": query.pages, "contents": contents});
    put_domains(&mut body, query.domains, ["includeDomains", "excludeDomains"]);
    if let Some(country) = country(query) {
        body["userLocation"] = country.to_ascii_uppercase().into();
    }
    ServiceRequest { url: format!("{base}/search"), body: Some(body.to_string()) }
}

/// serper.dev, playground: `gl` is a country, `location` a place.
fn serper(base: &str, query: &SearchQuery<'_>) -> ServiceRequest {
    let mut body = json!({"q": with_sites(query, Service::Serper.longest_query()), "num": query.pages});
    if let Some(country) = country(query) {
        body["gl"] = country.to_ascii_lowercase().into();
    }
    if let Some(city) = query.location.and_then(|location| location.city.as_deref()) {
        let region = query.location.and_then(|location| location.region.as_deref());
        body["location"] =
            region.map_or_else(|| city.to_owned(), |region| format!("{city}, {region}")).into();
    }
    ServiceRequest { url: format!("{base}/search"), body: Some(body.to_string()) }
}

fn put_domains(body: &mut Value, domains: &Domains, [only, without]: [&str; 2]) {
    match domains {
        Domains::Any => {}
        Domains::Only(domains) => body[only] = json!(domains),
        Domains::Without(domains) => body[without] = json!(domains),
    }
}

/// A result of any service: each uses some of these names.
#[derive(Deserialize)]
struct WireResult {
    #[serde(alias = "link")]
    url: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default, alias = "snippet", alias = "content", alias = "text")]
    description: Option<String>,
    #[serde(default)]
    extra_snippets: Vec<String>,
    #[serde(default, alias = "date", alias = "published_date", alias = "publishedDate")]
    page_age: Option<String>,
    #[serde(default)]
    age: Option<String>,
}

fn page(result: &Value) -> Option<Page> {
    let WireResult { url, title, description, extra_snippets, page_age, age } =
        WireResult::deserialize(result).ok()?;
    let texts: Vec<String> = description.into_iter().chain(extra_snippets).collect();
    let title = title.unwrap_or_default();
    let title = if title.trim().is_empty() { url.clone() } else { title };
    Page::new(&url, &title, age.or(page_age).as_deref(), &texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(domains: &Domains) -> SearchQuery<'_> {
        SearchQuery { text: "a & b", domains, location: None, pages: 5 }
    }

    /// Requirement: each service's documented answer yields its pages.
    #[test]
    fn documented_answers_are_read() {
        for (service, answer, age) in [
            (
                Service::Brave,
                json!({"type": "search", "web": {"results": [{"title": "T", "url": "https://a.com/x", "description": "one",
                "extra_snippets": ["two"], "age": "May 2, 2026", "page_age": "2026-05-02T00:00:00"}]}}),
                Some("May 2, 2026"),
            ),
            (
                Service::Tavily,
                json!({"query": "q", "results": [{"title": "T", "url": "https://a.com/x", "content": "one\ntwo", "score": 0.9,
                "raw_content": null, "published_date": "2026-05-02"}], "response_time": 1.1}),
                Some("2026-05-02"),
            ),
            (
                Service::Exa,
                json!({"requestId": "r", "results": [{"id": "https://a.com/x", "title": "T", "url": "https://a.com/x",
                "publishedDate": "2026-05-02", "text": "one\ntwo"}]}),
                Some("2026-05-02"),
            ),
            (
                Service::Serper,
                json!({"searchParameters": {}, "organic": [{"title": "T", "link": "https://a.com/x", "snippet": "one\ntwo",
                "date": "May 2, 2026", "position": 1}]}),
                Some("May 2, 2026"),
            ),
            (
                Service::SearXng,
                json!({"query": "q", "number_of_results": 1, "results": [{"url": "https://a.com/x", "title": "T",
                "content": "one\ntwo", "publishedDate": null, "engine": "x"}]}),
                None,
            ),
        ] {
            let expected = Page {
                url: "https://a.com/x".into(),
                title: "T".into(),
                age: age.map(str::to_owned),
                text: "one\ntwo".into(),
            };
            let answer = answer.to_string();
            assert_eq!(
                service.pages(answer.as_bytes(), &query(&Domains::Any)),
                Ok(vec![expected]),
                "{service:?}"
            );
            let blocked = Domains::Without(vec!["a.com".into()]);
            assert_eq!(service.pages(answer.as_bytes(), &query(&blocked)), Ok(vec![]), "{service:?}");
            for garbage in
                ["", "<html>", "{}", "[]", r#"{"error":"x"}"#, r#"{"web":7,"results":7,"organic":7}"#]
            {
                assert_eq!(
                    service.pages(garbage.as_bytes(), &query(&Domains::Any)),
                    Err(UnreadableAnswer),
                    "{service:?}"
                );
            }
        }
        let none = Service::Brave.pages(br#"{"type":"search","query":{}}"#, &query(&Domains::Any));
        assert_eq!(none, Ok(vec![]));
    }

    /// Requirement: a query reaches each service as it documents, with domains and place where it has them.
    #[test]
    fn queries_have_the_documented_form() {
        let only = Domains::Only(vec!["a.com".into(), "b.org".into()]);
        let location = Location { city: Some("Kiel".into()), region: None, country: Some("de".into()) };
        let query = SearchQuery { location: Some(&location), ..query(&only) };
        let of = |service: Service| service.request("https://s/", &query);
        let body = |service: Service| serde_json::from_str::<Value>(&of(service).body.unwrap()).unwrap();
        assert_eq!(
            of(Service::Brave).url,
            "https://s/res/v1/web/search?q=a%20%26%20b%20%28site%3Aa%2Ecom%20OR%20site%3Ab%2Eorg%29&count=5&text_decorations=false&extra_snippets=true&country=DE"
        );
        assert_eq!(
            body(Service::Tavily),
            json!({"query": "a & b", "max_results": 5, "include_domains": ["a.com", "b.org"]})
        );
        assert_eq!(
            body(Service::Exa),
            json!({"query": "a & b", "numResults": 5, "includeDomains": ["a.com", "b.org"], "userLocation": "DE", "contents": {"text": {"maxCharacters": 2000}}})
        );
        assert_eq!(
            body(Service::Serper),
            json!({"q": "a & b (site:a.com OR site:b.org)", "num": 5, "gl": "de", "location": "Kiel"})
        );
        assert!(
            of(Service::SearXng).url.starts_with("https://s/search?q=a%20%26%20b%20")
                && of(Service::SearXng).url.ends_with("&format=json")
        );
    }
}
