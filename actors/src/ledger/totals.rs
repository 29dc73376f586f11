//! Sums up requests by provider and model, separately for streamed and whole replies. A pure table.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vandamme_protocol::vocabulary::Usage;

use super::{Record, RequestEnd, UNKNOWN};
use crate::clock::Millis;

/// The most pairs of provider and model with their own row; further pairs share one row.
const MAX_ROWS: usize = 10_000;
const OTHER: &str = "(other)";

/// By provider and the provider's name of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows(BTreeMap<(Arc<str>, Arc<str>), Totals>);

/// The totals of one model of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub streamed: RequestTotals,
    pub whole: RequestTotals,
    /// When the last of these requests ended.
    pub last: Millis,
}

/// Sums over requests that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTotals {
    pub requests: u64,
    pub failed: u64,
    /// Requests that the client or an operator ended.
    pub cancelled: u64,
    pub tokens: Usage,
    /// In the histories that clients sent.
    pub tool_uses: u64,
    pub tool_results: u64,
    /// In the replies.
    pub tool_calls: u64,
    pub elapsed: Duration,
}

impl Rows {
    /// Provider, model and totals of each row, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Totals)> {
        self.0.iter().map(|((provider, model), totals)| (&**provider, &**model, totals))
    }

    pub(super) fn count(&mut self, record: &Record, now: Millis) {
        let unknown = || Arc::from(UNKNOWN);
        let provider = record.provider.clone().unwrap_or_else(unknown);
        let row = (provider, record.model.clone().unwrap_or_else(unknown));
        let counts = RequestTotals::from_record(record);
        let (streamed, whole) = if record.request.streamed {
            (counts, RequestTotals::default())
        } else {
            (RequestTotals::default(), counts)
        };
        self.add(row, &Totals { streamed, whole, last: now });
    }

    pub(crate) fn add(&mut self, mut row: (Arc<str>, Arc<str>), more: &Totals) {
        if self.0.len() >= MAX_ROWS && !self.0.contains_key(&row) {
            row = (OTHER.into(), OTHER.into());
        }
        let totals = self.0.entry(row).or_default();
        totals.streamed += more.streamed;
        totals.whole += more.whole;
        totals.last = totals.last.max(more.last);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (row, totals) in &other.0 {
            self.add(row.clone(), totals);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl RequestTotals {
    fn from_record(record: &Record) -> Self {
        Self {
            requests: 1,
            failed: u64::from(record.end != RequestEnd::Succeeded && !record.end.is_cancelled()),
            cancelled: u64::from(record.end.is_cancelled()),
            tokens: record.usage,
            tool_uses: record.request.tools.uses.into(),
            tool_results: record.request.tools.results.into(),
            tool_calls: record.tool_calls.into(),
            elapsed: record.elapsed,
        }
    }
}

/// Sums saturate, since an upstream can report any number.
impl AddAssign for RequestTotals {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.failed, other.failed);
        add(&mut self.cancelled, other.cancelled);
        self.tokens = self.tokens.plus(other.tokens);
        add(&mut self.tool_uses, other.tool_uses);
        add(&mut self.tool_results, other.tool_results);
        add(&mut self.tool_calls, other.tool_calls);
        self.elapsed = self.elapsed.saturating_add(other.elapsed);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use vandamme_protocol::request::ToolHistory;

    use super::super::RequestSummary;
    use super::*;

    pub(in crate::ledger) fn record(model: &str, end: RequestEnd) -> Record {
        Record {
            request_id: "req_1".into(),
            request: RequestSummary {
                tools: ToolHistory { uses: 5, results: 6 },
                ..RequestSummary::default()
            },
            provider: Some("p".into()),
            model: Some(model.into()),
            upstream_api: None,
            failed_targets: vec![],
            calls: vec![],
            key: None,
            status: 200,
            upstream_calls: 1,
            reported: Default::default(),
            usage: Usage { input: 1, output: 2, cache_read: 3, cache_creation: 4, ..Usage::default() },
            tool_calls: 7,
            verdicts: None,
            stop_reason: None,
            images: Default::default(),
            reply_size: 0,
            first_event: None,
            elapsed: Duration::from_millis(8),
            end,
        }
    }

    #[test]
    fn each_request_counts_once_as_streamed_or_whole() {
        let mut rows = Rows::default();
        rows.count(&record("m", RequestEnd::Succeeded), 10);
        rows.count(&record("m", RequestEnd::cancelled_by_operator()), 30);
        let failed = RequestEnd::Failed { kind: "api_error", message: String::new() };
        let mut streamed = record("m", failed);
        streamed.request.streamed = true;
        rows.count(&streamed, 20);

        let (_, _, totals) = rows.iter().next().unwrap();
        let two = Usage { input: 2, output: 4, cache_read: 6, cache_creation: 8, ..Usage::default() };
        let whole = totals.whole;
        assert_eq!((whole.requests, whole.failed, whole.cancelled, whole.tokens), (2, 0, 1, two));
        assert_eq!((whole.tool_uses, whole.tool_results, whole.tool_calls), (10, 12, 14));
        assert_eq!(whole.elapsed, Duration::from_millis(16));
        assert_eq!((totals.streamed.requests, totals.streamed.failed, totals.last), (1, 1, 30));
    }

    #[test]
    fn a_request_without_a_target_is_counted_under_unknown() {
        let mut rows = Rows::default();
        rows.count(&Record { provider: None, model: None, ..record("m", RequestEnd::Cancelled) }, 1);

        let named: Vec<_> = rows.iter().map(|(provider, model, _)| (provider, model)).collect();
        assert_eq!(named, [(UNKNOWN, UNKNOWN)]);
    }

    #[test]
    fn models_beyond_the_limit_share_one_row() {
        let mut rows = Rows::default();
        for number in 0..MAX_ROWS + 2 {
            rows.count(&record(&number.to_string(), RequestEnd::Succeeded), 1);
        }
        rows.count(&record("0", RequestEnd::Succeeded), 1);

        let requests =
            |model: &str| rows.iter().find(|row| row.1 == model).map(|(_, _, totals)| totals.whole.requests);
        assert_eq!((requests("0"), requests(OTHER), rows.iter().count()), (Some(2), Some(2), MAX_ROWS + 1));
    }

    #[test]
    fn sums_saturate() {
        let mut rows = Rows::default();
        let usage = Usage { input: u64::MAX, ..Usage::default() };
        for _ in 0..2 {
            rows.count(&Record { usage, ..record("m", RequestEnd::Succeeded) }, 1);
        }

        assert_eq!(rows.iter().next().unwrap().2.whole.tokens.input, u64::MAX);
    }
}
