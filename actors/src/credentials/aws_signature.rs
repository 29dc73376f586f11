//! Signs requests with AWS's Signature Version 4, by AWS's own library. Few headers are signed: those that the signature
//! must contain, and `content-type`. Any other could be changed by a proxy on the way.

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
    /// The headers as they are sent, without `host`. Only `content-type` and `x-amz-*` are signed.
    pub headers: &'a HeaderMap,
    /// The SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// The headers that sign this request: `authorization`, `x-amz-date`, `x-amz-content-sha256`, and `x-amz-security-token` for
/// temporary credentials. They replace those of the request.
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
    use aws_sigv4::http_request::{SignableBody, SignableRequest, sign};
    use secrecy::ExposeSecret as _;

    let RequestToSign { method, url, headers, body_sha256 } = request;
    let parsed = crate::upstream::CallUrl::parse(url).map_err(|_| "the URL is not valid".to_owned())?;
    let host = parsed.host().and_then(|host| host.to_str().ok()).ok_or("the URL has no valid host")?;
    let token = credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let (id, secret) = (&credentials.access_key_id, credentials.secret_access_key.expose_secret());
    let identity =
        aws_credential_types::Credentials::new(id, secret, token, credentials.expires, "vdm").into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(now)
        .settings(settings())
        .build()
        .map_err(|error| error.to_string())?;
    let signed = signed_headers(headers)?;
    let signed = signed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = SignableBody::Precomputed(hex(&body_sha256));
    let request =
        SignableRequest::new(method.as_str(), url, std::iter::once(("host", host)).chain(signed), body)
            .map_err(|error| with_cause(&error))?;
    let (instructions, _) = sign(request, &params.into()).map_err(|error| with_cause(&error))?.into_parts();
    let made = instructions.headers().map(|(name, value)| {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| format!("{name} is not valid"))?;
        value.set_sensitive(name == "authorization" || name == "x-amz-security-token");
        Ok((name, value))
    });
    made.collect()
}

/// # Errors
/// This binary was built without the feature `aws`.
#[cfg(not(feature = "aws"))]
pub fn sign(
    _: &AwsCredentials,
    _: SigningScope<'_>,
    _: RequestToSign<'_>,
    _: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    Err("this vdm was built without AWS signatures".to_owned())
}

#[cfg(feature = "aws")]
fn settings() -> aws_sigv4::http_request::SigningSettings {
    use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SigningSettings};
    let mut settings = SigningSettings::default();
    // Only S3 takes the path as it is sent; all other services sign it encoded once more.
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

/// The headers of a request that are signed, without those that signing makes. Values of one name are joined, as AWS joins
/// them.
#[cfg(feature = "aws")]
fn signed_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>, String> {
    let made = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    let mut signed = vec![];
    for name in headers.keys() {
        let text = name.as_str();
        if !(text == "content-type" || text.starts_with("x-amz-")) || made.contains(&text) {
            continue;
        }
        let values = headers.get_all(name).map(|value| {
            value.to_str().map_err(|_| format!("the header {text} has characters that cannot be signed"))
        });
        signed.push((text.to_owned(), values.collect::<Result<Vec<_>, _>>()?.join(",")));
    }
    Ok(signed)
}

/// Lower-case hexadecimal digits.
#[cfg(feature = "aws")]
fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(feature = "aws")]
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use sha2::{Digest as _, Sha256};

    use super::*;

    /// 2026-12-01T00:00:00Z.
    const NOW: Duration = Duration::from_secs(1_796_083_200);

    fn credentials(token: Option<&str>) -> AwsCredentials {
        AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: token.map(|token| token.to_owned().into()),
            expires: None,
        }
    }

    fn signed(url: &str, headers: &[(&str, &str)], token: Option<&str>) -> Vec<(String, String)> {
        let parsed = headers.iter().map(|&(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
        });
        let map: HeaderMap = parsed.flatten().collect();
        let request = RequestToSign {
            method: &Method::POST,
            url,
            headers: &map,
            body_sha256: Sha256::digest(b"{}").into(),
        };
        let scope = SigningScope { region: "us-east-1", service: "bedrock" };
        let made = sign(&credentials(token), scope, request, UNIX_EPOCH + NOW).unwrap_or_default();
        let text = |value: HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        made.into_iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn value<'a>(made: &'a [(String, String)], name: &str) -> &'a str {
        made.iter().find(|(it, _)| it == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn only_headers_that_no_proxy_changes_are_signed() {
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", "x"),
            ("accept-encoding", "br"),
            ("traceparent", "00-1"),
            ("x-vdm-a", "b"),
            ("anthropic-beta", "a"),
            ("x-amzn-bedrock-trace", "ENABLED"),
            ("x-amz-content-sha256", "stale"),
            ("x-amz-meta", "m"),
        ];
        let made =
            signed("https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke", &headers, Some("tok"));
        let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta;x-amz-security-token,";
        assert!(value(&made, "authorization").contains(signed), "{made:?}");
        assert_eq!(value(&made, "x-amz-security-token"), "tok");
        assert_eq!(value(&made, "x-amz-date"), "20261201T000000Z");
        assert_eq!(value(&made, "x-amz-content-sha256"), hex(&Sha256::digest(b"{}")));
        assert_eq!(made.len(), 4);
    }

    #[test]
    fn secrets_of_a_signature_do_not_print() {
        let mut headers = HeaderMap::new();
        for (name, value) in sign(
            &credentials(Some("sess-token")),
            SigningScope { region: "eu-west-1", service: "bedrock" },
            RequestToSign {
                method: &Method::GET,
                url: "https://h.example/",
                headers: &HeaderMap::new(),
                body_sha256: [0; 32],
            },
            UNIX_EPOCH + NOW,
        )
        .unwrap()
        {
            headers.insert(name, value);
        }
        let printed = format!("{headers:?}");
        assert!(!printed.contains("sess-token") && !printed.contains("Signature="), "{printed}");
    }

    /// A port that is not the default is a part of `host`, as the client sends it.
    #[test]
    fn the_signature_depends_on_host_and_port_path_and_query() {
        let of = |url| value(&signed(url, &[], None), "authorization").to_owned();
        let base = of("https://h.example/a?b=c");
        assert_eq!(base, of("https://h.example:443/a?b=c"));
        for other in ["https://h.example:8443/a?b=c", "https://h.example/%61?b=c", "https://h.example/a?b=d"]
        {
            assert_ne!(base, of(other), "{other}");
        }
    }
}
