//! Credentials of a container: the agent of ECS, or EKS Pod Identity.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::super::CredentialError;
use super::super::files::read_text;
use super::super::http::{CredentialHttp, ServiceKind, host};
use super::Looked;
use super::call::{Call, CredentialsJson, status_error};
use crate::settings::CloudVariables;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// The agent of ECS.
const ECS: &str = "http://169.254.170.2";
/// Hosts that may be called without TLS, besides this machine: the agents of ECS and EKS.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn look(
    variables: &CloudVariables,
    http: &CredentialHttp,
) -> Result<Looked, CredentialError> {
    let (url, variable) = match (variables.get(RELATIVE), variables.get(FULL)) {
        (Some(path), _) => (format!("{ECS}/{}", path.trim_start_matches('/')), RELATIVE),
        (None, Some(url)) => (allowed(url)?, FULL),
        (None, None) => {
            return Ok(Looked::Nothing(format!("container credentials ({RELATIVE} and {FULL} not set)")));
        }
    };
    let token = token(variables)?;
    let call = Call { patience: PATIENCE, service: ServiceKind::Metadata, ..Call::get(url) };
    let mut call = call.header("accept", "application/json");
    if let Some(token) = &token {
        call = call.header("authorization", token);
    }
    let who = format!("the container credentials endpoint ({variable})");
    let reply = call
        .send(http)
        .await
        .map_err(|error| CredentialError { message: format!("{who} failed: {}", error.message), ..error })?;
    if reply.status != 200 {
        return Err(status_error(&who, &reply, &reason(&reply.body)));
    }
    CredentialsJson::parse(&who, &reply.body, &reply.secrets).map(Looked::Found)
}

/// The text of an error. Anything that is not such an error may be a secret.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Reason {
        #[serde(alias = "Code")]
        code: String,
        #[serde(alias = "Message")]
        message: String,
    }
    let Reason { code, message } = serde_json::from_slice(body).unwrap_or_default();
    format!("{code} {message}").trim().to_owned()
}

/// The token would be readable on the way to any other host.
fn allowed(url: &str) -> Result<String, CredentialError> {
    let host = host(url);
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_agent = AGENTS.contains(&host);
    if url.starts_with("https://") || (url.starts_with("http://") && (is_local || is_agent)) {
        return Ok(url.to_owned());
    }
    Err(CredentialError::refused(format!(
        "{FULL} must be an https URL, or an http URL of this machine, {}; it was not called",
        AGENTS.join(", ")
    )))
}

/// The token of a file replaces that of a variable: it is renewed there.
fn token(variables: &CloudVariables) -> Result<Option<String>, CredentialError> {
    let Some(path) = variables.get(TOKEN_FILE) else {
        return Ok(variables.get(TOKEN).map(str::to_owned));
    };
    let text = read_text(Path::new(path))
        .map_err(|error| CredentialError::refused(format!("cannot read {path} ({TOKEN_FILE}): {error}")))?;
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_to_https_this_machine_and_the_agents() {
        for url in [
            "https://any.example/x",
            "http://127.0.0.5:8080/x",
            "http://localhost/x",
            "http://[::1]:80/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(allowed(url).is_ok(), "{url}");
        }
        for url in [
            "http://any.example/x",
            "http://169.254.169.254/x",
            "http://localhost.example/x",
            "http://127.0.0.1@any.example/x",
            "ftp://localhost",
        ] {
            assert!(allowed(url).is_err(), "{url}");
        }
    }
}
