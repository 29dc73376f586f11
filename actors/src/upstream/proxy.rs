//! Decides which upstreams are reached through an HTTP proxy: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`,
//! with curl's semantics. Also defines how a proxy can fail.

use std::io;

use thiserror::Error;

/// The proxies of this process, read once at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    https: Option<ProxyAddress>,
    http: Option<ProxyAddress>,
    exceptions: Vec<String>,
}

/// A proxy's address, and the value of `proxy-authorization` if its URL contains a user.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    pub host: String,
    pub port: u16,
    /// The variable that names the proxy.
    pub variable: String,
    pub(crate) authorization: Option<String>,
}

/// The reason why a proxy provides no connection to an upstream.
#[derive(Clone, Debug, Error)]
#[error("proxy {proxy:?}: {problem}")]
pub struct ProxyFault {
    pub proxy: ProxyAddress,
    pub problem: ProxyProblem,
}

/// What a proxy does wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProxyProblem {
    /// No TCP connection to the proxy; with the cause.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// No connection or no answer to CONNECT in time.
    #[error("it did not answer in time")]
    Silent,
    /// Its answer to CONNECT is not a success.
    #[error("it refused the tunnel with status {0}")]
    Refused(u16),
    /// Its answer to CONNECT is incomplete, too long, or not HTTP.
    #[error("it did not answer CONNECT with a status")]
    NotHttp,
}

impl ProxyFault {
    /// The fault in an error of a connection, if a proxy is its cause.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().cloned()
    }
}

impl std::fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl ProxySettings {
    /// The expected value of a variable.
    pub const EXPECTED: &str = "expected a proxy as http://host:port";

    /// Reads the variables through `variable`.
    ///
    /// # Errors
    /// The names of the variables with invalid values. The values are left out, since they may contain a password.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let either = |upper: &str| {
            let lower = upper.to_ascii_lowercase();
            let found = variable(&lower).map(|value| (lower, value));
            found.or_else(|| variable(upper).map(|value| (upper.to_owned(), value)))
        };
        let mut wrong = vec![];
        let mut address = |names: [&str; 2]| {
            let (name, url) =
                names.iter().find_map(|name| either(name)).filter(|(_, url)| !url.trim().is_empty())?;
            let parsed = ProxyAddress::parse(url.trim(), &name);
            if parsed.is_none() && !wrong.contains(&name) {
                wrong.push(name);
            }
            parsed
        };
        let (https, http) = (address(["HTTPS_PROXY", "ALL_PROXY"]), address(["HTTP_PROXY", "ALL_PROXY"]));
        let no_proxy = either("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
        let exceptions = no_proxy
            .split(',')
            .map(|entry| entry.trim().to_ascii_lowercase())
            .filter(|entry| !entry.is_empty());
        if wrong.is_empty() { Ok(Self { https, http, exceptions: exceptions.collect() }) } else { Err(wrong) }
    }

    /// The proxy for an upstream host. This machine itself is never reached through a proxy.
    pub fn proxy_for(&self, tls: Tls, host: &str) -> Option<&ProxyAddress> {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let local = host == "localhost" || host.starts_with("127.") || host == "::1";
        if local || self.exceptions.iter().any(|exception| matches_exception(exception, &host)) {
            return None;
        }
        match tls {
            Tls::Yes => self.https.as_ref(),
            Tls::No => self.http.as_ref(),
        }
    }
}

/// Whether a connection to an upstream uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    Yes,
    No,
}

fn matches_exception(exception: &str, host: &str) -> bool {
    let domain = exception.trim_start_matches("*.").trim_start_matches('.');
    exception == "*" || host == domain || host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'))
}

impl ProxyAddress {
    fn parse(url: &str, variable: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").or_else(|| (!url.contains("://")).then_some(url))?;
        let authority = rest.split('/').next()?;
        let (user, address) =
            authority.rsplit_once('@').map_or((None, authority), |(user, at)| (Some(user), at));
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (address, 80),
        };
        let authorization = user.map(|user| format!("Basic {}", base64(percent_decoded(user).as_bytes())));
        (!host.is_empty()).then(|| Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            variable: variable.to_owned(),
            authorization,
        })
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ProxySettings, Vec<String>> {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        ProxySettings::read(move |name| {
            variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
        })
    }

    fn proxy(variables: &[(&str, &str)], tls: Tls, host: &str) -> Option<String> {
        read(variables).unwrap().proxy_for(tls, host).map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn https_upstreams_use_https_proxy_and_others_do_not() {
        let variables = [("HTTPS_PROXY", "http://proxy.corp:3128/")];

        assert_eq!(proxy(&variables, Tls::Yes, "api.openai.com"), Some("proxy.corp:3128".into()));
        assert_eq!(proxy(&variables, Tls::No, "api.openai.com"), None);
        assert_eq!(proxy(&variables, Tls::Yes, "localhost"), None);
    }

    #[test]
    fn no_proxy_names_hosts_domains_and_all() {
        let with = |exceptions| [("all_proxy", "proxy:8080"), ("NO_PROXY", exceptions)];

        assert_eq!(proxy(&with("example.com, .corp"), Tls::Yes, "api.example.com"), None);
        assert_eq!(proxy(&with("example.com, .corp"), Tls::No, "llm.corp"), None);
        assert_eq!(proxy(&with("example.com"), Tls::Yes, "notexample.com"), Some("proxy:8080".into()));
        assert_eq!(proxy(&with("*"), Tls::Yes, "api.openai.com"), None);
    }

    #[test]
    fn a_password_is_used_and_never_printed() {
        let settings = read(&[("HTTPS_PROXY", "http://me:s%40cret@proxy:1")]).unwrap();

        let proxy = settings.proxy_for(Tls::Yes, "h").unwrap();
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6c0BjcmV0"));
        assert!(!format!("{settings:?}").contains("cret"));
    }

    #[test]
    fn an_invalid_proxy_is_reported_by_its_variable_name_only() {
        for name in ["HTTPS_PROXY", "all_proxy"] {
            assert_eq!(read(&[(name, "socks5://user:secret@host")]).unwrap_err(), [name]);
        }
    }
}
