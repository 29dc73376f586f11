//! Signs requests with AWS's Signature Version 4.

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
    /// The headers as they are sent, without `host`. Hop-by-hop headers and those that a proxy may change are not signed.
    pub headers: &'a HeaderMap,
    /// The SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// The headers that sign this request: `authorization`, `x-amz-date`, `x-amz-content-sha256`, and `x-amz-security-token` for
/// temporary credentials.
///
/// # Errors
/// The URL or a header cannot be signed; the text says why.
pub fn sign(
    _credentials: &AwsCredentials,
    _scope: SigningScope<'_>,
    request: RequestToSign<'_>,
    _now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    // SLICE
    Err(format!("{} {} cannot be signed yet", request.method, request.url))
}
