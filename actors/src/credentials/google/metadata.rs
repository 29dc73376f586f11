//! Tokens of the machine: of Compute Engine, Cloud Run or GKE (cloud.google.com/compute/docs/metadata).

use std::time::Duration;

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::SCOPE;
use super::token_endpoint::token_of;
use crate::credentials::http::{CredentialCall, CredentialHttp, ServiceKind};
use crate::credentials::{AccessToken, CredentialError};
use crate::settings::CloudVariables;

/// The metadata server is near, or not there.
const PATIENCE: Duration = Duration::from_secs(2);
const CALLS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// In requests, and in replies: another server at this address does not send it.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const FLAVOR_VALUE: &str = "Google";

pub(super) async fn fetch(
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    let host = variables.get("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
    let url =
        format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}");
    let headers = HeaderMap::from_iter([(FLAVOR, HeaderValue::from_static(FLAVOR_VALUE))]);
    let mut calls = 1;
    let reply = loop {
        let call = CredentialCall {
            method: Method::GET,
            url: url.clone(),
            headers: headers.clone(),
            body: Bytes::new(),
            secrets: vec![],
            service: ServiceKind::Metadata,
            patience: PATIENCE,
        };
        let reply = http.call(call).await?;
        if calls == CALLS || !(reply.status == 429 || reply.status >= 500) {
            break reply;
        }
        actix_rt::time::sleep(PAUSE * 2_u32.pow(calls)).await;
        calls += 1;
    };
    if reply.headers.get(&FLAVOR).is_none_or(|value| value != FLAVOR_VALUE) {
        return Err(CredentialError::missing(format!("{host} is no metadata server of Google's")));
    }
    if reply.status == 404 {
        return Err(CredentialError::missing("this machine has no service account"));
    }
    token_of(&reply, "the machine's service account")
}
