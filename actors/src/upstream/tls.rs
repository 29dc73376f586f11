//! Builds the TLS settings that all upstream connections share.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Builds the client configuration: the public roots, the system's roots (including a company's own authority or
/// `SSL_CERT_FILE`), and HTTP/1.1 only, because awc's HTTP/2 has defects (measured).
///
/// # Errors
/// TLS cannot be set up; the text is meant for the operator.
pub fn client_config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        log::warn!("cannot load a system certificate: {error}; continuing with the others");
    }
    add(&mut roots, native.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, certificates: Vec<CertificateDer<'static>>) {
    let (_, ignored) = roots.add_parsable_certificates(certificates);
    if ignored > 0 {
        log::debug!("{ignored} system certificates cannot be parsed and are not trusted");
    }
}
