//! What a page is, and what it gets to render itself.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::gateway::Gateway;

/// One page of the dashboard.
pub(super) struct Page {
    /// The last part of its address, and its name in `/api/ui/snapshot?view=`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Plain names of assets, beyond those that every page has.
    pub(super) scripts: &'static [&'static str],
    pub(super) render: fn(Context) -> PageFuture<String>,
    /// The view model as JSON.
    pub(super) data: fn(Context) -> PageFuture<Value>,
}

pub(super) type PageFuture<T> = Pin<Box<dyn Future<Output = Result<T, PageError>>>>;

/// What a page gets to render itself.
pub(super) struct Context {
    pub(super) gateway: Arc<Gateway>,
    pub(super) query: Query,
    pub(super) shell: Shell,
}

/// What is around every page: its head, its navigation and its messages.
pub(super) struct Shell {
    pub(super) title: &'static str,
    pub(super) nav: Vec<NavLink>,
    /// May change the gateway.
    pub(super) is_admin: bool,
    /// Can log out.
    pub(super) has_session: bool,
    pub(super) banner: Option<String>,
    pub(super) style: String,
    pub(super) icon: String,
    pub(super) script: String,
    /// Further scripts; those that are not modules come first.
    pub(super) scripts: Vec<Script>,
    pub(super) version: &'static str,
}

pub(super) struct NavLink {
    pub(super) address: String,
    pub(super) title: &'static str,
    pub(super) is_current: bool,
}

pub(super) struct Script {
    pub(super) address: String,
    pub(super) is_module: bool,
}

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) struct PageError {
    pub(super) status: u16,
    /// For the user.
    pub(super) message: Cow<'static, str>,
}

/// The parameters of a page's address.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Page {
    /// Where the page is.
    pub(super) fn address(&self) -> String {
        match self.name {
            "overview" => "/dashboard/".to_owned(),
            name => format!("/dashboard/{name}"),
        }
    }
}

impl Context {
    pub(super) fn new(gateway: Arc<Gateway>, query: &str, shell: Shell) -> Self {
        Self { gateway, query: Query::parse(query), shell }
    }
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of this parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Shell {
    /// Whether this viewer may follow a one-time link to change the gateway.
    pub(super) fn suggests_link(&self) -> bool {
        !self.is_admin
    }
}

impl PageError {
    pub(super) fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<askama::Error> for PageError {
    fn from(error: askama::Error) -> Self {
        log::error!("a page of the dashboard cannot be rendered: {error}");
        Self::new(500, "the page cannot be rendered")
    }
}

impl From<serde_json::Error> for PageError {
    fn from(error: serde_json::Error) -> Self {
        log::error!("data of the dashboard cannot be written: {error}");
        Self::new(500, "the data cannot be written")
    }
}
