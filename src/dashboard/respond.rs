//! Responses of the dashboard: their security headers and their compression.

use std::io::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// Everything comes from this gateway; no other page may frame it.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A page. It has no secret that is worth guessing by the compressed length: sessions are in cookies, and no token is in a page.
pub(super) fn html(request: &HttpRequest, status: StatusCode, page: String) -> HttpResponse {
    let mut response = with_policy(status);
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "accept-encoding, cookie"));
    compressed(request, response, page.into_bytes())
}

/// An answer for scripts.
pub(super) fn json(request: &HttpRequest, status: StatusCode, value: &impl Serialize) -> HttpResponse {
    let Ok(body) = serde_json::to_vec(value) else {
        return HttpResponse::InternalServerError().finish();
    };
    let mut response = with_policy(status);
    response
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept-encoding, cookie"));
    compressed(request, response, body)
}

/// A response with the headers that every answer of the dashboard has.
pub(super) fn with_policy(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"));
    response
}

/// Redirects a browser after a form.
pub(super) fn redirect(to: &str) -> HttpResponse {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/dashboard/"));
    with_policy(StatusCode::SEE_OTHER)
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

pub(super) fn takes_gzip(request: &HttpRequest) -> bool {
    let mut values =
        request.headers().get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let is_gzip = |coding: &str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip")
            && !weight.trim().starts_with("q=0.0")
            && weight.trim() != "q=0"
    };
    values.any(|value| value.split(',').any(is_gzip))
}

fn compressed(request: &HttpRequest, mut response: HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    match takes_gzip(request).then(|| gzip(&body, Compression::fast())).flatten() {
        Some(body) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(body),
        None => response.body(body),
    }
}

/// `None` if it cannot be compressed, which does not happen in memory.
pub(super) fn gzip(body: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), level);
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
