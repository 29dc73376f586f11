//! The totals of `/metrics/running-totals`, over the whole time. Each process adds to rows of its own, so that it can tell
//! what others have added: a process that is being replaced still writes.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement, Transaction, TransactionBehavior, params_from_iter};
use vandamme_protocol::vocabulary::Usage;

use super::group::{Group, OTHER, STREAM};
use super::numbers::{duration, micros, number, to_sql};
use super::query::UsageSums;
use crate::clock::Millis;
use crate::ledger::{RequestTotals, Rows, Totals, UNKNOWN};

/// The most rows of one process; further models share one row.
const MOST_ROWS: i64 = 10_000;

/// The writer of the rows of processes that have ended.
const EARLIER: i64 = 0;
/// A process that has not called [`mark_alive`] for this long has ended.
const SILENCE: Millis = 7 * 24 * 3_600_000;

const COUNTS: [&str; 14] = [
    "requests",
    "failed",
    "cancelled",
    "input",
    "output",
    "cache_read",
    "cache_creation",
    "cache_creation_1h",
    "reasoning",
    "tool_uses",
    "tool_results",
    "tool_calls",
    "duration_us",
    "last",
];

/// The statements that add to rows.
pub(super) struct Statements<'c> {
    has_room: Statement<'c>,
    add: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        // Sums saturate: an upstream can report any number, and a sum of integers that is too large becomes inexact.
        let added = COUNTS.iter().enumerate().map(|(at, name)| match *name {
            "last" => format!("last = max(last, ?{})", at + 5),
            name => format!("{name} = {name} + min(?{}, {} - {name})", at + 5, i64::MAX),
        });
        let added: Vec<String> = added.collect();
        let find = "WHERE writer = ?1 AND provider = ?2 AND model = ?3 AND delivery = ?4";
        let has_room = connection.prepare(&format!(
            "SELECT EXISTS (SELECT 1 FROM totals {find}) OR (SELECT count(*) FROM totals WHERE writer = ?1) < {MOST_ROWS}"
        ))?;
        let add = connection.prepare(&format!(
            "INSERT INTO totals (writer, provider, model, delivery, {}) VALUES ({}) \
             ON CONFLICT (writer, provider, model, delivery) DO UPDATE SET {}",
            COUNTS.join(", "),
            vec!["?"; 4 + COUNTS.len()].join(", "),
            added.join(", ")
        ))?;
        Ok(Self { has_room, add })
    }

    /// Adds to the totals of this process.
    pub(super) fn add<'s>(
        &mut self,
        writer: i64,
        sums: impl Iterator<Item = (&'s Group, &'s UsageSums)>,
    ) -> rusqlite::Result<()> {
        let mut rows: BTreeMap<[String; 3], UsageSums> = BTreeMap::new();
        for (group, sums) in sums {
            let or_unknown = |text: &str| if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() };
            let row = [or_unknown(&group.provider), or_unknown(&group.model), group.delivery.to_owned()];
            rows.entry(row).or_default().merge(sums);
        }
        for (row, sums) in rows {
            self.add_row(writer, row, counts(&sums).into())?;
        }
        Ok(())
    }

    fn add_row(
        &mut self,
        writer: i64,
        [provider, model, delivery]: [String; 3],
        counts: Vec<Value>,
    ) -> rusqlite::Result<()> {
        let has_room = self.has_room.query_row((writer, &provider, &model, &delivery), |row| row.get(0))?;
        let (provider, model) =
            if has_room { (provider, model) } else { (OTHER.to_owned(), OTHER.to_owned()) };
        let key = [Value::Integer(writer), Value::Text(provider), Value::Text(model), Value::Text(delivery)];
        self.add.execute(params_from_iter(key.into_iter().chain(counts)))?;
        Ok(())
    }
}

fn counts(sums: &UsageSums) -> [Value; COUNTS.len()] {
    let Usage { input, output, cache_read, cache_creation, cache_creation_1h, reasoning } = sums.usage;
    let counts = [
        sums.requests,
        sums.failed,
        sums.cancelled,
        input,
        output,
        cache_read,
        cache_creation,
        cache_creation_1h,
        reasoning,
        sums.tool_uses,
        sums.tool_results,
        sums.tool_calls,
        micros(sums.duration).unsigned_abs(),
        sums.last,
    ];
    counts.map(|count| Value::Integer(to_sql(count)))
}

/// The totals of all other processes.
pub(super) fn of_others(connection: &Connection, writer: i64) -> rusqlite::Result<Rows> {
    let mut select = connection.prepare(&format!(
        "SELECT provider, model, delivery, {} FROM totals WHERE writer <> ?",
        COUNTS.join(", ")
    ))?;
    let mut found = select.query([writer])?;
    let mut rows = Rows::default();
    while let Some(row) = found.next()? {
        let (provider, model): (String, String) = (row.get(0)?, row.get(1)?);
        let (counts, last) = (request_totals(row)?, number(row, 16)?);
        let totals = match row.get_ref(2)?.as_str()? {
            STREAM => Totals { streamed: counts, last, ..Totals::default() },
            _ => Totals { whole: counts, last, ..Totals::default() },
        };
        rows.add((provider.into(), model.into()), &totals);
    }
    Ok(rows)
}

fn request_totals(row: &Row<'_>) -> rusqlite::Result<RequestTotals> {
    Ok(RequestTotals {
        requests: number(row, 3)?,
        failed: number(row, 4)?,
        cancelled: number(row, 5)?,
        tokens: Usage {
            input: number(row, 6)?,
            output: number(row, 7)?,
            cache_read: number(row, 8)?,
            cache_creation: number(row, 9)?,
            cache_creation_1h: number(row, 10)?,
            reasoning: number(row, 11)?,
        },
        tool_uses: number(row, 12)?,
        tool_results: number(row, 13)?,
        tool_calls: number(row, 14)?,
        elapsed: duration(row, 15)?,
    })
}

/// Records that this process may still write.
pub(super) fn mark_alive(connection: &Connection, writer: i64, now: Millis) -> rusqlite::Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (fact(writer), to_sql(now)))?;
    Ok(())
}

fn fact(writer: i64) -> String {
    format!("writer:{writer}")
}

/// Merges the rows of processes that have ended into one set, so that restarts do not add rows without end.
pub(super) fn fold(connection: &mut Connection, now: Millis) -> rusqlite::Result<()> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let alive = to_sql(now.saturating_sub(SILENCE));
    transaction.execute("DELETE FROM facts WHERE name LIKE 'writer:%' AND value < ?", [alive])?;
    let ended = format!(
        "writer <> {EARLIER} AND 'writer:' || writer NOT IN (SELECT name FROM facts WHERE name LIKE 'writer:%')"
    );
    let mut select = transaction.prepare(&format!(
        "SELECT provider, model, delivery, {} FROM totals WHERE {ended}",
        COUNTS.join(", ")
    ))?;
    let rows = select.query_map([], |row| {
        let key = [row.get(0)?, row.get(1)?, row.get(2)?];
        let counts: Vec<Value> = (3..3 + COUNTS.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        Ok((key, counts))
    })?;
    let mut statements = Statements::prepare(&transaction)?;
    for row in rows {
        let (key, counts) = row?;
        statements.add_row(EARLIER, key, counts)?;
    }
    drop((select, statements));
    transaction.execute(&format!("DELETE FROM totals WHERE {ended}"), [])?;
    transaction.commit()
}
