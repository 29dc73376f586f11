//! Traffic: requests, errors and latency over a chosen time, by a chosen property.

mod choice;
mod heat;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use futures_util::future::try_join4;
use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::{Dimension, SUCCEEDED, UsageQuery, UsageRow, UsageSums};

use self::choice::Choice;
use self::heat::Heat;
use crate::dashboard::chart::{Chart, Series};
use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::dashboard::units::{Bytes, Count, Elapsed, Money, Rate, Share};
use crate::gateway::Gateway;

/// The series of a chart by group; the rest is summed up.
const SERIES: usize = 6;
/// The rows of the table; the rest is summed up.
const ROWS: usize = 200;

pub(super) const PAGE: Page = Page {
    name: "traffic",
    title: "Traffic",
    scripts: &["uplot.js", "charts.js"],
    render: |context| Box::pin(render(context)),
    data: |context| Box::pin(async move { Ok(serde_json::to_value(Traffic::read(&context).await?)?) }),
};

#[derive(Template)]
#[template(path = "traffic.html")]
struct TrafficPage<'p> {
    shell: &'p Shell,
    view: &'p Traffic,
    choice: &'p Choice,
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Traffic {
    since: Millis,
    until: Millis,
    group: &'static str,
    requests: Count,
    /// The bodies of requests and of replies.
    received: Bytes,
    sent: Bytes,
    history_problem: Option<String>,
    charts: Vec<Panel>,
    #[serde(skip)]
    heat: Heat,
    rows: Vec<GroupRow>,
}

/// One chart with its title.
#[derive(Debug, Serialize)]
struct Panel {
    id: &'static str,
    title: String,
    chart: Chart,
    empty: &'static str,
}

/// One row of the table.
#[derive(Debug, Serialize)]
struct GroupRow {
    name: String,
    requests: Count,
    succeeded: Share,
    failed: Count,
    cancelled: Count,
    p50: Elapsed,
    p95: Elapsed,
    p99: Elapsed,
    first_event_p95: Elapsed,
    tokens_per_second: Rate,
    input: Count,
    output: Count,
    cached: Share,
    cost: Money,
    /// Some of its requests have no known price.
    partly_unpriced: bool,
}

async fn render(context: Context) -> Result<String, PageError> {
    let choice = Choice::read(&context.query, clock::wall())?;
    let view = Traffic::read(&context).await?;
    Ok(TrafficPage { shell: &context.shell, view: &view, choice: &choice }.render()?)
}

impl Traffic {
    async fn read(context: &Context) -> Result<Self, PageError> {
        let choice = Choice::read(&context.query, clock::wall())?;
        let gateway = &context.gateway;
        let (all, ends, groups, rows) = try_join4(
            usage(gateway, choice.course(None, 1)),
            usage(gateway, choice.course(Some(Dimension::End), SERIES + 1)),
            usage(gateway, choice.course(Some(choice.dimension()), SERIES)),
            usage(gateway, choice.sums(choice.dimension(), ROWS)),
        )
        .await?;
        let secrets = &gateway.live_config().secrets;
        let name = |group: &str| gather::shown(choice.group_name(group), secrets);
        let times = choice.times();
        let course = Course::new(&times, &all);
        let mut rows: Vec<GroupRow> = rows.iter().map(|row| GroupRow::new(row, &name)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.requests));
        Ok(Self {
            since: choice.since,
            until: choice.until,
            group: choice.group,
            requests: Count(all.iter().map(|row| row.sums.requests).sum()),
            received: Bytes(all.iter().map(|row| row.sums.request_bytes).sum()),
            sent: Bytes(all.iter().map(|row| row.sums.reply_bytes).sum()),
            history_problem: gather::history_problem(gateway),
            charts: vec![
                course.outcomes(),
                errors(&times, &ends),
                course.durations(),
                course.first_events(),
                by_group(&times, &groups, &choice, &name),
                course.speed(),
            ],
            heat: Heat::new(&times, &all),
            rows,
        })
    }
}

async fn usage(gateway: &Arc<Gateway>, query: UsageQuery) -> Result<Vec<UsageRow>, PageError> {
    let history = gateway.registry.load().history.clone();
    history.usage(query).await.map_err(|error| PageError::new(503, format!("There are no numbers: {error}.")))
}

/// The sums of each interval, also of those without a request.
struct Course<'r> {
    times: Vec<u64>,
    sums: Vec<Option<&'r UsageSums>>,
}

impl<'r> Course<'r> {
    fn new(times: &[Millis], rows: &'r [UsageRow]) -> Self {
        let by_start: BTreeMap<Millis, &UsageSums> = rows.iter().map(|row| (row.start, &row.sums)).collect();
        let sums = times.iter().map(|time| by_start.get(time).copied()).collect();
        Self { times: seconds(times), sums }
    }

    fn values(&self, value: impl Fn(&UsageSums) -> Option<f64>) -> Vec<Option<f64>> {
        self.sums.iter().map(|sums| sums.and_then(&value)).collect()
    }

    fn panel(
        &self,
        id: &'static str,
        title: &str,
        (kind, unit): (&'static str, &'static str),
        series: Vec<Series>,
    ) -> Panel {
        let chart = Chart { kind, unit, x: self.times.clone(), series, zoom: true };
        Panel { id, title: title.to_owned(), chart, empty: "No request in this time." }
    }

