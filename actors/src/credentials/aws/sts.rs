//! Credentials of a role, by AWS's Security Token Service.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::super::aws_signature::{RequestToSign, SigningScope, sign};
use super::super::files::read_text;
use super::super::http::CredentialHttp;
use super::super::{AwsCredentials, CredentialError};
use super::Looked;
use super::call::{Call, status_error, time, unreadable};
use crate::clock;
use crate::secret::ApiKey;
use crate::settings::CloudVariables;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const VERSION: &str = "2011-06-15";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The service in one region.
pub(super) struct Sts<'a> {
    variables: &'a CloudVariables,
    region: &'a str,
    http: &'a CredentialHttp,
}

/// A role, and how its session is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration_seconds: Option<String>,
}

/// Who asks for the credentials of a role.
enum Caller<'a> {
    /// Another identity of AWS, which signs the request.
    Identity(&'a AwsCredentials),
    /// The bearer of a token, which is in the form.
    Token(ApiKey),
}

impl<'a> Sts<'a> {
    pub(super) fn new(variables: &'a CloudVariables, region: &'a str, http: &'a CredentialHttp) -> Self {
        Self { variables, region, http }
    }

    /// The role that the environment names, as EKS sets it for a service account.
    pub(super) async fn by_environment(&self) -> Result<Looked, CredentialError> {
        let file = self.variables.get("AWS_WEB_IDENTITY_TOKEN_FILE");
        let (file, arn) = match (file, self.variables.get("AWS_ROLE_ARN")) {
            (Some(file), Some(arn)) => (file, arn),
            (Some(_), None) => {
                let message =
                    "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not; set both or neither";
                return Err(CredentialError::missing(message.to_owned()));
            }
            (None, _) => {
                return Ok(Looked::Nothing("web identity (AWS_WEB_IDENTITY_TOKEN_FILE not set)".to_owned()));
            }
        };
        let session_name = self.variables.get("AWS_ROLE_SESSION_NAME").map(str::to_owned);
        let role = Role { arn: arn.to_owned(), session_name, external_id: None, duration_seconds: None };
        self.by_web_identity(&role, file).await.map(Looked::Found)
    }

    /// The role's credentials for the token in a file. The file is read each time: its owner replaces it.
    pub(super) async fn by_web_identity(
        &self,
        role: &Role,
        file: &str,
    ) -> Result<AwsCredentials, CredentialError> {
        let token = read_text(Path::new(file)).map_err(|error| {
            CredentialError::refused(format!("cannot read the web identity token in {file}: {error}"))
        })?;
        let mut form = role.form("AssumeRoleWithWebIdentity");
        push(&mut form, "WebIdentityToken", token.trim());
        self.call(role, form, Caller::Token(ApiKey::new(token.trim()))).await
    }

    /// The role's credentials, requested with those of another identity.
    pub(super) async fn assume(
        &self,
        role: &Role,
        with: &AwsCredentials,
    ) -> Result<AwsCredentials, CredentialError> {
        let mut form = role.form("AssumeRole");
        if let Some(id) = &role.external_id {
            push(&mut form, "ExternalId", id);
        }
        self.call(role, form, Caller::Identity(with)).await
    }

    async fn call(
        &self,
        role: &Role,
        form: String,
        caller: Caller<'_>,
    ) -> Result<AwsCredentials, CredentialError> {
        let url = self.url();
        let (signature, secrets) = match caller {
            Caller::Identity(credentials) => (self.signature(&url, &form, credentials)?, vec![]),
            Caller::Token(token) => (vec![], vec![token]),
        };
        let who = format!("STS in {} for the role {}", self.region, role.arn);
        let mut call = Call { secrets, ..Call::post(url, form) }
            .header("content-type", FORM)
            .header("accept", "text/xml");
        for (name, value) in &signature {
            call = call.header(name, value);
        }
        let reply = call.send(self.http).await?;
        let text = String::from_utf8_lossy(&reply.body);
        if reply.status != 200 {
            let [code, message] = ["Code", "Message"].map(|name| element(&text, name).unwrap_or_default());
            return Err(status_error(&who, &reply, &format!("{code} {message}")));
        }
        let of = |name| element(&text, name).ok_or_else(|| unreadable(&who, name));
        let expires = time(&of("Expiration")?).ok_or_else(|| unreadable(&who, "a valid Expiration"))?;
        Ok(AwsCredentials {
            access_key_id: of("AccessKeyId")?,
            secret_access_key: of("SecretAccessKey")?.into(),
            session_token: Some(of("SessionToken")?.into()),
            expires: Some(expires),
        })
    }

    fn signature(
        &self,
        url: &str,
        form: &str,
        credentials: &AwsCredentials,
    ) -> Result<Vec<(&'static str, String)>, CredentialError> {
        use actix_http::Method;
        use actix_http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        let request = RequestToSign {
            method: &Method::POST,
            url,
            headers: &headers,
            body_sha256: Sha256::digest(form).into(),
        };
        let scope = SigningScope { region: self.region, service: "sts" };
        let now = UNIX_EPOCH + std::time::Duration::from_millis(clock::wall());
        let unsigned = |why| CredentialError::refused(format!("the request to STS cannot be signed: {why}"));
        let made = sign(credentials, scope, request, SystemTime::max(now, UNIX_EPOCH)).map_err(unsigned)?;
        let known = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
        let value = |name: &'static str| {
            let (_, value) = made.iter().find(|(it, _)| *it == name)?;
            Some((name, value.to_str().ok()?.to_owned()))
        };
        Ok(known.into_iter().filter_map(value).collect())
    }

    fn url(&self) -> String {
        let named =
            self.variables.get("AWS_ENDPOINT_URL_STS").or_else(|| self.variables.get("AWS_ENDPOINT_URL"));
        match named {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("https://sts.{}.{}/", self.region, domain(self.region)),
        }
    }
}

impl Role {
    fn form(&self, action: &str) -> String {
        let mut form = format!("Action={action}&Version={VERSION}");
        push(&mut form, "RoleArn", &self.arn);
        let usual = format!("vdm-{}", clock::wall());
        push(&mut form, "RoleSessionName", self.session_name.as_deref().unwrap_or(&usual));
        if let Some(seconds) = &self.duration_seconds {
            push(&mut form, "DurationSeconds", seconds);
        }
        form
    }
}

/// The domain of AWS's services in a region.
pub(super) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn push(form: &mut String, name: &str, value: &str) {
    form.push('&');
    form.push_str(name);
    form.push('=');
    form.extend(utf8_percent_encode(value, UNRESERVED));
}

/// The text of the first element with this name. The replies of this service have no attributes and no nested elements in
/// what is read of them.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.trim().to_owned(), |text, (entity, is)| text.replace(entity, is)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_form_are_escaped() {
        let role = Role {
            arn: "arn:aws:iam::1:role/a b".to_owned(),
            session_name: Some("me@x".to_owned()),
            external_id: None,
            duration_seconds: Some("900".to_owned()),
        };
        assert_eq!(
            role.form("AssumeRole"),
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b&RoleSessionName=me%40x&DurationSeconds=900"
        );
    }

    #[test]
    fn an_element_is_read_with_its_entities() {
        let xml = "<R><C><SessionToken> a&amp;lt;b== </SessionToken></C></R>";
        assert_eq!(element(xml, "SessionToken").as_deref(), Some("a&lt;b=="));
        assert_eq!(element(xml, "Missing"), None);
    }
}
