//! Gets Google access tokens by Application Default Credentials: a file of a service account, of a user of `gcloud` or of workload
//! identity federation, or the metadata server (google.aip.dev/auth/4110).

mod external_account;
mod metadata;
mod service_account;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use actix_http::Method;
use actix_http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::{CredentialCall, CredentialHttp, CredentialReply};
use super::{AccessToken, CredentialError};
use crate::excerpt;
use crate::secret::ApiKey;
use crate::settings::GoogleIdentity;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const PATIENCE: Duration = Duration::from_secs(8);
/// A larger file is refused.
const LARGEST: u64 = 1 << 20;

/// A new access token of `identity`.
///
/// # Errors
/// No source has credentials, or the one that was chosen fails.
pub(super) async fn fetch(
    identity: &GoogleIdentity,
    http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    let variables = &identity.variables;
    let quota_project = variables.get("GOOGLE_CLOUD_QUOTA_PROJECT").map(str::to_owned);
    let token = match file(identity) {
        Some(CredentialsFile { path, place }) => {
            let place = format!("{} ({place})", path.display());
            let text = read(&path).map_err(|error| CredentialError::missing(format!("cannot read {place}: {error}")))?;
            of_file(&text, &place, http).await?
        }
        None => metadata::fetch(variables, http).await.map_err(|error| CredentialError {
            message: format!(
                "there are no Google credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud has no application default \
                 credentials, and {error}; run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to the \
                 key file of a service account"
            ),
            ..error
        })?,
    };
    Ok(AccessToken { quota_project: quota_project.or(token.quota_project.clone()), ..token })
}

struct CredentialsFile {
    path: PathBuf,
    /// Where it is named.
    place: &'static str,
}

/// The file that is used; `None` for the metadata server.
fn file(identity: &GoogleIdentity) -> Option<CredentialsFile> {
    let variables = &identity.variables;
    if let Some(path) = &identity.credentials_file {
        return Some(CredentialsFile { path: PathBuf::from(&**path), place: "google-credentials" });
    }
    if let Some(path) = variables.get("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(CredentialsFile { path: path.into(), place: "GOOGLE_APPLICATION_CREDENTIALS" });
    }
    let folder = match (variables.get("CLOUDSDK_CONFIG"), variables.get("HOME")) {
        (Some(folder), _) => PathBuf::from(folder),
        (None, Some(home)) => Path::new(home).join(".config/gcloud"),
        (None, None) => return None,
    };
    let path = folder.join("application_default_credentials.json");
    path.exists().then_some(CredentialsFile { path, place: "of gcloud" })
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// What every credentials file has.
#[derive(Deserialize)]
struct FileHead {
    #[serde(rename = "type")]
    kind: String,
    quota_project_id: Option<String>,
}

#[derive(Deserialize)]
struct AuthorizedUser {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: Option<String>,
}

#[derive(Deserialize)]
struct Impersonated<'a> {
    service_account_impersonation_url: String,
    #[serde(borrow)]
    source_credentials: &'a RawValue,
    #[serde(default)]
    delegates: Vec<String>,
}

async fn of_file(text: &str, place: &str, http: &CredentialHttp) -> Result<AccessToken, CredentialError> {
    let head: FileHead = parse(text, place)?;
    let mut token = match head.kind.as_str() {
        "service_account" => service_account::fetch(text, place, http).await?,
        "authorized_user" => {
            let user: AuthorizedUser = parse(text, place)?;
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", &user.client_id),
                ("client_secret", &user.client_secret),
                ("refresh_token", &user.refresh_token),
            ];
            let from = format!("the refresh token in {place}");
            let url = user.token_uri.as_deref().unwrap_or(TOKEN_URL);
            token_of(&post_form(http, url, &form).await?, &from)?
        }
        "external_account" => external_account::fetch(text, place, http).await?,
        "impersonated_service_account" => {
            let impersonated: Impersonated<'_> = parse(text, place)?;
            let source = impersonated.source_credentials.get();
            let own = Box::pin(of_file(source, place, http)).await?;
            impersonate(&impersonated.service_account_impersonation_url, &impersonated.delegates, &own, http)
                .await?
        }
        other => {
            return Err(CredentialError::refused(format!(
                "{place} has credentials of type '{other}', which vdm does not know; use a service account, or run gcloud auth \
                 application-default login"
            )));
        }
    };
    token.quota_project = head.quota_project_id.or(token.quota_project);
    Ok(token)
}

/// The error would repeat the file.
fn parse<'t, T: Deserialize<'t>>(text: &'t str, place: &str) -> Result<T, CredentialError> {
    serde_json::from_str(text).map_err(|error| {
        let what =
            if error.is_data() { missing_field(&error.to_string()) } else { "is not valid JSON".to_owned() };
        CredentialError::refused(format!("{place} {what}"))
    })
}

fn missing_field(error: &str) -> String {
    let name = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    name.map_or_else(|| "is no credentials file".to_owned(), |name| format!("has no {name}"))
}

/// The reply of a token endpoint.
#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
    error_description: Option<String>,
}

