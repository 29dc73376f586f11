//! Stands for the sources of Google credentials in a build without them.

use super::http::CredentialHttp;
use super::{AccessToken, CredentialError};
use crate::settings::GoogleIdentity;

pub(super) async fn fetch(_: &GoogleIdentity, _: &CredentialHttp) -> Result<AccessToken, CredentialError> {
    Err(CredentialError::missing("this vdm was built without the feature 'google'"))
}

/// A build without the feature `google` reads no file.
#[must_use]
pub fn project_of_file(_: &GoogleIdentity) -> Option<String> {
    None
}
