//! The columns of sums, as they are written and read.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};
use vandamme_protocol::vocabulary::Usage;

use super::numbers::{duration, micros, number, to_sql};
use super::query::UsageSums;
use crate::cost::Cost;
use crate::ledger::Histogram;

/// The columns of `buckets` with sums, in the order of [`values`] and [`sums`]. The second of each pair is the expression
/// that yields the same for a row of `requests`; durations in microseconds take the place of histograms.
pub(super) const SUMS: [(&str, &str); 25] = [
    ("requests", "1"),
    ("failed", "outcome NOT IN ('succeeded', 'cancelled', 'cancelled_by_operator')"),
    ("cancelled", "outcome IN ('cancelled', 'cancelled_by_operator')"),
    ("input", "input"),
    ("output", "output"),
    ("cache_read", "cache_read"),
    ("cache_creation", "cache_creation"),
    ("cache_creation_1h", "cache_creation_1h"),
    ("reasoning", "reasoning"),
    ("cost", "coalesce(cost, 0)"),
    ("saved", "coalesce(saved, 0)"),
    (
        "unpriced",
        "cost IS NULL AND (input > 0 OR output > 0 OR cache_read > 0 OR cache_creation > 0 \
         OR cache_creation_1h > 0 OR reasoning > 0)",
    ),
    ("tool_calls", "tool_calls"),
    ("upstream_calls", "upstream_calls"),
    ("request_bytes", "request_bytes"),
    ("reply_bytes", "reply_bytes"),
    ("tool_uses", "tool_uses"),
    ("tool_results", "tool_results"),
    ("first", "started"),
    ("last", "ended"),
    ("duration_us", "elapsed_us"),
    ("elapsed", "elapsed_us"),
    ("first_event", "first_event_us"),
    // The microseconds are `LEAST_STREAMING`.
    (
        "streaming_us",
        "CASE WHEN delivery = 'stream' AND outcome = 'succeeded' AND elapsed_us - first_event_us >= 1000 \
         THEN elapsed_us - first_event_us ELSE 0 END",
    ),
    (
        "streamed_output",
        "CASE WHEN delivery = 'stream' AND outcome = 'succeeded' AND elapsed_us - first_event_us >= 1000 \
         THEN output ELSE 0 END",
    ),
];

/// The values of [`SUMS`].
pub(super) fn values(sums: &UsageSums) -> [Value; SUMS.len()] {
    let Usage { input, output, cache_read, cache_creation, cache_creation_1h, reasoning } = sums.usage;
    let integer = |number| Value::Integer(to_sql(number));
    [
        integer(sums.requests),
        integer(sums.failed),
        integer(sums.cancelled),
        integer(input),
        integer(output),
        integer(cache_read),
        integer(cache_creation),
        integer(cache_creation_1h),
        integer(reasoning),
        integer(sums.cost.micro_dollars),
        Value::Integer(sums.cost.saved_micro_dollars),
        integer(sums.unpriced),
        integer(sums.tool_calls),
        integer(sums.upstream_calls),
        integer(sums.request_bytes),
        integer(sums.reply_bytes),
        integer(sums.tool_uses),
        integer(sums.tool_results),
        integer(sums.first),
        integer(sums.last),
        Value::Integer(micros(sums.duration)),
        Value::Blob(sums.elapsed.to_bytes()),
        Value::Blob(sums.first_event.to_bytes()),
        Value::Integer(micros(sums.streaming)),
        integer(sums.streamed_output),
    ]
}

/// Reads [`SUMS`] from this column on.
pub(super) fn sums(row: &Row<'_>, at: usize) -> rusqlite::Result<UsageSums> {
    Ok(UsageSums {
        requests: number(row, at)?,
        failed: number(row, at + 1)?,
        cancelled: number(row, at + 2)?,
        usage: Usage {
            input: number(row, at + 3)?,
            output: number(row, at + 4)?,
            cache_read: number(row, at + 5)?,
            cache_creation: number(row, at + 6)?,
            cache_creation_1h: number(row, at + 7)?,
            reasoning: number(row, at + 8)?,
        },
        cost: Cost { micro_dollars: number(row, at + 9)?, saved_micro_dollars: row.get(at + 10)? },
        unpriced: number(row, at + 11)?,
        tool_calls: number(row, at + 12)?,
        upstream_calls: number(row, at + 13)?,
        request_bytes: number(row, at + 14)?,
        reply_bytes: number(row, at + 15)?,
        tool_uses: number(row, at + 16)?,
        tool_results: number(row, at + 17)?,
        first: number(row, at + 18)?,
        last: number(row, at + 19)?,
        duration: duration(row, at + 20)?,
        elapsed: histogram(row, at + 21)?,
        first_event: histogram(row, at + 22)?,
        streaming: duration(row, at + 23)?,
        streamed_output: number(row, at + 24)?,
    })
}

/// A stored histogram, or one of a single duration. Bytes of another form count as none.
fn histogram(row: &Row<'_>, column: usize) -> rusqlite::Result<Histogram> {
    Ok(match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Histogram::from_bytes(bytes).unwrap_or_default(),
        ValueRef::Integer(_) => {
            let mut histogram = Histogram::default();
            histogram.record(duration(row, column)?);
            histogram
        }
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) => Histogram::default(),
    })
}
