//! One HTTP request of a command to a gateway whose address is known. `find_gateway.rs` finds the address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::http::StatusCode;
use vandamme_actors::excerpt::{self, one_line};

use super::gateway_tls;

/// The longest answer. A health report of a hundred healthy providers needs a hundredth of it.
const LARGEST: usize = 16 << 20;

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

/// The address to connect to. "All addresses" is only for listening, and becomes loopback.
pub(super) fn reachable(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

/// The body of a GET request to the gateway at `url`. `fingerprints` are those of its certificate.
pub(super) async fn get(
    url: &str,
    path: &str,
    key: Option<&str>,
    fingerprints: Vec<String>,
    patience: Duration,
) -> Result<Vec<u8>, Unanswered> {
    let mut connector = awc::Connector::new();
    if url.starts_with("https:") {
        let tls = gateway_tls::client_config(fingerprints).map_err(Unanswered::NotAGateway)?;
        connector = connector.rustls_0_23(tls);
    }
    let client = awc::Client::builder().connector(connector).timeout(patience).disable_redirects().finish();
    let mut request = client.get(format!("{url}{path}"));
    if let Some(key) = key {
        request = request.insert_header(("x-api-key", key));
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
        let body = response.body().limit(LARGEST).await.unwrap_or_default();
        let is_without_key = status == StatusCode::UNAUTHORIZED && key.is_none();
        let hint = if is_without_key {
            "; vdm sends PROXY_API_KEY or VDM_ADMIN_KEY, unless --host names the gateway"
        } else {
            ""
        };
        let message = match error_message(&body) {
            Some(message) => format!("{url} answers with status {status}: {message}{hint}"),
            None => format!("{url} answers with status {status}: it may not be a gateway"),
        };
        return Err(Unanswered::NotAGateway(message));
    }
    let cut = |error| Unanswered::NotAGateway(format!("the answer of {url} was cut: {error}"));
    Ok(response.body().limit(LARGEST).await.map_err(cut)?.to_vec())
}

/// The message of the gateway's own error.
fn error_message(body: &[u8]) -> Option<String> {
    let error: serde_json::Value = serde_json::from_slice(body).ok()?;
    error["error"]["message"].as_str().map(|message| one_line(message, excerpt::LINE))
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
