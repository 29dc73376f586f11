//! Reads the details of requests.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use vandamme_protocol::vocabulary::Usage;

use super::group::STREAM;
use super::numbers::{duration, number, to_sql};
use super::query::{MOST_ROWS, RequestPage, RequestQuery};
use super::row::DETAILS;
use super::stored::{StoredCall, StoredRequest};
use super::usage::{QuestionError, conditions};
use crate::cost::Cost;

/// The columns in which [`RequestQuery::text`] is searched.
const SEARCHED: [&str; 6] = ["request_id", "model", "requested_model", "client", "session", "error"];

/// A page of requests.
pub(super) fn requests(connection: &Connection, query: &RequestQuery) -> Result<RequestPage, QuestionError> {
    let limit = query.limit.clamp(1, MOST_ROWS);
    let until = query.selection.until.min(i64::MAX.unsigned_abs());
    let mut values = vec![Value::Integer(to_sql(query.selection.since)), Value::Integer(to_sql(until))];
    let mut conditions = conditions(&query.selection.filters, "ended", &mut values);
    if let Some(cursor) = query.cursor {
        conditions.push_str(" AND id < ?");
        values.push(Value::Integer(to_sql(cursor)));
    }
    if let Some(text) = query.text.as_ref().filter(|text| !text.is_empty()) {
        let found: Vec<_> = SEARCHED.iter().map(|column| format!("instr(lower({column}), ?) > 0")).collect();
        conditions.push_str(&format!(" AND ({})", found.join(" OR ")));
        values.extend(SEARCHED.map(|_| Value::Text(text.to_ascii_lowercase())));
    }
    values.push(Value::Integer(to_sql(limit as u64 + 1)));
    let mut statement = connection.prepare(&format!(
        "SELECT id, {} FROM requests WHERE ended >= ? AND ended < ?{conditions} ORDER BY id DESC LIMIT ?",
        DETAILS.join(", ")
    ))?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok((number(row, 0)?, stored(row)?)))?;
    let mut rows: Vec<(u64, StoredRequest)> = rows.collect::<Result<_, _>>()?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|(id, _)| *id);
    Ok(RequestPage { requests: rows.into_iter().map(|(_, request)| request).collect(), next })
}

/// The request with this id.
pub(super) fn request(connection: &Connection, id: &str) -> Result<Option<StoredRequest>, QuestionError> {
    let find = format!(
        "SELECT id, {} FROM requests WHERE request_id = ? ORDER BY id DESC LIMIT 1",
        DETAILS.join(", ")
    );
    Ok(connection.query_row(&find, [id], stored).optional()?)
}

/// The columns after the id.
fn stored(row: &Row<'_>) -> rusqlite::Result<StoredRequest> {
    let text = |at| row.get::<_, String>(at);
    let unless_empty = |at| text(at).map(|text| Some(text).filter(|text| !text.is_empty()));
    let small = |at| number(row, at).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    // A later version may write another form.
    let calls: Vec<StoredCall> = serde_json::from_str(&text(19)?).unwrap_or_default();
    let saved: Option<i64> = row.get(28)?;
    Ok(StoredRequest {
        request_id: text(1)?,
        started: number(row, 2)?,
        ended: number(row, 3)?,
        provider: unless_empty(4)?,
        model: unless_empty(5)?,
        requested_model: text(6)?,
        key: unless_empty(7)?,
        client: unless_empty(8)?,
        session: unless_empty(9)?,
        agent: unless_empty(10)?,
        api: unless_empty(11)?,
        upstream_api: unless_empty(12)?,
        streamed: text(13)? == STREAM,
        end: text(14)?,
        error: unless_empty(15)?,
        status: u16::try_from(number(row, 16)?).unwrap_or_default(),
        stop_reason: unless_empty(17)?,
        upstream_calls: small(18)?,
        calls,
        failed_targets: serde_json::from_str(&text(20)?).unwrap_or_default(),
        usage: Usage {
            input: number(row, 21)?,
            output: number(row, 22)?,
            cache_read: number(row, 23)?,
            cache_creation: number(row, 24)?,
            cache_creation_1h: number(row, 25)?,
            reasoning: number(row, 26)?,
        },
        cost: match row.get::<_, Option<i64>>(27)? {
            Some(_) => {
                Some(Cost { micro_dollars: number(row, 27)?, saved_micro_dollars: saved.unwrap_or_default() })
            }
            None => None,
        },
        tool_calls: small(29)?,
        tool_uses: small(30)?,
        tool_results: small(31)?,
        messages: small(32)?,
        request_bytes: number(row, 33)?,
        reply_bytes: number(row, 34)?,
        first_event: match row.get::<_, Option<i64>>(35)? {
            Some(_) => Some(duration(row, 35)?),
            None => None,
        },
        elapsed: duration(row, 36)?,
        cache_loss: unless_empty(37)?.and_then(|loss| serde_json::from_str(&loss).ok()),
        parent: unless_empty(38)?,
        purpose: unless_empty(39)?,
        verdicts: unless_empty(40)?.and_then(|verdicts| serde_json::from_str(&verdicts).ok()),
        role: unless_empty(41)?,
        web_searches: small(42)?,
    })
}
