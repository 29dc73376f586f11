//! `SSL_CERT_FILE` and `SSL_CERT_DIR`: the certificates of the system's authorities. The TLS library reads these variables
//! from the environment when the gateway starts; an invalid one is reported then, not at the first request.

use std::fs;
use std::path::Path;

use super::Overrides;
use super::error::Diagnostics;
use super::variables::Variables;

const FILE: &str = "SSL_CERT_FILE";
const DIRECTORIES: &str = "SSL_CERT_DIR";

/// What follows from a wrong variable.
const EFFECT: &str = "so no certificates of this system are trusted, only the built-in public ones";

/// Warns of variables that name no certificates, and of variables in `.env`, which have no effect.
pub(super) fn check(variables: &Variables, overrides: &Overrides, report: &mut Diagnostics) {
    for name in [FILE, DIRECTORIES] {
        let Some(variable) = variables.find(name) else { continue };
        if !overrides.environment.contains_key(name) {
            if !variable.text.trim().is_empty() {
                report.warning(&variable.place, "has no effect in .env; set it in the environment");
            }
            continue;
        }
        let fault = match name {
            FILE => file_fault(&overrides.working_directory, &variable.text),
            _ => directories_fault(&overrides.working_directory, &variable.text),
        };
        if let Some(fault) = fault {
            report.warning(&variable.place, fault);
        }
    }
}

fn file_fault(directory: &Path, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    match fs::read(directory.join(text)) {
        Err(error) => Some(format!("cannot read {text}: {error}, {EFFECT}")),
        Ok(bytes) if !contains_certificate(&bytes) => {
            Some(format!("{text} contains no certificate in PEM form, {EFFECT}"))
        }
        Ok(_) => None,
    }
}

fn contains_certificate(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// An empty text is as good as none.
fn directories_fault(directory: &Path, text: &str) -> Option<String> {
    let paths: Vec<_> = std::env::split_paths(text).filter(|path| !path.as_os_str().is_empty()).collect();
    let wrong = paths.iter().find(|path| !directory.join(path).is_dir())?;
    Some(format!("{} is not a directory, so its certificates are not trusted", wrong.display()))
}
