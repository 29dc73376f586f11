//! Calls to AWS's services and metadata endpoints, and what their replies have in common.

use std::time::{Duration, SystemTime};

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_rt::time::sleep;
use bytes::Bytes;
use serde::Deserialize;

use super::super::http::{CredentialCall, CredentialHttp, CredentialReply, ServiceKind, quoted};
use super::super::{AwsCredentials, CredentialError};
use crate::secret::{ApiKey, Secrets};

/// The longest wait for one reply of a service.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often a service is called that is busy or does not answer.
pub(super) const MOST_CALLS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A request that can be repeated.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, &'a str)>,
    pub(super) body: Bytes,
    /// The secrets in the body.
    pub(super) secrets: Vec<ApiKey>,
    pub(super) service: ServiceKind,
    pub(super) patience: Duration,
    pub(super) most_calls: u32,
}

/// Credentials as container and instance metadata, and programs (`credential_process`), write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CredentialsJson {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    /// Programs name it `SessionToken`.
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
    /// In replies of metadata: `Success`, or what is wrong.
    code: Option<String>,
    message: Option<String>,
}

impl<'a> Call<'a> {
    pub(super) fn get(url: String) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: vec![],
            body: Bytes::new(),
            secrets: vec![],
            service: ServiceKind::Public,
            patience: PATIENCE,
            most_calls: MOST_CALLS,
        }
    }

    pub(super) fn post(url: String, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(url) }
    }

    pub(super) fn header(mut self, name: &'static str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends it, again after a pause while the service is busy or does not answer.
    pub(super) async fn send(self, http: &CredentialHttp) -> Result<CredentialReply, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            // A token that is read from a file can have any characters.
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                CredentialError::refused(format!(
                    "the value for the header {name} has characters that are not allowed"
                ))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let mut pause = FIRST_PAUSE;
        for calls_left in (0..self.most_calls.max(1)).rev() {
            let reply = http
                .call(CredentialCall {
                    method: self.method.clone(),
                    url: self.url.clone(),
                    headers: headers.clone(),
                    body: self.body.clone(),
                    secrets: self.secrets.clone(),
                    service: self.service,
                    patience: self.patience,
                })
                .await;
            let is_busy = reply.as_ref().map_or(true, |reply| is_busy(reply.status));
            if !is_busy || calls_left == 0 {
                return reply;
            }
            let named = reply.ok().and_then(|reply| named_pause(&reply.headers));
            sleep(named.unwrap_or_else(|| pause.mul_f64(0.5 + fastrand::f64()))).await;
            pause *= 2;
        }
        Err(CredentialError::unreachable("no call was made".to_owned()))
    }
}

/// The pause that a busy service names in seconds, if it is worth waiting for.
fn named_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|pause| *pause <= PATIENCE)
}

pub(super) fn is_busy(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The error for a reply whose status is not a success. `text` is what the service says; it can be empty.
pub(super) fn status_error(who: &str, reply: &CredentialReply, text: &str) -> CredentialError {
    let (status, text) = (reply.status, reply.quoted(text));
    let message = match text.as_str() {
        "" => format!("{who} answered with status {status}"),
        text => format!("{who} answered with status {status}: {text}"),
    };
    if is_busy(status) { CredentialError::unreachable(message) } else { CredentialError::refused(message) }
}

/// The error for a reply that cannot be read. It does not show the reply, which may contain secrets.
pub(super) fn unreadable(who: &str, expected: &str) -> CredentialError {
    CredentialError::refused(format!("{who} sent a reply without {expected}"))
}

impl CredentialsJson {
    /// Reads the output of `who`, which had these `secrets`.
    pub(super) fn parse(
        who: &str,
        body: &[u8],
        secrets: &Secrets,
    ) -> Result<AwsCredentials, CredentialError> {
        // The parser's error can quote a value.
        let json: Self = serde_json::from_slice(body).map_err(|_| unreadable(who, "credentials in JSON"))?;
        if let Some(code) = json.code.as_deref().filter(|code| !code.eq_ignore_ascii_case("success")) {
            let message = json.message.as_deref().unwrap_or_default();
            let own = [&json.secret_access_key, &json.token].into_iter().flatten().map(ApiKey::new);
            let secrets = own.fold(secrets.clone(), |secrets, own| secrets.with(&own));
            let text = quoted(&format!("{code} {message}"), &secrets);
            return Err(CredentialError::refused(format!("{who} has no credentials: {text}")));
        }
        let (Some(id), Some(secret)) = (json.access_key_id, json.secret_access_key) else {
            return Err(unreadable(who, "AccessKeyId and SecretAccessKey"));
        };
        let expires = json.expiration.filter(|text| !text.is_empty());
        let expires = expires.map(|text| time(&text).ok_or_else(|| unreadable(who, "a valid Expiration")));
        Ok(AwsCredentials {
            access_key_id: id,
            secret_access_key: secret.into(),
            session_token: json.token.filter(|token| !token.is_empty()).map(Into::into),
            expires: expires.transpose()?,
        })
    }
}

/// A time in ISO 8601. `UTC` for the zone is what the AWS CLI wrote in former versions.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |local| format!("{local}Z"));
    text.parse::<jiff::Timestamp>().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::credentials::CredentialErrorKind;

    #[test]
    fn times_are_read_in_all_forms_that_aws_writes() {
        let at = UNIX_EPOCH + Duration::from_secs(1_796_083_200);
        for text in ["2026-12-01T00:00:00Z", "2026-12-01T00:00:00UTC", "2026-12-01T01:00:00+01:00"] {
            assert_eq!(time(text), Some(at), "{text}");
        }
        assert_eq!(time("tomorrow"), None);
    }

    #[test]
    fn a_reply_that_is_wrong_is_not_quoted() {
        for body in [
            r#"{"AccessKeyId":["hidden"]}"#,
            r#"{"AccessKeyId":"hidden"}"#,
            r#"{"AccessKeyId":"a","SecretAccessKey":"hidden","Expiration":"hidden"}"#,
            "hidden",
        ] {
            let error = CredentialsJson::parse("the source", body.as_bytes(), &Secrets::new([])).unwrap_err();
            assert!(!error.message.contains("hidden"), "{error}");
            assert_eq!(error.kind, CredentialErrorKind::Refused);
        }
    }

    #[test]
    fn a_code_of_the_metadata_service_is_reported() {
        let body = r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot\nassume the role"}"#;
        let none = Secrets::new([]);
        let error = CredentialsJson::parse("instance metadata", body.as_bytes(), &none).unwrap_err();
        assert_eq!(
            error.message,
            "instance metadata has no credentials: AssumeRoleUnauthorizedAccess EC2 cannot assume the role"
        );
        let body = r#"{"Code":"No","Message":"not wJalrXUtnFEMI/K7MDENG","SecretAccessKey":"wJalrXUtnFEMI/K7MDENG"}"#;
        let error = CredentialsJson::parse("the program", body.as_bytes(), &none).unwrap_err();
        assert_eq!(error.message, "the program has no credentials: No not [key]");
    }
}
