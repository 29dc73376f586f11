//! Tokens of a service account that another identity may take the place of (cloud.google.com/iam/docs/service-account-impersonation).

use actix_http::Method;
use actix_http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use bytes::Bytes;
use serde::Deserialize;

use super::SCOPE;
use super::token_endpoint::{PATIENCE, call_twice, parse_reply, refusal};
use crate::credentials::http::{CredentialCall, CredentialHttp, ServiceKind};
use crate::credentials::{AccessToken, CredentialError};
use crate::secret::ApiKey;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationReply {
    access_token: String,
    /// Such as `2026-12-01T10:00:00Z`.
    expire_time: String,
}

/// A token of the service account in `url`, for the token `own` of an identity that may have it.
pub(super) async fn impersonate(
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
        secrets: vec![],
        service: ServiceKind::Public,
        patience: PATIENCE,
    };
    let reply = call_twice(http, call).await?;
    let account = url.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    if reply.status == 403 {
        return Err(CredentialError::refused(format!(
            "this identity may not impersonate {account}; grant it roles/iam.serviceAccountTokenCreator there"
        )));
    }
    if reply.status != 200 {
        return Err(refusal(&reply, &format!("the impersonation of {account}")));
    }
    let ImpersonationReply { access_token, expire_time } = parse_reply(&reply)?;
    let expires: Option<jiff::Timestamp> = expire_time.parse().ok();
    match expires.filter(|_| !access_token.is_empty()) {
        Some(expires) => {
            Ok(AccessToken { token: ApiKey::new(access_token), expires: expires.into(), quota_project: None })
        }
        None => Err(CredentialError::refused(format!(
            "{} sent no token for {account}, or one that expires at no time",
            reply.url
        ))),
    }
}
