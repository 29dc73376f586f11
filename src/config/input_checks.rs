//! The checks of single values for `vdm config setup`, which asks for one value at a time.

use super::base_url::{self, ListenAddress};
use super::key_text::{self, KeyFinding};

/// Whether a text can be the base URL of a provider, for a gateway that listens on `host` and `port`.
///
/// # Errors
/// What to write instead.
pub(crate) fn check_base_url(text: &str, host: &str, port: u16) -> Result<(), String> {
    let listener = ListenAddress { host: host.to_owned(), port };
    match base_url::parse(text) {
        Ok(url) if listener.is(&url) => Err("this is the gateway's own address".to_owned()),
        Ok(_) => Ok(()),
        Err(advice) => Err(advice),
    }
}

/// Whether a text can be one or several keys of a provider.
///
/// # Errors
/// What to write instead, without any part of the text.
pub(crate) fn check_key(text: &str) -> Result<(), &'static str> {
    match key_text::inspect(text) {
        Some(KeyFinding::Invalid(advice)) => Err(advice),
        Some(KeyFinding::Suspicious(_)) | None => Ok(()),
    }
}
