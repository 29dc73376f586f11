//! Usage and cost: tokens and money by model, provider, client, key, day and session, from the history.

mod chart;
mod group;
mod heat;
mod losses;
mod prices;
mod range;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::{
    Dimension, HistoryError, HistoryHandle, Selection, UsageQuery, UsageRow, UsageSums,
};
use vandamme_actors::settings::Metrics;

use self::chart::{Chart, Metric};
use self::group::{Amounts, Group, SessionLine};
use self::heat::Heat;
use self::losses::{Loss, losses};
use self::prices::Prices;
use self::range::{Grouping, Range};
use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Query, Shell};
use crate::dashboard::units::Count;
use crate::gateway::Gateway;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
/// The most rows of the table.
const GROUPS: usize = 200;
const SESSIONS: usize = 50;

pub(super) const PAGE: Page = Page {
    name: "usage",
    title: "Usage & cost",
    scripts: &["uplot.js", "charts.js"],
    render: |context| Box::pin(render(context)),
    data: |context| {
        Box::pin(async move {
            let choice = Choice::parse(&context.query);
            Ok(serde_json::to_value(Usage::read(&context.gateway, choice).await?)?)
        })
    },
};

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage<'p> {
    shell: &'p Shell,
    view: &'p Usage,
    chart: String,
}

/// What the address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Choice {
    range: Range,
    by: Grouping,
    metric: Metric,
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Usage {
    /// The ledger keeps no metrics (`LOG_REQUEST_METRICS=false`).
    metrics_off: bool,
    history_problem: Option<String>,
    choice: Choice,
    total: Amounts,
    groups: Vec<Group>,
    sessions: Vec<SessionLine>,
    /// Since the gateway started.
    losses: Vec<Loss>,
    prices: Prices,
    chart: Chart,
    heat: Heat,
}

/// A link that changes one part of the choice.
struct Link {
    name: &'static str,
    address: String,
    is_current: bool,
}

async fn render(context: Context) -> Result<String, PageError> {
    let choice = Choice::parse(&context.query);
    let view = Usage::read(&context.gateway, choice).await?;
    let chart = view.chart.script()?;
    Ok(UsagePage { shell: &context.shell, view: &view, chart }.render()?)
}

impl Choice {
    fn parse(query: &Query) -> Self {
        Self {
            range: Range::parse(query.get("range")),
            by: Grouping::parse(query.get("by")),
            metric: Metric::parse(query.get("metric")),
        }
    }

    fn address(self) -> String {
        let Self { range, by, metric } = self;
        format!("/dashboard/usage?range={}&by={}&metric={}", range.name(), by.name(), metric.name())
    }

    fn ranges(self) -> Vec<Link> {
        let link = |range: Range| Link {
            name: range.title(),
            address: Self { range, ..self }.address(),
            is_current: range == self.range,
        };
        Range::ALL.into_iter().map(link).collect()
    }

    fn groupings(self) -> Vec<Link> {
        let link = |by: Grouping| Link {
            name: by.title(),
            address: Self { by, ..self }.address(),
            is_current: by == self.by,
        };
        Grouping::ALL.into_iter().map(link).collect()
    }

    fn metrics(self) -> Vec<Link> {
        let link = |metric: Metric| Link {
            name: metric.title(),
            address: Self { metric, ..self }.address(),
            is_current: metric == self.metric,
        };
        Metric::ALL.into_iter().map(link).collect()
    }

    /// The same sums as a file.
    fn export(self, format: &str) -> String {
        let (since, by) = (self.range.export(), self.by.dimension().name());
        format!("/api/ui/usage?since={since}&by={by}&limit=10000&format={format}")
    }
}

impl Usage {
    async fn read(gateway: &Arc<Gateway>, choice: Choice) -> Result<Self, PageError> {
        let live = gateway.live_config();
        let history = gateway.registry.load().history.clone();
        let now = clock::wall();
        let Choice { range, by, metric } = choice;
        let selection = Selection { since: range.since(now), until: Millis::MAX, filters: vec![] };
        let query = |group_by, interval, groups| {
            ask(&history, UsageQuery { selection: selection.clone(), group_by, interval, groups })
        };
        let total = query(vec![], None, 1).await?;
        let groups = query(vec![by.dimension()], None, GROUPS).await?;
        let interval = if range == Range::Day { HOUR } else { DAY };
        let columns = query(vec![by.charted()], Some(interval), chart::SERIES).await?;
        let sessions = history.sessions(selection.clone(), SESSIONS).await.map_err(unavailable)?;
        let days = ask(&history, heat::query(now)).await?;
        let models = query(vec![Dimension::Provider, Dimension::Model], None, GROUPS).await?;
        let caches = gather::caches(gateway).await.unwrap_or_default();
        let total = total.iter().fold(UsageSums::default(), |mut sums, row| {
            sums.merge(&row.sums);
            sums
        });
        let mut groups: Vec<Group> = groups.iter().map(|row| Group::new(by, row, &live.secrets)).collect();
        groups.sort_by(|one, other| group::order(by, one, other));
        let secrets = &live.secrets;
        Ok(Self {
            metrics_off: live.settings.request_metrics == Metrics::Off,
            history_problem: gather::history_problem(gateway),
            total: Amounts::new(&total),
            sessions: sessions.iter().map(|row| SessionLine::new(row, secrets)).collect(),
            losses: losses(&caches, secrets),
            prices: Prices::new(&live.settings.prices, &models, now, secrets),
            chart: Chart::new(metric, interval, (selection.since, now), &columns, secrets),
            heat: Heat::new(now, &days),
            groups,
            choice,
        })
    }

    fn is_empty(&self) -> bool {
        self.total.requests == Count(0)
    }
}

async fn ask(history: &HistoryHandle, query: UsageQuery) -> Result<Vec<UsageRow>, PageError> {
    history.usage(query).await.map_err(unavailable)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: HistoryError) -> PageError {
    PageError::new(503, format!("Usage cannot be shown: {error}."))
}
