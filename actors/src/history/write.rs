//! Writes a batch of requests in one transaction: their details, the sums by hour, and the totals.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{
    Connection, OptionalExtension as _, Statement, Transaction, TransactionBehavior, params_from_iter,
};

use super::columns::{self, SUMS};
use super::group::{COLUMNS, Group};
use super::numbers::{floor, number, to_sql};
use super::query::UsageSums;
use super::row::{Cell, DETAILS, Redact, Redactor, cells};
use super::schema::{HOUR, MINUTE};
use super::totals;
use crate::clock::Millis;
use crate::ledger::FinishedRequest;

/// The most groups of one hour. Further requests of that hour are summed up without the values that clients choose.
pub(super) const GROUPS: usize = 1_000;

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) requests: Vec<Arc<FinishedRequest>>,
    /// The sums over requests whose details were dropped, by the minute in which they ended.
    pub(super) merged: Merged,
}

/// Sums by time and group, with a bound.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) sums: HashMap<(Millis, Group), UsageSums>,
    /// How many requests the sums are over.
    pub(super) requests: u64,
}

impl Merged {
    pub(super) fn add(&mut self, finished: &FinishedRequest) {
        self.requests = self.requests.saturating_add(1);
        let mut key = (floor(finished.ended, MINUTE), Group::of(finished));
        if self.sums.len() >= GROUPS && !self.sums.contains_key(&key) {
            key.1 = key.1.collapsed();
        }
        if self.sums.len() >= 2 * GROUPS && !self.sums.contains_key(&key) {
            // The database has not been written for many minutes: an hour is exact enough.
            key.0 = floor(key.0, HOUR);
        }
        self.sums.entry(key).or_default().count(finished);
    }
}

/// The statements of the writer. Preparing them takes as long as writing thirty requests, so they are kept.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    details: Statement<'c>,
    find: Statement<'c>,
    replace: Statement<'c>,
    count: Statement<'c>,
    totals: totals::Statements<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let keys = ["span", "start"].into_iter().chain(COLUMNS);
        let matching: Vec<_> =
            keys.clone().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
        let names: Vec<_> = SUMS.iter().map(|(name, _)| *name).collect();
        let find = format!("SELECT {} FROM buckets WHERE {}", names.join(", "), matching.join(" AND "));
        let all: Vec<_> = keys.chain(names).collect();
        let insert = |verb: &str, table: &str, columns: &[&str]| {
            let places = vec!["?"; columns.len()].join(", ");
            connection.prepare(&format!("{verb} INTO {table} ({}) VALUES ({places})", columns.join(", ")))
        };
        Ok(Self {
            connection,
            details: insert("INSERT", "requests", &DETAILS)?,
            find: connection.prepare(&find)?,
            replace: insert("INSERT OR REPLACE", "buckets", &all)?,
            count: connection.prepare("SELECT count(*) FROM buckets WHERE span = ? AND start = ?")?,
            totals: totals::Statements::prepare(connection)?,
        })
    }
}

/// Writes all of it, or nothing. Returns how many hourly sums are new.
pub(super) fn write(
    statements: &mut Statements<'_>,
    batch: &Batch,
    writer: i64,
    redact: &Redact,
) -> rusqlite::Result<u64> {
    // The lock is taken before the sums are read: another process may write to the same file.
    let transaction = Transaction::new_unchecked(statements.connection, TransactionBehavior::Immediate)?;
    let mut hours: BTreeMap<(Millis, Group), UsageSums> = BTreeMap::new();
    for ((start, group), sums) in write_details(&mut statements.details, batch, redact)? {
        hours.entry((start, group.map_texts(&|text| redact(text)))).or_default().merge(&sums);
    }
    let mut minutes: BTreeMap<(Millis, Group), UsageSums> = BTreeMap::new();
    for ((start, group), sums) in &batch.merged.sums {
        let group = group.clone().map_texts(&|text| redact(text));
        hours.entry((floor(*start, HOUR), group.clone())).or_default().merge(sums);
        minutes.entry((*start, group)).or_default().merge(sums);
    }
    statements.totals.add(writer, hours.iter().map(|((_, group), sums)| (group, sums)))?;
    add_to_buckets(statements, MINUTE, minutes)?;
    let new = add_to_buckets(statements, HOUR, hours)?;
    if batch.merged.requests > 0 {
        add_to_fact(&transaction, "dropped", batch.merged.requests)?;
    }
    transaction.commit()?;
    Ok(new)
}

/// Inserts a row for each request. Returns their sums by hour and group, before texts are redacted.
fn write_details(
    insert: &mut Statement<'_>,
    batch: &Batch,
    redact: &Redact,
) -> rusqlite::Result<HashMap<(Millis, Group), UsageSums>> {
    let mut redactor = Redactor::new(redact);
    let mut hours = HashMap::new();
    let mut current: Option<((Millis, Group), UsageSums)> = None;
    let mut before: Option<[Cell<'_>; DETAILS.len()]> = None;
    for finished in &batch.requests {
        let cells = cells(finished);
        let mut is_other_group = false;
        for (at, cell) in cells.iter().enumerate() {
            // SQLite keeps a value until it is replaced, and most requests have most values of the one before: neither is it
            // bound nor redacted again.
            if before.as_ref().is_some_and(|before| before[at] == *cell) {
                continue;
            }
            is_other_group |= COLUMNS.contains(&DETAILS[at]);
            cell.bind(insert, at + 1, &mut redactor)?;
        }
        insert.raw_execute()?;
        before = Some(cells);
        let hour = floor(finished.ended, HOUR);
        match &mut current {
            Some(((start, _), sums)) if !is_other_group && *start == hour => sums.count(finished),
            current => {
                keep(&mut hours, current.take());
                *current = Some(((hour, Group::of(finished)), UsageSums::of(finished)));
            }
        }
    }
    keep(&mut hours, current);
    Ok(hours)
}

fn keep(hours: &mut HashMap<(Millis, Group), UsageSums>, sums: Option<((Millis, Group), UsageSums)>) {
    if let Some((key, sums)) = sums {
        hours.entry(key).or_default().merge(&sums);
    }
}

fn add_to_buckets(
    statements: &mut Statements<'_>,
    span: Millis,
    sums: BTreeMap<(Millis, Group), UsageSums>,
) -> rusqlite::Result<u64> {
    let span = to_sql(span / 1000);
    let Statements { find, replace, count, .. } = statements;
    let mut new = 0;
    for ((start, group), mut sums) in sums {
        let key = |group: &Group| -> Vec<Value> {
            let texts = group.values().map(|text| Value::Text(text.to_owned()));
            [Value::Integer(span), Value::Integer(to_sql(start))].into_iter().chain(texts).collect()
        };
        let mut values = key(&group);
        let mut stored = find.query_row(params_from_iter(&values), |row| columns::sums(row, 0)).optional()?;
        if stored.is_none() && count.query_row((span, to_sql(start)), |row| number(row, 0))? >= GROUPS as u64
        {
            values = key(&group.collapsed());
            stored = find.query_row(params_from_iter(&values), |row| columns::sums(row, 0)).optional()?;
        }
        new += u64::from(stored.is_none());
        if let Some(mut stored) = stored {
            stored.merge(&sums);
            sums = stored;
        }
        values.extend(columns::values(&sums));
        replace.execute(params_from_iter(values))?;
    }
    Ok(new)
}

/// Adds to a number of `facts`.
pub(super) fn add_to_fact(connection: &Connection, name: &str, more: u64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
        (name, to_sql(more)),
    )?;
    Ok(())
}
