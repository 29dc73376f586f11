//! Requests of a command to a running gateway over HTTP: finds the gateway and recognises its certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::http::StatusCode;

use super::{gateway_tls, server};
use crate::config::{Config, ListenerTls};
use crate::process::control::{Status, client};

/// How long to wait for an answer. A gateway that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer. The health of a hundred healthy providers needs a hundredth of it.
const LARGEST: usize = 16 << 20;

/// How the command line names the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// `--host`
    Host,
    /// `--port` without `--host`
    Port,
    Configuration,
}

impl Naming {
    pub(super) fn new(host: Option<&str>, port: Option<u16>) -> Self {
        match (host, port) {
            (Some(_), _) => Self::Host,
            (None, Some(_)) => Self::Port,
            (None, None) => Self::Configuration,
        }
    }
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// No connection.
    NoGateway(String),
    NotAGateway(String),
}

impl From<Unanswered> for String {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NoGateway(message) | Unanswered::NotAGateway(message) => message,
        }
    }
}

/// How to reach a gateway.
#[derive(Clone)]
pub(super) struct GatewayAddress {
    pub(super) url: String,
    key: Option<String>,
    /// Of its certificate.
    fingerprints: Vec<String>,
}

/// A client of one gateway. It keeps connections, and belongs to the thread that made it.
pub(super) struct GatewayClient {
    address: GatewayAddress,
    client: awc::Client,
}

/// The gateway that was asked, and its answer.
pub(super) struct Asked {
    pub(super) gateway: GatewayAddress,
    pub(super) answer: Result<Vec<u8>, String>,
}

/// Asks the gateway for this path. If the command line names no gateway and none answers at the configured address, the only
/// running gateway is asked, because the configured port may have changed since it started.
pub(super) async fn ask(config: &Config, naming: Naming, path: &str) -> Asked {
    let (host, port) = (config.host.as_str(), config.port);
    let found = if naming == Naming::Host { None } else { client::find(host, port) };
    let found = found.map(|running| running.status);
    let scheme = found.as_ref().map_or_else(|| config.scheme(), Status::scheme);
    let url = format!("{scheme}://{}:{port}", reachable(host));
    let own = config.tls.as_ref().map(ListenerTls::fingerprint);
    let fingerprints = own.into_iter().chain(found.and_then(|status| status.certificate)).collect();
    // A host that was named by hand need not be the one that the key belongs to.
    let key = config.proxy_api_key.as_ref().filter(|_| naming != Naming::Host);
    let key = key.map(|key| key.expose().to_owned());
    let gateway = GatewayAddress { url, key: key.clone(), fingerprints };
    let message = match gateway.first_answer(path).await {
        Err(Unanswered::NoGateway(message)) => message,
        answer => return Asked { gateway, answer: answer.map_err(String::from) },
    };
    let only = if naming == Naming::Configuration { client::only_other(host, port) } else { None };
    if let Some(running) = only {
        server::print_only_other(host, port, &running);
        let Status { address, certificate, .. } = running.status.clone();
        let host = reachable(&address.ip().to_string());
        let url = format!("{}://{host}:{}", running.status.scheme(), address.port());
        let gateway = GatewayAddress { url, key, fingerprints: certificate.into_iter().collect() };
        let answer = gateway.first_answer(path).await;
        return Asked { gateway, answer: answer.map_err(String::from) };
    }
    let others = if naming == Naming::Host { String::new() } else { server::others() };
    Asked { gateway, answer: Err(format!("{message}{others}")) }
}

/// The address to connect to. "All addresses" is only for listening, and becomes loopback.
fn reachable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

impl GatewayAddress {
    async fn first_answer(&self, path: &str) -> Result<Vec<u8>, Unanswered> {
        self.client()?.get(path).await
    }

    pub(super) fn client(&self) -> Result<GatewayClient, Unanswered> {
        let mut connector = awc::Connector::new();
        if self.url.starts_with("https:") {
            let tls = gateway_tls::client_config(self.fingerprints.clone());
            connector = connector.rustls_0_23(tls.map_err(Unanswered::NotAGateway)?);
        }
        let client =
            awc::Client::builder().connector(connector).timeout(PATIENCE).disable_redirects().finish();
        Ok(GatewayClient { address: self.clone(), client })
    }
}

impl GatewayClient {
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, Unanswered> {
        let GatewayAddress { url, key, .. } = &self.address;
        let mut request = self.client.get(format!("{url}{path}"));
        if let Some(key) = key {
            request = request.insert_header(("x-api-key", key.as_str()));
        }
        let mut response = request.send().await.map_err(|error| {
            if is_refused_certificate(&error) {
                return Unanswered::NotAGateway(format!(
                    "the server at {url} is not proven to be your gateway: {error}; tls-cert must be its certificate"
                ));
            }
            let message = format!("no gateway answers at {url}: {error}");
            if matches!(error, SendRequestError::Connect(_)) {
                Unanswered::NoGateway(message)
            } else {
                Unanswered::NotAGateway(message)
            }
        })?;
        let status = response.status();
        if !status.is_success() {
            let message = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!(
                    "{url} answers with status {status}: set PROXY_API_KEY, or --config, as for the gateway"
                ),
                _ => format!("{url} answers with status {status}: it may not be a gateway"),
            };
            return Err(Unanswered::NotAGateway(message));
        }
        let cut = |error| Unanswered::NotAGateway(format!("the answer of {url} was cut: {error}"));
        Ok(response.body().limit(LARGEST).await.map_err(cut)?.to_vec())
    }
}

fn is_refused_certificate(error: &SendRequestError) -> bool {
    let SendRequestError::Connect(ConnectError::Io(error)) = error else { return false };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_become_loopback() {
        for (host, asked) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "[::1]"),
            ("::1", "[::1]"),
            ("10.0.0.7", "10.0.0.7"),
            ("gateway.example", "gateway.example"),
        ] {
            assert_eq!(reachable(host), asked);
        }
    }
}
