//! Finds AWS credentials: environment, shared files, web identity, container and instance metadata, in the order of AWS's
//! SDKs. A source that is configured and fails ends the search: another would be another identity.

mod call;
mod container;
mod instance;
mod profile;
mod profile_files;
mod program;
mod sso;
mod sts;

use self::profile::Profile;
use self::sts::Sts;
use super::http::CredentialHttp;
use super::{AwsCredentials, CredentialError};
use crate::settings::{AwsIdentity, CloudVariables};

/// What a source has.
enum Looked {
    Found(AwsCredentials),
    /// It is not configured, or has no credentials: what was looked at, and why there are none.
    Nothing(String),
}

/// The credentials of `identity`, from the first source that has them.
///
/// # Errors
/// No source has credentials, or the one that was chosen fails.
pub(super) async fn fetch(
    identity: &AwsIdentity,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    let variables = &identity.variables;
    let mut tried = vec![];
    if let Some(profile) = &identity.profile {
        return match profile::look(&Profile::named(profile, "aws-profile"), identity, http).await? {
            Looked::Found(credentials) => Ok(credentials),
            Looked::Nothing(why) => Err(CredentialError::missing(format!(
                "no AWS credentials: {why}; add credentials to the profile, or set another aws-profile"
            ))),
        };
    }
    // Written out, so that no source is asked before the ones above it.
    match environment(variables)? {
        Looked::Found(credentials) => return Ok(credentials),
        Looked::Nothing(why) => tried.push(why),
    }
    match profile::look(&Profile::of_environment(variables), identity, http).await? {
        Looked::Found(credentials) => return Ok(credentials),
        Looked::Nothing(why) => tried.push(why),
    }
    match Sts::new(variables, &identity.region, http).by_environment().await? {
        Looked::Found(credentials) => return Ok(credentials),
        Looked::Nothing(why) => tried.push(why),
    }
    match container::look(variables, http).await? {
        Looked::Found(credentials) => return Ok(credentials),
        Looked::Nothing(why) => tried.push(why),
    }
    match instance::look(variables, http).await? {
        Looked::Found(credentials) => return Ok(credentials),
        Looked::Nothing(why) => tried.push(why),
    }
    Err(CredentialError::missing(format!(
        "no AWS credentials: looked at {}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        tried.join(", ")
    )))
}

/// The region of a profile in the shared files, read when the configuration is.
#[must_use]
pub fn region_of_profile(variables: &CloudVariables, profile: &str) -> Option<String> {
    let files = profile_files::ProfileFiles::read(variables).ok()?;
    files.profiles.get(profile)?.get("region").cloned()
}

/// The keys in environment variables.
fn environment(variables: &CloudVariables) -> Result<Looked, CredentialError> {
    match (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Looked::Found(AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned().into(),
            session_token: variables.get("AWS_SESSION_TOKEN").map(|token| token.to_owned().into()),
            expires: None,
        })),
        (Some(_), None) => Err(CredentialError::missing(
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; set both or neither".to_owned(),
        )),
        (None, Some(_)) => Err(CredentialError::missing(
            "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not; set both or neither".to_owned(),
        )),
        (None, None) => Ok(Looked::Nothing("AWS_ACCESS_KEY_ID (not set)".to_owned())),
    }
}
