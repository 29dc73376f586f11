//! Numbers as SQLite stores them: signed, with 64 bits. Larger ones are stored as the largest.

use std::time::Duration;

use rusqlite::Row;

use crate::clock::Millis;

pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A column that holds no negative number.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

pub(super) fn duration(row: &Row<'_>, column: usize) -> rusqlite::Result<Duration> {
    number(row, column).map(Duration::from_micros)
}

/// The start of the interval of this length that contains a time.
pub(super) fn floor(time: Millis, interval: Millis) -> Millis {
    time - time % interval.max(1)
}

/// The start of the first interval of this length that does not begin before a time.
pub(super) fn ceil(time: Millis, interval: Millis) -> Millis {
    floor(time.saturating_add(interval.max(1) - 1), interval)
}
