//! Which gateway a command is about: by the command line, by the configuration, or the only one that runs. `gateway_http.rs` sends the
//! request.

use std::time::Duration;

use super::gateway_http::{self, Unanswered, reachable};
use super::options::Naming;
use super::server;
use crate::config::{Config, ListenerTls};
use crate::process::control::{Status, client};

/// How long to wait for an answer. A gateway that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to reach a gateway.
#[derive(Clone)]
pub(super) struct GatewayAddress {
    pub(super) url: String,
    key: Option<String>,
    /// Of its certificate.
    fingerprints: Vec<String>,
}

/// The gateway that was asked, and its answer.
pub(super) struct Asked {
    pub(super) gateway: GatewayAddress,
    pub(super) answer: Result<Vec<u8>, String>,
}

impl GatewayAddress {
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, Unanswered> {
        let Self { url, key, fingerprints } = self;
        gateway_http::get(url, path, key.as_deref(), fingerprints.clone(), PATIENCE).await
    }
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
    let key = config.reading_key().filter(|_| naming != Naming::Host);
    let key = key.map(|key| key.expose().to_owned());
    let gateway = GatewayAddress { url, key: key.clone(), fingerprints };
    let message = match gateway.get(path).await {
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
        let answer = gateway.get(path).await;
        return Asked { gateway, answer: answer.map_err(String::from) };
    }
    let others = if naming == Naming::Host { String::new() } else { server::others() };
    Asked { gateway, answer: Err(format!("{message}{others}")) }
}
