//! The time and the property that the page's address chooses.

use std::time::Duration;

use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, Selection, UsageQuery};

use crate::dashboard::gather;
use crate::dashboard::page::{PageError, Query};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// The ranges, the shortest first: their name in the address, their title, and their length.
const RANGES: [(&str, &str, Millis); 6] = [
    ("15m", "15 minutes", 15 * MINUTE),
    ("1h", "1 hour", HOUR),
    ("6h", "6 hours", 6 * HOUR),
    ("24h", "24 hours", DAY),
    ("7d", "7 days", 7 * DAY),
    ("30d", "30 days", 30 * DAY),
];
/// The properties: their name in the address, and their title.
const GROUPS: [(&str, &str, Dimension); 8] = [
    ("provider", "Provider", Dimension::Provider),
    ("model", "Model", Dimension::Model),
    ("requested", "Requested model", Dimension::RequestedModel),
    ("client", "Client key", Dimension::Client),
    ("key", "Provider key", Dimension::Key),
    ("api", "API", Dimension::Api),
    ("delivery", "Streaming", Dimension::Delivery),
    ("end", "Outcome", Dimension::End),
];
/// The intervals of charts. A chart has at most [`POINTS`] of them.
const INTERVALS: [Millis; 12] = [
    10_000,
    30_000,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
];
const POINTS: Millis = 76;
/// The longest time that can be chosen.
const LONGEST: Millis = 731 * DAY;

/// What the address chooses.
pub(super) struct Choice {
    pub(super) since: Millis,
    pub(super) until: Millis,
    interval: Millis,
    /// `None` if the time was chosen in a chart.
    range: Option<&'static str>,
    pub(super) group: &'static str,
    at: usize,
}

/// A link to another choice.
pub(super) struct Link {
    pub(super) address: String,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
}

impl Choice {
    pub(super) fn read(query: &Query, now: Millis) -> Result<Self, PageError> {
        let name = query.get("group").unwrap_or("provider");
        let names = || GROUPS.map(|(name, ..)| name).join(", ");
        let at = GROUPS.iter().position(|(group, ..)| *group == name);
        let at = at.ok_or_else(|| PageError::new(400, format!("group: expected one of {}", names())))?;
        let (since, until, range) = match (query.get("from"), query.get("to")) {
            (Some(from), Some(to)) => {
                let expected = || {
                    PageError::new(
                        400,
                        "from, to: expected two times in milliseconds, at most two years apart",
                    )
                };
                let (from, to): (Millis, Millis) =
                    from.parse().ok().zip(to.parse().ok()).ok_or_else(expected)?;
                if to <= from || to - from > LONGEST {
                    return Err(expected());
                }
                (from, to, None)
            }
            _ => {
                let name = query.get("range").unwrap_or("1h");
                let found = RANGES.iter().find(|(range, ..)| *range == name);
                let names = || RANGES.map(|(name, ..)| name).join(", ");
                let (range, _, length) = found
                    .ok_or_else(|| PageError::new(400, format!("range: expected one of {}", names())))?;
                (now.saturating_sub(*length), now + 1, Some(*range))
            }
        };
        let fits = |interval: &&Millis| (until - since) / **interval < POINTS;
        let interval = INTERVALS.iter().find(fits).copied().unwrap_or(14 * DAY);
        // The first interval is whole, so that it compares with the others.
        let since = since - since % interval;
        Ok(Self { since, until, interval, range, group: GROUPS[at].0, at })
    }

    pub(super) fn dimension(&self) -> Dimension {
        GROUPS[self.at].2
    }

    pub(super) fn group_title(&self) -> &'static str {
        GROUPS[self.at].1
    }

    /// How a group is shown.
    pub(super) fn group_name<'n>(&self, name: &'n str) -> &'n str {
        if name.is_empty() { gather::without(self.dimension()) } else { name }
    }

    /// Asks for the sums of each group in the whole time.
    pub(super) fn sums(&self, group: Dimension, groups: usize) -> UsageQuery {
        let selection = Selection { since: self.since, until: self.until, filters: vec![] };
        UsageQuery { selection, group_by: vec![group], interval: None, groups }
    }

    /// Asks for the sums of each interval, and of each group in it if there is one.
    pub(super) fn course(&self, group: Option<Dimension>, groups: usize) -> UsageQuery {
        let selection = Selection { since: self.since, until: self.until, filters: vec![] };
        let interval = Some(Duration::from_millis(self.interval));
        UsageQuery { selection, group_by: group.into_iter().collect(), interval, groups }
    }

    /// The starts of all intervals.
    pub(super) fn times(&self) -> Vec<Millis> {
        let count = (self.until - self.since).div_ceil(self.interval);
        (0..count).map(|at| self.since + at * self.interval).collect()
    }

    /// The length of an interval, for people.
    pub(super) fn interval_text(&self) -> String {
        match self.interval {
            interval if interval.is_multiple_of(DAY) => format!("{} d", interval / DAY),
            interval if interval.is_multiple_of(HOUR) => format!("{} h", interval / HOUR),
            interval if interval.is_multiple_of(MINUTE) => format!("{} min", interval / MINUTE),
            interval => format!("{} s", interval / 1000),
        }
    }

    pub(super) fn ranges(&self) -> Vec<Link> {
        let link = |(range, title, _): (&'static str, &'static str, Millis)| Link {
            address: format!("?range={range}&group={}", self.group),
            text: title,
            is_current: self.range == Some(range),
        };
        RANGES.map(link).into()
    }

    pub(super) fn groups(&self) -> Vec<Link> {
        let time = match self.range {
            Some(range) => format!("range={range}"),
            None => format!("from={}&to={}", self.since, self.until),
        };
        let link = |(group, title, ..): (&'static str, &'static str, Dimension)| Link {
            address: format!("?{time}&group={group}"),
            text: title,
            is_current: self.group == group,
        };
        GROUPS.map(link).into()
    }

    /// The time was chosen in a chart.
    pub(super) fn is_zoomed(&self) -> bool {
        self.range.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Choice, PageError> {
        Choice::read(&Query::parse(query), 40 * DAY + 12_345)
    }

    /// Requirement: every range has a bounded number of whole intervals, which cover it to its end.
    #[test]
    fn every_range_has_a_bounded_number_of_intervals() {
        for (range, _, length) in RANGES {
            let choice = read(&format!("range={range}")).ok().unwrap();
            let times = choice.times();
            assert!((30..=POINTS as usize + 1).contains(&times.len()), "{range}: {}", times.len());
            assert!(times.iter().all(|time| time % choice.interval == 0));
            assert!(choice.until - choice.since >= length);
            assert!(times.last().is_some_and(|last| last + choice.interval >= choice.until));
        }
        let zoomed = read(&format!("from=0&to={LONGEST}&group=model")).ok().unwrap();
        assert!(zoomed.is_zoomed() && zoomed.times().len() <= POINTS as usize);
        assert_eq!(zoomed.dimension(), Dimension::Model);
        assert_eq!((zoomed.group_name(""), zoomed.group_name("m")), ("(no model)", "m"));
    }

    #[test]
    fn other_choices_are_refused_with_what_is_expected() {
        for (query, expected) in [
            ("range=2h", "range: expected one of 15m"),
            ("group=tenant", "group: expected one of provider"),
            ("from=5&to=5", "from, to: expected"),
            ("from=x&to=5", "from, to: expected"),
            ("from=0&to=99999999999999", "from, to: expected"),
        ] {
            let error = read(query).err().unwrap();
            assert!(error.status == 400 && error.message.starts_with(expected), "{query}: {}", error.message);
        }
    }
}
