//! Reads AWS's shared files: `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::super::CredentialError;
use super::super::files::read_text;
use crate::settings::CloudVariables;

/// The keys of a profile or a session; names in lower case. It does not print: the values contain secrets.
pub(super) type Keys = BTreeMap<String, String>;

/// The contents of both files.
#[derive(Default)]
pub(super) struct ProfileFiles {
    pub(super) profiles: BTreeMap<String, Keys>,
    pub(super) sso_sessions: BTreeMap<String, Keys>,
    /// Where they are, for errors.
    pub(super) paths: [String; 2],
}

/// What a section header names.
enum Section {
    Profile(String),
    SsoSession(String),
    Other,
}

/// Which of the two files, since their headers differ.
#[derive(Clone, Copy)]
enum Kind {
    Config,
    Credentials,
}

impl ProfileFiles {
    /// Reads both files. A file that does not exist is empty.
    pub(super) fn read(variables: &CloudVariables) -> Result<Self, CredentialError> {
        let config = path(variables, "AWS_CONFIG_FILE", "config");
        let credentials = path(variables, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let mut files = Self::default();
        files.add(Kind::Config, &text(&config)?);
        // A key of this file replaces that of the other.
        files.add(Kind::Credentials, &text(&credentials)?);
        files.paths = [config, credentials];
        Ok(files)
    }

    fn add(&mut self, kind: Kind, text: &str) {
        let mut section = Section::Other;
        for line in text.lines() {
            // An indented line belongs to the key above it: settings of services, which credentials do not depend on.
            if line.starts_with([' ', '\t', '#', ';']) || line.is_empty() {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                section = Section::parse(kind, header.split(']').next().unwrap_or_default());
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let keys = match &section {
                Section::Profile(name) => self.profiles.entry(name.clone()).or_default(),
                Section::SsoSession(name) => self.sso_sessions.entry(name.clone()).or_default(),
                Section::Other => continue,
            };
            keys.insert(key.trim().to_ascii_lowercase(), without_comment(value).trim().to_owned());
        }
    }
}

impl Section {
    fn parse(kind: Kind, header: &str) -> Self {
        let header = header.trim();
        let words = header.split_once(char::is_whitespace).map(|(word, name)| (word, unquoted(name.trim())));
        match (kind, words) {
            (Kind::Credentials, _) => Self::Profile(unquoted(header).to_owned()),
            (Kind::Config, Some(("profile", name))) => Self::Profile(name.to_owned()),
            (Kind::Config, Some(("sso-session", name))) => Self::SsoSession(name.to_owned()),
            (Kind::Config, None) if header == "default" => Self::Profile(header.to_owned()),
            (Kind::Config, _) => Self::Other,
        }
    }
}

/// The directory of the user's AWS files; `None` without a home.
pub(super) fn directory(variables: &CloudVariables) -> Option<String> {
    variables.get("HOME").map(|home| format!("{}/.aws", home.trim_end_matches('/')))
}

/// A path as the files write it: `~` is the home directory.
pub(super) fn expanded(path: &str, variables: &CloudVariables) -> String {
    match (path.strip_prefix("~/"), variables.get("HOME")) {
        (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
        (Some(_), None) | (None, _) => path.to_owned(),
    }
}

fn path(variables: &CloudVariables, variable: &str, name: &str) -> String {
    match variables.get(variable) {
        Some(path) => expanded(path, variables),
        None => format!("{}/{name}", directory(variables).unwrap_or_else(|| "~/.aws".to_owned())),
    }
}

fn text(path: &str) -> Result<String, CredentialError> {
    match read_text(Path::new(path)) {
        Ok(text) => Ok(text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(error) => Err(CredentialError::refused(format!("cannot read {path}: {error}"))),
    }
}

fn unquoted(name: &str) -> &str {
    let quoted = |mark| name.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(name)
}

/// A comment in a line with a value begins with a space.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_one_set_of_profiles() {
        let mut files = ProfileFiles::default();
        files.add(
            Kind::Config,
            "# a comment\n[default]\nregion = eu-west-1 # here\naws_access_key_id=old\n\n[profile 'my work']\nRole_Arn = a\ns3 =\n  role_arn = not this\n[sso-session corp]\nsso_region=us-east-1\n[unknown x]\nrole_arn=z\n[work]\nregion=ignored",
        );
        files.add(
            Kind::Credentials,
            "[default]\r\naws_access_key_id = new\r\naws_secret_access_key = a=b#c\r\n[work]\nx=1",
        );

        let key = |profile: &str, key: &str| {
            files.profiles.get(profile).and_then(|keys| keys.get(key)).map(String::as_str)
        };
        assert_eq!(key("default", "region"), Some("eu-west-1"));
        assert_eq!(key("default", "aws_access_key_id"), Some("new"));
        assert_eq!(key("default", "aws_secret_access_key"), Some("a=b#c"));
        assert_eq!(key("my work", "role_arn"), Some("a"));
        assert_eq!(key("work", "region"), None, "config needs the word profile");
        assert_eq!(key("work", "x"), Some("1"));
        assert_eq!(files.sso_sessions["corp"]["sso_region"], "us-east-1");
    }
}
