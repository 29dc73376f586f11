//! Says why a TLS handshake with an upstream failed.

use std::io;

use rustls::{AlertDescription, CertificateError};
use thiserror::Error;

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// What the server sent is not TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    #[error("the server's certificate is refused")]
    Certificate(CertificateFault),
    /// The server requires a certificate of the client, or refuses the one that it got.
    #[error("the server requires a client certificate that it trusts")]
    ClientCertificate,
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
            rustls::Error::AlertReceived(alert) => {
                concerns_certificate(*alert).then_some(Self::ClientCertificate)
            }
            _ => None,
        }
    }
}

/// Whether a server's alert is about the client's certificate.
fn concerns_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            // A signature cannot be verified (RFC 8446, section 6.2): that of the client's certificate.
            | AlertDescription::DecryptError
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
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
        let alert = |alert| of(Error::AlertReceived(alert));
        assert_eq!(alert(AlertDescription::CertificateRequired), Some(TlsFault::ClientCertificate));
        assert_eq!(alert(AlertDescription::UnknownCA), Some(TlsFault::ClientCertificate));
        assert_eq!(alert(AlertDescription::InternalError), None);
        assert_eq!(TlsFault::of(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
