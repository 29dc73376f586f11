//! Finds AWS credentials in the order of AWS's own SDKs: environment, shared files, web identity, container, instance
//! (docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
//!
//! AWS's library for this brings a second HTTP stack, which would know neither our proxies nor our certificates. The readers here
//! are small, and share the gateway's client.

mod metadata;
mod process;
mod profile;
mod sso;
mod sts;

use std::time::SystemTime;

use serde::Deserialize;

use self::profile::{ProfileSource, Profiles};
use super::http::CredentialHttp;
use super::{AwsCredentials, CredentialError};
use crate::settings::{AwsIdentity, CloudVariables};

/// The most roles that lead from one profile to another.
const MOST_ROLES: usize = 5;

/// The credentials of `identity`, from the first source that has them.
///
/// # Errors
/// No source has credentials, or the one that was chosen fails.
pub(super) async fn fetch(
    identity: &AwsIdentity,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    let sources = Sources { identity, http };
    let variables = &identity.variables;
    if let Some(profile) = &identity.profile {
        return sources.of_profile(profile).await;
    }
    if let Some(found) = of_environment(identity)? {
        return Ok(found);
    }
    let named = variables.get("AWS_PROFILE").or_else(|| variables.get("AWS_DEFAULT_PROFILE"));
    if let Some(found) = sources.of_default_profile(named).await? {
        return Ok(found);
    }
    if let Some(role) = sts::WebIdentityRole::of_environment(variables) {
        return sources.with_web_identity(&role).await;
    }
    if let Some(found) = metadata::of_container(variables, http).await? {
        return Ok(found);
    }
    metadata::of_instance(variables, http).await.map_err(|error| CredentialError {
        message: format!(
            "there are no AWS credentials: AWS_ACCESS_KEY_ID is not set, profile '{}' has none, no web identity and no container \
             is configured, and {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a profile with AWS_PROFILE",
            named.unwrap_or("default")
        ),
        ..error
    })
}

/// The region of a profile in the shared files, read when the configuration is.
#[must_use]
pub fn region_of_profile(variables: &CloudVariables, profile: &str) -> Option<String> {
    Profiles::read(variables).ok()?.region(profile).map(str::to_owned)
}

/// Where credentials are looked for.
#[derive(Clone, Copy)]
struct Sources<'a> {
    identity: &'a AwsIdentity,
    http: &'a CredentialHttp,
}

