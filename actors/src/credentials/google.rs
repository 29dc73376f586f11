//! Gets Google access tokens by Application Default Credentials: a file of a service account, of a user of `gcloud` or of workload
//! identity federation, or the metadata server (google.aip.dev/auth/4110).

mod external_account;
mod impersonation;
mod metadata;
mod service_account;
mod token_endpoint;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use self::impersonation::impersonate;
use self::token_endpoint::{FormValue, post_form, token_of};
use super::files::read_text;
use super::http::CredentialHttp;
use super::{AccessToken, CredentialError};
use crate::settings::GoogleIdentity;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

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
            let text = read_text(&path).map_err(|error| CredentialError::missing(format!("cannot read {place}: {error}")))?;
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
                ("grant_type", FormValue::Plain("refresh_token")),
                ("client_id", FormValue::Plain(&user.client_id)),
                ("client_secret", FormValue::Secret(&user.client_secret)),
                ("refresh_token", FormValue::Secret(&user.refresh_token)),
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
    token.quota_project = non_empty(head.quota_project_id).or(token.quota_project);
    Ok(token)
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
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

/// The project that a credentials file belongs to, read when the configuration is.
#[must_use]
pub fn project_of_file(identity: &GoogleIdentity) -> Option<String> {
    #[derive(Deserialize)]
    struct Project {
        project_id: Option<String>,
        quota_project_id: Option<String>,
    }
    let text = read_text(&file(identity)?.path).ok()?;
    let Project { project_id, quota_project_id } = serde_json::from_str(&text).ok()?;
    non_empty(project_id).or(non_empty(quota_project_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_member_is_named_with_the_member() {
        let said = |text: &str| parse::<AuthorizedUser>(text, "f").err().map(|error| error.to_string());
        assert_eq!(said(r#"{"client_id":"secret"}"#).as_deref(), Some("f has no client_secret"));
        assert_eq!(said("{secret").as_deref(), Some("f is not valid JSON"));
        assert_eq!(said("[1]").as_deref(), Some("f is no credentials file"));
    }
}
