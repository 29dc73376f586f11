//! The dashboard: what it serves, who may see it, and its stream. [`browser`] drives its pages.

mod browser;
mod login;
mod pages;
mod stream;

use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

const ADMIN: &str = "vdm_admin_0123456789abcdef";
const PROXY: &str = "vdm_proxy_0123456789abcdef";

fn with_admin_key(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("VDM_ADMIN_KEY", ADMIN)
}

/// The answer to a login form of a browser at this gateway.
fn log_in(gateway: &Gateway, form: &str) -> Reply {
    from_own_page(gateway, gateway.call("POST", "/dashboard/login")).body(form).reply()
}

/// With the headers of a browser that shows a page of this gateway.
fn from_own_page(gateway: &Gateway, call: Call) -> Call {
    call.header("origin", &format!("http://{}", gateway.address))
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
}

/// The cookie that this reply sets, as a browser sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply}"));
    set.split(';').next().unwrap_or_default().to_owned()
}

/// The cookie of a session that was opened with this key.
fn session(gateway: &Gateway, key: &str) -> String {
    let reply = log_in(gateway, &format!("key={key}"));
    assert_eq!(reply.status(), 303, "{reply}");
    cookie(&reply)
}
