//! Finds AWS credentials: environment, shared files, web identity, container and instance metadata.

use super::http::CredentialHttp;
use super::{AwsCredentials, CredentialError, CredentialErrorKind};
use crate::settings::AwsIdentity;

/// The credentials of `identity`, from the first source that has them.
///
/// # Errors
/// No source has credentials, or the one that was chosen fails.
pub(super) async fn fetch(
    identity: &AwsIdentity,
    _http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    // SLICE: the environment alone.
    let variables = &identity.variables;
    match (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned().into(),
            session_token: variables.get("AWS_SESSION_TOKEN").map(|token| token.to_owned().into()),
            expires: None,
        }),
        _ => Err(CredentialError {
            kind: CredentialErrorKind::Missing,
            message: "there are no AWS credentials".to_owned(),
        }),
    }
}
