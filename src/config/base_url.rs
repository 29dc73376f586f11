//! The base URL of an upstream: its valid forms, and whether it is the gateway's own listener.

use url::{Host, Url};

use super::layer::Section;

/// The address that we are going to listen on, as configured.
#[derive(Clone, Debug)]
pub(super) struct ListenAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Stand for settings of a provider in a cloud.
pub(super) const PLACEHOLDERS: [&str; 3] = ["region", "project", "workspace"];

/// Checks a base URL in which placeholders such as `{region}` may stand.
pub(super) fn check_with_placeholders(text: &str) -> Result<(), String> {
    let filled =
        PLACEHOLDERS.iter().fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), name));
    parse(&filled).map(drop)
}

/// A usable base URL. The error never repeats a text that may contain a password.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']) {
        return Err("the quotes are part of the URL here; write the URL without quotes".to_owned());
    }
    let url =
        Url::parse(text).map_err(|_| "expected a URL such as \"https://api.example.com/v1\"".to_owned())?;
    refusal(&url).map_or(Ok(()), |refusal| Err(refusal.to_owned()))?;
    // The parser takes the first part of the path of `http:///v1` and `http:/host/v1` as the host.
    let has_host = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with(['/', '\\']));
    if !has_host {
        let scheme = url.scheme();
        return Err(format!(
            "the URL must have {scheme}:// and a host in front, such as {scheme}://localhost:8000/v1"
        ));
    }
    if let Some(base) = without_endpoint(&url) {
        return Err(format!("vdm adds the path of each request to the base URL; write {base}"));
    }
    Ok(url)
}

fn refusal(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some("the URL must start with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("the URL must not hold a user name or password; set the provider's API key instead");
    }
    if url.query().is_some_and(|query| query.contains("api-version=")) {
        return Some(
            "the URL must not have a query (?); set api-version ({PROVIDER}_API_VERSION) to the version instead",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some("the URL must not have a query (?) or fragment (#); give only the base");
    }
    None
}

/// The last parts of paths that an API serves behind its version.
const ENDPOINTS: [&str; 15] = [
    "chat",
    "completions",
    "messages",
    "models",
    "responses",
    "embeddings",
    "complete",
    "count_tokens",
    "batches",
    "images",
    "audio",
    "moderations",
    "rerank",
    "files",
    "assistants",
];

/// Endpoints of two parts.
const PAIRS: [(&str, &str); 10] = [
    ("chat", "completions"),
    ("messages", "count_tokens"),
    ("messages", "batches"),
    ("responses", "compact"),
    ("images", "generations"),
    ("images", "edits"),
    ("images", "variations"),
    ("audio", "speech"),
    ("audio", "transcriptions"),
    ("audio", "translations"),
];

/// The base URL that is meant by the URL of an endpoint (`…/v1/chat/completions`), or by one with its version twice
/// (`…/v1/v1`); `None` for a base URL.
fn without_endpoint(url: &Url) -> Option<String> {
    let path: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let mut base = &path[..];
    while let Some(shorter) = shortened(base) {
        base = shorter;
    }
    if base.len() == path.len() {
        return None;
    }
    let mut corrected = url.clone();
    corrected.set_path(&base.join("/"));
    Some(normalized(&corrected))
}

/// Without one part too many, if there is one.
fn shortened<'p, 't>(path: &'p [&'t str]) -> Option<&'p [&'t str]> {
    let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
    match path {
        [base @ .., one, two] if PAIRS.iter().any(|pair| is(one, pair.0) && is(two, pair.1)) => Some(base),
        // Azure: vdm adds the deployment, too.
        [base @ .., one, two, _] if is(one, "openai") && is(two, "deployments") => Some(base),
        [base @ .., one, two] if is_version(one) && is(one, two) => Some(&path[..=base.len()]),
        [base @ .., one, two] if is_version(one) && ENDPOINTS.iter().any(|endpoint| is(two, endpoint)) => {
            Some(&path[..=base.len()])
        }
        _ => None,
    }
}

