//! Builds the TLS settings that all upstream connections share.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// What the server sent is not TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// The server's certificate is not trusted, for this reason.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
}

impl TlsFault {
    /// The TLS fault inside an I/O error of the handshake, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' other errors say themselves what failed")]
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidMessage(_) => Some(Self::NotTls),
            rustls::Error::InvalidCertificate(reason) => Some(Self::Certificate(reason.to_string())),
            _ => None,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error, InvalidMessage};

    use super::*;

    #[test]
    fn a_failed_handshake_says_whether_it_is_tls_or_the_certificate() {
        let of = |error: Error| TlsFault::of(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(of(Error::InvalidMessage(InvalidMessage::InvalidContentType)), Some(TlsFault::NotTls));
        let expired = of(Error::InvalidCertificate(CertificateError::Expired));
        assert!(matches!(expired, Some(TlsFault::Certificate(_))), "{expired:?}");
        assert_eq!(of(Error::DecryptError), None);
        assert_eq!(TlsFault::of(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
