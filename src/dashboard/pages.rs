//! The list of pages, and the endpoints that serve them.

mod models;
mod overview;
mod providers;
mod requests;
mod routing;
mod system;
mod tools;
mod traffic;
mod usage;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::assets;
use super::page::{Context, NavLink, Page, PageError, Query, Script, Shell};
use super::respond;
use super::viewer::Viewer;
use crate::gateway::Gateway;

/// All pages, in the order of the navigation.
const PAGES: &[&Page] = &[
    &overview::PAGE,
    &traffic::PAGE,
    &usage::PAGE,
    &requests::PAGE,
    &providers::PAGE,
    &models::PAGE,
    &routing::PAGE,
    &tools::PAGE,
    &system::PAGE,
];

/// A page that says why there is no other.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'p> {
    shell: &'p Shell,
    heading: &'p str,
    message: &'p str,
    /// Trying again may help.
    retry: bool,
}

/// A page for somebody who may not see the others.
#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    style: String,
    icon: String,
    /// The gateway's own pages lead here, so the visitor can go on from here.
    from_elsewhere: bool,
}

/// `GET /dashboard/` and the pages below it
pub(crate) async fn show(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    viewer: web::ReqData<Viewer>,
) -> HttpResponse {
    let name = request.path().trim_start_matches("/dashboard").trim_matches('/');
    let found = PAGES.iter().find(|page| page.name == if name.is_empty() { "overview" } else { name });
    let Some(page) = found else {
        let shell = frame(None, &gateway, *viewer);
        let message = "There is no page at this address.";
        return explain(&request, &shell, (404, "Page not found"), message);
    };
    let context = Context::new(
        gateway.clone().into_inner(),
        request.query_string(),
        frame(Some(page), &gateway, *viewer),
    );
    match (page.render)(context).await {
        Ok(text) => respond::html(&request, StatusCode::OK, text),
        Err(PageError { status, message }) => {
            let shell = frame(Some(page), &gateway, *viewer);
            explain(&request, &shell, (status, "This page cannot be shown"), &message)
        }
    }
}

/// `GET /api/ui/snapshot?view=NAME`: the data of one page
pub(crate) async fn snapshot(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    viewer: web::ReqData<Viewer>,
) -> HttpResponse {
    let query = Query::parse(request.query_string());
    let name = query.get("view").unwrap_or("overview");
    let Some(page) = PAGES.iter().find(|page| page.name == name) else {
        let names: Vec<&str> = PAGES.iter().map(|page| page.name).collect();
        let message = format!("view: there is no '{}'; one of {}", name.escape_debug(), names.join(", "));
        return respond::json(&request, StatusCode::NOT_FOUND, &json!({"error": message}));
    };
    let context = Context::new(
        gateway.clone().into_inner(),
        request.query_string(),
        frame(Some(page), &gateway, *viewer),
    );
    match (page.data)(context).await {
        Ok(data) => respond::json(&request, StatusCode::OK, &data),
        Err(PageError { status, message }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            respond::json(&request, status, &json!({"error": message}))
        }
    }
}

/// The answer to a page's request from somebody without access: a way to log in, if there is a key.
pub(crate) fn refused(request: &HttpRequest, gateway: &Gateway) -> HttpResponse {
    let access = &gateway.live_config().access;
    if access.are_required() || access.admin.is_some() {
        let here = match request.query_string() {
            "" => request.path().to_owned(),
            query => format!("{}?{query}", request.path()),
        };
        let next: String = url::form_urlencoded::byte_serialize(here.as_bytes()).collect();
        return respond::redirect(&format!("/dashboard/login?next={next}"));
    }
    let site = request.headers().get("sec-fetch-site");
    let from_elsewhere = site.is_some_and(|site| site == "cross-site");
    let page =
        RefusedPage { style: assets::address("app.css"), icon: assets::address("icon.svg"), from_elsewhere };
    let text = page.render().unwrap_or_default();
    respond::html(request, StatusCode::FORBIDDEN, text)
}

fn explain(
    request: &HttpRequest,
    shell: &Shell,
    (status, heading): (u16, &str),
    message: &str,
) -> HttpResponse {
    let page = ErrorPage { shell, heading, message, retry: status >= 500 };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond::html(request, status, page.render().unwrap_or_default())
}

/// What is around this page; `None` for one that is not in the list.
fn frame(page: Option<&Page>, gateway: &Gateway, viewer: Viewer) -> Shell {
    let nav = PAGES.iter().map(|linked| NavLink {
        address: linked.address(),
        title: linked.title,
        is_current: page.is_some_and(|page| page.name == linked.name),
    });
    let scripts = page.map(|page| page.scripts).unwrap_or_default();
    let script = |name: &&str| Script { address: assets::address(name), is_module: *name != "uplot.js" };
    Shell {
        title: page.map_or("Not found", |page| page.title),
        nav: nav.collect(),
        is_admin: viewer.is_admin(),
        has_session: viewer.has_session,
        banner: banner(gateway),
        style: assets::address("app.css"),
        icon: assets::address("icon.svg"),
        script: assets::address("app.js"),
        scripts: scripts.iter().map(script).collect(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// A warning for a gateway that others can use without a key.
fn banner(gateway: &Gateway) -> Option<String> {
    let address = gateway.listener()?.address;
    let is_open = !gateway.live_config().access.are_required() && !address.ip().to_canonical().is_loopback();
    is_open.then(|| {
        format!("This gateway listens on {address} and requires no key: everyone who reaches it can use your providers. Set PROXY_API_KEY or client-keys.")
    })
}
