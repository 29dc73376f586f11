//! Removes what is too old or too much, in small steps, so that writing never waits long.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::numbers::{floor, number, to_sql};
use super::schema::HOUR;
use super::write::Batch;
use crate::clock::{Millis, millis};

/// The most requests that one step removes.
const STEP: u64 = 1_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The longest time for which requests and sums are kept.
    pub age: Duration,
    /// The most requests whose details are kept, and the most hourly sums.
    pub requests: u64,
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) buckets: u64,
    /// When the oldest request with details ended.
    pub(super) oldest: Option<Millis>,
    /// The requests whose details were dropped.
    pub(super) dropped: u64,
}

impl Counts {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |sql: &str| connection.query_row(sql, [], |row| number(row, 0));
        let oldest: Option<i64> =
            connection.query_row("SELECT min(ended) FROM requests", [], |row| row.get(0))?;
        Ok(Self {
            requests: count("SELECT count(*) FROM requests")?,
            buckets: count("SELECT count(*) FROM buckets WHERE span = 3600")?,
            oldest: oldest.map(|oldest| u64::try_from(oldest).unwrap_or_default()),
            dropped: count("SELECT coalesce((SELECT value FROM facts WHERE name = 'dropped'), 0)")?,
        })
    }
}

impl Counts {
    /// A batch was written, with so many new hourly sums.
    pub(super) fn add(&mut self, batch: &Batch, new: u64) {
        self.requests += batch.requests.len() as u64;
        self.buckets += new;
        self.dropped = self.dropped.saturating_add(batch.merged.requests);
        let first = batch.requests.iter().map(|finished| finished.ended).min();
        self.oldest = self.oldest.or(first);
    }
}

/// Removes some rows if there are too many; whether there may be more to remove.
pub(super) fn step(
    connection: &Connection,
    retention: &Retention,
    counts: &mut Counts,
    now: Millis,
) -> rusqlite::Result<bool> {
    let cutoff = now.saturating_sub(millis(retention.age));
    let surplus = counts.requests.saturating_sub(retention.requests);
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let requests = remove_requests(&transaction, cutoff, surplus.min(STEP))?;
    let has_surplus = counts.buckets > retention.requests;
    let buckets = remove_hour(&transaction, if has_surplus { Millis::MAX } else { floor(cutoff, HOUR) })?;
    transaction.commit()?;
    counts.requests = counts.requests.saturating_sub(requests);
    counts.buckets = counts.buckets.saturating_sub(buckets);
    Ok(requests > 0 || buckets > 0)
}

/// Removes requests that ended before `cutoff`, at most [`STEP`], and at least `surplus` of the oldest.
fn remove_requests(transaction: &Transaction<'_>, cutoff: Millis, surplus: u64) -> rusqlite::Result<u64> {
    let last: Option<i64> = transaction.query_row(
        "SELECT max(ended) FROM (
             SELECT ended FROM (SELECT ended FROM requests WHERE ended < ?1 ORDER BY ended LIMIT ?2)
             UNION ALL SELECT ended FROM (SELECT ended FROM requests ORDER BY ended LIMIT ?3))",
        [to_sql(cutoff), to_sql(STEP), to_sql(surplus)],
        |row| row.get(0),
    )?;
    let Some(last) = last else { return Ok(0) };
    // All that ended in the same millisecond, so that the horizon has details on one side only.
    let removed = transaction.execute("DELETE FROM requests WHERE ended <= ?", [last])?;
    transaction.execute("DELETE FROM buckets WHERE span = 60 AND start <= ?", [last - 60_000])?;
    transaction.execute(
        "INSERT INTO facts (name, value) VALUES ('horizon', ?1) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)",
        [last.saturating_add(1)],
    )?;
    Ok(removed as u64)
}

/// Removes the oldest hour of sums if it began before `cutoff`.
fn remove_hour(transaction: &Transaction<'_>, cutoff: Millis) -> rusqlite::Result<u64> {
    let oldest: Option<i64> = transaction
        .query_row("SELECT start FROM buckets WHERE span = 3600 ORDER BY start LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let Some(oldest) = oldest.filter(|oldest| *oldest < to_sql(cutoff)) else { return Ok(0) };
    Ok(transaction.execute("DELETE FROM buckets WHERE span = 3600 AND start = ?", [oldest])? as u64)
}