impl Sources<'_> {
    /// The credentials of a profile that must exist.
    async fn of_profile(&self, name: &str) -> Result<AwsCredentials, CredentialError> {
        let profiles = Profiles::read(&self.identity.variables)?;
        if !profiles.have(name) {
            return Err(profiles.unknown(name));
        }
        match profiles.source(name)? {
            Some(source) => self.of_source(&profiles, name, source).await,
            None => Err(CredentialError::missing(format!(
                "profile '{name}' in {} has no credentials; run aws configure --profile {name}",
                profiles.place()
            ))),
        }
    }

    /// The credentials of the profile that variables name, or of the default one, which need not have any.
    async fn of_default_profile(
        &self,
        named: Option<&str>,
    ) -> Result<Option<AwsCredentials>, CredentialError> {
        if let Some(name) = named {
            let profiles = Profiles::read(&self.identity.variables)?;
            if !profiles.have(name) {
                return Err(profiles.unknown(name));
            }
        }
        let (profiles, name) = (Profiles::read(&self.identity.variables)?, named.unwrap_or("default"));
        match profiles.source(name)? {
            Some(source) => self.of_source(&profiles, name, source).await.map(Some),
            None => Ok(None),
        }
    }

    /// Follows the roles from this profile to the one that has credentials, and takes them on the way back.
    async fn of_source(
        &self,
        profiles: &Profiles,
        name: &str,
        source: ProfileSource,
    ) -> Result<AwsCredentials, CredentialError> {
        let mut roles = Vec::new();
        let mut next = source;
        let mut credentials = loop {
            match next {
                ProfileSource::Role { role, of_profile } => {
                    roles.push(role);
                    if roles.len() > MOST_ROLES {
                        let text = format!("profile '{name}' leads through more than {MOST_ROLES} roles");
                        return Err(CredentialError::refused(text));
                    }
                    next = profiles.source(&of_profile)?.ok_or_else(|| {
                        let text =
                            format!("source_profile '{of_profile}' of profile '{name}' has no credentials");
                        CredentialError::missing(text)
                    })?;
                }
                ProfileSource::RoleWith { role, keys } => {
                    roles.push(role);
                    break keys;
                }
                ProfileSource::RoleOf { role, credential_source } => {
                    roles.push(role);
                    break self.of_credential_source(name, &credential_source).await?;
                }
                ProfileSource::Keys(keys) => break keys,
                ProfileSource::WebIdentity(role) => break self.with_web_identity(&role).await?,
                ProfileSource::Process(command) => break process::run(&command).await?,
                ProfileSource::Sso(sso) => {
                    break sso::fetch(&sso, &self.identity.variables, self.http).await?;
                }
            }
        };
        for role in roles.iter().rev() {
            credentials = sts::assume_role(role, &credentials, self.identity, self.http).await?;
        }
        Ok(credentials)
    }

    async fn of_credential_source(
        &self,
        name: &str,
        source: &str,
    ) -> Result<AwsCredentials, CredentialError> {
        let variables = &self.identity.variables;
        match source {
            "Environment" => of_environment(self.identity)?.ok_or_else(|| {
                CredentialError::missing(format!(
                    "profile '{name}' uses the environment, but AWS_ACCESS_KEY_ID is not set"
                ))
            }),
            "Ec2InstanceMetadata" => metadata::of_instance(variables, self.http).await,
            "EcsContainer" => metadata::of_container(variables, self.http).await?.ok_or_else(|| {
                let text = "uses the container, but AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set";
                CredentialError::missing(format!("profile '{name}' {text}"))
            }),
            other => Err(CredentialError::refused(format!(
                "profile '{name}' has the unknown credential_source '{other}'; it can be Environment, Ec2InstanceMetadata or EcsContainer"
            ))),
        }
    }

    async fn with_web_identity(
        &self,
        role: &sts::WebIdentityRole,
    ) -> Result<AwsCredentials, CredentialError> {
        sts::assume_role_with_web_identity(role, self.identity, self.http).await
    }
}

fn of_environment(identity: &AwsIdentity) -> Result<Option<AwsCredentials>, CredentialError> {
    let variables = &identity.variables;
    match (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Some(AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned().into(),
            session_token: variables.get("AWS_SESSION_TOKEN").map(|token| token.to_owned().into()),
            expires: None,
        })),
        (Some(_), None) => {
            Err(CredentialError::missing("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"))
        }
        (None, _) => Ok(None),
    }
}

/// Credentials in JSON, as containers, instances and processes write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsJson {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

impl CredentialsJson {
    /// `from` names the source in errors.
    fn parse(text: &[u8], from: &str) -> Result<AwsCredentials, CredentialError> {
        // The error would repeat the text.
        let parsed: Self = serde_json::from_slice(text)
            .map_err(|_| CredentialError::refused(format!("{from} sent no credentials that can be read")))?;
        let expires = parsed.expiration.map(|text| time(&text, from)).transpose()?;
        Ok(AwsCredentials {
            access_key_id: parsed.access_key_id,
            secret_access_key: parsed.secret_access_key.into(),
            session_token: parsed.token.filter(|token| !token.is_empty()).map(Into::into),
            expires,
        })
    }
}

/// A time such as `2026-12-01T10:00:00Z`.
fn time(text: &str, from: &str) -> Result<SystemTime, CredentialError> {
    let parsed = text.parse::<jiff::Timestamp>().map(SystemTime::from);
    parsed.map_err(|_| CredentialError::refused(format!("{from} sent an expiration that is no time")))
}
