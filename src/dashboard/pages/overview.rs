//! The overview: is it up, is it failing, is it slow, and what does it cost.

mod status;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::UsageSums;
use vandamme_actors::ledger::Active;
use vandamme_actors::provider::{ConditionView, ProviderView};
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Metrics, ProviderSettings};

use self::status::Status;
use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::dashboard::present::{self, Present, WINDOW};
use crate::dashboard::units::{Count, Elapsed, Rate, Share};
use crate::gateway::Gateway;
use crate::live::Window;

/// The minutes of the chart and of the lines in the tiles.
const MINUTES: u64 = 60;
const MINUTE: Millis = 60_000;
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
    chart: String,
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
}

/// One number with its course over the last hour.
#[derive(Debug, Serialize)]
struct Tile {
    /// The name in `data-live`.
    name: &'static str,
    title: &'static str,
    value: String,
    /// What is below the number.
    note: String,
    /// Against the five minutes before.
    change: Option<Change>,
    /// One value a minute, the oldest first.
    course: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Change {
    text: String,
    /// `good`, `bad` or `even`
    kind: &'static str,
}

/// Requests by minute and outcome.
#[derive(Debug, Default, Serialize)]
struct Outcomes {
    /// Seconds since the Unix epoch.
    minutes: Vec<u64>,
    succeeded: Vec<u64>,
    failed: Vec<u64>,
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

/// One provider with its health.
#[derive(Debug, Serialize)]
struct ProviderCard {
    name: String,
    /// `ok`, `warn` or `down`
    state: &'static str,
    state_text: String,
    demo: bool,
    requests: Count,
    success: Share,
    p95: Elapsed,
    last_error: Option<String>,
    keys: usize,
    keys_resting: usize,
    in_flight: usize,
    waiting: usize,
}

async fn render(context: Context) -> Result<String, PageError> {
    let view = Overview::read(&context.gateway).await;
    let chart = view.chart()?;
    Ok(OverviewPage { shell: &context.shell, view: &view, chart }.render()?)
}

impl Overview {
    async fn read(gateway: &Arc<Gateway>) -> Self {
        let (providers, active) =
            futures_util::future::join(gather::providers(gateway), gather::active(gateway)).await;
        let now = clock::wall();
        let live = gateway.live_config();
        let active = active.unwrap_or_default();
        let (since, until) = present::bounds(now);
        gateway.live.read(|window| {
            let sums = window.sums(since, until);
            let cards: Vec<ProviderCard> = providers
                .iter()
                .map(|(settings, view)| {
                    ProviderCard::new(
                        settings,
                        view.as_ref(),
                        &window.provider(&settings.name, since, until),
                        &live.secrets,
                    )
                })
                .collect();
            let status = Status::new(gateway.is_ready(), &sums, &cards);
            let present = Present::new(&sums, active.len());
            Self {
                status,
                metrics_off: live.settings.request_metrics == Metrics::Off,
                tiles: tiles(window, now, &present),
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
            }
        })
    }

    fn chart(&self) -> serde_json::Result<String> {
        let Outcomes { minutes, succeeded, failed, cancelled } = &self.outcomes;
        script_text(&serde_json::json!({
            "kind": "stacked", "unit": "requests", "x": minutes,
            "series": [
                {"label": "Succeeded", "color": "good", "values": succeeded},
                {"label": "Failed", "color": "bad", "values": failed},
                {"label": "Cancelled", "color": "muted", "values": cancelled},
            ],
        }))
    }
}

/// JSON for a `<script type="application/json">`.
fn script_text(value: &serde_json::Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?.replace('<', "\\u003c"))
}

/// The tiles; each has the course of the last hour and the change against the window before.
fn tiles(window: &Window, now: Millis, present: &Present) -> Vec<Tile> {
    let (since, until) = present::bounds(now);
    let (sums, before) = (window.sums(since, until), window.sums(since.saturating_sub(WINDOW), since));
    let minutes: Vec<UsageSums> = minutes(now).map(|minute| window.sums(minute, minute + MINUTE)).collect();
    let course = |value: &dyn Fn(&UsageSums) -> f64| minutes.iter().map(value).collect::<Vec<f64>>();
    let millis = |elapsed: Option<Duration>| Elapsed(elapsed).millis();
    let share = |sums: &UsageSums| Share::of(sums.failed, sums.requests).0;
    let p95 = |sums: &UsageSums| millis(sums.elapsed.quantile(0.95));
    let first = |sums: &UsageSums| millis(sums.first_event.quantile(0.95));
    let tokens = |sums: &UsageSums| sums.usage.prompt_total().saturating_add(sums.usage.output);
    let relative = |value: &dyn Fn(&UsageSums) -> Option<f64>, worse: bool| {
        Change::relative(value(&sums)?, value(&before)?, worse)
    };
    vec![
        Tile {
            name: "requests_per_minute",
            title: "Requests per minute",
            value: present.requests_per_minute.clone(),
            note: String::new(),
            change: relative(&|sums| Some(sums.requests as f64), false).map(Change::neutral),
            course: course(&|sums| sums.requests as f64),
        },
        Tile {
            name: "error_share",
            title: "Failed",
            value: present.error_share.clone(),
            note: String::new(),
            change: Change::points(share(&sums), share(&before)),
            course: course(&|sums| sums.failed as f64),
        },
        Tile {
            name: "p95",
            title: "Duration, p95",
            value: present.p95.clone(),
            note: "median".to_owned(),
            change: relative(&p95, true),
            course: course(&|sums| p95(sums).unwrap_or_default()),
        },
        Tile {
            name: "first_event_p95",
            title: "Time to first token, p95",
            value: present.first_event_p95.clone(),
            note: String::new(),
            change: relative(&first, true),
            course: course(&|sums| first(sums).unwrap_or_default()),
        },
        Tile {
            name: "input",
            title: "Tokens in",
            value: present.input.clone(),
            note: "tokens".to_owned(),
            change: relative(&|sums| Some(tokens(sums) as f64), false).map(Change::neutral),
            course: course(&|sums| tokens(sums) as f64),
        },
        Tile {
            name: "in_flight",
            title: "In flight",
            value: present.in_flight.clone(),
            note: String::new(),
            change: None,
            course: vec![],
        },
    ]
}

/// The starts of the last minutes, the oldest first.
fn minutes(now: Millis) -> impl Iterator<Item = Millis> {
    let last = now - now % MINUTE;
    (0..MINUTES).rev().map(move |back| last.saturating_sub(back * MINUTE))
}

impl Outcomes {
    fn new(window: &Window, now: Millis) -> Self {
        let mut outcomes = Self::default();
        for minute in minutes(now) {
            let (mut requests, mut failed, mut cancelled) = (0, 0, 0);
            for slot in window.between(minute, minute + MINUTE) {
                requests += slot.total.requests;
                failed += slot.total.failed;
                cancelled += slot.total.cancelled;
            }
            outcomes.minutes.push(minute / 1000);
            outcomes.succeeded.push(requests - failed - cancelled);
            outcomes.failed.push(failed);
            outcomes.cancelled.push(cancelled);
        }
        outcomes
    }