/// `v1`, `v4`, `v1beta`
fn is_version(part: &str) -> bool {
    let rest = part.strip_prefix(['v', 'V']).unwrap_or_default();
    rest.starts_with(|first: char| first.is_ascii_digit()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Without a trailing slash.
pub(super) fn normalized(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

impl ListenAddress {
    /// `None` if a user's value for one of the two is invalid.
    pub(super) fn new(root: Section<'_>) -> Option<Self> {
        let port = u16::try_from(root.count("port")?).ok()?;
        Some(Self { host: root.text("host")?.text.to_owned(), port })
    }

    /// Whether this URL is the gateway itself. Claude Code reads `ANTHROPIC_BASE_URL=http://localhost:8082`, which is also
    /// the variable of the provider `anthropic`.
    pub(super) fn is(&self, url: &Url) -> bool {
        url.port_or_known_default() == Some(self.port) && url.host().is_some_and(|host| self.is_host(&host))
    }

    fn is_host(&self, host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(&self.host)
            }
            Host::Ipv4(ip) => ip.is_loopback() || ip.is_unspecified() || self.host == ip.to_string(),
            Host::Ipv6(ip) => ip.is_loopback() || ip.is_unspecified() || self.host.parse() == Ok(*ip),
        }
    }

    /// Can only processes of this machine reach it?
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        address.map_or_else(|_| self.host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_http_without_userinfo_query_or_fragment() {
        for good in ["https://api.x.com/v1", "http://[::1]:9", "http://localhost:1/", "HTTPS://A.B"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "api.x.com",
            "ftp://x",
            "https://u:p@x",
            "https://u@x",
            "https://x?a",
            "https://x#a",
            "http://",
            "http:///v1",
            "http:/h/v1",
            "http:h/v1",
            "https:\\\\h\\v1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(normalized(&parse("https://x.com/v1//").unwrap()), "https://x.com/v1");
        assert_eq!(normalized(&parse("https://x.com").unwrap()), "https://x.com");
    }

    /// Requirement: A host name with characters beyond ASCII is converted as IDNA (UTS 46) says.
    #[test]
    fn an_international_host_name_is_converted_to_ascii() {
        for (written, host) in [
            ("https://bücher.example/v1", "xn--bcher-kva.example"),
            ("https://BÜCHER.example", "xn--bcher-kva.example"),
            ("https://例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("https://faß.example", "xn--fa-hia.example"),
        ] {
            assert_eq!(parse(written).unwrap().host_str(), Some(host), "{written}");
        }
        assert!(parse("https://a\u{202e}b.example").is_err(), "a mark of direction");
    }

    #[test]
    fn the_url_of_an_endpoint_is_refused_with_the_base_url_that_is_meant() {
        for (written, meant) in [
            ("https://x/v1/v1", "https://x/v1"),
            ("https://x/V1/v1/", "https://x/V1"),
            ("https://x/v1/chat/completions", "https://x/v1"),
            ("https://x/api/v1/chat/completions/", "https://x/api/v1"),
            ("https://x/chat/completions", "https://x"),
            ("https://x/v1/messages", "https://x/v1"),
            ("https://x/anthropic/v1/messages/count_tokens", "https://x/anthropic/v1"),
            ("https://x/v1/models", "https://x/v1"),
            ("https://x/v1/messages/batches", "https://x/v1"),
            ("https://x/v1/count_tokens", "https://x/v1"),
            ("https://x/v1/images/generations", "https://x/v1"),
            ("https://x/api/v1/audio", "https://x/api/v1"),
            ("https://x/v1/audio/speech/", "https://x/v1"),
            ("https://x/v4/completions", "https://x/v4"),
            ("https://x/v1/v1/chat/completions", "https://x/v1"),
            ("http://127.0.0.1:9/v1/responses", "http://127.0.0.1:9/v1"),
            (
                "https://r.openai.azure.com/openai/deployments/gpt/chat/completions",
                "https://r.openai.azure.com",
            ),
            ("https://r.openai.azure.com/openai/deployments/gpt", "https://r.openai.azure.com"),
        ] {
            let refusal = parse(written).unwrap_err();
            assert!(refusal.ends_with(&format!("; write {meant}")), "{written}: {refusal}");
            assert!(parse(meant).is_ok(), "{meant}");
        }
        for base in [
            "https://x/v1/v2",
            "https://x/chat",
            "https://x/messages",
            "https://x/models",
            "https://x/openai/v1",
            "https://x/v1beta/openai",
            "https://x/vendor/vendor",
            "https://x/api/coding/paas/v4",
        ] {
            assert!(parse(base).is_ok(), "{base}");
        }
        for written in ["\"https://x/v1\"", "'https://x"] {
            assert!(parse(written).unwrap_err().contains("without quotes"), "{written}");
        }
        let azure = parse("https://r.openai.azure.com/openai?api-version=2024-10-21").unwrap_err();
        assert!(azure.contains("_API_VERSION"), "{azure}");
    }

    #[test]
    fn the_gateways_own_listener_is_recognised_under_all_its_names() {
        let listener = ListenAddress { host: "gateway.lan".into(), port: 8082 };
        for own in
            ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0", "[::]", "gateway.lan"]
        {
            assert!(listener.is(&parse(&format!("http://{own}:8082/v1")).unwrap()), "{own}");
        }
        for other in
            ["http://localhost:8083", "http://10.0.0.1:8082", "https://localhost", "http://other.lan:8082"]
        {
            assert!(!listener.is(&parse(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn a_default_port_counts_as_written() {
        assert!(
            ListenAddress { host: "127.0.0.1".into(), port: 80 }.is(&parse("http://localhost/v1").unwrap())
        );
        assert!(ListenAddress { host: "::1".into(), port: 443 }.is(&parse("https://[::1]").unwrap()));
    }
}
