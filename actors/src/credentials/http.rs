//! Calls the services that issue credentials, over the gateway's own HTTP client, which knows proxies and certificates.
//! Metadata services are never called through a proxy: their addresses mean this machine. What a service says is repeated in
//! errors without the secrets that it was sent.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderValue, USER_AGENT};
use actix_rt::time::timeout;
use bytes::Bytes;

use super::{CredentialError, CredentialErrorKind};
use crate::excerpt;
use crate::secret::{ApiKey, Secrets, in_header};
use crate::upstream::{CallHead, CallUrl, Client, ConnectionSettings, ProxySettings};

/// The longest reply that is read.
const LONGEST_REPLY: usize = 1 << 20;

/// The hosts of metadata services: EC2 (IPv4 and IPv6), ECS, EKS (IPv4 and IPv6), Google.
const METADATA_HOSTS: [&str; 7] = [
    "169.254.169.254",
    "fd00:ec2::254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::23",
    "metadata.google.internal",
    "metadata",
];

/// The HTTP client of an owner of credentials. It is created on the thread of its first call and must stay there.
pub(super) struct CredentialHttp {
    wiring: ConnectionSettings,
    /// For public services, through the proxies that are configured.
    shared: OnceCell<Client>,
    /// For metadata services.
    direct: OnceCell<Client>,
}

/// A request to a service that issues credentials.
#[derive(Clone)]
pub(super) struct CredentialCall {
    pub(super) method: Method,
    /// An http or https URL.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The secrets in the body. Those in the headers are known by their names.
    pub(super) secrets: Vec<ApiKey>,
    pub(super) service: ServiceKind,
    /// The longest wait for the whole reply.
    pub(super) patience: Duration,
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceKind {
    /// On the network: called through the proxies that are configured, unless its host is one of [`METADATA_HOSTS`].
    Public,
    /// On this machine or beside it, whatever its host: never called through a proxy.
    Metadata,
}

/// A reply of any status. Its body has a bounded size.
pub(super) struct CredentialReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The URL that was called, as errors show it.
    pub(super) url: String,
    /// What the request had that is secret. A service may repeat it.
    pub(super) secrets: Secrets,
}

impl CredentialReply {
    /// Words of the service, fit for one line of an error: shortened, and without the secrets of the request.
    pub(super) fn quoted(&self, words: &str) -> String {
        quoted(words, &self.secrets)
    }

    #[cfg(all(test, feature = "google"))]
    pub(super) fn scripted(status: u16, body: &'static str) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            url: "https://token.example".to_owned(),
            secrets: Secrets::new([]),
        }
    }
}

/// Words of a service, fit for one line of an error: shortened, and without these secrets.
pub(super) fn quoted(words: &str, secrets: &Secrets) -> String {
    let words = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    // The search takes time, so it gets a bounded text, and more of it than is shown: a secret that is cut there is not shown.
    let text = excerpt::cut(words.collect::<Vec<_>>().join(" "), excerpt::ERROR);
    excerpt::one_line(&secrets.scrub(text), excerpt::LINE)
}

impl CredentialHttp {
    pub(super) fn new(wiring: ConnectionSettings) -> Self {
        Self { wiring, shared: OnceCell::new(), direct: OnceCell::new() }
    }

    /// Calls a service. Redirects are not followed.
    ///
    /// # Errors
    /// The service did not answer, or its reply is too long. The text names the URL without its query, and no secret.
    pub(super) async fn call(&self, call: CredentialCall) -> Result<CredentialReply, CredentialError> {
        let (shown, patience) = (shown(&call.url), call.patience);
        let unreachable = |what: String| CredentialError {
            kind: CredentialErrorKind::Unreachable,
            message: format!("{shown} {what}"),
        };
        let answered = timeout(patience, self.exchange(call)).await;
        match answered {
            Ok(reply) => reply.map_err(unreachable),
            Err(_elapsed) => Err(unreachable(format!("did not answer within {} s", patience.as_secs_f64()))),
        }
    }

