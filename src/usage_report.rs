//! Questions about usage as text, and their answers as JSON and CSV: shared by `/api/ui/usage` and `vdm usage`.

mod csv;
mod filters;
mod members;
mod row;

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, HistoryStatus, UsageQuery, UsageRow};

pub(crate) use self::csv::Csv;
pub(crate) use self::filters::{read as read_filter, recent};
pub(crate) use self::members::Members;
use crate::money::grouped;
use crate::timestamp::epoch_seconds;

/// The most groups of an answer, and the usual number.
const MOST_GROUPS: usize = 10_000;
const GROUPS: usize = 1_000;
/// The most dimensions of one question.
const DIMENSIONS: usize = 4;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Json,
    Csv,
}

/// What is asked, and the form of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageQuestion {
    pub(crate) query: UsageQuery,
    pub(crate) form: Form,
}

impl Form {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            _ => Err("format: expected json or csv".to_owned()),
        }
    }
}

impl UsageQuestion {
    /// Reads the query of a URL. Errors name the parameter.
    pub(crate) fn parse(text: &str, now: SystemTime) -> Result<Self, String> {
        let mut question = Self {
            query: UsageQuery { selection: filters::recent(now), groups: GROUPS, ..UsageQuery::default() },
            form: Form::Json,
        };
        let query = &mut question.query;
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "by" => query.group_by = dimensions(&value)?,
                "interval" => {
                    let interval = filters::duration(&value);
                    query.interval =
                        Some(interval.map_err(|()| "interval: expected a duration such as 1h".to_owned())?);
                }
                "limit" => query.groups = limit(&value)?,
                "format" => question.form = Form::parse(&value)?,
                name if filters::read(&mut query.selection, name, &value, now)? => {}
                name => return Err(format!("unknown parameter '{}'", name.escape_debug())),
            }
        }
        Ok(question)
    }
}

/// Names of dimensions, separated by commas.
fn dimensions(text: &str) -> Result<Vec<Dimension>, String> {
    let mut dimensions = vec![];
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let dimension = Dimension::parse(name).ok_or_else(|| {
            let known: Vec<_> = Dimension::ALL.iter().map(|dimension| dimension.name()).collect();
            format!("by: expected names out of {}", known.join(", "))
        })?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    match dimensions.len() <= DIMENSIONS {
        true => Ok(dimensions),
        false => Err(format!("by: at most {DIMENSIONS} names")),
    }
}

/// The requests that are missing in an answer, because the history cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    requests: u64,
    reason: String,
}

impl Missing {
    /// `None` while the history is written.
    pub(crate) fn of(status: &HistoryStatus) -> Option<Self> {
        Some(Self { requests: status.waiting, reason: status.error.clone()? })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, reason } = self;
        let (noun, verb) = if *requests == 1 { ("request", "waits") } else { ("requests", "wait") };
        write!(
            f,
            "{} {noun} {verb} in memory and will be added, but are missing here: {reason}",
            grouped(*requests)
        )
    }
}

/// The answer, with members in a fixed order.
#[derive(Serialize)]
pub(crate) struct UsageAnswer {
    by: Vec<&'static str>,
    since: f64,
    until: Option<f64>,
    interval_seconds: Option<u64>,
    /// `null` while the history is written.
    missing: Option<Missing>,
    rows: Vec<Members>,
}

impl UsageAnswer {
    pub(crate) fn new(query: &UsageQuery, rows: &[UsageRow], missing: Option<Missing>) -> Self {
        let until = Some(query.selection.until).filter(|until| *until < Millis::MAX);
        Self {
            by: query.group_by.iter().map(|dimension| dimension.name()).collect(),
            since: epoch_seconds(query.selection.since),
            until: until.map(epoch_seconds),
            interval_seconds: query.interval.map(|interval| interval.as_secs()),
            missing,
            rows: rows.iter().map(|row| row::row(row, &query.group_by)).collect(),
        }
    }
}

/// The answer as CSV.
pub(crate) fn csv_of(query: &UsageQuery, rows: &[UsageRow]) -> String {
    let mut csv = Csv::default();
    let empty = UsageRow { group: vec!["".into(); query.group_by.len()], ..UsageRow::default() };
    let names = row::row(&empty, &query.group_by).cells();
    csv.line(names.iter().map(|(name, _)| name));
    for row in rows {
        csv.line(row::row(row, &query.group_by).cells().iter().map(|(_, cell)| cell));
    }
    csv.into_text()
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST_GROUPS).contains(limit));
    limit.ok_or_else(|| format!("limit: expected a number from 1 to {MOST_GROUPS}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_question_is_read_strictly() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_066_696);
        let parse = |text| UsageQuestion::parse(text, now);
        let UsageQuestion { query, form } =
            parse("by=model,day&since=1d&interval=1h&provider=a&provider=b&limit=5&format=csv").unwrap();
        assert_eq!(query.group_by, [Dimension::Model, Dimension::Day]);
        assert_eq!((query.groups, query.interval, form), (5, Some(Duration::from_secs(3600)), Form::Csv));
        assert_eq!(query.selection.since, 1_795_980_296_000);
        let providers = ["a", "b"].map(|name| (Dimension::Provider, name.to_owned()));
        assert_eq!(query.selection.filters, providers);
        for wrong in ["by=colour", "interval=0h", "since=x", "limit=0", "format=xml", "colour=red"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
