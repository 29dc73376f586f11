//! Calls to the endpoints that issue access tokens, and what they answer (RFC 6749, sections 5.1 and 5.2).

use std::time::{Duration, Instant, SystemTime};

use actix_http::Method;
use actix_http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::non_empty;
use crate::credentials::http::{CredentialCall, CredentialHttp, CredentialReply, ServiceKind};
use crate::credentials::{AccessToken, CredentialError, CredentialErrorKind};
use crate::secret::ApiKey;

/// A service that is slower counts as unreachable.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(300);
/// In seconds.
const USUAL_LIFETIME: f64 = 3600.0;
const LONGEST_LIFETIME: f64 = 86_400.0;

/// A member of a form.
pub(super) enum FormValue<'a> {
    Plain(&'a str),
    /// It must not appear in an error.
    Secret(&'a str),
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: Option<String>,
    /// Seconds. Some services write a fraction, or a string.
    expires_in: Option<Value>,
}

/// The error of a token endpoint, or of another API of Google's.
#[derive(Deserialize)]
#[serde(untagged)]
enum ServiceError {
    OAuth { error: String, error_description: Option<String> },
    Api { error: ApiError },
}

#[derive(Deserialize)]
struct ApiError {
    status: Option<String>,
    message: String,
}

impl TokenReply {
    fn lifetime(&self) -> Duration {
        let read = |value: &Value| match value.as_str() {
            Some(text) => text.trim().parse().ok(),
            None => value.as_f64(),
        };
        let seconds = self.expires_in.as_ref().and_then(read);
        let seconds = seconds.filter(|seconds: &f64| !seconds.is_nan()).unwrap_or(USUAL_LIFETIME);
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFETIME))
    }
}

impl ServiceError {
    fn code(&self) -> &str {
        match self {
            Self::OAuth { error, .. } => error,
            Self::Api { error } => error.status.as_deref().unwrap_or_default(),
        }
    }

    fn words(&self) -> &str {
        match self {
            Self::OAuth { error_description, .. } => error_description.as_deref().unwrap_or_default(),
            Self::Api { error } => &error.message,
        }
    }
}

/// The token of a reply to a request for `from`.
pub(super) fn token_of(reply: &CredentialReply, from: &str) -> Result<AccessToken, CredentialError> {
    if reply.status != 200 {
        return Err(refusal(reply, from));
    }
    let parsed: TokenReply = parse_reply(reply)?;
    let lifetime = parsed.lifetime();
    let Some(token) = non_empty(parsed.access_token) else {
        return Err(CredentialError::refused(format!("{} sent no token for {from}", reply.url)));
    };
    Ok(AccessToken { token: ApiKey::new(token), expires: SystemTime::now() + lifetime, quota_project: None })
}

/// What is not JSON is not from the service: a proxy or a login page has answered, and the next call may reach the service.
pub(super) fn parse_reply<'r, T: Deserialize<'r>>(reply: &'r CredentialReply) -> Result<T, CredentialError> {
    serde_json::from_slice(&reply.body).map_err(|error| {
        let message = format!("{} answered with something other than a token", reply.url);
        let kind =
            if error.is_data() { CredentialErrorKind::Refused } else { CredentialErrorKind::Unreachable };
        CredentialError { kind, message }
    })
}

/// The error for a reply whose status is not a success.
pub(super) fn refusal(reply: &CredentialReply, from: &str) -> CredentialError {
    let status = reply.status;
    if is_busy(status) {
        return CredentialError::unreachable(format!("{} answered with status {status}", reply.url));
    }
    let said = serde_json::from_slice::<ServiceError>(&reply.body).ok();
    let (code, words) = said.as_ref().map_or(("", ""), |said| (said.code(), said.words()));
    let text = match (code, words) {
        ("", "") => format!("status {status}"),
        ("", text) | (text, "") => reply.quoted(text),
        (code, words) => reply.quoted(&format!("{code}: {words}")),
    };
    let remedy = match code {
        "invalid_grant" if from.starts_with("the refresh token") => {
            "; run gcloud auth application-default login"
        }
        "invalid_grant" if words.contains("timeframe") => "; check this machine's clock",
        _ => "",
    };
    CredentialError::refused(format!("{} refuses {from} ({text}){remedy}", reply.url))
}

