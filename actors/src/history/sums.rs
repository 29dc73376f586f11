//! Adds up requests. Sums saturate, because an upstream can report any number.

use std::time::Duration;

use vandamme_protocol::vocabulary::Usage;

use super::query::UsageSums;
use crate::clock::Millis;
use crate::ledger::{FinishedRequest, RequestEnd};

/// A reply that arrives in less time has come at once: its speed is that of this machine, not of the model.
pub const LEAST_STREAMING: Duration = Duration::from_millis(1);

impl UsageSums {
    /// The sums over one request.
    pub fn of(finished: &FinishedRequest) -> Self {
        let mut sums = Self::default();
        sums.count(finished);
        sums
    }

    /// Adds one request.
    pub fn count(&mut self, finished: &FinishedRequest) {
        let FinishedRequest { record, ended, cost, .. } = finished;
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        let is_cancelled = record.end.is_cancelled();
        add(&mut self.requests, 1);
        add(&mut self.failed, u64::from(record.end != RequestEnd::Succeeded && !is_cancelled));
        add(&mut self.cancelled, u64::from(is_cancelled));
        self.usage = self.usage.plus(record.usage);
        self.cost = self.cost.plus(cost.unwrap_or_default());
        add(&mut self.unpriced, u64::from(cost.is_none() && record.usage != Usage::default()));
        add(&mut self.tool_calls, record.tool_calls.into());
        add(&mut self.upstream_calls, record.upstream_calls.into());
        add(&mut self.request_bytes, record.request.size as u64);
        add(&mut self.reply_bytes, record.reply_size);
        add(&mut self.tool_uses, record.request.tools.uses.into());
        add(&mut self.tool_results, record.request.tools.results.into());
        self.first = earlier(self.first, finished.started());
        self.last = self.last.max(*ended);
        self.duration = self.duration.saturating_add(record.elapsed);
        self.elapsed.record(record.elapsed);
        let Some(first_event) = record.first_event else { return };
        self.first_event.record(first_event);
        let streaming = record.elapsed.saturating_sub(first_event);
        if record.request.streamed && record.end == RequestEnd::Succeeded && streaming >= LEAST_STREAMING {
            self.streaming = self.streaming.saturating_add(streaming);
            add(&mut self.streamed_output, record.usage.output);
        }
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.failed, other.failed);
        add(&mut self.cancelled, other.cancelled);
        self.usage = self.usage.plus(other.usage);
        self.cost = self.cost.plus(other.cost);
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.tool_calls, other.tool_calls);
        add(&mut self.upstream_calls, other.upstream_calls);
        add(&mut self.request_bytes, other.request_bytes);
        add(&mut self.reply_bytes, other.reply_bytes);
        add(&mut self.tool_uses, other.tool_uses);
        add(&mut self.tool_results, other.tool_results);
        self.first = earlier(self.first, other.first);
        self.last = self.last.max(other.last);
        self.duration = self.duration.saturating_add(other.duration);
        self.elapsed.merge(&other.elapsed);
        self.first_event.merge(&other.first_event);
        self.streaming = self.streaming.saturating_add(other.streaming);
        add(&mut self.streamed_output, other.streamed_output);
    }
}

/// The earlier of two starts, of which 0 is none.
fn earlier(one: Millis, other: Millis) -> Millis {
    match (one, other) {
        (0, start) | (start, 0) => start,
        (one, other) => one.min(other),
    }
}
