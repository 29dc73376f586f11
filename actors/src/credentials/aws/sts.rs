//! Takes roles at AWS's Security Token Service (docs.aws.amazon.com/STS/latest/APIReference).

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use actix_http::Method;
use actix_http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::time;
use crate::clock;
use crate::credentials::http::{CredentialCall, CredentialHttp, CredentialReply};
use crate::credentials::{AwsCredentials, CredentialError, RequestToSign, SigningScope, sign};
use crate::settings::{AwsIdentity, CloudVariables};

const PATIENCE: Duration = Duration::from_secs(8);
const SERVICE: &str = "sts";
const VERSION: &str = "2011-06-15";
/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A role that other credentials take.
#[derive(Clone, Debug)]
pub(super) struct AssumedRole {
    pub(super) arn: String,
    pub(super) session: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration: Option<String>,
    pub(super) region: Option<String>,
}

/// A role that a token of another identity provider takes, such as that of a Kubernetes service account.
#[derive(Clone, Debug)]
pub(super) struct WebIdentityRole {
    pub(super) arn: String,
    pub(super) token_file: PathBuf,
    pub(super) session: Option<String>,
}

impl WebIdentityRole {
    pub(super) fn of_environment(variables: &CloudVariables) -> Option<Self> {
        Some(Self {
            arn: variables.get("AWS_ROLE_ARN")?.to_owned(),
            token_file: variables.get("AWS_WEB_IDENTITY_TOKEN_FILE")?.into(),
            session: variables.get("AWS_ROLE_SESSION_NAME").map(str::to_owned),
        })
    }
}

pub(super) async fn assume_role(
    role: &AssumedRole,
    with: &AwsCredentials,
    identity: &AwsIdentity,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    let AssumedRole { arn, session, external_id, duration, region } = role;
    let region = region.as_deref().unwrap_or(&identity.region);
    let mut form = vec![("RoleArn", arn.clone()), ("RoleSessionName", session_name(session.as_deref()))];
    form.extend(external_id.clone().map(|id| ("ExternalId", id)));
    form.extend(duration.clone().map(|duration| ("DurationSeconds", duration)));
    let (url, body) = (endpoint(&identity.variables, region), body("AssumeRole", &form));
    let mut headers = headers();
    let to_sign = RequestToSign {
        method: &Method::POST,
        url: &url,
        headers: &headers,
        body_sha256: Sha256::digest(&body).into(),
    };
    let signature = sign(with, SigningScope { region, service: SERVICE }, to_sign, SystemTime::now());
    let signature = signature.map_err(|error| CredentialError::refused(format!("STS: {error}")))?;
    signature.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
    let reply = call(http, url, headers, body).await?;
    credentials(&reply, arn)
}

pub(super) async fn assume_role_with_web_identity(
    role: &WebIdentityRole,
    identity: &AwsIdentity,
    http: &CredentialHttp,
) -> Result<AwsCredentials, CredentialError> {
    let WebIdentityRole { arn, token_file, session } = role;
    let token = std::fs::read_to_string(token_file).map_err(|error| {
        CredentialError::missing(format!(
            "cannot read the web identity token {}: {error}",
            token_file.display()
        ))
    })?;
    let form = [
        ("RoleArn", arn.clone()),
        ("RoleSessionName", session_name(session.as_deref())),
        ("WebIdentityToken", token.trim().to_owned()),
    ];
    let url = endpoint(&identity.variables, &identity.region);
    let reply = call(http, url, headers(), body("AssumeRoleWithWebIdentity", &form)).await?;
    credentials(&reply, arn)
}

fn session_name(stated: Option<&str>) -> String {
    stated.map_or_else(|| format!("vandamme-{}", clock::wall()), str::to_owned)
}

fn endpoint(variables: &CloudVariables, region: &str) -> String {
    let stated = variables.get("AWS_ENDPOINT_URL_STS").or_else(|| variables.get("AWS_ENDPOINT_URL"));
    if let Some(url) = stated {
        return format!("{}/", url.trim_end_matches('/'));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{domain}/")
}

fn body(action: &str, form: &[(&str, String)]) -> String {
    let members =
        form.iter().map(|(name, value)| format!("&{name}={}", utf8_percent_encode(value, RESERVED)));
    let members: String = members.collect();
    format!("Action={action}&Version={VERSION}{members}")
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8")),
        (ACCEPT, HeaderValue::from_static("text/xml")),
    ])
}

async fn call(
    http: &CredentialHttp,
    url: String,
    headers: HeaderMap,
    body: String,
) -> Result<CredentialReply, CredentialError> {
    let body = Bytes::from(body);
    http.call(CredentialCall { method: Method::POST, url, headers, body, patience: PATIENCE }).await
}

fn credentials(reply: &CredentialReply, arn: &str) -> Result<AwsCredentials, CredentialError> {
    let text = String::from_utf8_lossy(&reply.body);
    let from = format!("AWS STS (role {arn})");
    if reply.status != 200 {
        let code = element(&text, "Code").unwrap_or_else(|| format!("status {}", reply.status));
        let message = element(&text, "Message").map(|message| format!(": {message}")).unwrap_or_default();
        let text = format!("{from} answered {code}{message}");
        let is_passing = reply.status == 429 || reply.status >= 500;
        return Err(if is_passing {
            CredentialError::unreachable(text)
        } else {
            CredentialError::refused(text)
        });
    }
    let needed = |name: &str| {
        element(&text, name).ok_or_else(|| CredentialError::refused(format!("{from} sent no {name}")))
    };
    Ok(AwsCredentials {
        access_key_id: needed("AccessKeyId")?,
        secret_access_key: needed("SecretAccessKey")?.into(),
        session_token: Some(needed("SessionToken")?.into()),
        expires: Some(time(&needed("Expiration")?, &from)?),
    })
}

/// The text of the first element of this name. STS's replies have no attributes on the elements that are read here.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn reply(status: u16, body: &'static str) -> CredentialReply {
        CredentialReply { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn credentials_are_read_from_the_reply() {
        let xml = "<AssumeRoleResponse xmlns=\"x\"><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
            <SecretAccessKey>a&amp;b</SecretAccessKey><SessionToken>t==</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>\
            </Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let found = credentials(&reply(200, xml), "arn").unwrap();
        assert_eq!(found.secret_access_key.expose_secret(), "a&b");
        assert!(found.expires.is_some());
    }

    #[test]
    fn a_refusal_says_what_sts_says() {
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User x is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";
        let text = credentials(&reply(403, xml), "arn:r").unwrap_err().to_string();
        assert_eq!(
            text,
            "AWS STS (role arn:r) answered AccessDenied: User x is not authorized to perform: sts:AssumeRole"
        );
        assert!(
            credentials(&reply(200, "<x/>"), "r").unwrap_err().to_string().contains("sent no AccessKeyId")
        );
    }

    #[test]
    fn each_region_has_its_endpoint() {
        let none = CloudVariables::default();
        assert_eq!(endpoint(&none, "eu-west-1"), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(endpoint(&none, "cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn/");
    }
}
