//! Tokens by workload identity federation: a token of another identity provider is exchanged (google.aip.dev/auth/4117).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::impersonation::impersonate;
use super::token_endpoint::{FormValue, post_form, token_of};
use super::{SCOPE, parse};
use crate::credentials::files::read_text;
use crate::credentials::http::{CredentialCall, CredentialHttp, ServiceKind};
use crate::credentials::{AccessToken, CredentialError};

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: CredentialSource,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CredentialSource {
    file: Option<String>,
    url: Option<String>,
    /// Names the source of AWS: its token is a signed request, not the text at `url`.
    environment_id: Option<IgnoredAny>,
    executable: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
    headers: BTreeMap<String, String>,
    format: Format,
}

impl CredentialSource {
    fn supported(&self, place: &str) -> Result<(), CredentialError> {
        let kinds = [
            ("environment_id (AWS)", &self.environment_id),
            ("executable", &self.executable),
            ("certificate", &self.certificate),
        ];
        if let Some((kind, _)) = kinds.iter().find(|(_, value)| value.is_some()) {
            return Err(CredentialError::refused(format!(
                "the credential_source of {place} has {kind}, which vdm does not support; use one with a file or a URL, or the key file of \
                 a service account"
            )));
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Format {
    subject_token_field_name: Option<String>,
}

pub(super) async fn fetch(
    text: &str,
    place: &str,
    http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    let account: ExternalAccount = parse(text, place)?;
    let subject = subject_token(&account.credential_source, place, http).await?;
    let form = [
        ("grant_type", FormValue::Plain("urn:ietf:params:oauth:grant-type:token-exchange")),
        ("requested_token_type", FormValue::Plain("urn:ietf:params:oauth:token-type:access_token")),
        ("audience", FormValue::Plain(&account.audience)),
        ("scope", FormValue::Plain(SCOPE)),
        ("subject_token_type", FormValue::Plain(&account.subject_token_type)),
        ("subject_token", FormValue::Secret(&subject)),
    ];
    let from = format!("the external token of {place}");
    let own = token_of(&post_form(http, &account.token_url, &form).await?, &from)?;
    match account.service_account_impersonation_url {
        Some(url) => impersonate(&url, &[], &own, http).await,
        None => Ok(own),
    }
}

async fn subject_token(
    source: &CredentialSource,
    place: &str,
    http: &CredentialHttp,
) -> Result<String, CredentialError> {
    source.supported(place)?;
    let text = match (&source.file, &source.url) {
        (Some(file), _) => read_text(Path::new(file)).map_err(|error| {
            CredentialError::missing(format!("cannot read {file} (credential_source of {place}): {error}"))
        })?,
        (None, Some(url)) => {
            let header = |(name, value): (&String, &String)| {
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
            };
            let headers: HeaderMap = source.headers.iter().filter_map(header).collect();
            let call = CredentialCall {
                method: Method::GET,
                url: url.clone(),
                headers,
                body: Bytes::new(),
                secrets: vec![],
                service: ServiceKind::Public,
                patience: PATIENCE,
            };
            let reply = http.call(call).await?;
            if reply.status != 200 {
                let (url, status) = (&reply.url, reply.status);
                let text = format!("{url} (credential_source of {place}) answered with status {status}");
                return Err(match status {
                    429 | 500.. => CredentialError::unreachable(text),
                    _ => CredentialError::refused(text),
                });
            }
            String::from_utf8_lossy(&reply.body).into_owned()
        }
        (None, None) => {
            return Err(CredentialError::refused(format!(
                "the credential_source of {place} is neither a file nor a URL, which vdm needs"
            )));
        }
    };
    match &source.format.subject_token_field_name {
        None if text.trim().is_empty() => {
            Err(CredentialError::refused(format!("the credential_source of {place} is empty")))
        }
        None => Ok(text.trim().to_owned()),
        Some(name) => {
            let value: Option<Value> = serde_json::from_str(&text).ok();
            let token = value.as_ref().and_then(|value| value.get(name)?.as_str()).map(str::to_owned);
            token.ok_or_else(|| {
                CredentialError::refused(format!("the credential_source of {place} has no {name}"))
            })
        }
    }
}
