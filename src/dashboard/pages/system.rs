//! Logs and system: the latest log records, the process, its caches, and the configuration in use.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::web;
use askama::Template;
use log::Level;

use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Query, Shell};
use crate::dashboard::units::{Bytes, Elapsed};
use crate::gateway::Gateway;
use crate::telemetry::recent::{self, LoggedRecord, RecordFilter};
use crate::timestamp::rfc3339;
use crate::views::system::{self, SystemReport};

/// The records that are shown at first.
const SHOWN: usize = 200;
/// The levels that can be chosen, the most severe first.
const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

pub(super) const PAGE: Page = Page {
    name: "system",
    title: "Logs & system",
    scripts: &["operate.js", "system.js"],
    render: |context| Box::pin(render(context)),
    data: |context| Box::pin(async move { Ok(serde_json::to_value(report(context.gateway).await?)?) }),
};

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage<'p> {
    shell: &'p Shell,
    report: &'p SystemReport,
    records: Vec<RecordRow>,
    /// The number of the latest record.
    latest: u64,
    level: &'static str,
    text: &'p str,
    request_id: &'p str,
    /// Built-in defaults are shown, too.
    all: bool,
    hidden: usize,
}

/// One log record.
struct RecordRow {
    number: u64,
    time: String,
    level: String,
    target: String,
    request_id: Option<String>,
    message: String,
}

async fn report(gateway: Arc<Gateway>) -> Result<SystemReport, PageError> {
    let read = web::block(move || system::read(&gateway)).await;
    read.map_err(|_| PageError::new(503, "The gateway is busy; try again."))
}

async fn render(context: Context) -> Result<String, PageError> {
    let all = context.query.get("all") == Some("1");
    let mut report = report(context.gateway.clone()).await?;
    let values = report.configuration.len();
    report.configuration.retain(|value| all || !value.is_built_in());
    let hidden = values - report.configuration.len();
    let latest = *recent::latest_record().borrow();
    let (filter, level) = filter(&context.query);
    let page = SystemPage {
        shell: &context.shell,
        records: records(&context.gateway, &filter),
        latest,
        level,
        text: context.query.get("q").unwrap_or_default(),
        request_id: context.query.get("request_id").unwrap_or_default(),
        report: &report,
        all,
        hidden,
    };
    Ok(page.render()?)
}

/// The filter in the page's address, and the name of its level; an unknown level filters nothing.
fn filter(query: &Query) -> (RecordFilter, &'static str) {
    let named = query.get("level").unwrap_or_default();
    let level = LEVELS.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(named));
    let text = |name: &str| query.get(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let level = level.unwrap_or(Level::Trace);
    (RecordFilter { level, text: text("q"), request_id: text("request_id"), after: 0 }, level.as_str())
}

/// The newest first.
fn records(gateway: &Gateway, filter: &RecordFilter) -> Vec<RecordRow> {
    let live = gateway.live_config();
    let row = |record: &Arc<LoggedRecord>| RecordRow {
        number: record.number,
        time: rfc3339(UNIX_EPOCH + Duration::from_millis(record.at)),
        level: record.level.as_str().to_lowercase(),
        target: record.target.to_string(),
        request_id: record.request_id.as_ref().map(ToString::to_string),
        message: gather::shown(&record.message, &live.secrets),
    };
    recent::records(filter).iter().rev().take(SHOWN).map(row).collect()
}

impl SystemReport {
    fn uptime(&self) -> Elapsed {
        Elapsed(Some(Duration::from_secs(self.uptime_seconds)))
    }

    fn resident(&self) -> Option<Bytes> {
        self.resources.resident_bytes.map(Bytes)
    }

    fn cpu(&self) -> Option<Elapsed> {
        self.resources.cpu_seconds.map(|seconds| Elapsed(Some(Duration::from_secs_f64(seconds.max(0.0)))))
    }
}

impl system::CacheState {
    fn size(&self) -> Bytes {
        Bytes(self.bytes)
    }
}
