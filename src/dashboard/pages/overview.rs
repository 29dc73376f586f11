//! The overview: is it up, is it failing, is it slow, and what does it cost.

mod provider_card;
mod status;
mod tiles;
mod today;

use std::sync::Arc;

use askama::Template;
use futures_util::future::join3;
use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::UsageSums;
use vandamme_actors::ledger::Active;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Metrics;

use self::provider_card::ProviderCard;
use self::status::{Recent, Status};
use self::tiles::{MINUTE, Tile, minutes, tiles};
use self::today::Today;
use crate::dashboard::chart::{Chart, Series};
use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::dashboard::present::{self, Present};
use crate::dashboard::units::{Count, Elapsed};
use crate::gateway::Gateway;
use crate::live::Window;

/// The requests in flight that are shown, the oldest first.
const OLDEST: usize = 5;

pub(super) const PAGE: Page = Page {
    name: "overview",
    title: "Overview",
    scripts: &["uplot.js", "charts.js"],
    render: |context| Box::pin(render(context)),
    data: |context| {
        Box::pin(async move { Ok(serde_json::to_value(Overview::read(&context.gateway).await)?) })
    },
};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'p> {
    shell: &'p Shell,
    view: &'p Overview,
    chart: Chart,
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Overview {
    status: Status,
    /// The ledger keeps no metrics (`LOG_REQUEST_METRICS=false`).
    metrics_off: bool,
    live: Present,
    tiles: Vec<Tile>,
    outcomes: Outcomes,
    in_flight: usize,
    oldest: Vec<RunningRow>,
    providers: Vec<ProviderCard>,
    /// Requests that are missing in these numbers, because they arrived faster than they could be counted.
    missed: u64,
    history_problem: Option<String>,
    today: Today,
}

/// Requests by minute and outcome.
#[derive(Debug, Default, Serialize)]
struct Outcomes {
    /// Seconds since the Unix epoch.
    minutes: Vec<u64>,
    succeeded: Vec<u64>,
    failed: Vec<u64>,
    client_errors: Vec<u64>,
    cancelled: Vec<u64>,
}

/// A request in flight.
#[derive(Debug, Serialize)]
struct RunningRow {
    id: String,
    client: String,
    requested: String,
    provider: String,
    model: String,
    since: Millis,
    elapsed: Elapsed,
    output: Count,
}

async fn render(context: Context) -> Result<String, PageError> {
    let view = Overview::read(&context.gateway).await;
    let chart = view.outcomes.chart();
    Ok(OverviewPage { shell: &context.shell, view: &view, chart }.render()?)
}

impl Overview {
    async fn read(gateway: &Arc<Gateway>) -> Self {
        let now = clock::wall();
        let (providers, active, today) =
            join3(gather::providers(gateway), gather::active(gateway), Today::read(gateway, now)).await;
        let missed = gateway.last_hour.missed();
        let live = gateway.live_config();
        let active = active.unwrap_or_default();
        let (since, until) = present::bounds(now);
        gateway.last_hour.read(|window| {
            let sums = window.sums(since, until);
            let cards: Vec<ProviderCard> = providers
                .iter()
                .map(|(settings, view)| {
                    ProviderCard::new(
                        settings,
                        view.as_ref(),
                        &window.provider(&settings.name, since, until),
                        window.failures.client_errors_of(&settings.name, since, until),
                        &live.secrets,
                    )
                })
                .collect();
            let recent = Recent::read(&window.failures, since, until);
            let status = if gateway.is_ready() { Status::new(&recent, &cards) } else { Status::draining() };
            let present = Present::new(&sums, window.failures.client_errors(since, until), active.len());
            Self {
                status,
                metrics_off: live.settings.request_metrics == Metrics::Off,
                tiles: tiles(window, now, &present, &today),
                live: present,
                outcomes: Outcomes::new(window, now),
                in_flight: active.len(),
                oldest: active
                    .iter()
                    .rev()
                    .take(OLDEST)
                    .map(|active| RunningRow::new(active, &live.secrets))
                    .collect(),
                providers: cards,
                missed,
                history_problem: gather::history_problem(gateway),
                today,
            }
        })
    }
}

impl Outcomes {
    fn new(window: &Window, now: Millis) -> Self {
        let mut outcomes = Self::default();
        for minute in minutes(now) {
            let UsageSums { requests, failed, cancelled, .. } = window.sums(minute, minute + MINUTE);
            outcomes.minutes.push(minute / 1000);
            outcomes.succeeded.push(requests - failed - cancelled);
            let client_errors = window.failures.client_errors(minute, minute + MINUTE);
            outcomes.failed.push(failed.saturating_sub(client_errors));
            outcomes.client_errors.push(client_errors);
            outcomes.cancelled.push(cancelled);
        }
        outcomes
    }

    fn chart(&self) -> Chart {
        let values = |counts: &[u64]| counts.iter().map(|count| Some(*count as f64)).collect();
        let series = vec![
            Series::new("Succeeded", "good", values(&self.succeeded)),
            Series::new("Failed", "bad", values(&self.failed)),
            Series::new("Client errors", "2", values(&self.client_errors)),
            Series::new("Cancelled", "muted", values(&self.cancelled)),
        ];
        Chart { kind: "stacked", unit: "requests", x: self.minutes.clone(), series, zoom: false }
    }
}

impl RunningRow {
    fn new(active: &Active, secrets: &Secrets) -> Self {
        Self {
            id: active.request_id.to_string(),
            client: active.request.client.as_deref().unwrap_or_default().to_owned(),
            requested: gather::shown(&active.request.model, secrets),
            provider: active.provider.to_string(),
            model: gather::shown(&active.model, secrets),
            since: active.since,
            elapsed: Elapsed(Some(active.elapsed)),
            output: Count(active.usage.output),
        }
    }
}
