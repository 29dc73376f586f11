//! Adds up requests. Sums saturate, because an upstream can report any number.

use std::time::Duration;

use vandamme_protocol::vocabulary::Usage;

use super::query::UsageSums;
use crate::cost::Cost;
use crate::ledger::{FinishedRequest, Histogram, RequestEnd};

/// A reply that arrives in less time has come at once: its speed is that of this machine, not of the model.
pub const LEAST_STREAMING: Duration = Duration::from_millis(1);

impl UsageSums {
    /// The sums over one request.
    pub fn of(finished: &FinishedRequest) -> Self {
        let record = &finished.record;
        let mut sums = Self {
            requests: 1,
            failed: u64::from(record.end != RequestEnd::Succeeded && !record.end.is_cancelled()),
            cancelled: u64::from(record.end.is_cancelled()),
            usage: record.usage,
            cost: finished.cost.unwrap_or_default(),
            unpriced: u64::from(finished.cost.is_none() && record.usage != Usage::default()),
            tool_calls: record.tool_calls.into(),
            upstream_calls: record.upstream_calls.into(),
            request_bytes: record.request.size as u64,
            reply_bytes: record.reply_size,
            tool_uses: record.request.tools.uses.into(),
            tool_results: record.request.tools.results.into(),
            first: finished.started(),
            last: finished.ended,
            duration: record.elapsed,
            elapsed: Histogram::default(),
            first_event: Histogram::default(),
            streaming: Duration::ZERO,
            streamed_output: 0,
        };
        sums.elapsed.record(record.elapsed);
        if let Some(first_event) = record.first_event {
            sums.first_event.record(first_event);
            let streaming = record.elapsed.saturating_sub(first_event);
            if record.request.streamed && record.end == RequestEnd::Succeeded && streaming >= LEAST_STREAMING
            {
                sums.streaming = streaming;
                sums.streamed_output = record.usage.output;
            }
        }
        sums
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.failed, other.failed);
        add(&mut self.cancelled, other.cancelled);
        self.usage = self.usage.plus(other.usage);
        self.cost = Cost {
            micro_dollars: self.cost.micro_dollars.saturating_add(other.cost.micro_dollars),
            saved_micro_dollars: self.cost.saved_micro_dollars.saturating_add(other.cost.saved_micro_dollars),
        };
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.tool_calls, other.tool_calls);
        add(&mut self.upstream_calls, other.upstream_calls);
        add(&mut self.request_bytes, other.request_bytes);
        add(&mut self.reply_bytes, other.reply_bytes);
        add(&mut self.tool_uses, other.tool_uses);
        add(&mut self.tool_results, other.tool_results);
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (one, other) => one.min(other),
        };
        self.last = self.last.max(other.last);
        self.duration = self.duration.saturating_add(other.duration);
        self.elapsed.merge(&other.elapsed);
        self.first_event.merge(&other.first_event);
        self.streaming = self.streaming.saturating_add(other.streaming);
        add(&mut self.streamed_output, other.streamed_output);
    }
}
