//! Builds the TLS settings that all upstream connections share.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_native_certs::CertificateResult;
#[cfg(all(unix, not(target_vendor = "apple")))]
use rustls_native_certs::{Error, ErrorKind};
use thiserror::Error;

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// What the server sent is not TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    #[error("the server's certificate is refused")]
    Certificate(CertificateFault),
}

/// Why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its authority is not trusted.
    UnknownAuthority,
    /// It is an authority's own certificate (`CA:TRUE`), as a self-signed one often is. Trust in it does not help.
    Authority,
    /// It is for these names only; none if they are unknown.
    OtherName(Vec<String>),
    Expired,
    NotYetValid,
    Revoked,
    /// It is malformed, or does not fit a server.
    Unusable,
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        log::debug!("a server's certificate is refused: {error}");
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "nothing helps against the others but another certificate"
        )]
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::NotValidForName => Self::OtherName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::OtherName(presented.iter().filter_map(|name| plain_name(name)).collect())
            }
            // The error's type belongs to a crate below rustls.
            CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => Self::Authority,
            _ => Self::Unusable,
        }
    }
}

/// The name in `DnsName("name")` or `IpAddress(127.0.0.1)`, the form in which rustls reports it.
fn plain_name(reported: &str) -> Option<String> {
    let (_, name) = reported.trim_end_matches(')').split_once('(')?;
    Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

impl TlsFault {
    /// The TLS fault inside an I/O error of the handshake, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "rustls' other errors say themselves what failed")]
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidMessage(_) => Some(Self::NotTls),
            rustls::Error::InvalidCertificate(reason) => Some(Self::Certificate(reason.into())),
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = builder.with_root_certificates(trusted_roots()).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
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

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error, InvalidMessage};

    use super::*;

    #[test]
    fn a_failed_handshake_says_whether_it_is_tls_or_the_certificate() {
        let of = |error: Error| TlsFault::of(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(of(Error::InvalidMessage(InvalidMessage::InvalidContentType)), Some(TlsFault::NotTls));
        let refused = |error| match of(Error::InvalidCertificate(error)) {
            Some(TlsFault::Certificate(fault)) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(CertificateError::Expired), CertificateFault::Expired);
        assert_eq!(refused(CertificateError::UnknownIssuer), CertificateFault::UnknownAuthority);
        assert_eq!(refused(CertificateError::BadSignature), CertificateFault::Unusable);
        let presented = vec!["DnsName(\"other.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        let expected = "localhost".try_into().unwrap();
        assert_eq!(
            refused(CertificateError::NotValidForNameContext { expected, presented }),
            CertificateFault::OtherName(vec!["other.example".to_owned(), "10.0.0.1".to_owned()])
        );
        assert_eq!(of(Error::DecryptError), None);
        assert_eq!(TlsFault::of(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
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