fn is_busy(status: u16) -> bool {
    status == 429 || status >= 500
}

pub(super) async fn post_form(
    http: &CredentialHttp,
    url: &str,
    form: &[(&str, FormValue<'_>)],
) -> Result<CredentialReply, CredentialError> {
    let mut secrets = vec![];
    let members = form.iter().map(|(name, value)| {
        let value = match value {
            FormValue::Plain(text) => text,
            FormValue::Secret(text) => {
                secrets.push(ApiKey::new(*text));
                text
            }
        };
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    });
    let body = members.collect::<Vec<_>>().join("&");
    let headers =
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
    let call = CredentialCall {
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body: body.into(),
        secrets,
        service: ServiceKind::Public,
        patience: PATIENCE,
    };
    call_twice(http, call).await
}

/// Makes a call, and once more if the service is busy or the connection was lost.
pub(super) async fn call_twice(
    http: &CredentialHttp,
    call: CredentialCall,
) -> Result<CredentialReply, CredentialError> {
    let (again, since) = (call.clone(), Instant::now());
    match http.call(call).await {
        Ok(reply) if is_busy(reply.status) => {}
        // A service that has used up its time would use it up again.
        Err(_) if since.elapsed() < again.patience => {}
        other => return other,
    }
    actix_rt::time::sleep(PAUSE).await;
    http.call(again).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let said = |body: &'static str, from: &str| {
            token_of(&CredentialReply::scripted(400, body), from).unwrap_err().to_string()
        };
        let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
        assert_eq!(
            said(body, "the refresh token in f"),
            "https://token.example refuses the refresh token in f (invalid_grant: Token has been expired or revoked.); run gcloud \
             auth application-default login"
        );
        let body =
            r#"{"error":{"code":400,"message":"Identity Pool does not exist","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(
            said(body, "x"),
            "https://token.example refuses x (INVALID_ARGUMENT: Identity Pool does not exist)"
        );
        assert_eq!(
            said(r#"{"error":"invalid_client"}"#, "x"),
            "https://token.example refuses x (invalid_client)"
        );
        assert_eq!(said("<html>", "x"), "https://token.example refuses x (status 400)");
    }

    /// Requirement: what is no token is never sent to Google, and a page of a proxy is not an answer of the service.
    #[test]
    fn a_reply_without_a_token_is_an_error() {
        let kind = |status, body| {
            token_of(&CredentialReply::scripted(status, body), "x").map_err(|error| error.kind)
        };
        for body in
            ["{}", r#"{"access_token":""}"#, r#"{"access_token":null}"#, r#"{"access_token":1}"#, "[]"]
        {
            assert_eq!(kind(200, body).unwrap_err(), CredentialErrorKind::Refused, "{body}");
        }
        for (status, body) in [(200, "<html>log in</html>"), (200, ""), (503, "{}"), (429, "")] {
            assert_eq!(kind(status, body).unwrap_err(), CredentialErrorKind::Unreachable, "{body}");
        }
    }

    #[test]
    fn a_lifetime_is_read_in_every_form() {
        let seconds = |expires: &'static str| {
            let reply: TokenReply = serde_json::from_str(expires).unwrap();
            reply.lifetime().as_secs_f64()
        };
        for (reply, expected) in [
            (r#"{"expires_in":5}"#, 5.0),
            (r#"{"expires_in":3599.5}"#, 3599.5),
            (r#"{"expires_in":"3599"}"#, 3599.0),
            (r#"{"expires_in":0}"#, 0.0),
            (r#"{"expires_in":-5}"#, 0.0),
            (r#"{"expires_in":1e300}"#, LONGEST_LIFETIME),
            (r#"{"expires_in":"NaN"}"#, USUAL_LIFETIME),
            (r#"{"expires_in":"soon"}"#, USUAL_LIFETIME),
            ("{}", USUAL_LIFETIME),
        ] {
            assert!((seconds(reply) - expected).abs() < 1e-9, "{reply}: {}", seconds(reply));
        }
    }
}
