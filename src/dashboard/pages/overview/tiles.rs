//! The tiles on top: one number each, with its course over the last hour and its change.

use std::time::Duration;

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::UsageSums;

use super::today::Today;
use crate::dashboard::present::{self, Present, WINDOW};
use crate::dashboard::units::{Elapsed, Share};
use crate::live::Window;

/// The minutes of the lines.
const MINUTES: u64 = 60;
pub(super) const MINUTE: Millis = 60_000;

/// One number with its course over the last hour.
#[derive(Debug, Serialize)]
pub(super) struct Tile {
    /// The name in `data-live`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) value: String,
    /// What is below the number.
    pub(super) note: String,
    /// Against the five minutes before.
    pub(super) change: Option<Change>,
    /// One value a minute, the oldest first.
    pub(super) course: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) text: String,
    /// `good`, `bad` or `even`
    pub(super) kind: &'static str,
}

/// The tiles; each has the course of the last hour and the change against the window before.
pub(super) fn tiles(window: &Window, now: Millis, present: &Present, today: &Today) -> Vec<Tile> {
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
            name: "cost_today",
            title: "Cost today, UTC",
            value: if today.error.is_some() { "–".to_owned() } else { today.cost.to_string() },
            note: String::new(),
            change: None,
            course: course(&|sums| sums.cost.micro_dollars as f64),
        },
    ]
}

/// The starts of the last minutes, the oldest first.
pub(super) fn minutes(now: Millis) -> impl Iterator<Item = Millis> {
    let last = now - now % MINUTE;
    (0..MINUTES).rev().map(move |back| last.saturating_sub(back * MINUTE))
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
    pub(super) fn points(&self) -> String {
        let most = self.course.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let step = 120.0 / (self.course.len().max(2) - 1) as f64;
        let point =
            |(at, value): (usize, &f64)| format!("{:.1},{:.1}", at as f64 * step, 30.0 - value / most * 28.0);
        self.course.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn has_course(&self) -> bool {
        self.course.iter().any(|value| *value > 0.0)
    }
}
