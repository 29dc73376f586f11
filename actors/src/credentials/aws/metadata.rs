//! Credentials of the machine: of a container (ECS, EKS pod identity) or of an instance (IMDSv2).
//!
//! docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and feature-imds-credentials.html

use std::time::Duration;

use actix_http::Method;
use actix_http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::CredentialsJson;
use crate::credentials::http::{CredentialCall, CredentialHttp, CredentialReply};
use crate::credentials::{AwsCredentials, CredentialError};
use crate::settings::CloudVariables;

/// A metadata service is near, or not there.
const PATIENCE: Duration = Duration::from_secs(2);
const CALLS: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The hosts to which a container's token may be sent without TLS.
const CONTAINER_HOSTS: [&str; 6] =
    ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// `None` if no variable names the container's endpoint.
pub(super) async fn of_container(
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<Option<AwsCredentials>, CredentialError> {
    let url = match (
        variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ) {
        (Some(path), _) => format!("http://169.254.170.2{path}"),
        (None, Some(url)) => url.to_owned(),
        (None, None) => return Ok(None),
    };
    if !may_receive_token(&url) {
        return Err(CredentialError::refused(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https URL, or one of this machine",
        ));
    }
    let mut headers = HeaderMap::new();
    if let Some(token) = container_token(variables)? {
        let value = HeaderValue::from_str(token.trim());
        let value =
            value.map_err(|_| CredentialError::refused("the container's authorization token is no text"))?;
        headers.insert(AUTHORIZATION, value);
    }
    let reply = call(http, Method::GET, url, headers).await?;
    let from = "the container's credential endpoint";
    succeeded(&reply, from)?;
    CredentialsJson::parse(&reply.body, from).map(Some)
}

fn may_receive_token(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    CONTAINER_HOSTS.contains(&host)
}

fn container_token(variables: &CloudVariables) -> Result<Option<String>, CredentialError> {
    match (
        variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    ) {
        (Some(file), _) => std::fs::read_to_string(file).map(Some).map_err(|error| {
            CredentialError::missing(format!(
                "cannot read {file} (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE): {error}"
            ))
        }),
        (None, token) => Ok(token.map(str::to_owned)),
    }
}

/// The credentials of the instance's role.
pub(super) async fn of_instance(
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    if variables.get("AWS_EC2_METADATA_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Err(CredentialError::missing("AWS_EC2_METADATA_DISABLED turns the instance metadata off"));
    }
    let is_ipv6 = variables
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let default = if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let base = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(default).trim_end_matches('/');
    let mut headers = HeaderMap::new();
    headers.insert(TOKEN_TTL, HeaderValue::from_static("21600"));
    let reply = call(http, Method::PUT, format!("{base}/latest/api/token"), headers).await?;
    succeeded(&reply, "the instance metadata service")?;
    let token = HeaderValue::from_bytes(reply.body.trim_ascii());
    let token = token.map_err(|_| CredentialError::refused("the instance metadata service sent no token"))?;
    let with_token = || HeaderMap::from_iter([(TOKEN, token.clone())]);
    let roles = call(http, Method::GET, format!("{base}{ROLES}"), with_token()).await?;
    if roles.status == 404 {
        return Err(CredentialError::missing("this instance has no role"));
    }
    succeeded(&roles, "the instance metadata service")?;
    let role = String::from_utf8_lossy(&roles.body);
    let role = role.lines().next().unwrap_or_default().trim().to_owned();
    let reply = call(http, Method::GET, format!("{base}{ROLES}{role}"), with_token()).await?;
    let from = format!("the instance metadata service (role {role})");
    succeeded(&reply, &from)?;
    CredentialsJson::parse(&reply.body, &from)
}

/// A metadata service that throttles or fails is asked again.
async fn call(
    http: &CredentialHttp,
    method: Method,
    url: String,
    headers: HeaderMap,
) -> Result<CredentialReply, CredentialError> {
    let mut calls = 1;
    loop {
        let call = CredentialCall {
            method: method.clone(),
            url: url.clone(),
            headers: headers.clone(),
            body: Bytes::new(),
            patience: PATIENCE,
        };
        let reply = http.call(call).await?;
        if calls == CALLS || !(reply.status == 429 || reply.status >= 500) {
            return Ok(reply);
        }
        actix_rt::time::sleep(PAUSE * 2_u32.pow(u32::try_from(calls).unwrap_or(0))).await;
        calls += 1;
    }
}

fn succeeded(reply: &CredentialReply, from: &str) -> Result<(), CredentialError> {
    match reply.status {
        200 => Ok(()),
        status @ (429 | 500..) => {
            Err(CredentialError::unreachable(format!("{from} answered with status {status}")))
        }
        status => Err(CredentialError::refused(format!("{from} answered with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_token_stays_on_the_machine_or_is_encrypted() {
        for good in [
            "https://x.example/c",
            "http://127.0.0.1:9/c",
            "http://169.254.170.23/v1",
            "http://[fd00:ec2::23]/v1",
        ] {
            assert!(may_receive_token(good), "{good}");
        }
        for bad in [
            "http://x.example/c",
            "http://127.0.0.1.example/",
            "http://169.254.170.2@x.example/",
            "ftp://localhost/",
        ] {
            assert!(!may_receive_token(bad), "{bad}");
        }
    }
}