fn token_of(reply: &CredentialReply, from: &str) -> Result<AccessToken, CredentialError> {
    if reply.status != 200 {
        return Err(refusal(reply, from));
    }
    let parsed: TokenReply = serde_json::from_slice(&reply.body)
        .map_err(|_| CredentialError::refused(format!("Google sent no token for {from}")))?;
    let life = Duration::from_secs(parsed.expires_in.unwrap_or(3600).min(86_400));
    Ok(AccessToken {
        token: ApiKey::new(parsed.access_token),
        expires: SystemTime::now() + life,
        quota_project: None,
    })
}

fn refusal(reply: &CredentialReply, from: &str) -> CredentialError {
    let status = reply.status;
    if status == 429 || status >= 500 {
        return CredentialError::unreachable(format!("Google's token service answered with status {status}"));
    }
    let said = serde_json::from_slice::<TokenError>(&reply.body).ok();
    let words = match &said {
        Some(TokenError { error, error_description: Some(words) }) => format!("{error}: {words}"),
        Some(TokenError { error, error_description: None }) => error.clone(),
        None => format!("status {status}"),
    };
    let words = excerpt::one_line(&words, excerpt::LINE);
    let remedy = match said {
        Some(TokenError { error, .. })
            if error == "invalid_grant" && from.starts_with("the refresh token") =>
        {
            "; run gcloud auth application-default login"
        }
        _ => "",
    };
    CredentialError::refused(format!("Google refuses {from} ({words}){remedy}"))
}

async fn post_form(
    http: &CredentialHttp,
    url: &str,
    form: &[(&str, &str)],
) -> Result<CredentialReply, CredentialError> {
    let members =
        form.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    let body = members.collect::<Vec<_>>().join("&");
    let headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
    let call = CredentialCall {
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body: body.into(),
        patience: PATIENCE,
    };
    again(http, call).await
}

/// Makes a call once more if the service fails.
async fn again(http: &CredentialHttp, call: CredentialCall) -> Result<CredentialReply, CredentialError> {
    let (method, url, headers, body) =
        (call.method.clone(), call.url.clone(), call.headers.clone(), call.body.clone());
    let reply = http.call(call).await;
    let has_failed = match &reply {
        Ok(reply) => reply.status == 429 || reply.status >= 500,
        Err(_) => true,
    };
    if !has_failed {
        return reply;
    }
    actix_rt::time::sleep(Duration::from_millis(300)).await;
    http.call(CredentialCall { method, url, headers, body, patience: PATIENCE }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationReply {
    access_token: String,
    /// Such as `2026-12-01T10:00:00Z`.
    expire_time: String,
}

/// Takes the place of a service account, with the token of another identity.
async fn impersonate(
    url: &str,
    delegates: &[String],
    own: &AccessToken,
    http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    let body = serde_json::json!({"scope": [SCOPE], "delegates": delegates, "lifetime": "3600s"});
    let bearer = HeaderValue::from_str(&["Bearer ", own.token.expose()].concat());
    let mut bearer = bearer.map_err(|_| {
        CredentialError::refused("Google's token contains characters that no header can carry")
    })?;
    bearer.set_sensitive(true);
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (AUTHORIZATION, bearer),
    ]);
    let call = CredentialCall {
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body: Bytes::from(body.to_string()),
        patience: PATIENCE,
    };
    let reply = again(http, call).await?;
    let account = url.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    if reply.status == 403 {
        return Err(CredentialError::refused(format!(
            "this identity may not impersonate {account}; grant it roles/iam.serviceAccountTokenCreator there"
        )));
    }
    if reply.status != 200 {
        return Err(refusal(&reply, &format!("the impersonation of {account}")));
    }
    let parsed: ImpersonationReply = serde_json::from_slice(&reply.body)
        .map_err(|_| CredentialError::refused(format!("Google sent no token for {account}")))?;
    let expires: jiff::Timestamp = parsed.expire_time.parse().map_err(|_| {
        CredentialError::refused(format!("Google sent a token for {account} that expires at no time"))
    })?;
    Ok(AccessToken { token: ApiKey::new(parsed.access_token), expires: expires.into(), quota_project: None })
}

/// The project that a credentials file belongs to, read when the configuration is.
#[must_use]
pub fn project_of_file(identity: &GoogleIdentity) -> Option<String> {
    #[derive(Deserialize)]
    struct Project {
        project_id: Option<String>,
        quota_project_id: Option<String>,
    }
    let text = read(&file(identity)?.path).ok()?;
    let Project { project_id, quota_project_id } = serde_json::from_str(&text).ok()?;
    project_id.or(quota_project_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let reply = |status, body: &'static str| CredentialReply {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
        assert_eq!(
            token_of(&reply(400, body), "the refresh token in f").unwrap_err().to_string(),
            "Google refuses the refresh token in f (invalid_grant: Token has been expired or revoked.); run gcloud auth \
             application-default login"
        );
        assert!(token_of(&reply(200, "{}"), "x").is_err());
        assert!(token_of(&reply(200, r#"{"access_token":"t","expires_in":5}"#), "x").is_ok());
    }

    #[test]
    fn a_file_without_a_member_is_named_with_the_member() {
        let said = |text: &str| parse::<AuthorizedUser>(text, "f").err().map(|error| error.to_string());
        assert_eq!(said(r#"{"client_id":"secret"}"#).as_deref(), Some("f has no client_secret"));
        assert_eq!(said("{secret").as_deref(), Some("f is not valid JSON"));
        assert_eq!(said("[1]").as_deref(), Some("f is no credentials file"));
    }
}
