//! The tiles on top: one number each, with its course over the last hour and its change.

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

/// What the change of a number means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    MoreIsWorse,
    /// Neither more nor less of it is better.
    Neutral,
}

/// The sums that tiles show: of the window, of the one before it, and of each of the last minutes.
struct Sums {
    now: UsageSums,
    before: UsageSums,
    minutes: Vec<UsageSums>,
}

/// The tiles; each has the course of the last hour and the change against the window before.
pub(super) fn tiles(window: &Window, now: Millis, present: &Present, today: &Today) -> Vec<Tile> {
    let (since, until) = present::bounds(now);
    let sums = Sums {
        now: window.sums(since, until),
        before: window.sums(since.saturating_sub(WINDOW), since),
        minutes: minutes(now).map(|minute| window.sums(minute, minute + MINUTE)).collect(),
    };
    let p95 = |sums: &UsageSums| Elapsed(sums.elapsed.quantile(0.95)).millis();
    let first = |sums: &UsageSums| Elapsed(sums.first_event.quantile(0.95)).millis();
    let tokens = |sums: &UsageSums| Some(sums.usage.prompt_total().saturating_add(sums.usage.output) as f64);
    let failed = |sums: &UsageSums| Share::of(sums.failed, sums.requests).0;
    let cost = if today.error.is_some() { "–".to_owned() } else { today.cost.to_string() };
    let tile = |name, title, value: &str| Tile {
        name,
        title,
        value: value.to_owned(),
        change: None,
        course: vec![],
    };
    vec![
        tile("requests_per_minute", "Requests per minute", &present.requests_per_minute).measured(
            &sums,
            Meaning::Neutral,
            &|sums| Some(sums.requests as f64),
        ),
        Tile {
            change: Change::points(failed(&sums.now), failed(&sums.before)),
            ..tile("error_share", "Failed", &present.error_share).measured(
                &sums,
                Meaning::MoreIsWorse,
                &|sums| Some(sums.failed as f64),
            )
        },
        tile("p95", "Duration, p95", &present.p95).measured(&sums, Meaning::MoreIsWorse, &p95),
        tile("first_event_p95", "First token, p95", &present.first_event_p95).measured(
            &sums,
            Meaning::MoreIsWorse,
            &first,
        ),
        tile("input", "Tokens in", &present.input).measured(&sums, Meaning::Neutral, &tokens),
        Tile {
            change: None,
            ..tile("cost_today", "Cost today, UTC", &cost)
                .measured(&sums, Meaning::Neutral, &|sums| Some(sums.cost.micro_dollars as f64))
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
    fn relative(now: f64, before: f64, meaning: Meaning) -> Option<Self> {
        if before <= 0.0 {
            return None;
        }
        let change = (now / before - 1.0) * 100.0;
        let kind = match change {
            change if change.abs() < 5.0 || meaning == Meaning::Neutral => "even",
            change if change > 0.0 => "bad",
            _ => "good",
        };
        Some(Self { text: signed(format!("{change:+.0} %")), kind })
    }

    /// The change of a share, in percentage points.
    fn points(now: Option<f64>, before: Option<f64>) -> Option<Self> {
        let change = (now? - before?) * 100.0;
        let kind = match change {
            change if change.abs() < 0.1 => "even",
            change if change > 0.0 => "bad",
            _ => "good",
        };
        Some(Self { text: signed(format!("{change:+.1} pp")), kind })
    }
}

/// With a minus sign as on other pages, not a hyphen.
fn signed(text: String) -> String {
    text.replace('-', "−")
}

impl Tile {
    /// With the course and the change of this number.
    fn measured(self, sums: &Sums, meaning: Meaning, value: &dyn Fn(&UsageSums) -> Option<f64>) -> Self {
        let change = value(&sums.now).zip(value(&sums.before));
        Self {
            change: change.and_then(|(now, before)| Change::relative(now, before, meaning)),
            course: sums.minutes.iter().map(|sums| value(sums).unwrap_or_default()).collect(),
            ..self
        }
    }

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
