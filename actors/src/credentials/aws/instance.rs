//! Credentials of an EC2 instance: its metadata service, version 2 only. Version 1 answers anybody who can make the gateway
//! fetch a URL.

use std::time::Duration;

use actix_http::Method;

use super::super::http::{CredentialHttp, CredentialReply, ServiceKind};
use super::super::{CredentialError, CredentialErrorKind};
use super::Looked;
use super::call::{Call, CredentialsJson, is_busy, status_error};
use crate::settings::CloudVariables;

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const TIMEOUT: &str = "AWS_METADATA_SERVICE_TIMEOUT";
const CALLS: &str = "AWS_METADATA_SERVICE_NUM_ATTEMPTS";

const WHO: &str = "instance metadata";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// How long a session with the service lasts, in seconds: one fetch.
const SESSION: &str = "300";
const PATIENCE: Duration = Duration::from_secs(1);

/// The metadata service of this instance.
struct Metadata<'a> {
    http: &'a CredentialHttp,
    endpoint: String,
    patience: Duration,
    most_calls: u32,
}

pub(super) async fn look(
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<Looked, CredentialError> {
    if variables.get(DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Ok(Looked::Nothing(format!("{WHO} ({DISABLED} is true)")));
    }
    let seconds =
        variables.get(TIMEOUT).and_then(|text| text.parse().ok()).filter(|s| (0.01..=30.0).contains(s));
    let metadata = Metadata {
        http,
        endpoint: endpoint(variables),
        patience: seconds.map_or(PATIENCE, Duration::from_secs_f64),
        most_calls: variables.get(CALLS).and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 10),
    };
    metadata.look().await
}

fn endpoint(variables: &CloudVariables) -> String {
    let is_ipv6 = variables.get(MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let usual = if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    variables.get(ENDPOINT).unwrap_or(usual).trim_end_matches('/').to_owned()
}

impl Metadata<'_> {
    async fn look(&self) -> Result<Looked, CredentialError> {
        let token = match self.token().await? {
            Ok(token) => token,
            Err(why) => return Ok(Looked::Nothing(format!("{WHO} ({why})"))),
        };
        let roles = self.get(ROLES, &token).await?;
        if roles.status == 404 {
            return Ok(Looked::Nothing(format!("{WHO} (the instance has no IAM role)")));
        }
        let text = text_of(&roles)?;
        let role = text.lines().map(str::trim).find(|line| !line.is_empty());
        let Some(role) = role.filter(|role| role.bytes().all(is_of_role)) else {
            return Ok(Looked::Nothing(format!("{WHO} (the instance has no IAM role)")));
        };
        let reply = self.get(&format!("{ROLES}{role}"), &token).await?;
        if reply.status != 200 {
            return Err(status_error(&format!("{WHO} of the role {role}"), &reply, ""));
        }
        CredentialsJson::parse(WHO, &reply.body, &reply.secrets).map(Looked::Found)
    }

    /// A token for the session, or the reason why there is no such service.
    async fn token(&self) -> Result<Result<String, String>, CredentialError> {
        let url = format!("{}/latest/api/token", self.endpoint);
        let call = Call { method: Method::PUT, ..self.call(url) };
        let reply = match call.header("x-aws-ec2-metadata-token-ttl-seconds", SESSION).send(self.http).await {
            Ok(reply) => reply,
            Err(error) if error.kind == CredentialErrorKind::Unreachable => {
                let why = error.message;
                return Ok(Err(format!("{why}; in a container, the instance's hop limit must be 2")));
            }
            Err(error) => return Err(error),
        };
        match reply.status {
            200 => text_of(&reply).map(|token| Ok(token.trim().to_owned())),
            403 => Ok(Err("it is switched off for this instance".to_owned())),
            status if is_busy(status) => Err(status_error(WHO, &reply, "")),
            status => Ok(Err(format!("{} answered with status {status}", reply.url))),
        }
    }

    async fn get(&self, path: &str, token: &str) -> Result<CredentialReply, CredentialError> {
        let call = self.call(format!("{}{path}", self.endpoint));
        let reply = call.header("x-aws-ec2-metadata-token", token).send(self.http).await?;
        match reply.status {
            200 | 404 => Ok(reply),
            _ => Err(status_error(WHO, &reply, "")),
        }
    }

    fn call<'c>(&self, url: String) -> Call<'c> {
        Call {
            service: ServiceKind::Metadata,
            patience: self.patience,
            most_calls: self.most_calls,
            ..Call::get(url)
        }
    }
}

fn text_of(reply: &CredentialReply) -> Result<String, CredentialError> {
    String::from_utf8(reply.body.to_vec())
        .map_err(|_| CredentialError::refused(format!("{WHO} sent a reply that is not text")))
}

/// IAM's characters of names.
fn is_of_role(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte)
}
