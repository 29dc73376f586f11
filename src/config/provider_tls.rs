//! TLS of a provider: `ca-file`, `client-cert` and `client-key`.

use vandamme_actors::certificates::{ClientIdentity, ProviderTls};

use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::pem_files::{self, PemFile};
use super::source_files::SourceFiles;

/// Reads the files of a provider; `None` if it names none.
pub(super) fn read(
    section: Section<'_>,
    base_url: &str,
    files: &SourceFiles,
    warnings: &mut Vec<String>,
) -> Result<Option<ProviderTls>, ConfigError> {
    let keys = ["ca-file", "client-cert", "client-key"];
    let [authorities, certificate, key] = keys.map(|key| section.text(key));
    let Some(first) = authorities.or(certificate).or(key) else { return Ok(None) };
    if base_url.starts_with("http:") {
        let text = "the base URL starts with http://, so there is no TLS; write https://, or remove this key";
        return Err(ConfigError::new(first.place, text));
    }
    let trusted = match authorities {
        None => vec![],
        Some(LocatedText { text, place }) => {
            let read = PemFile::read(files, text).and_then(|file| file.certificates());
            read.map_err(|error| ConfigError::new(place, error))?
        }
    };
    let identity = identity(certificate, key, files, warnings)?;
    let place = key.map_or(first.place, |key| key.place);
    let tls = ProviderTls::new(&trusted, identity);
    tls.map(Some).map_err(|error| ConfigError::new(place, pem_files::mismatch(&error)))
}

fn identity(
    certificate: Option<LocatedText<'_>>,
    key: Option<LocatedText<'_>>,
    files: &SourceFiles,
    warnings: &mut Vec<String>,
) -> Result<Option<ClientIdentity>, ConfigError> {
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(LocatedText { place, .. }), None) => {
            let text = "the certificate needs its private key; set client-key as well";
            return Err(ConfigError::new(place, text));
        }
        (None, Some(LocatedText { place, .. })) => {
            let text = "the private key needs its certificate; set client-cert as well";
            return Err(ConfigError::new(place, text));
        }
    };
    let chain = PemFile::read(files, certificate.text).and_then(|file| file.certificates());
    let chain = chain.map_err(|error| ConfigError::new(certificate.place, error))?;
    let secret = PemFile::read(files, key.text);
    let secret = secret.and_then(|file| file.private_key().map(|secret| (secret, file.open_to_all)));
    let (key, open_to_all) = secret.map_err(|error| ConfigError::new(key.place, error))?;
    warnings.extend(open_to_all);
    Ok(Some(ClientIdentity { chain, key }))
}