    async fn exchange(&self, call: CredentialCall) -> Result<CredentialReply, String> {
        let CredentialCall { method, url, mut headers, body, secrets, service, patience: _ } = call;
        let client = self.client(service, host(&url)).clone();
        let of_headers = headers.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
        let of_headers = of_headers.flat_map(|(name, value)| in_header(name.as_str(), value));
        let secrets = Secrets::new(of_headers.chain(secrets));
        let shown = shown(&url);
        // The error of the parser would repeat the URL.
        let url = CallUrl::parse(&url).map_err(|_| "is not a valid URL".to_owned())?;
        if !headers.contains_key(USER_AGENT) {
            let agent = concat!("vdm/", env!("CARGO_PKG_VERSION"));
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        }
        let head = CallHead { method, url, headers };
        let sent = client.send(head, || body.clone()).await;
        let mut response = sent.map_err(|error| format!("cannot be reached: {error}"))?;
        let read = response.body().limit(LONGEST_REPLY).await;
        let body =
            read.map_err(|_| format!("sent a reply that was cut, or has more than {LONGEST_REPLY} bytes"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(CredentialReply { status, headers, body, url: shown, secrets })
    }

    fn client(&self, service: ServiceKind, host: &str) -> &Client {
        if service == ServiceKind::Metadata || is_metadata_host(host) {
            return self.direct.get_or_init(|| {
                let wiring =
                    ConnectionSettings { proxies: Arc::new(ProxySettings::default()), ..self.wiring.clone() };
                Client::of_owner("(metadata)", &wiring)
            });
        }
        self.shared.get_or_init(|| Client::of_owner("(credentials)", &self.wiring))
    }
}

fn is_metadata_host(host: &str) -> bool {
    METADATA_HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// The host of a URL, an IPv6 address without its brackets.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    match address.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or_default(),
        None => address.split(':').next().unwrap_or_default(),
    }
}

/// A URL as errors show it: without a query, which can contain a token, and without a user.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    format!("{scheme}://{address}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a service that repeats what it was sent does not put a secret into an error.
    #[test]
    fn what_a_service_repeats_is_quoted_without_secrets() {
        let token = "1//0gRefresh-Token/that+is=long";
        let secrets = Secrets::new([ApiKey::new(token), ApiKey::new("GOCSPX-client-secret-1")]);
        let encoded = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
        for echo in [
            format!("no: refresh_token={token}&client_secret=GOCSPX-client-secret-1"),
            format!("no: refresh_token={encoded}&client_secret=GOCSPX-client-secret-1"),
            format!(r#"no: {{"refresh_token":"{token}"}} GOCSPX-client-secret-1"#),
            format!("{}{token}{}", "x ".repeat(4090), " y".repeat(100)),
        ] {
            let said = quoted(&echo, &secrets);
            for part in [token, &encoded.to_string(), "GOCSPX", "0gRefresh"] {
                assert!(!said.contains(part), "{said}");
            }
        }
        assert_eq!(quoted("a\n b\u{7}  c", &secrets), "a b c");
    }

    #[test]
    fn metadata_services_are_known_by_their_host() {
        for url in [
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::254]/latest",
            "http://169.254.170.23:80/v1/credentials",
            "http://Metadata.Google.Internal",
        ] {
            assert!(is_metadata_host(host(url)), "{url}");
        }
        for url in ["https://sts.amazonaws.com", "http://169.254.169.254.example/", "http://a@b.example:80/c"]
        {
            assert!(!is_metadata_host(host(url)), "{url}");
        }
    }

    #[test]
    fn an_error_shows_neither_a_query_nor_a_user() {
        assert_eq!(shown("http://me:secret@h:1/a?token=x"), "http://h:1/a");
        assert_eq!(shown("https://h?x=@y"), "https://h");
    }
}
