//! The certificates of upstream connections: the authorities that are trusted, and per provider further ones and a certificate
//! of the client (mutual TLS).

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::CertificateResult;
#[cfg(all(unix, not(target_vendor = "apple")))]
use rustls_native_certs::{Error, ErrorKind};
use sha2::{Digest as _, Sha256};

/// The only protocol that the gateway speaks to upstreams.
const PROTOCOL: &[u8] = b"http/1.1";

/// The certificate by which an upstream recognises this gateway.
pub struct ClientIdentity {
    /// Its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// The TLS settings of one provider.
#[derive(Clone)]
pub struct ProviderTls {
    config: Arc<ClientConfig>,
    /// Differs if any certificate or key differs.
    fingerprint: [u8; 32],
}

impl ProviderTls {
    /// Trusts `authorities` as well as all others, and presents `identity` to upstreams that request a certificate.
    ///
    /// # Errors
    /// A certificate cannot be used, or the private key belongs to another one.
    pub fn new(
        authorities: &[CertificateDer<'static>],
        identity: Option<ClientIdentity>,
    ) -> Result<Self, rustls::Error> {
        let mut digest = Sha256::new();
        let mut roots = trusted_roots();
        for authority in authorities {
            roots.add(authority.clone())?;
            digest.update(authority);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(ClientIdentity { chain, key }) => {
                digest.update([0]);
                chain.iter().for_each(|certificate| digest.update(certificate));
                digest.update(key.secret_der());
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint: digest.finalize().into() })
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }
}

impl PartialEq for ProviderTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ProviderTls {}

/// Without certificates and keys.
impl fmt::Debug for ProviderTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderTls").finish_non_exhaustive()
    }
}

/// Builds the client configuration: the public roots, the system's roots (including a company's own authority or
/// `SSL_CERT_FILE`), and HTTP/1.1 only, because awc's HTTP/2 has defects (measured).
///
/// # Errors
/// TLS cannot be set up; the text is meant for the operator.
pub fn client_config() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = builder.with_root_certificates(trusted_roots()).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// The authorities that are trusted everywhere: the public ones, and those of this system.
pub fn trusted_roots() -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let native = without_empty_variable(rustls_native_certs::load_native_certs());
    for error in &native.errors {
        log::warn!("cannot load a system certificate: {error}; continuing with the others");
    }
    add(&mut roots, native.certs);
    roots
}

/// The certificates of this system. An empty `SSL_CERT_FILE` counts as not set; the library reads a file without a name.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn without_empty_variable(native: CertificateResult) -> CertificateResult {
    let is_nameless =
        |error: &Error| matches!(&error.kind, ErrorKind::Io { path, .. } if path.as_os_str().is_empty());
    if !native.certs.is_empty() || !native.errors.iter().any(is_nameless) {
        return native;
    }
    let found = openssl_probe::probe();
    let directory = found.cert_dir.first().map(std::path::PathBuf::as_path);
    rustls_native_certs::load_certs_from_paths(found.cert_file.as_deref(), directory)
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn without_empty_variable(native: CertificateResult) -> CertificateResult {
    native
}

fn add(roots: &mut RootCertStore, certificates: Vec<CertificateDer<'static>>) {
    let (_, ignored) = roots.add_parsable_certificates(certificates);
    if ignored > 0 {
        log::debug!("{ignored} system certificates cannot be parsed and are not trusted");
    }
}

#[cfg(all(test, unix, not(target_vendor = "apple")))]
mod variable_tests {
    use super::*;

    #[test]
    fn an_empty_variable_for_certificates_is_one_that_is_not_set() {
        let system = rustls_native_certs::load_native_certs();
        let nameless = || rustls_native_certs::load_certs_from_paths(Some(std::path::Path::new("")), None);
        assert!(!nameless().errors.is_empty(), "so it is without the rule");
        let empty = without_empty_variable(nameless());
        assert!(empty.errors.is_empty(), "{:?}", empty.errors);
        assert_eq!(empty.certs.is_empty(), system.certs.is_empty());
    }
}
