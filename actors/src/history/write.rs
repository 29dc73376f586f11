//! Writes a batch of requests in one transaction: their details, the sums by hour, and the totals.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params_from_iter};

use super::columns::{self, SUMS};
use super::group::{COLUMNS, Group};
use super::numbers::{floor, micros, number, to_sql};
use super::query::UsageSums;
use super::schema::{HOUR, MINUTE};
use super::stored::StoredRequest;
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

/// How texts from outside are changed before they are stored.
pub(super) type Redact = dyn Fn(String) -> String + Send;

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
        self.sums.entry(key).or_default().merge(&UsageSums::of(finished));
    }
}

/// Writes all of it, or nothing. Returns how many hourly sums are new.
pub(super) fn write(
    connection: &mut Connection,
    batch: &Batch,
    writer: i64,
    redact: &Redact,
) -> rusqlite::Result<u64> {
    // The lock is taken before the sums are read: another process may write to the same file.
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let mut hours: BTreeMap<(Millis, Group), UsageSums> = BTreeMap::new();
    {
        let mut insert = transaction.prepare(&INSERT)?;
        for finished in &batch.requests {
            let stored = StoredRequest::from(&**finished).map_texts(&|text| redact(text));
            insert.execute(params_from_iter(detail_values(&stored)))?;
            let key = (floor(finished.ended, HOUR), Group::of(finished).map_texts(&|text| redact(text)));
            hours.entry(key).or_default().merge(&UsageSums::of(finished));
        }
    }
    let mut minutes: BTreeMap<(Millis, Group), UsageSums> = BTreeMap::new();
    for ((start, group), sums) in &batch.merged.sums {
        let group = group.clone().map_texts(&|text| redact(text));
        hours.entry((floor(*start, HOUR), group.clone())).or_default().merge(sums);
        minutes.entry((*start, group)).or_default().merge(sums);
    }
    totals::add(&transaction, writer, hours.iter().map(|((_, group), sums)| (group, sums)))?;
    add_to_buckets(&transaction, MINUTE, minutes)?;
    let new = add_to_buckets(&transaction, HOUR, hours)?;
    if batch.merged.requests > 0 {
        add_to_fact(&transaction, "dropped", batch.merged.requests)?;
    }
    transaction.commit()?;
    Ok(new)
}

fn add_to_buckets(
    transaction: &Transaction<'_>,
    span: Millis,
    sums: BTreeMap<(Millis, Group), UsageSums>,
) -> rusqlite::Result<u64> {
    let span = to_sql(span / 1000);
    let keys = ["span", "start"].into_iter().chain(COLUMNS);
    let matching: Vec<_> =
        keys.clone().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
    let names: Vec<_> = SUMS.iter().map(|(name, _)| *name).collect();
    let mut find = transaction.prepare(&format!(
        "SELECT {} FROM buckets WHERE {}",
        names.join(", "),
        matching.join(" AND ")
    ))?;
    let all: Vec<_> = keys.chain(names).collect();
    let mut replace = transaction.prepare(&format!(
        "INSERT OR REPLACE INTO buckets ({}) VALUES ({})",
        all.join(", "),
        vec!["?"; all.len()].join(", ")
    ))?;
    let mut count = transaction.prepare("SELECT count(*) FROM buckets WHERE span = ? AND start = ?")?;
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
        sums.merge(&stored.unwrap_or_default());
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

/// The columns of `requests` without its id, in the order of [`detail_values`].
pub(super) const DETAILS: [&str; 37] = [
    "request_id",
    "started",
    "ended",
    "provider",
    "model",
    "requested_model",
    "key_id",
    "client",
    "session",
    "agent",
    "api",
    "upstream_api",
    "delivery",
    "outcome",
    "error",
    "status",
    "stop_reason",
    "upstream_calls",
    "calls",
    "failed_targets",
    "input",
    "output",
    "cache_read",
    "cache_creation",
    "cache_creation_1h",
    "reasoning",
    "cost",
    "saved",
    "tool_calls",
    "tool_uses",
    "tool_results",
    "messages",
    "request_bytes",
    "reply_bytes",
    "first_event_us",
    "elapsed_us",
    "cache_loss",
];

static INSERT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    format!("INSERT INTO requests ({}) VALUES ({})", DETAILS.join(", "), vec!["?"; DETAILS.len()].join(", "))
});

fn detail_values(stored: &StoredRequest) -> [Value; DETAILS.len()] {
    let text = |text: &str| Value::Text(text.to_owned());
    let or_empty = |text: &Option<String>| Value::Text(text.clone().unwrap_or_default());
    let integer = |number: u64| Value::Integer(to_sql(number));
    let json = |json: serde_json::Result<String>| Value::Text(json.unwrap_or_else(|_| "[]".to_owned()));
    let usage = stored.usage;
    [
        text(&stored.request_id),
        integer(stored.started),
        integer(stored.ended),
        or_empty(&stored.provider),
        or_empty(&stored.model),
        text(&stored.requested_model),
        or_empty(&stored.key),
        or_empty(&stored.client),
        or_empty(&stored.session),
        or_empty(&stored.agent),
        or_empty(&stored.api),
        or_empty(&stored.upstream_api),
        text(if stored.streamed { super::group::STREAM } else { super::group::WHOLE }),
        text(&stored.end),
        or_empty(&stored.error),
        integer(stored.status.into()),
        or_empty(&stored.stop_reason),
        integer(stored.upstream_calls.into()),
        json(serde_json::to_string(&stored.calls)),
        json(serde_json::to_string(&stored.failed_targets)),
        integer(usage.input),
        integer(usage.output),
        integer(usage.cache_read),
        integer(usage.cache_creation),
        integer(usage.cache_creation_1h),
        integer(usage.reasoning),
        stored.cost.map_or(Value::Null, |cost| integer(cost.micro_dollars)),
        stored.cost.map_or(Value::Null, |cost| Value::Integer(cost.saved_micro_dollars)),
        integer(stored.tool_calls.into()),
        integer(stored.tool_uses.into()),
        integer(stored.tool_results.into()),
        integer(stored.messages.into()),
        integer(stored.request_bytes),
        integer(stored.reply_bytes),
        stored.first_event.map_or(Value::Null, |duration| Value::Integer(micros(duration))),
        Value::Integer(micros(stored.elapsed)),
        match &stored.cache_loss {
            Some(loss) => json(serde_json::to_string(loss)),
            None => text(""),
        },
    ]
}
