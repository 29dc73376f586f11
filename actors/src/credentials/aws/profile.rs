//! Credentials of a profile of the shared files. A profile has keys, names a program or a login, or names a role and the
//! identity that may assume it, which can be another profile.

use super::super::http::CredentialHttp;
use super::super::{AwsCredentials, CredentialError};
use super::profile_files::{Keys, ProfileFiles, expanded};
use super::sso::Login;
use super::sts::{Role, Sts};
use super::{Looked, container, environment, instance, program};
use crate::settings::{AwsIdentity, CloudVariables};

/// The longest chain of profiles.
const LONGEST_CHAIN: usize = 8;

/// The name of a profile.
pub(super) struct Profile<'a> {
    name: &'a str,
    /// The setting or variable that names it; `None` for the default profile.
    named_by: Option<&'static str>,
}

/// Where the credentials come from that assume the first role of a chain, or that are used as they are.
enum Base<'f> {
    Keys(&'f Keys),
    Environment,
    Container,
    Instance,
    WebIdentity(Role, String),
    Login { profile: String, keys: &'f Keys },
    Program { profile: String, line: &'f str },
}

/// A profile with all that it refers to.
struct Chain<'f> {
    base: Base<'f>,
    /// The roles to assume, the first of them last.
    roles: Vec<Role>,
    /// The region of the profile.
    region: Option<&'f str>,
}

impl<'a> Profile<'a> {
    pub(super) fn named(name: &'a str, by: &'static str) -> Self {
        Self { name, named_by: Some(by) }
    }

    pub(super) fn of_environment(variables: &'a CloudVariables) -> Self {
        let named = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]
            .into_iter()
            .find_map(|by| variables.get(by).map(|name| Self::named(name, by)));
        named.unwrap_or(Self { name: "default", named_by: None })
    }
}

pub(super) async fn look(
    profile: &Profile<'_>,
    identity: &AwsIdentity,
    http: &CredentialHttp,
) -> Result<Looked, CredentialError> {
    let variables = &identity.variables;
    let files = ProfileFiles::read(variables)?;
    let name = profile.name;
    let [config, credentials] = &files.paths;
    if !files.profiles.contains_key(name) {
        let why = format!("profile '{name}' in {config} and {credentials} (no such profile)");
        return match profile.named_by {
            Some(by) => Err(CredentialError::missing(format!(
                "no AWS credentials: {why}; add it there, or change {by}"
            ))),
            None => Ok(Looked::Nothing(why)),
        };
    }
    let Some(chain) = Chain::of(&files, name, variables)? else {
        return Ok(Looked::Nothing(format!(
            "profile '{name}' in {config} and {credentials} (no credentials)"
        )));
    };
    let mut current = chain.base.credentials(&files, &chain, identity, http).await?;
    let region = chain.region.unwrap_or(&identity.region);
    for role in chain.roles.iter().rev() {
        current = Sts::new(variables, region, http).assume(role, &current).await?;
    }
    Ok(Looked::Found(current))
}

impl<'f> Chain<'f> {
    /// `None` for a profile without anything about credentials.
    fn of(
        files: &'f ProfileFiles,
        start: &str,
        variables: &CloudVariables,
    ) -> Result<Option<Self>, CredentialError> {
        let (mut name, mut roles, mut seen) = (start.to_owned(), vec![], Vec::<String>::new());
        let region = files.profiles.get(start).and_then(|keys| text(keys, "region"));
        loop {
            let Some(keys) = files.profiles.get(&name) else {
                let from = seen.last().map_or(start, String::as_str);
                let message =
                    format!("the profile '{from}' names source_profile '{name}', which does not exist");
                return Err(CredentialError::missing(message));
            };
            // A profile may name itself: its own keys assume its role.
            let is_own_source = seen.last() == Some(&name);
            let role = if is_own_source { None } else { role(keys, &name)? };
            let base = match role {
                None => Base::of(&name, keys)?,
                Some(role) => match source(keys, &name)? {
                    Source::Profile(next) => {
                        if (seen.contains(&next) && next != name) || seen.len() >= LONGEST_CHAIN {
                            let message = format!("source_profile of the profile '{name}' leads to a circle");
                            return Err(CredentialError::missing(message));
                        }
                        roles.push(role);
                        seen.push(std::mem::replace(&mut name, next));
                        continue;
                    }
                    Source::Token(file) => Some(Base::WebIdentity(role, expanded(file, variables))),
                    Source::Named(base) => {
                        roles.push(role);
                        Some(base)
                    }
                },
            };
            return match base {
                Some(base) => Ok(Some(Self { base, roles, region })),
                None if roles.is_empty() => Ok(None),
                None => {
                    let message = format!("the profile '{name}', a source_profile, has no credentials");
                    Err(CredentialError::missing(message))
                }
            };
        }
    }
}

