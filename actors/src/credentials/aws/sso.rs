//! Credentials of IAM Identity Center, with the token that `aws sso login` keeps in `~/.aws/sso/cache`
//! (docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use actix_http::Method;
use actix_http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::time;
use crate::credentials::http::{CredentialCall, CredentialHttp};
use crate::credentials::{AwsCredentials, CredentialError};
use crate::settings::CloudVariables;

const PATIENCE: Duration = Duration::from_secs(8);
const BEARER: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");

/// A role that a user of IAM Identity Center may take.
pub(super) struct SsoRole {
    pub(super) profile: String,
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    role_credentials: Keys,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// Milliseconds since 1970.
    expiration: u64,
}

pub(super) async fn fetch(
    sso: &SsoRole,
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    let token = token(sso, variables, http).await?;
    let base = endpoint(
        variables,
        "AWS_ENDPOINT_URL_SSO",
        &format!("https://portal.sso.{}.amazonaws.com", sso.region),
    );
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (role, account) = (encoded(&sso.role), encoded(&sso.account));
    let url = format!("{base}/federation/credentials?role_name={role}&account_id={account}");
    let bearer = HeaderValue::from_str(&token).map_err(|_| login_again(sso))?;
    let headers = HeaderMap::from_iter([(BEARER, bearer)]);
    let call = CredentialCall { method: Method::GET, url, headers, body: Bytes::new(), patience: PATIENCE };
    let reply = http.call(call).await?;
    match reply.status {
        200 => {}
        401 => return Err(login_again(sso)),
        429 | 500.. => {
            return Err(CredentialError::unreachable(format!(
                "AWS SSO answered with status {}",
                reply.status
            )));
        }
        status => {
            return Err(CredentialError::refused(format!(
                "AWS SSO answered with status {status}: the user may not take role {} in account {} (profile '{}')",
                sso.role, sso.account, sso.profile
            )));
        }
    }
    let found: RoleCredentials = serde_json::from_slice(&reply.body)
        .map_err(|_| CredentialError::refused("AWS SSO sent no credentials that can be read"))?;
    let Keys { access_key_id, secret_access_key, session_token, expiration } = found.role_credentials;
    Ok(AwsCredentials {
        access_key_id,
        secret_access_key: secret_access_key.into(),
        session_token: Some(session_token.into()),
        expires: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(expiration)),
    })
}

fn login_again(sso: &SsoRole) -> CredentialError {
    CredentialError::refused(format!(
        "the SSO login has expired; run aws sso login --profile {}",
        sso.profile
    ))
}

fn endpoint(variables: &CloudVariables, variable: &str, default: &str) -> String {
    let stated = variables.get(variable).or_else(|| variables.get("AWS_ENDPOINT_URL"));
    stated.unwrap_or(default).trim_end_matches('/').to_owned()
}

/// The token of the login, renewed if it has expired and can be.
async fn token(
    sso: &SsoRole,
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<String, CredentialError> {
    let file = cache_file(sso, variables)?;
    let text = fs::read_to_string(&file).map_err(|_| {
        CredentialError::missing(format!(
            "there is no SSO login; run aws sso login --profile {}",
            sso.profile
        ))
    })?;
    let cached: Map<String, Value> = serde_json::from_str(&text).map_err(|_| login_again(sso))?;
    let member = |name: &str| cached.get(name).and_then(Value::as_str).map(str::to_owned);
    let token = member("accessToken").ok_or_else(|| login_again(sso))?;
    let expires = member("expiresAt").ok_or_else(|| login_again(sso))?;
    if time(&expires.replace("UTC", "Z"), "the SSO login")? > SystemTime::now() + Duration::from_secs(60) {
        return Ok(token);
    }
    let (Some(id), Some(secret), Some(refresh)) =
        (member("clientId"), member("clientSecret"), member("refreshToken"))
    else {
        return Err(login_again(sso));
    };
    let base = endpoint(
        variables,
        "AWS_ENDPOINT_URL_SSO_OIDC",
        &format!("https://oidc.{}.amazonaws.com", sso.region),
    );
    let body = json!({"clientId": id, "clientSecret": secret, "grantType": "refresh_token", "refreshToken": refresh});
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let call = CredentialCall {
        method: Method::POST,
        url: format!("{base}/token"),
        headers,
        body: body.to_string().into(),
        patience: PATIENCE,
    };
    let reply = http.call(call).await?;
    match reply.status {
        200 => renewed(&file, cached, &reply.body).ok_or_else(|| login_again(sso)),
        429 | 500.. => {
            Err(CredentialError::unreachable(format!("AWS SSO answered with status {}", reply.status)))
        }
        _ => Err(login_again(sso)),
    }
}

/// Keeps the new token where the AWS command line finds it: a refresh token is valid once.
fn renewed(file: &Path, mut cached: Map<String, Value>, reply: &[u8]) -> Option<String> {
    let reply: Map<String, Value> = serde_json::from_slice(reply).ok()?;
    let token = reply.get("accessToken")?.as_str()?.to_owned();
    let seconds = reply.get("expiresIn").and_then(Value::as_u64).unwrap_or(3600);
    let expires = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(seconds)).ok()?;
    cached.insert("accessToken".to_owned(), json!(token));
    cached.insert("expiresAt".to_owned(), json!(expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    if let Some(refresh) = reply.get("refreshToken") {
        cached.insert("refreshToken".to_owned(), refresh.clone());
    }
    if let Err(error) = replace(file, &Value::Object(cached).to_string()) {
        log::warn!("the renewed SSO login cannot be kept in {}: {error}", file.display());
    }
    Some(token)
}

/// Replaces a file at once, readable by its owner alone.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = file.with_extension(format!("vdm-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut writer = options.create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    writer.write_all(text.as_bytes())?;
    fs::rename(&new, file)
}

/// The name of the file is the SHA-1 of the session's name, or of the start URL without one.
fn cache_file(sso: &SsoRole, variables: &CloudVariables) -> Result<PathBuf, CredentialError> {
    let home = variables.get("HOME").ok_or_else(|| CredentialError::missing("HOME is not set"))?;
    let name = sha1(sso.session.as_deref().unwrap_or(&sso.start_url));
    Ok(Path::new(home).join(".aws/sso/cache").join(format!("{name}.json")))
}

fn sha1(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_has_the_name_that_the_aws_command_line_gives_it() {
        assert_eq!(sha1("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn a_renewed_login_keeps_the_other_members() {
        let folder = std::env::temp_dir().join(format!("vdm-sso-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("x.json");
        let cached = json!({"startUrl": "https://x", "accessToken": "old", "refreshToken": "r1"});
        let cached = cached.as_object().unwrap().clone();
        let token = renewed(&file, cached, br#"{"accessToken":"new","expiresIn":60,"refreshToken":"r2"}"#);
        assert_eq!(token.as_deref(), Some("new"));
        let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!((&kept["startUrl"], &kept["refreshToken"]), (&json!("https://x"), &json!("r2")));
        fs::remove_dir_all(folder).unwrap();
    }
}
