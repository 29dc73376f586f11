//! The end of a reply: what came only with it, why it ends, and what it used.

use super::ResponsesDecoder;
use super::items::{ItemName, ItemRole};
use crate::{
    anthropic::event::{EventSink, ReplyEnding, ReportedUsage},
    convert::ReplySummary,
    fault::Fault,
    openai::responses_stream::ResponseObject,
    reported::Reported,
    vocabulary::{StopReason, Usage},
};

/// What a reply used, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) usage: Option<Usage>,
    cost: Option<u64>,
    thinking: Option<u64>,
    /// The number of searches that the upstream reports, and of those that are items.
    reported_searches: Option<u64>,
    pub(super) searches: u64,
}

impl Counts {
    fn take(&mut self, response: &ResponseObject<'_>) {
        let Some(usage) = &response.usage.0 else { return };
        self.usage = Some(usage.usage());
        self.cost = usage.reported_cost();
        self.thinking = usage.reasoning();
        self.reported_searches = usage.web_searches();
    }

    fn reported(&self) -> ReportedUsage {
        let usage = self.usage.unwrap_or_default();
        let one_hour = Some(usage.cache_creation_1h).filter(|tokens| *tokens > 0);
        ReportedUsage { thinking: self.thinking, cache_creation_1h: one_hour, ..ReportedUsage::from(usage) }
    }
}

impl ResponsesDecoder {
    /// The last event has come, or the whole reply.
    pub(super) fn over<S: EventSink>(
        &mut self,
        response: Option<&ResponseObject<'_>>,
        incomplete: Option<StopReason>,
        sink: &mut S,
    ) {
        self.is_over = true;
        self.incomplete = incomplete;
        let Some(response) = response else { return };
        self.counts.take(response);
        if !self.writer.is_cut_off() {
            self.list(response, sink);
        }
    }

    /// Takes what the final list of items has and no event before had.
    fn list<S: EventSink>(&mut self, response: &ResponseObject<'_>, sink: &mut S) {
        let items = response.items();
        let names: Vec<(&str, ItemRole)> = items.iter().map(|item| (item.id(), self.role(item))).collect();
        let known = self.items.list(&names);
        for ((item, known), (id, role)) in items.iter().zip(known).zip(names) {
            let at = known.unwrap_or_else(|| self.items.add(ItemName { index: None, id }, role));
            self.complete_item(at, item, sink);
        }
    }

    /// Writes the end. Returns the reason for the client.
    pub(super) fn complete<S: EventSink>(&mut self, sink: &mut S) -> StopReason {
        self.items.end_all();
        self.advance(sink);
        let searches = Some(self.counts.searches).filter(|searches| *searches > 0);
        self.writer.search.count(self.counts.reported_searches.or(searches));
        let reason = self.manner.stop_reason(self.incomplete, self.writer.calls());
        let counts = self.counts.reported();
        let ending = ReplyEnding {
            reason: Some(reason),
            is_filtered: self.incomplete == Some(StopReason::Refusal),
            ..ReplyEnding::default()
        };
        self.writer.complete(ending, counts, sink)
    }

    pub(super) fn summary(&self, stop_reason: Option<StopReason>, fault: Option<Fault>) -> ReplySummary {
        let mut reported = Reported { cost: self.counts.cost, ..self.left_out.clone() };
        reported.set_web_searches(Some(self.writer.search.requests()));
        let (usage, tool_calls) = (self.counts.usage, self.writer.calls());
        ReplySummary { stop_reason, usage, reported, tool_calls, fault }
    }
}
