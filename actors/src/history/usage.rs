//! Answers [`UsageQuery`]: from the hourly sums as far as possible, and from the details where the question is finer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::columns::{self, SUMS};
use super::group::OTHER;
use super::numbers::{ceil, floor, number, to_sql};
use super::query::{
    Dimension, HistoryError, MOST_ROWS, Selection, SessionRow, UsageQuery, UsageRow, UsageSums,
};
use super::schema::HOUR;
use crate::clock::{Millis, millis};

/// What a question fails with.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuestionError {
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("{0}")]
    History(#[from] HistoryError),
}

/// A part of the time that a question is about, with the rows that answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Hourly sums.
    Hours(Millis, Millis),
    /// Details, and the sums over requests without details.
    Details(Millis, Millis),
}

/// The time before which details are missing, as [`super::prune`] sets it.
pub(super) fn horizon(connection: &Connection) -> rusqlite::Result<Millis> {
    let horizon = connection
        .query_row("SELECT value FROM facts WHERE name = 'horizon'", [], |row| number(row, 0))
        .optional()?;
    Ok(horizon.unwrap_or_default())
}

/// The rows that answer a question about [`since`, `until`), when details before `horizon` are missing. Hours are the finest
/// unit there.
fn parts(since: Millis, until: Millis, horizon: Millis, interval: Option<Millis>) -> Vec<Part> {
    let mut parts = vec![];
    let mut from = since;
    if since < horizon {
        let complete = ceil(horizon, HOUR);
        parts.push(Part::Hours(floor(since, HOUR), complete.min(until)));
        from = complete;
    }
    let (first, last) = (ceil(from, HOUR), floor(until, HOUR));
    if interval.is_none_or(|interval| interval % HOUR == 0) && first < last {
        parts.extend([Part::Details(from, first), Part::Hours(first, last), Part::Details(last, until)]);
    } else {
        parts.push(Part::Details(from, until));
    }
    parts.retain(|part| match part {
        Part::Hours(from, to) | Part::Details(from, to) => from < to,
    });
    parts
}

/// The expression of a dimension; `time` is the column that it is taken from.
fn expression(dimension: Dimension, time: &str) -> String {
    match dimension {
        Dimension::Provider => "provider".to_owned(),
        Dimension::Model => "model".to_owned(),
        Dimension::RequestedModel => "requested_model".to_owned(),
        Dimension::Key => "key_id".to_owned(),
        Dimension::Client => "client".to_owned(),
        Dimension::Session => "session".to_owned(),
        Dimension::Api => "api".to_owned(),
        Dimension::Delivery => "delivery".to_owned(),
        Dimension::End => "outcome".to_owned(),
        Dimension::Day => format!("date({time} / 1000, 'unixepoch')"),
    }
}

/// The condition that all filters make, without the time. Values of one dimension are alternatives.
pub(super) fn conditions(filters: &[(Dimension, String)], time: &str, values: &mut Vec<Value>) -> String {
    let mut by_dimension: BTreeMap<Dimension, Vec<&str>> = BTreeMap::new();
    for (dimension, value) in filters {
        by_dimension.entry(*dimension).or_default().push(value);
    }
    let mut conditions = String::new();
    for (dimension, wanted) in by_dimension {
        conditions.push_str(&format!(
            " AND {} IN ({})",
            expression(dimension, time),
            vec!["?"; wanted.len()].join(", ")
        ));
        values.extend(wanted.into_iter().map(|value| Value::Text(value.to_owned())));
    }
    conditions
}

/// A SELECT of these columns over the rows of all parts. The first of each pair is for sums, the second for details.
fn select(
    parts: &[Part],
    filters: &[(Dimension, String)],
    columns: &dyn Fn(&str) -> Vec<String>,
    sums: &dyn Fn(&(&str, &str), bool) -> String,
    values: &mut Vec<Value>,
) -> String {
    let mut selects = vec![];
    for part in parts {
        let (tables, from, to) = match *part {
            Part::Hours(from, to) => (&[("buckets", "span = 3600 AND", "start")][..], from, to),
            Part::Details(from, to) => {
                (&[("requests", "", "ended"), ("buckets", "span = 60 AND", "last")][..], from, to)
            }
        };
        for (table, span, time) in tables {
            let is_detail = *table == "requests";
            values.extend([Value::Integer(to_sql(from)), Value::Integer(to_sql(to))]);
            let filters = conditions(filters, time, values);
            let sums = SUMS.iter().map(|column| sums(column, is_detail)).filter(|sum| !sum.is_empty());
            let columns: Vec<String> = columns(time).into_iter().chain(sums).collect();
            selects.push(format!(
                "SELECT {} FROM {table} WHERE {span} {time} >= ? AND {time} < ?{filters}",
                columns.join(", ")
            ));
        }
    }
    selects.join(" UNION ALL ")
}

