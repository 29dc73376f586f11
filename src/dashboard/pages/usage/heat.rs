//! The calendar: one field a day for half a year, darker with more tokens.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Selection, UsageQuery, UsageRow};

use crate::dashboard::units::{Count, Money};

const DAY: Millis = 86_400_000;
/// The columns of the calendar. A week starts on Monday.
const WEEKS: u64 = 26;

#[derive(Debug, Serialize)]
pub(super) struct Heat {
    pub(super) days: Vec<HeatDay>,
    /// The columns with the first Monday of a month.
    pub(super) months: Vec<HeatMonth>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct HeatMonth {
    pub(super) week: u64,
    pub(super) name: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct HeatDay {
    pub(super) week: u64,
    pub(super) weekday: u64,
    /// 0 for a day without tokens, to 4 for the days with the most.
    pub(super) level: u8,
    pub(super) text: String,
}

/// The days of the calendar.
pub(super) fn query(now: Millis) -> UsageQuery {
    let selection = Selection { since: first(now) * DAY, until: Millis::MAX, filters: vec![] };
    UsageQuery { selection, group_by: vec![], interval: Some(Duration::from_millis(DAY)), groups: 1 }
}

/// The number of the first day since the Unix epoch, which was a Thursday.
fn first(now: Millis) -> u64 {
    let today = now / DAY;
    let weekday = (today + 3) % 7;
    (today - weekday.min(today)).saturating_sub((WEEKS - 1) * 7)
}

impl Heat {
    pub(super) fn new(now: Millis, rows: &[UsageRow]) -> Self {
        let first = first(now);
        let tokens = |row: &UsageRow| row.sums.usage.prompt_total().saturating_add(row.sums.usage.output);
        let most = rows.iter().map(tokens).max().unwrap_or_default();
        let days = (first..=now / DAY).map(|day| {
            let row = rows.iter().find(|row| row.start / DAY == day);
            let tokens = row.map(tokens).unwrap_or_default();
            HeatDay {
                week: (day - first) / 7,
                weekday: (day - first) % 7,
                level: level(tokens, most),
                text: format!("{}: {}", date(day), text(row, tokens)),
            }
        });
        let mondays = (first..=now / DAY).step_by(7).zip(0_u64..);
        let months = mondays.filter_map(|(day, week)| {
            let date = civil(day);
            (date.day() <= 7).then(|| HeatMonth { week, name: date.strftime("%b").to_string() })
        });
        Self { days: days.collect(), months: months.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.days.iter().all(|day| day.level == 0)
    }
}

fn level(tokens: u64, most: u64) -> u8 {
    match (tokens as f64 / most.max(1) as f64 * 4.0).ceil() {
        _ if tokens == 0 => 0,
        quarter if quarter <= 1.0 => 1,
        quarter if quarter <= 2.0 => 2,
        quarter if quarter <= 3.0 => 3,
        _ => 4,
    }
}

fn text(row: Option<&UsageRow>, tokens: u64) -> String {
    let Some(row) = row else { return "no requests".to_owned() };
    let cost = row.sums.cost.micro_dollars;
    let cost = if cost > 0 { format!(", {}", Money(Some(cost))) } else { String::new() };
    format!("{} requests, {} tokens{cost}", Count(row.sums.requests), Count(tokens))
}

fn date(day: u64) -> String {
    civil(day).to_string()
}

fn civil(day: u64) -> Date {
    let seconds = i64::try_from(day * DAY / 1000).unwrap_or_default();
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use vandamme_actors::history::UsageSums;
    use vandamme_protocol::vocabulary::Usage;

    use super::*;

    /// 2026-11-30, a Monday.
    const MONDAY: u64 = 20_787;

    #[test]
    fn weeks_start_on_monday_and_end_today() {
        let now = (MONDAY + 2) * DAY + 5;
        let usage = Usage { output: 8, ..Usage::default() };
        let sums = UsageSums { requests: 3, usage, ..UsageSums::default() };
        let heat = Heat::new(now, &[UsageRow { start: MONDAY * DAY, group: vec![], sums }]);
        assert_eq!(heat.days.len() as u64, (WEEKS - 1) * 7 + 3);
        let monday = &heat.days[heat.days.len() - 3];
        assert_eq!((monday.week, monday.weekday, monday.level), (WEEKS - 1, 0, 4));
        assert_eq!(monday.text, "2026-11-30: 3 requests, 8 tokens");
        let today = heat.days.last().unwrap();
        assert_eq!((today.weekday, today.level, today.text.as_str()), (2, 0, "2026-12-02: no requests"));
        let names: Vec<_> = heat.months.iter().map(|month| month.name.as_str()).collect();
        assert_eq!(names, ["Jul", "Aug", "Sep", "Oct", "Nov"]);
        // The second of November.
        assert_eq!(heat.months[4].week, WEEKS - 5);
        assert!(Heat::new(0, &[]).is_empty());
    }

    #[test]
    fn levels_are_quarters_of_the_largest_day() {
        assert_eq!([0, 1, 25, 26, 75, 76, 100].map(|tokens| level(tokens, 100)), [0, 1, 1, 2, 3, 4, 4]);
    }
}