    fn is_empty(&self) -> bool {
        [&self.succeeded, &self.failed, &self.cancelled].into_iter().flatten().all(|count| *count == 0)
    }
}

impl Change {
    /// The change in percent; `None` if there is nothing to compare.
    fn relative(now: f64, before: f64, more_is_worse: bool) -> Option<Self> {
        if before <= 0.0 {
            return None;
        }
        let change = (now / before - 1.0) * 100.0;
        let kind = match change {
            change if change.abs() < 5.0 => "even",
            change if (change > 0.0) == more_is_worse => "bad",
            _ => "good",
        };
        Some(Self { text: format!("{change:+.0} %"), kind })
    }

    /// The change of a share, in percentage points.
    fn points(now: Option<f64>, before: Option<f64>) -> Option<Self> {
        let change = (now? - before?) * 100.0;
        let kind = match change {
            change if change.abs() < 0.1 => "even",
            change if change > 0.0 => "bad",
            _ => "good",
        };
        Some(Self { text: format!("{change:+.1} pp"), kind })
    }

    /// Neither more nor less of it is better.
    fn neutral(self) -> Self {
        Self { kind: "even", ..self }
    }
}

impl Tile {
    /// The points of the line, in a box of 120 by 32.
    fn points(&self) -> String {
        let most = self.course.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let step = 120.0 / (self.course.len().max(2) - 1) as f64;
        let point =
            |(at, value): (usize, &f64)| format!("{:.1},{:.1}", at as f64 * step, 30.0 - value / most * 28.0);
        self.course.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    }

    fn has_course(&self) -> bool {
        self.course.iter().any(|value| *value > 0.0)
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

impl ProviderCard {
    fn new(
        settings: &ProviderSettings,
        view: Option<&ProviderView>,
        sums: &UsageSums,
        secrets: &Secrets,
    ) -> Self {
        let keys = view.map(|view| &view.keys[..]).unwrap_or_default();
        let resting = keys.iter().filter(|key| !key.condition.is_preferred()).count();
        let error = view.and_then(|view| {
            let conditions = std::iter::once(&view.host).chain(keys.iter().map(|key| &key.condition));
            conditions
                .filter(|condition| !condition.is_preferred())
                .find_map(|condition| condition.last_error.as_deref())
        });
        let (state, text) = match view {
            None => ("down", "does not answer".to_owned()),
            Some(view) if !view.host.is_preferred() => ("down", reason(&view.host)),
            Some(_) if !keys.is_empty() && resting == keys.len() => {
                ("down", "every key is resting".to_owned())
            }
            Some(_) if resting > 0 => ("warn", format!("{resting} of {} keys resting", keys.len())),
            Some(view) if !view.models.is_empty() => {
                ("warn", format!("{} models avoided", view.models.len()))
            }
            Some(_) => ("ok", "working".to_owned()),
        };
        Self {
            name: settings.name.to_string(),
            state,
            state_text: text,
            demo: settings.demo,
            requests: Count(sums.requests),
            success: Share::of(sums.requests - sums.failed - sums.cancelled, sums.requests - sums.cancelled),
            p95: Elapsed(sums.elapsed.quantile(0.95)),
            last_error: error.map(|error| gather::shown(error, secrets)),
            keys: keys.len(),
            keys_resting: resting,
            in_flight: view.map_or(0, |view| view.in_flight),
            waiting: view.map_or(0, |view| view.waiting),
        }
    }
}

fn reason(condition: &ConditionView) -> String {
    condition.reason.unwrap_or("failing").to_owned()
}
