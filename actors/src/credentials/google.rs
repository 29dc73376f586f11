//! Gets Google access tokens by Application Default Credentials: a service account, a user of `gcloud`, or the metadata server.

use super::http::CredentialHttp;
use super::{AccessToken, CredentialError, CredentialErrorKind};
use crate::settings::GoogleIdentity;

/// A new access token of `identity`.
///
/// # Errors
/// No source has credentials, or the one that was chosen fails.
pub(super) async fn fetch(
    identity: &GoogleIdentity,
    _http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    // SLICE
    let _ = &identity.variables;
    Err(CredentialError {
        kind: CredentialErrorKind::Missing,
        message: "there are no Google credentials".to_owned(),
    })
}
