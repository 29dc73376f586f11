//! What a reply holds until its end: its entry in the ledger, and its lease.

use std::task::Context;

use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::vocabulary::Usage;

use super::held_record::HeldRecord;
use super::left_out;
use crate::ledger::RequestEnd;
use crate::outcome::Outcome;
use crate::provider::Lease;
use crate::recorder::RequestRecorder;

pub(super) struct ReplyGuards {
    entry: Option<RequestRecorder>,
    lease: Option<Lease>,
    is_cancelled: bool,
    /// Receives the entry when the reply has ended.
    held: Option<HeldRecord>,
}

impl ReplyGuards {
    pub(super) fn new(entry: RequestRecorder, lease: Lease) -> Self {
        Self { entry: Some(entry), lease: Some(lease), is_cancelled: false, held: None }
    }

    /// Puts the entry of the ended reply into `held`.
    pub(super) fn held_in(self, held: HeldRecord) -> Self {
        Self { held: Some(held), ..self }
    }

    /// Whether an operator has cancelled the request. Otherwise a cancellation wakes this task.
    pub(super) fn poll_cancelled(&mut self, task: &Context<'_>) -> bool {
        self.is_cancelled = self.entry.as_ref().is_some_and(|entry| entry.poll_cancelled(task).is_ready());
        self.is_cancelled
    }

    /// The request's id, until the reply has ended.
    pub(super) fn request_id(&self) -> &str {
        self.entry.as_ref().map_or("-", |entry| &entry.record.request_id)
    }

    /// The client is sent this many bytes; after them the reply has these tokens and tool calls.
    pub(super) fn sent(&self, bytes: usize, (usage, tool_calls): (Usage, u32)) {
        if let Some(entry) = &self.entry {
            entry.set_counters(usage, tool_calls);
            entry.sent(bytes);
        }
    }

    pub(super) fn pinged(&self, bytes: usize) {
        if let Some(entry) = &self.entry {
            entry.sent(bytes);
        }
    }

    /// The client has disconnected before it got `unsent` bytes that were counted.
    pub(super) fn cancelled(&mut self, summary: &ReplySummary, unsent: usize) {
        if let Some(entry) = &self.entry {
            entry.not_sent(unsent);
        }
        self.record(summary, RequestEnd::Cancelled, Outcome::Cancelled);
        self.give_back(Outcome::Cancelled, "");
    }

    /// The reply has ended with `last` bytes more.
    pub(super) fn ended(&mut self, summary: ReplySummary, outcome: Outcome, last: usize) {
        self.pinged(last);
        let end = match &summary.fault {
            None => RequestEnd::Succeeded,
            Some(_) if self.is_cancelled => RequestEnd::cancelled_by_operator(),
            Some(fault) => {
                RequestEnd::Failed { kind: fault.kind.anthropic(), message: fault.message.clone() }
            }
        };
        self.record(&summary, end, outcome);
        let message = summary.fault.map(|fault| fault.message).unwrap_or_default();
        self.give_back(outcome, &message);
    }

    fn record(&mut self, summary: &ReplySummary, end: RequestEnd, outcome: Outcome) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.call_ended(outcome);
        entry.record.usage = summary.usage.unwrap_or_default();
        entry.record.reported = summary.reported.clone();
        let provider = entry.record.provider.as_deref().unwrap_or_default();
        left_out::report(provider, &summary.reported.left_out);
        entry.record.tool_calls = summary.tool_calls;
        entry.record.stop_reason = summary.stop_reason.map(|reason| reason.anthropic().into());
        entry.record.end = end;
        if let Some(held) = &self.held {
            held.put(entry);
        }
    }

    fn give_back(&mut self, outcome: Outcome, message: &str) {
        if let Some(lease) = self.lease.take() {
            lease.finish_with(outcome, message);
        }
    }
}
