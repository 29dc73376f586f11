//! Reads AWS's shared files, `~/.aws/config` and `~/.aws/credentials`
//! (docs.aws.amazon.com/sdkref/latest/guide/file-format.html).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::sso::SsoRole;
use super::sts::{AssumedRole, WebIdentityRole};
use crate::credentials::{AwsCredentials, CredentialError};
use crate::settings::CloudVariables;

/// A larger file is refused.
const LARGEST: u64 = 1 << 20;

type Section = BTreeMap<String, String>;

/// The profiles of both files.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    profiles: BTreeMap<String, Section>,
    sessions: BTreeMap<String, Section>,
    files: Vec<PathBuf>,
}

/// Where the credentials of a profile come from.
pub(super) enum ProfileSource {
    Keys(AwsCredentials),
    /// A role, with the credentials of another profile.
    Role {
        role: AssumedRole,
        of_profile: String,
    },
    /// A role, with keys of the same profile.
    RoleWith {
        role: AssumedRole,
        keys: AwsCredentials,
    },
    /// A role, with credentials of the machine or the environment.
    RoleOf {
        role: AssumedRole,
        credential_source: String,
    },
    WebIdentity(WebIdentityRole),
    Process(String),
    Sso(SsoRole),
}

impl Profiles {
    /// A file that does not exist has no profiles.
    pub(super) fn read(variables: &CloudVariables) -> Result<Self, CredentialError> {
        let mut all = Self::default();
        let places = [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
        for (variable, name) in places {
            let path = match variables.get(variable) {
                Some(path) => expanded(path, variables),
                None => match variables.get("HOME") {
                    Some(home) => Path::new(home).join(".aws").join(name),
                    None => continue,
                },
            };
            match read(&path) {
                Ok(text) => {
                    all.add(&text, if name == "config" { FileKind::Config } else { FileKind::Credentials })
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(CredentialError::missing(format!("cannot read {}: {error}", path.display())));
                }
            }
            all.files.push(path);
        }
        Ok(all)
    }

    fn add(&mut self, text: &str, kind: FileKind) {
        let mut nothing = Section::new();
        let mut section = &mut nothing;
        for line in text.lines() {
            // Nested values, such as those of `s3 =`, are indented. None of them is about credentials.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            let line = line.trim();
            if let Some(heading) = line.strip_prefix('[') {
                let heading = heading.split(']').next().unwrap_or_default().trim();
                let mut words = heading.splitn(2, char::is_whitespace);
                let (first, rest) = (words.next().unwrap_or_default(), words.next().map(str::trim));
                section = match (kind, first, rest) {
                    (FileKind::Config, "profile", Some(name)) => {
                        self.profiles.entry(name.to_owned()).or_default()
                    }
                    (FileKind::Config, "sso-session", Some(name)) => {
                        self.sessions.entry(name.to_owned()).or_default()
                    }
                    (FileKind::Config, "default", None) | (FileKind::Credentials, _, None) => {
                        self.profiles.entry(first.to_owned()).or_default()
                    }
                    _ => &mut nothing,
                };
            } else if let Some((name, value)) = line.split_once('=') {
                let value = value.split(" #").next().unwrap_or_default().trim();
                // The file of credentials comes second, and has precedence.
                section.insert(name.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
    }

    pub(super) fn have(&self, name: &str) -> bool {
        self.profiles.contains_key(name)
    }

    /// The region of a profile.
    pub(super) fn region(&self, name: &str) -> Option<&str> {
        self.profiles.get(name)?.get("region").map(String::as_str)
    }

    /// The files, for messages.
    pub(super) fn place(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        files.join(" and ")
    }

    pub(super) fn unknown(&self, name: &str) -> CredentialError {
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CredentialError::missing(format!(
            "there is no profile '{name}' in {} (profiles: {known})",
            self.place()
        ))
    }

    /// The source of a profile's credentials; `None` if it has none.
    pub(super) fn source(&self, name: &str) -> Result<Option<ProfileSource>, CredentialError> {
        let Some(profile) = self.profiles.get(name) else { return Ok(None) };
        let value = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        if let Some(arn) = value("role_arn") {
            return self.role(name, profile, arn).map(Some);
        }
        if value("sso_session").is_some() || value("sso_start_url").is_some() {
            return self.sso(name, profile).map(|sso| Some(ProfileSource::Sso(sso)));
        }
        if let Some(keys) = keys(name, profile)? {
            return Ok(Some(ProfileSource::Keys(keys)));
        }
        Ok(value("credential_process").map(ProfileSource::Process))
    }

    fn role(&self, name: &str, profile: &Section, arn: String) -> Result<ProfileSource, CredentialError> {
        let value = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        let session = value("role_session_name");
        if let Some(token_file) = value("web_identity_token_file") {
            return Ok(ProfileSource::WebIdentity(WebIdentityRole {
                arn,
                token_file: token_file.into(),
                session,
            }));
        }
        if value("mfa_serial").is_some() {
            return Err(CredentialError::refused(format!(
                "profile '{name}' needs a code of a device (mfa_serial), which a gateway cannot ask for; use a role without it, or SSO"
            )));
        }
        let role = AssumedRole {
            arn,
            session,
            external_id: value("external_id"),
            duration: value("duration_seconds"),
            region: value("region"),
        };
        match (value("source_profile"), value("credential_source")) {
            // A profile may name itself: then its own keys take the role.
            (Some(of_profile), _) if of_profile == name => match keys(name, profile)? {
                Some(keys) => Ok(ProfileSource::RoleWith { role, keys }),
                None => Err(CredentialError::missing(format!(
                    "profile '{name}' names itself as source_profile, but has no keys"
                ))),
            },
            (Some(of_profile), _) => Ok(ProfileSource::Role { role, of_profile }),
            (None, Some(credential_source)) => Ok(ProfileSource::RoleOf { role, credential_source }),
            (None, None) => Err(CredentialError::missing(format!(
                "profile '{name}' has a role_arn, but neither source_profile nor credential_source"
            ))),
        }
    }

    fn sso(&self, name: &str, profile: &Section) -> Result<SsoRole, CredentialError> {
        let session = profile.get("sso_session");
        let shared = match session {
            Some(session) => Some(self.sessions.get(session).ok_or_else(|| {
                let text = format!(
                    "profile '{name}' names the sso-session '{session}', which is not in {}",
                    self.place()
                );
                CredentialError::missing(text)
            })?),
            None => None,
        };
        let value = |key: &str| {
            let stated = profile.get(key).or_else(|| shared?.get(key)).cloned();
            stated.ok_or_else(|| {
                CredentialError::missing(format!("profile '{name}' has no {key}; run aws configure sso"))
            })
        };
        Ok(SsoRole {
            profile: name.to_owned(),
            session: session.cloned(),
            start_url: value("sso_start_url")?,
            region: value("sso_region")?,
            account: value("sso_account_id")?,
            role: value("sso_role_name")?,
        })
    }
}

#[derive(Clone, Copy)]
enum FileKind {
    Config,
    Credentials,
}

fn keys(name: &str, profile: &Section) -> Result<Option<AwsCredentials>, CredentialError> {
    let value = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
    match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret)) => Ok(Some(AwsCredentials {
            access_key_id,
            secret_access_key: secret.into(),
            session_token: value("aws_session_token").map(Into::into),
            expires: None,
        })),
        (Some(_), None) => {
            Err(CredentialError::missing(format!("profile '{name}' has no aws_secret_access_key")))
        }
        (None, _) => Ok(None),
    }
}

/// `~` is the home directory.
fn expanded(path: &str, variables: &CloudVariables) -> PathBuf {
    match (path.strip_prefix("~/"), variables.get("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n\n[profile work] # comment\nrole_arn = arn:aws:iam::1:role/r\n\
        source_profile = base\nexternal_id=x\ns3 =\n  max = 1\n[profile web]\nrole_arn=a\nweb_identity_token_file=/t\n\
        [profile p]\ncredential_process = tool --x=1\n[profile sso]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n\
        [sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x/start\n[profile mfa]\nrole_arn=a\nmfa_serial=m\nsource_profile=base\n\
        [profile half]\naws_access_key_id = A\n[services x]\nbedrock = y\n";
    const KEYS: &str = "[base]\naws_access_key_id = AKIA\naws_secret_access_key = s=/+x\n[default]\naws_access_key_id=D\naws_secret_access_key=E\naws_session_token=F\n";

    fn profiles() -> Profiles {
        let mut all = Profiles::default();
        all.add(CONFIG, FileKind::Config);
        all.add(KEYS, FileKind::Credentials);
        all
    }

    #[test]
    fn each_profile_has_its_source() {
        let all = profiles();
        let source = |name: &str| all.source(name).map_err(|error| error.to_string());
        assert!(
            matches!(source("default"), Ok(Some(ProfileSource::Keys(keys))) if keys.session_token.is_some())
        );
        assert!(matches!(source("work"), Ok(Some(ProfileSource::Role { role, of_profile }))
            if of_profile == "base" && role.external_id.as_deref() == Some("x")));
        assert!(
            matches!(source("base"), Ok(Some(ProfileSource::Keys(keys))) if keys.access_key_id == "AKIA")
        );
        assert!(matches!(source("web"), Ok(Some(ProfileSource::WebIdentity(_)))));
        assert!(matches!(source("p"), Ok(Some(ProfileSource::Process(command))) if command == "tool --x=1"));
        assert!(matches!(source("sso"), Ok(Some(ProfileSource::Sso(sso))) if sso.region == "us-east-1"));
        assert!(matches!(source("nothing"), Ok(None)));
        assert!(source("mfa").is_err_and(|text| text.contains("mfa_serial")));
        assert!(source("half").is_err_and(|text| text.contains("aws_secret_access_key")));
    }

    #[test]
    fn an_unknown_profile_is_named_with_those_that_exist() {
        let text = profiles().unknown("wrok").to_string();
        assert!(text.contains("'wrok'") && text.contains("base, default"), "{text}");
    }
}
