//! TLS of the listener: the certificate and the private key that `tls-cert` and `tls-key` name.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::base_url::ListenAddress;
use super::error::Diagnostics;
use super::layer::{LocatedText, Section};
use super::overrides::Overrides;
use super::pem_files::{self, PemFile};
use super::source_files::{SavedFiles, SourceFiles};

/// The only protocol of the listener. HTTP/2 is not offered.
const ALPN: &[u8] = b"http/1.1";
/// Bytes that may wait for encryption on one connection. A slow client must not collect more.
pub(crate) const BUFFER: usize = 16 << 10;

/// The certificate of the listener, ready for handshakes.
#[derive(Clone)]
pub struct ListenerTls {
    directory: PathBuf,
    certificate: String,
    key: String,
    /// When the two files last changed.
    modified: [Option<SystemTime>; 2],
    /// A warning, if every user of this machine can read the private key.
    open_to_all: Option<String>,
    leaf: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

/// A file that cannot be used, and why.
struct Unusable {
    file: Named,
    text: String,
}

/// The key of the configuration that names a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Certificate,
    Key,
}

/// Without the private key.
impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The TLS of the listener; `None` for plain HTTP, and if a file cannot be used.
///
/// A gateway that only its sessions reach uses plain HTTP: the certificate is for other names.
pub(super) fn read(
    root: Section<'_>,
    listener: &ListenAddress,
    (overrides, files): (&Overrides, &SourceFiles),
    report: &mut Diagnostics,
) -> Option<ListenerTls> {
    let tls = read_files(root, files, report);
    let is_private = overrides.sessions.is_some() && listener.is_loopback();
    tls.filter(|_| !is_private)
}

fn read_files(root: Section<'_>, files: &SourceFiles, report: &mut Diagnostics) -> Option<ListenerTls> {
    let (certificate, key) = match (root.text("tls-cert"), root.text("tls-key")) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(LocatedText { place, .. }), None) => {
            report.error(place, "the certificate needs its private key; set tls-key (VDM_TLS_KEY) as well");
            return None;
        }
        (None, Some(LocatedText { place, .. })) => {
            report.error(place, "the private key needs its certificate; set tls-cert (VDM_TLS_CERT) as well");
            return None;
        }
    };
    match ListenerTls::load(files, certificate.text, key.text) {
        Ok(tls) => {
            report.warnings.extend(tls.open_to_all.clone());
            Some(tls)
        }
        Err(Unusable { file, text }) => {
            report.error(if file == Named::Key { key.place } else { certificate.place }, text);
            None
        }
    }
}

impl ListenerTls {
    fn load(files: &SourceFiles, certificate: &str, key: &str) -> Result<Self, Unusable> {
        let in_certificate = |text| Unusable { file: Named::Certificate, text };
        let in_key = |text| Unusable { file: Named::Key, text };
        let certificates = PemFile::read(files, certificate).map_err(in_certificate)?;
        let secret = PemFile::read(files, key).map_err(in_key)?;
        let chain = certificates.certificates().map_err(in_certificate)?;
        let leaf = chain.first().cloned().ok_or_else(|| in_certificate(format!("{certificate} is empty")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| in_certificate(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, secret.private_key().map_err(in_key)?)
            .map_err(|error| in_key(pem_files::mismatch(&error)))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            directory: files.directory().to_owned(),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            modified: [certificates.modified, secret.modified],
            open_to_all: secret.open_to_all,
            leaf,
            config: Arc::new(config),
        })
    }

    /// Reads the files again, and returns a copy of them as well.
    ///
    /// # Errors
    /// One line that says which file cannot be used, and why.
    pub(crate) fn read_again(&self) -> Result<(Self, SavedFiles), String> {
        let files = SourceFiles::on_disk(&self.directory);
        let tls = Self::load(&files, &self.certificate, &self.key).map_err(|unusable| unusable.text)?;
        Ok((tls, files.saved()))
    }

    /// When the two files last changed, as the file system reports it now.
    pub(crate) fn modified_now(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| {
            let metadata = std::fs::metadata(self.directory.join(file));
            metadata.and_then(|metadata| metadata.modified()).ok()
        })
    }

    /// When the two files had changed when they were read.
    pub(crate) fn modified(&self) -> [Option<SystemTime>; 2] {
        self.modified
    }

    /// The certificate file as configured.
    pub(crate) fn certificate_file(&self) -> &str {
        &self.certificate
    }

    /// The certificate file with its directory.
    pub(crate) fn certificate_path(&self) -> PathBuf {
        self.directory.join(&self.certificate)
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The SHA-256 of the listener's own certificate, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.leaf)
    }
}

/// The SHA-256 of a certificate, in hexadecimal.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}