    fn outcomes(&self) -> Panel {
        let count = |of: fn(&UsageSums) -> u64| self.values(move |sums| Some(of(sums) as f64));
        let series = vec![
            Series::new(
                "Succeeded",
                "good",
                count(|sums| sums.requests.saturating_sub(sums.failed + sums.cancelled)),
            ),
            Series::new("Failed", "bad", count(|sums| sums.failed)),
            Series::new("Cancelled", "muted", count(|sums| sums.cancelled)),
        ];
        self.panel("chart-requests", "Requests", ("stacked", "requests"), series)
    }

    fn durations(&self) -> Panel {
        let quantile = |share| self.values(move |sums| Elapsed(sums.elapsed.quantile(share)).millis());
        let series = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];
        let series = series
            .iter()
            .enumerate()
            .map(|(at, (label, share))| Series::numbered(*label, at, quantile(*share)));
        self.panel("chart-duration", "Duration", ("line", "ms"), series.collect())
    }

    fn first_events(&self) -> Panel {
        let quantile = |share| self.values(move |sums| Elapsed(sums.first_event.quantile(share)).millis());
        let series =
            vec![Series::numbered("p50", 0, quantile(0.5)), Series::numbered("p95", 2, quantile(0.95))];
        let panel = self.panel("chart-first", "Time to first token", ("line", "ms"), series);
        Panel { empty: "No reply had a first token in this time.", ..panel }
    }

    fn speed(&self) -> Panel {
        let series = vec![Series::numbered("Tokens per second", 3, self.values(|sums| speed(sums).0))];
        let panel = self.panel("chart-speed", "Output speed of streamed replies", ("line", "rate"), series);
        Panel { empty: "No streamed reply in this time.", ..panel }
    }
}

/// The output tokens in a second of a streamed reply.
fn speed(sums: &UsageSums) -> Rate {
    let seconds = sums.streaming.as_secs_f64();
    Rate((seconds > 0.0 && sums.streamed_output > 0).then(|| sums.streamed_output as f64 / seconds))
}

fn seconds(times: &[Millis]) -> Vec<u64> {
    times.iter().map(|time| time / 1000).collect()
}

/// One series for each group, the largest first.
fn series_by_group(times: &[Millis], rows: &[UsageRow], name: &dyn Fn(&str) -> String) -> Vec<Series> {
    let mut groups: BTreeMap<&str, (u64, BTreeMap<Millis, u64>)> = BTreeMap::new();
    for row in rows {
        let (all, by_start) = groups.entry(row.group.first().map_or("", |group| group)).or_default();
        *all += row.sums.requests;
        *by_start.entry(row.start).or_default() += row.sums.requests;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (all, _))| std::cmp::Reverse(*all));
    let values = |counts: &BTreeMap<Millis, u64>| {
        times.iter().map(|time| counts.get(time).map(|count| *count as f64)).collect()
    };
    groups
        .iter()
        .enumerate()
        .map(|(at, (group, (_, counts)))| Series::numbered(name(group), at, values(counts)))
        .collect()
}

/// Failed and cancelled requests by their kind.
fn errors(times: &[Millis], rows: &[UsageRow]) -> Panel {
    let failed: Vec<UsageRow> =
        rows.iter().filter(|row| row.group.first().is_some_and(|end| **end != *SUCCEEDED)).cloned().collect();
    let series = series_by_group(times, &failed, &|end| end.replace('_', " "));
    let chart = Chart { kind: "stacked", unit: "requests", x: seconds(times), series, zoom: true };
    Panel {
        id: "chart-errors",
        title: "Errors by type".to_owned(),
        chart,
        empty: "No request failed in this time.",
    }
}

fn by_group(times: &[Millis], rows: &[UsageRow], choice: &Choice, name: &dyn Fn(&str) -> String) -> Panel {
    let series = series_by_group(times, rows, name);
    let chart = Chart { kind: "stacked", unit: "requests", x: seconds(times), series, zoom: true };
    let title = format!("Requests by {}", choice.group_title().to_lowercase());
    Panel { id: "chart-groups", title, chart, empty: "No request in this time." }
}

impl GroupRow {
    fn new(row: &UsageRow, name: &dyn Fn(&str) -> String) -> Self {
        let UsageRow { group, sums, .. } = row;
        let quantile = |share| Elapsed(sums.elapsed.quantile(share));
        let ended = sums.requests.saturating_sub(sums.cancelled);
        let has_price = sums.cost.micro_dollars > 0 || sums.unpriced < sums.requests;
        Self {
            name: name(group.first().map_or("", |group| group)),
            requests: Count(sums.requests),
            succeeded: Share::of(ended.saturating_sub(sums.failed), ended),
            failed: Count(sums.failed),
            cancelled: Count(sums.cancelled),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            first_event_p95: Elapsed(sums.first_event.quantile(0.95)),
            tokens_per_second: speed(sums),
            input: Count(sums.usage.prompt_total()),
            output: Count(sums.usage.output),
            cached: Share::of(sums.usage.cache_read, sums.usage.prompt_total()),
            cost: Money(has_price.then_some(sums.cost.micro_dollars)),
            partly_unpriced: has_price && sums.unpriced > 0,
        }
    }
}
