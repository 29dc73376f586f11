//! Calls the services that issue credentials, over the gateway's own HTTP client, which knows proxies and certificates.

use std::sync::Arc;
use std::time::Duration;

use actix_http::Method;
use actix_http::header::HeaderMap;
use actix_rt::time::timeout;
use bytes::Bytes;

use super::CredentialError;
use crate::upstream::{self, CallHead, CallUrl, ConnectionSettings, ProxySettings};

/// The largest reply that is read. The largest known one has some kilobytes.
const LARGEST: usize = 1 << 20;

/// Addresses that are valid on one machine only, so no proxy can reach them: the metadata services of both clouds.
const OF_THIS_MACHINE: [&str; 6] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "metadata.google.internal",
];

/// The HTTP client of the owner of credentials, on its thread.
#[derive(Clone)]
pub(super) struct CredentialHttp {
    wiring: ConnectionSettings,
    direct: ConnectionSettings,
}

/// A request to a service that issues credentials.
pub(super) struct CredentialCall {
    pub(super) method: Method,
    /// An http or https URL.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The longest wait for the whole reply.
    pub(super) patience: Duration,
}

/// A reply of any status.
pub(super) struct CredentialReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl CredentialHttp {
    pub(super) fn new(wiring: ConnectionSettings) -> Self {
        let direct = ConnectionSettings { proxies: Arc::new(ProxySettings::default()), ..wiring.clone() };
        Self { wiring, direct }
    }

    /// Makes the call. Redirects are not followed.
    ///
    /// # Errors
    /// The service did not answer. The message names its host, and no part of the request.
    pub(super) async fn call(&self, call: CredentialCall) -> Result<CredentialReply, CredentialError> {
        let host = host(&call.url).to_owned();
        let patience = call.patience;
        let answered = timeout(patience, self.answer(call, &host)).await;
        answered.unwrap_or_else(|_elapsed| {
            Err(unreachable(format!("{host} did not answer within {} s", patience.as_secs_f64())))
        })
    }

    async fn answer(&self, call: CredentialCall, host: &str) -> Result<CredentialReply, CredentialError> {
        let CredentialCall { method, url, headers, body, .. } = call;
        let is_here = OF_THIS_MACHINE.contains(&without_port(host));
        let (name, wiring) =
            if is_here { ("(metadata)", &self.direct) } else { ("(credentials)", &self.wiring) };
        let client = upstream::service_client(&name.into(), wiring).await;
        let client = client.map_err(|_closed| unreachable("the HTTP client has stopped".to_owned()))?;
        let url = CallUrl::parse(&url).map_err(|error| unreachable(format!("{host}: {error}")))?;
        let response = client.send(CallHead { method, url, headers }, || body.clone()).await;
        let mut response =
            response.map_err(|error| unreachable(format!("{host} cannot be reached: {error}")))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body().limit(LARGEST).await;
        let body =
            body.map_err(|error| unreachable(format!("the reply of {host} cannot be read: {error}")))?;
        Ok(CredentialReply { status, headers, body })
    }
}

fn unreachable(message: String) -> CredentialError {
    CredentialError::unreachable(message)
}

/// Host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_found_without_its_credentials() {
        for (url, with_port, alone) in [
            ("http://169.254.169.254/latest", "169.254.169.254", "169.254.169.254"),
            ("http://u:p@h.example:80?x", "h.example:80", "h.example"),
            ("http://[fd00:ec2::254]/x", "[fd00:ec2::254]", "[fd00:ec2::254]"),
            ("http://[::1]:99/x", "[::1]:99", "[::1]"),
        ] {
            assert_eq!((host(url), without_port(host(url))), (with_port, alone), "{url}");
        }
    }
}
