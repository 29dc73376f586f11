//! Credentials of a user who has logged in with `aws sso login`: the token in `~/.aws/sso/cache` is exchanged for those of a
//! role.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::files::read_text;
use super::super::http::CredentialHttp;
use super::super::{AwsCredentials, CredentialError};
use super::call::{Call, status_error, time, unreadable};
use super::profile_files::directory;
use super::sts::domain;
use crate::clock;
use crate::settings::CloudVariables;

const WHO: &str = "IAM Identity Center";
/// A token with less than this left is renewed first.
const AHEAD: Duration = Duration::from_secs(60);
/// A cache has a few files. More than this are not read.
const MOST_FILES: usize = 1000;

/// What a profile says about a login.
pub(super) struct Login<'a> {
    pub(super) profile: &'a str,
    pub(super) start_url: &'a str,
    pub(super) region: &'a str,
    pub(super) account_id: &'a str,
    pub(super) role_name: &'a str,
}

/// A file of the cache. Its other members stay when it is written.
struct Cached {
    path: PathBuf,
    members: Map<String, Value>,
}

impl Login<'_> {
    pub(super) async fn credentials(
        &self,
        variables: &CloudVariables,
        http: &CredentialHttp,
    ) -> Result<AwsCredentials, CredentialError> {
        let token = self.token(variables, http).await?;
        let base = match endpoint(variables, "AWS_ENDPOINT_URL_SSO") {
            Some(url) => url,
            None => format!("https://portal.sso.{}.{}", self.region, domain(self.region)),
        };
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (role, account) = (encoded(self.role_name), encoded(self.account_id));
        let url = format!("{base}/federation/credentials?role_name={role}&account_id={account}");
        let reply = Call::get(url).header("x-amz-sso_bearer_token", &token).send(http).await?;
        let who = format!("{WHO} for the role {} of account {}", self.role_name, self.account_id);
        match reply.status {
            200 => role_credentials(&who, &reply.body),
            401 => Err(self.must_log_in("was refused")),
            _ => Err(status_error(&who, &reply, &message(&reply.body))),
        }
    }

    async fn token(
        &self,
        variables: &CloudVariables,
        http: &CredentialHttp,
    ) -> Result<String, CredentialError> {
        let Some(directory) = directory(variables) else {
            return Err(CredentialError::missing(
                "there is no home directory for the SSO cache; set HOME".to_owned(),
            ));
        };
        let directory = format!("{directory}/sso/cache");
        let Some(cached) = self.newest(Path::new(&directory)) else {
            return Err(self.must_log_in("does not exist"));
        };
        let now = UNIX_EPOCH + Duration::from_millis(clock::wall());
        let left = cached.expires().and_then(|expires| expires.duration_since(now).ok());
        if let (Some(token), true) = (cached.text("accessToken"), left.is_some_and(|left| left > AHEAD)) {
            return Ok(token.to_owned());
        }
        match (self.renewed(cached, variables, http).await, left) {
            (Ok(token), _) => Ok(token),
            // The old one is valid for a moment.
            (Err((_, Some(token))), Some(_)) => Ok(token),
            (Err((error, _)), _) => Err(error),
        }
    }

    /// The file of this login that is valid longest. Its name is a hash, its contents name the login.
    fn newest(&self, directory: &Path) -> Option<Cached> {
        let files = std::fs::read_dir(directory).ok()?.flatten().take(MOST_FILES);
        let cached = files.filter_map(|file| Cached::read(file.path())).filter(|cached| self.is_of(cached));
        cached.max_by_key(Cached::expires)
    }

    fn is_of(&self, cached: &Cached) -> bool {
        let same = |name: &str, value: &str| {
            cached
                .text(name)
                .is_some_and(|it| it.trim_end_matches(['/', '#']) == value.trim_end_matches(['/', '#']))
        };
        same("startUrl", self.start_url)
            && cached.text("region").is_none_or(|region| region == self.region)
            && cached.text("accessToken").is_some()
    }

    /// A new token, for the refresh token of the cache. The cache gets the new ones: the old refresh token may be invalid from
    /// now on, and the AWS CLI uses the same file. The error comes with the old token.
    async fn renewed(
        &self,
        mut cached: Cached,
        variables: &CloudVariables,
        http: &CredentialHttp,
    ) -> Result<String, (CredentialError, Option<String>)> {
        let old = cached.text("accessToken").map(str::to_owned);
        let names = ["clientId", "clientSecret", "refreshToken"];
        let [Some(id), Some(secret), Some(refresh)] = names.map(|name| cached.text(name)) else {
            return Err((self.must_log_in("has expired"), old));
        };
        let body = json!({"clientId": id, "clientSecret": secret, "refreshToken": refresh, "grantType": "refresh_token"});
        let base = match endpoint(variables, "AWS_ENDPOINT_URL_SSO_OIDC") {
            Some(url) => url,
            None => format!("https://oidc.{}.{}", self.region, domain(self.region)),
        };
        let call =
            Call::post(format!("{base}/token"), body.to_string()).header("content-type", "application/json");
        // A refresh token may be valid once.
        let reply = match (Call { most_calls: 1, ..call }).send(http).await {
            Ok(reply) => reply,
            Err(error) => return Err((error, old)),
        };
        let error = match reply.status {
            200 => unreadable(WHO, "a token"),
            400 | 401 => self.must_log_in("has expired"),
            _ => status_error(WHO, &reply, ""),
        };
        let Some(renewed) = (reply.status == 200).then(|| Renewed::parse(&reply.body)).flatten() else {
            return Err((error, old));
        };
        let token = renewed.access_token.clone();
        cached.renew(renewed);
        if let Err(error) = cached.write() {
            log::warn!(
                "cannot write {}: {error}; log in again if the AWS CLI says that its session has expired",
                cached.path.display()
            );
        }
        Ok(token)
    }

    fn must_log_in(&self, what: &str) -> CredentialError {
        let Login { profile, start_url, .. } = self;
        CredentialError::refused(format!(
            "the SSO login of the profile '{profile}' ({start_url}) {what}; run: aws sso login --profile {profile}"
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    access_token: String,
    expires_in: u64,
    refresh_token: Option<String>,
}

impl Renewed {
    fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

impl Cached {
    fn read(path: PathBuf) -> Option<Self> {
        if path.extension()? != "json" {
            return None;
        }
        let members = serde_json::from_str(&read_text(&path).ok()?).ok()?;
        Some(Self { path, members })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    fn expires(&self) -> Option<SystemTime> {
        self.text("expiresAt").and_then(time)
    }

    fn renew(&mut self, Renewed { access_token, expires_in, refresh_token }: Renewed) {
        let expires = clock::wall() / 1000 + expires_in.min(60 * 60 * 24 * 365);
        let expires = jiff::Timestamp::from_second(expires.cast_signed()).unwrap_or(jiff::Timestamp::MAX);
        self.members.insert("accessToken".to_owned(), access_token.into());
        self.members.insert("expiresAt".to_owned(), expires.to_string().into());
        if let Some(token) = refresh_token {
            self.members.insert("refreshToken".to_owned(), token.into());
        }
    }

    /// Replaces the file, readable by its owner only.
    fn write(&self) -> std::io::Result<()> {
        let new = self.path.with_extension(format!("vdm-{:016x}", fastrand::u64(..)));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written =
            options.open(&new).and_then(|mut file| file.write_all(&serde_json::to_vec(&self.members)?));
        let replaced = written.and_then(|()| std::fs::rename(&new, &self.path));
        if replaced.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        replaced
    }
}

fn endpoint(variables: &CloudVariables, name: &str) -> Option<String> {
    let url = variables.get(name).or_else(|| variables.get("AWS_ENDPOINT_URL"))?;
    Some(url.trim_end_matches('/').to_owned())
}

fn role_credentials(who: &str, body: &[u8]) -> Result<AwsCredentials, CredentialError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reply {
        role_credentials: RoleCredentials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RoleCredentials {
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        /// Milliseconds since 1970.
        expiration: u64,
    }
    let reply: Reply = serde_json::from_slice(body).map_err(|_| unreadable(who, "roleCredentials"))?;
    let RoleCredentials { access_key_id, secret_access_key, session_token, expiration } =
        reply.role_credentials;
    Ok(AwsCredentials {
        access_key_id,
        secret_access_key: secret_access_key.into(),
        session_token: Some(session_token.into()),
        expires: UNIX_EPOCH.checked_add(Duration::from_millis(expiration)),
    })
}

fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Reply {
        message: String,
    }
    serde_json::from_slice::<Reply>(body).map(|reply| reply.message).unwrap_or_default()
}