/// The groups with the most requests, at most one more than are wanted.
fn largest(
    connection: &Connection,
    query: &UsageQuery,
    parts: &[Part],
) -> Result<Vec<Vec<Arc<str>>>, QuestionError> {
    let mut values = vec![];
    let columns = |time: &str| -> Vec<String> {
        let dimensions = query.group_by.iter().enumerate();
        dimensions.map(|(at, dimension)| format!("{} AS g{at}", expression(*dimension, time))).collect()
    };
    let sums = |(name, detail): &(&str, &str), is_detail: bool| match (*name, is_detail) {
        ("requests", true) => format!("{detail} AS n"),
        ("requests", false) => format!("{name} AS n"),
        _ => String::new(),
    };
    let rows = select(parts, &query.selection.filters, &columns, &sums, &mut values);
    let groups: Vec<String> = (0..query.group_by.len()).map(|at| format!("g{at}")).collect();
    let groups = groups.join(", ");
    values.push(Value::Integer(to_sql(query.groups as u64).saturating_add(1)));
    let mut statement = connection.prepare(&format!(
        "SELECT {groups} FROM ({rows}) GROUP BY {groups} ORDER BY total(n) DESC, {groups} LIMIT ?"
    ))?;
    let found = statement.query_map(params_from_iter(values), |row| {
        (0..query.group_by.len()).map(|at| row.get::<_, String>(at).map(Arc::from)).collect()
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Answers a question. Rows are in the order of their start and group.
pub(super) fn usage(connection: &Connection, query: &UsageQuery) -> Result<Vec<UsageRow>, QuestionError> {
    let Selection { since, until, filters } = &query.selection;
    let interval = query.interval.map(|interval| millis(interval).max(1));
    let until = (*until).min(i64::MAX.unsigned_abs());
    let parts = parts(*since, until, horizon(connection)?, interval);
    if parts.is_empty() {
        return Ok(vec![]);
    }
    let kept = if query.group_by.is_empty() { vec![vec![]] } else { largest(connection, query, &parts)? };
    let has_others = kept.len() > query.groups.max(1);
    let kept: HashMap<Vec<Arc<str>>, ()> =
        kept.into_iter().take(query.groups.max(1)).map(|group| (group, ())).collect();
    let mut values = vec![];
    let columns = |time: &str| -> Vec<String> {
        let dimensions = query.group_by.iter().map(|dimension| expression(*dimension, time));
        [time.to_owned()].into_iter().chain(dimensions).collect()
    };
    let sums = |(name, detail): &(&str, &str), is_detail: bool| {
        if is_detail { (*detail).to_owned() } else { (*name).to_owned() }
    };
    let mut statement = connection.prepare(&select(&parts, filters, &columns, &sums, &mut values))?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut rows: BTreeMap<(Millis, Vec<Arc<str>>), UsageSums> = BTreeMap::new();
    while let Some(row) = found.next()? {
        let start = interval.map_or(Ok(0), |interval| number(row, 0).map(|time| floor(time, interval)))?;
        let group = (1..=query.group_by.len()).map(|at| row.get::<_, String>(at).map(Arc::from));
        let mut group: Vec<Arc<str>> = group.collect::<Result<_, _>>()?;
        if has_others && !kept.contains_key(&group) {
            group.fill(OTHER.into());
        }
        if rows.len() >= MOST_ROWS && !rows.contains_key(&(start, group.clone())) {
            return Err(HistoryError::TooLong.into());
        }
        rows.entry((start, group)).or_default().merge(&columns::sums(row, 1 + query.group_by.len())?);
    }
    let start = |start| if interval.is_some() { start } else { *since };
    Ok(rows.into_iter().map(|((at, group), sums)| UsageRow { start: start(at), group, sums }).collect())
}

/// The sessions that were used last, the newest first.
pub(super) fn sessions(
    connection: &Connection,
    selection: &Selection,
    limit: usize,
) -> Result<Vec<SessionRow>, QuestionError> {
    let query = UsageQuery {
        selection: selection.clone(),
        group_by: vec![Dimension::Session, Dimension::Client],
        interval: None,
        groups: MOST_ROWS,
    };
    let mut rows: Vec<SessionRow> = usage(connection, &query)?
        .into_iter()
        .filter_map(|UsageRow { group, sums, .. }| match &group[..] {
            [session, client] if !session.is_empty() => {
                Some(SessionRow { session: session.clone(), client: client.clone(), sums })
            }
            _ => None,
        })
        .collect();
    rows.sort_by(|one, other| (other.sums.last, &one.session).cmp(&(one.sums.last, &other.session)));
    rows.truncate(limit);
    Ok(rows)
}