/// Who may assume the role of a profile.
enum Source<'f> {
    Profile(String),
    Token(&'f str),
    Named(Base<'f>),
}

fn source<'f>(keys: &'f Keys, profile: &str) -> Result<Source<'f>, CredentialError> {
    if let Some(file) = text(keys, "web_identity_token_file") {
        return Ok(Source::Token(file));
    }
    if let Some(name) = text(keys, "source_profile") {
        return Ok(Source::Profile(name.to_owned()));
    }
    let base = match text(keys, "credential_source") {
        Some("Environment") => Base::Environment,
        Some("EcsContainer") => Base::Container,
        Some("Ec2InstanceMetadata") => Base::Instance,
        Some(_) => {
            return Err(CredentialError::missing(format!(
                "credential_source of the profile '{profile}' must be Environment, EcsContainer or Ec2InstanceMetadata"
            )));
        }
        None => {
            return Err(CredentialError::missing(format!(
                "the profile '{profile}' has role_arn; add source_profile, credential_source or web_identity_token_file"
            )));
        }
    };
    Ok(Source::Named(base))
}

fn role(keys: &Keys, profile: &str) -> Result<Option<Role>, CredentialError> {
    let Some(arn) = text(keys, "role_arn") else { return Ok(None) };
    if text(keys, "mfa_serial").is_some() {
        return Err(CredentialError::missing(format!(
            "the role of the profile '{profile}' requires an MFA code (mfa_serial), which a gateway cannot ask for; use a role without it"
        )));
    }
    let owned = |name| text(keys, name).map(str::to_owned);
    let duration_seconds = owned("duration_seconds");
    if duration_seconds.as_ref().is_some_and(|text| text.parse::<u32>().is_err()) {
        let message = format!("duration_seconds of the profile '{profile}' must be a whole number");
        return Err(CredentialError::missing(message));
    }
    Ok(Some(Role {
        arn: arn.to_owned(),
        session_name: owned("role_session_name"),
        external_id: owned("external_id"),
        duration_seconds,
    }))
}

fn text<'f>(keys: &'f Keys, name: &str) -> Option<&'f str> {
    keys.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

impl<'f> Base<'f> {
    /// `None` if the profile has nothing about credentials.
    fn of(profile: &str, keys: &'f Keys) -> Result<Option<Self>, CredentialError> {
        let name = profile.to_owned();
        if text(keys, "sso_session").or_else(|| text(keys, "sso_start_url")).is_some() {
            return Ok(Some(Self::Login { profile: name, keys }));
        }
        if text(keys, "aws_access_key_id").or_else(|| text(keys, "aws_secret_access_key")).is_some() {
            return Ok(Some(Self::Keys(keys)));
        }
        if let Some(line) = text(keys, "credential_process") {
            return Ok(Some(Self::Program { profile: name, line }));
        }
        if text(keys, "login_session").is_some() {
            return Err(CredentialError::missing(format!(
                "the profile '{profile}' uses `aws login` (login_session), whose sessions only the AWS CLI renews; add another \
                 profile with credential_process = aws configure export-credentials --profile {profile} --format process"
            )));
        }
        Ok(None)
    }

    async fn credentials(
        &self,
        files: &ProfileFiles,
        chain: &Chain<'_>,
        identity: &AwsIdentity,
        http: &CredentialHttp,
    ) -> Result<AwsCredentials, CredentialError> {
        let variables = &identity.variables;
        let looked = match self {
            Self::Keys(keys) => return static_keys(keys),
            Self::WebIdentity(role, file) => {
                let region = chain.region.unwrap_or(&identity.region);
                return Sts::new(variables, region, http).by_web_identity(role, file).await;
            }
            Self::Login { profile, keys } => {
                return login(profile, keys, files)?.credentials(variables, http).await;
            }
            Self::Program { profile, line } => return program::run(profile, line, variables).await,
            Self::Environment => environment(variables)?,
            Self::Container => container::look(variables, http).await?,
            Self::Instance => instance::look(variables, http).await?,
        };
        match looked {
            Looked::Found(credentials) => Ok(credentials),
            Looked::Nothing(why) => Err(CredentialError::missing(format!(
                "the credential_source of a profile has no credentials: {why}"
            ))),
        }
    }
}

fn static_keys(keys: &Keys) -> Result<AwsCredentials, CredentialError> {
    let names = ["aws_access_key_id", "aws_secret_access_key"];
    let [Some(id), Some(secret)] = names.map(|name| text(keys, name)) else {
        let message =
            "the profile has only one of aws_access_key_id and aws_secret_access_key; add the other";
        return Err(CredentialError::missing(message.to_owned()));
    };
    Ok(AwsCredentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned().into(),
        session_token: text(keys, "aws_session_token").map(|token| token.to_owned().into()),
        expires: None,
    })
}

fn login<'f>(
    profile: &'f str,
    keys: &'f Keys,
    files: &'f ProfileFiles,
) -> Result<Login<'f>, CredentialError> {
    let session = match text(keys, "sso_session") {
        None => keys,
        Some(name) => files.sso_sessions.get(name).ok_or_else(|| {
            let message = format!(
                "the profile '{profile}' names sso_session '{name}', which does not exist in {}",
                files.paths[0]
            );
            CredentialError::missing(message)
        })?,
    };
    let of = |keys: &'f Keys, name: &str| {
        text(keys, name).ok_or_else(|| {
            CredentialError::missing(format!("the SSO login of the profile '{profile}' has no {name}"))
        })
    };
    Ok(Login {
        profile,
        start_url: of(session, "sso_start_url")?,
        region: of(session, "sso_region")?,
        account_id: of(keys, "sso_account_id")?,
        role_name: of(keys, "sso_role_name")?,
    })
}
