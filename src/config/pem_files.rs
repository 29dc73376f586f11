//! Certificates and private keys in PEM files. No error repeats any part of a file.

use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::key_files;
use super::source_files::{SourceFile, SourceFiles, Unreadable};

/// The largest file, in bytes. A bundle of all public authorities has a quarter of it.
const LARGEST: u64 = 1 << 20;
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// The content of a PEM file, and when the file last changed.
pub(super) struct PemFile {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Option<SystemTime>,
    /// A warning, if every user of this machine can read the file; it matters for private keys.
    pub(super) open_to_all: Option<String>,
    /// The file as the configuration names it, for messages.
    name: String,
}

impl PemFile {
    pub(super) fn read(files: &SourceFiles, name: &str) -> Result<Self, String> {
        let read = files.regular(name, LARGEST);
        let file = read.map_err(|unreadable| match unreadable {
            Unreadable::Failed(error) => format!("cannot read {name}: {error}"),
            Unreadable::NotRegular => format!("{name} is not a regular file"),
            Unreadable::TooLong => format!("{name} has more than {LARGEST} bytes; is it the right file?"),
        })?;
        let open_to_all = key_files::open_to_all(name, files, &file);
        let SourceFile { bytes, modified, .. } = file;
        Ok(Self { bytes, modified, open_to_all, name: name.to_owned() })
    }

    /// All certificates of the file, in its order.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let name = &self.name;
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match parsed {
            Ok(certificates) if certificates.is_empty() => {
                Err(format!("{name} contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)"))
            }
            Ok(certificates) => Ok(certificates),
            Err(_) => Err(format!("{name} is not a valid PEM file")),
        }
    }

    /// The first private key of the file.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let name = &self.name;
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|_| {
            let has = |mark: &&[u8]| memchr::memmem::find(&self.bytes, mark).is_some();
            if ENCRYPTED.iter().any(has) {
                format!("the private key in {name} is encrypted; remove its passphrase with `openssl pkey`")
            } else {
                format!("{name} contains no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
            }
        })
    }
}

/// The reason why a certificate and a key cannot be used together.
pub(super) fn mismatch(error: &rustls::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls describes the other errors")]
    match error {
        rustls::Error::InconsistentKeys(_) => "the private key does not belong to the certificate".to_owned(),
        error => format!("the certificate or its private key cannot be used: {error}"),
    }
}
