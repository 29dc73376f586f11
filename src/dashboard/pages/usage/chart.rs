//! The chart: cost or tokens by day, stacked by group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use vandamme_actors::clock::{Millis, millis};
use vandamme_actors::history::UsageRow;
use vandamme_actors::secret::Secrets;

use crate::dashboard::gather::shown;

/// The groups with a colour of their own; the history sums up the others.
pub(super) const SERIES: usize = 6;
/// The most columns: four years of days.
const COLUMNS: Millis = 1_461;

/// What the columns are high by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Metric {
    Cost,
    Tokens,
    Requests,
}

#[derive(Debug, Serialize)]
pub(super) struct Chart {
    kind: &'static str,
    unit: &'static str,
    /// Seconds since the Unix epoch.
    x: Vec<u64>,
    series: Vec<Series>,
}

#[derive(Debug, Serialize)]
struct Series {
    label: String,
    color: &'static str,
    values: Vec<u64>,
}

impl Metric {
    pub(super) const ALL: [Self; 3] = [Self::Cost, Self::Tokens, Self::Requests];

    pub(super) fn parse(name: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|metric| Some(metric.name()) == name).unwrap_or(Self::Cost)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Cost => "Cost",
            Self::Tokens => "Tokens",
            Self::Requests => "Requests",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Cost => "money",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
        }
    }

    fn value(self, row: &UsageRow) -> u64 {
        let sums = &row.sums;
        match self {
            Self::Cost => sums.cost.micro_dollars,
            Self::Tokens => sums.usage.prompt_total().saturating_add(sums.usage.output),
            Self::Requests => sums.requests,
        }
    }
}

impl Chart {
    /// One column for each interval in the time, also for those without requests.
    pub(super) fn new(
        metric: Metric,
        interval: Duration,
        (since, until): (Millis, Millis),
        rows: &[UsageRow],
        secrets: &Secrets,
    ) -> Self {
        let step = millis(interval).max(1);
        let first = rows.iter().map(|row| row.start).min().unwrap_or(until);
        let start = if since == 0 { first.min(until) } else { since };
        let start = start.max(until.saturating_sub(COLUMNS * step));
        let start = start - start % step;
        let columns = usize::try_from((until.saturating_sub(start)) / step + 1).unwrap_or_default();
        let mut groups: BTreeMap<Arc<str>, Vec<u64>> = BTreeMap::new();
        for row in rows {
            let Some(column) = row.start.checked_sub(start).and_then(|at| usize::try_from(at / step).ok())
            else {
                continue;
            };
            let name = row.group.first().cloned().unwrap_or_else(|| "".into());
            let values = groups.entry(name).or_insert_with(|| vec![0; columns]);
            if let Some(value) = values.get_mut(column) {
                *value = value.saturating_add(metric.value(row));
            }
        }
        let sum = |values: &[u64]| values.iter().fold(0u64, |sum, value| sum.saturating_add(*value));
        let mut groups: Vec<_> = groups.into_iter().filter(|(_, values)| sum(values) > 0).collect();
        groups.sort_by_key(|(name, values)| (&**name == "(other)", std::cmp::Reverse(sum(values))));
        let colours = ["1", "2", "3", "4", "5", "6"].into_iter().chain(std::iter::repeat("muted"));
        let series = groups.into_iter().zip(colours).map(|((name, values), color)| Series {
            label: if name.is_empty() { "(none)".to_owned() } else { shown(&name, secrets) },
            color: if &*name == "(other)" { "muted" } else { color },
            values,
        });
        let x = (0..columns as u64).map(|column| (start + column * step) / 1000);
        Self { kind: "stacked", unit: metric.unit(), x: x.collect(), series: series.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// JSON for a `<script type="application/json">`.
    pub(super) fn script(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)?.replace('<', "\\u003c"))
    }
}

#[cfg(test)]
mod tests {
    use vandamme_actors::history::UsageSums;

    use super::*;

    const DAY: Millis = 86_400_000;

    fn row(day: Millis, group: &str, requests: u64) -> UsageRow {
        let sums = UsageSums { requests, ..UsageSums::default() };
        UsageRow { start: day * DAY, group: vec![group.into()], sums }
    }

    /// Requirement: every day has a column, the largest group comes first, and the rest is grey.
    #[test]
    fn days_without_requests_have_a_column() {
        let rows = [row(10, "small", 1), row(12, "<large>", 5), row(12, "(other)", 9), row(11, "none", 0)];
        let time = (9 * DAY + 7, 13 * DAY + 7);
        let chart = Chart::new(Metric::Requests, Duration::from_secs(86_400), time, &rows, &Secrets::new([]));
        assert_eq!(chart.x, [9, 10, 11, 12, 13].map(|day| day * DAY / 1000));
        let series: Vec<_> =
            chart.series.iter().map(|one| (one.label.as_str(), one.color, &one.values[..])).collect();
        assert_eq!(
            series,
            [
                ("<large>", "1", &[0, 0, 0, 5, 0][..]),
                ("small", "2", &[0, 1, 0, 0, 0]),
                ("(other)", "muted", &[0, 0, 0, 9, 0])
            ]
        );
        assert!(!chart.script().unwrap().contains('<'));
    }

    /// Requirement: all of the time starts with the first request, and the number of columns has a bound.
    #[test]
    fn the_number_of_columns_has_a_bound() {
        let day = Duration::from_secs(86_400);
        let chart = |rows: &[UsageRow], since| {
            Chart::new(Metric::Requests, day, (since, 20_000 * DAY), rows, &Secrets::new([]))
        };
        assert_eq!(chart(&[row(19_999, "a", 1)], 0).x.len(), 2);
        assert_eq!(chart(&[row(0, "a", 1)], 0).x.len(), usize::try_from(COLUMNS).unwrap() + 1);
        assert!(chart(&[], 0).is_empty());
    }
}
