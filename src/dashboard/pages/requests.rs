//! The requests: those in flight on top, those that have ended below, and the details of one at the side.
//!
//! The script `requests.js` adds the rows of the stream's events, so that no row causes a request of its own. Filters and the
//! opened request are in the address.

mod details;
mod filter;
mod row;

use std::sync::Arc;

use askama::Template;
use serde::Serialize;
use vandamme_actors::history::{RequestPage, RequestQuery, StoredRequest};
use vandamme_actors::settings::Metrics;

use self::details::Details;
use self::filter::Filter;
use self::row::Row;
use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::gateway::Gateway;

/// The rows of a page of requests that have ended.
const ROWS: usize = 50;

pub(super) const PAGE: Page = Page {
    name: "requests",
    title: "Requests",
    scripts: &["requests.js"],
    render: |context| Box::pin(render(context)),
    data: |context| {
        Box::pin(async move {
            let filter = Filter::parse(&context.query);
            Ok(serde_json::to_value(Requests::read(&context.gateway, filter).await)?)
        })
    },
};

#[derive(Template)]
#[template(path = "requests.html")]
struct RequestsPage<'p> {
    shell: &'p Shell,
    view: &'p Requests,
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Requests {
    /// The ledger keeps no metrics (`LOG_REQUEST_METRICS=false`).
    metrics_off: bool,
    filter: Filter,
    running: Vec<Row>,
    finished: Vec<Row>,
    /// The cursor of the next page.
    next: Option<u64>,
    /// Why only the latest requests are shown.
    problem: Option<String>,
    details: Option<Details>,
    /// The requested details are not known.
    details_missing: bool,
}

async fn render(context: Context) -> Result<String, PageError> {
    let filter = Filter::parse(&context.query);
    let view = Requests::read(&context.gateway, filter).await;
    Ok(RequestsPage { shell: &context.shell, view: &view }.render()?)
}

impl Requests {
    async fn read(gateway: &Arc<Gateway>, filter: Filter) -> Self {
        let live = gateway.live_config();
        let secrets = &live.secrets;
        let active = gather::active(gateway).await.unwrap_or_default();
        let details = match &filter.id {
            Some(id) => Details::find(gateway, id, &active).await,
            None => None,
        };
        let is_missing = filter.id.is_some() && details.is_none();
        let shows_running = filter.cursor.is_none();
        let running = active.iter().filter(|_| shows_running).map(|active| Row::running(active, secrets));
        let running: Vec<Row> = running.filter(|row| filter.matches(row)).collect();
        let (page, problem) = match page(gateway, &filter).await {
            Ok(page) => (page, None),
            Err(problem) => (latest(gateway), Some(problem)),
        };
        let finished = page.requests.iter().map(|request| Row::finished(request, secrets));
        Self {
            metrics_off: live.settings.request_metrics == Metrics::Off,
            running,
            // The history has applied the filter; without it, this does.
            finished: finished.filter(|row| filter.matches(row)).collect(),
            next: page.next,
            problem,
            details,
            details_missing: is_missing,
            filter,
        }
    }
}

/// One page of the history. The latest requests may not be stored yet: they are taken from memory.
async fn page(gateway: &Gateway, filter: &Filter) -> Result<RequestPage, String> {
    let history = gateway.registry.load().history.clone();
    let query = RequestQuery {
        selection: filter.selection(),
        text: filter.text.clone(),
        cursor: filter.cursor,
        limit: ROWS,
    };
    let mut page = history.requests(query).await.map_err(|error| error.to_string())?;
    if filter.cursor.is_none() {
        let newest = page.requests.first().map_or(0, |request| request.ended);
        let recent = latest(gateway).requests.into_iter().filter(|recent| {
            recent.ended >= newest
                && !page.requests.iter().any(|stored| stored.request_id == recent.request_id)
        });
        page.requests = recent.collect::<Vec<_>>().into_iter().chain(page.requests).collect();
    }
    Ok(page)
}

/// The latest requests in memory, newest first.
fn latest(gateway: &Gateway) -> RequestPage {
    let news = gateway.last_hour.news(gateway.last_hour.position().saturating_sub(ROWS as u64));
    let requests = news.requests.iter().rev().map(|request| StoredRequest::from(&**request));
    RequestPage { requests: requests.collect(), next: None }
}
