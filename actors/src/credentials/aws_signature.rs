//! Signs requests with AWS's Signature Version 4, by AWS's own library.

use std::time::SystemTime;

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};

use super::AwsCredentials;

/// What a signature is valid for.
#[derive(Clone, Copy, Debug)]
pub struct SigningScope<'a> {
    pub region: &'a str,
    /// Such as `bedrock`.
    pub service: &'a str,
}

/// A request before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct RequestToSign<'a> {
    pub method: &'a Method,
    /// The URL as it is sent: the path is percent-encoded once.
    pub url: &'a str,
    /// The headers as they are sent, without `host`. The content type and AWS's own headers are signed: those that concern a
    /// connection, or that a proxy may change, must not be.
    pub headers: &'a HeaderMap,
    /// The SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// The headers that sign this request: `authorization`, `x-amz-date`, `x-amz-content-sha256`, and `x-amz-security-token` for
/// temporary credentials.
///
/// # Errors
/// The URL or a header cannot be signed; the text says why.
#[cfg(feature = "aws")]
pub fn sign(
    credentials: &AwsCredentials,
    scope: SigningScope<'_>,
    request: RequestToSign<'_>,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign as sign_http,
    };
    use aws_sigv4::sign::v4;
    use secrecy::ExposeSecret as _;

    let AwsCredentials { access_key_id, secret_access_key, session_token, .. } = credentials;
    let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let identity =
        Credentials::new(access_key_id, secret_access_key.expose_secret(), token, None, "vandamme").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let signed = request.headers.iter().filter(|(name, _)| is_signed(name.as_str()));
    let headers: Vec<(&str, &str)> =
        signed.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let body = SignableBody::Precomputed(hex(&request.body_sha256));
    let signable = SignableRequest::new(request.method.as_str(), request.url, headers.into_iter(), body);
    let signable = signable.map_err(|error| error.to_string())?;
    let (instructions, _signature) =
        sign_http(signable, &params).map_err(|error| error.to_string())?.into_parts();
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers: Option<Vec<_>> = instructions.headers().map(header).collect();
    headers.ok_or_else(|| "a credential contains characters that no HTTP header can carry".to_owned())
}

/// This build has no signatures.
///
/// # Errors
/// Always.
#[cfg(not(feature = "aws"))]
pub fn sign(
    _credentials: &AwsCredentials,
    _scope: SigningScope<'_>,
    _request: RequestToSign<'_>,
    _now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    Err("this vdm was built without the feature 'aws'".to_owned())
}

#[cfg(feature = "aws")]
fn is_signed(name: &str) -> bool {
    name == "content-type" || name.starts_with("x-amz-")
}

#[cfg(feature = "aws")]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use std::time::Duration;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn signed(url: &str, token: Option<&str>) -> Vec<(String, String)> {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: token.map(|token| token.to_owned().into()),
            expires: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("user-agent"), HeaderValue::from_static("x"));
        let request = RequestToSign {
            method: &Method::POST,
            url,
            headers: &headers,
            body_sha256: Sha256::digest(b"{}").into(),
        };
        let scope = SigningScope { region: "us-east-1", service: "bedrock" };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let signed = sign(&credentials, scope, request, now).unwrap();
        signed
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    /// Computed with botocore 1.44.8: the path of a Bedrock request is encoded twice in the canonical request.
    #[test]
    fn a_signature_is_that_of_botocore() {
        let headers = signed(
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-x-v1%3A0/invoke",
            Some("t/+="),
        );
        let find =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(find("x-amz-date"), Some("20231114T221320Z"));
        assert_eq!(find("x-amz-security-token"), Some("t/+="));
        let authorization = find("authorization").unwrap();
        assert!(
            authorization.contains(
                "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
            ),
            "{authorization}"
        );
        let signature = "5119d243fccc8ab9d1a405156b70fc9381b487f33e9591465d48a9c00822b44d";
        assert!(authorization.ends_with(signature), "{authorization}");
    }

    #[test]
    fn keys_without_a_token_have_no_header_for_one() {
        assert!(signed("https://h/", None).iter().all(|(name, _)| name != "x-amz-security-token"));
    }
}
