//! The login form, and its two requests. The token of a one-time link is in the fragment of its address, which browsers do not send;
//! the page's script puts it into the form. So no request that only reads opens a session, and no log sees a token.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use futures_util::StreamExt as _;

use super::assets;
use super::page::Query;
use super::respond;
use super::viewer::{is_own_request, session_cookie, set_cookie};
use crate::gateway::Gateway;
use crate::login::LoginError;

/// The longest form, in bytes, and the longest time that it may take.
const LONGEST_FORM: usize = 8 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'p> {
    style: String,
    icon: String,
    script: String,
    next: &'p str,
    error: Option<String>,
    /// A key can be entered; otherwise only a one-time link opens a session.
    has_key: bool,
    has_admin_key: bool,
}

/// `GET /dashboard/login`
pub(crate) async fn form(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let query = Query::parse(request.query_string());
    rendered(&request, &gateway, StatusCode::OK, next(&query), None)
}

/// `POST /dashboard/login`: opens a session with a key or with the token of a one-time link
pub(crate) async fn log_in(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    if !is_own_request(request.headers(), request.method()) {
        let error = "The form was sent from another page. Send it from this one.";
        return rendered(&request, &gateway, StatusCode::FORBIDDEN, "/dashboard/", Some(error.to_owned()));
    }
    let Some(body) = read(payload).await else {
        let error = "The form is too large or did not arrive in time.";
        return rendered(&request, &gateway, StatusCode::BAD_REQUEST, "/dashboard/", Some(error.to_owned()));
    };
    let query = Query::parse(&body);
    let next = next(&query);
    let access = gateway.live_config().access.clone();
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let opened = match query.get("token").filter(|token| !token.is_empty()) {
        Some(token) => gateway.logins.with_link(token),
        None => gateway.logins.with_key(query.get("key").unwrap_or_default(), &access, peer),
    };
    let refused = |status, error: String| rendered(&request, &gateway, status, next, Some(error));
    match opened {
        Ok(token) => {
            let mut response = respond::redirect(next);
            if let Ok(cookie) = set_cookie(&request, &gateway, Some(&token)).parse() {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(LoginError::Invalid) if query.get("token").is_some_and(|token| !token.is_empty()) => refused(
            StatusCode::UNAUTHORIZED,
            "This link was used already or is older than a minute. Run vdm dashboard again.".to_owned(),
        ),
        Err(LoginError::Invalid) => {
            log::warn!("a login to the dashboard from {peer} failed: invalid key");
            refused(StatusCode::UNAUTHORIZED, "This key is not valid.".to_owned())
        }
        Err(LoginError::Throttled(wait)) => {
            let seconds = wait.as_secs() + 1;
            let error = format!("Too many failed attempts. Try again in {seconds} seconds.");
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, error);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Err(LoginError::NoRandomness) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, "The system provides no random numbers.".to_owned())
        }
    }
}

/// `POST /dashboard/logout`
pub(crate) async fn log_out(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    if !is_own_request(request.headers(), request.method()) {
        return respond::redirect("/dashboard/");
    }
    if let Some(token) = session_cookie(&request, &gateway) {
        gateway.logins.end(token);
    }
    let mut response = respond::redirect("/dashboard/");
    if let Ok(cookie) = set_cookie(&request, &gateway, None).parse() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn rendered(
    request: &HttpRequest,
    gateway: &Gateway,
    status: StatusCode,
    next: &str,
    error: Option<String>,
) -> HttpResponse {
    let access = gateway.live_config().access.clone();
    let page = LoginPage {
        style: assets::address("app.css"),
        icon: assets::address("icon.svg"),
        script: assets::address("app.js"),
        next,
        error,
        has_key: access.are_required() || access.admin.is_some(),
        has_admin_key: access.admin.is_some(),
    };
    respond::html(request, status, page.render().unwrap_or_default())
}

/// Where the browser goes after the login: only to a page of the dashboard.
fn next(query: &Query) -> &str {
    let is_own = |next: &&str| {
        let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        // Browsers resolve `..`, also if its dots are encoded.
        let path = next.split(['?', '#']).next().unwrap_or_default();
        let leaves = path.contains("..") || path.contains("%2");
        next.starts_with("/dashboard/") && !next.starts_with("/dashboard/login") && is_plain && !leaves
    };
    query.get("next").filter(is_own).unwrap_or("/dashboard/")
}

async fn read(mut payload: web::Payload) -> Option<String> {
    let body = async {
        let mut body = Vec::new();
        while let Some(chunk) = payload.next().await {
            body.extend_from_slice(&chunk.ok()?);
            if body.len() > LONGEST_FORM {
                return None;
            }
        }
        String::from_utf8(body).ok()
    };
    timeout(PATIENCE, body).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a login leads to a page of the dashboard only.
    #[test]
    fn a_login_leads_to_a_page_of_the_dashboard_only() {
        for (asked, led) in [
            ("next=/dashboard/traffic%3Frange%3D1h", "/dashboard/traffic?range=1h"),
            ("next=https://evil.example/dashboard/", "/dashboard/"),
            ("next=//evil.example", "/dashboard/"),
            ("next=/dashboard/%0d%0aset-cookie:x", "/dashboard/"),
            ("next=/dashboard/%5C%5Cevil.example", "/dashboard/"),
            ("next=/dashboard/..//test-connection", "/dashboard/"),
            ("next=/dashboard/.%252e/test-connection", "/dashboard/"),
            ("next=/dashboard/requests%3Fq%3D..", "/dashboard/requests?q=.."),
            ("", "/dashboard/"),
        ] {
            assert_eq!(next(&Query::parse(asked)), led, "{asked}");
        }
    }
}
