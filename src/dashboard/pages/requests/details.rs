//! The details of one request: its times, its calls, its sizes and its ids.

use std::time::Duration;

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{StoredCacheLoss, StoredCall, StoredRequest};
use vandamme_actors::ledger::{Active, VerdictCounts};
use vandamme_actors::secret::Secrets;

use super::row::Row;
use crate::dashboard::gather::shown;
use crate::dashboard::units::{Bytes, Count, Elapsed, Money};
use crate::gateway::Gateway;

#[derive(Debug, Serialize)]
pub(super) struct Details {
    pub(super) row: Row,
    pub(super) api: String,
    pub(super) upstream_api: String,
    pub(super) agent: String,
    /// The id of the client's request that it serves, and its purpose.
    pub(super) parent: String,
    pub(super) purpose: String,
    /// The verdicts of a judge on its tool calls.
    pub(super) verdicts: String,
    /// By which `[routing]` has chosen the model; empty without one.
    pub(super) role: String,
    pub(super) stop_reason: String,
    pub(super) calls: Vec<Call>,
    pub(super) steps: Vec<Step>,
    pub(super) tool_calls: Count,
    pub(super) tool_uses: Count,
    pub(super) tool_results: Count,
    pub(super) messages: Count,
    pub(super) request_bytes: Bytes,
    pub(super) reply_bytes: Bytes,
    pub(super) cache_written: Count,
    pub(super) reasoning: Count,
    /// What the prompt cache saved; negative if it cost more.
    pub(super) saved: Option<String>,
    /// Why its conversation's prompt cache was lost, and what that cost.
    pub(super) cache_loss: Option<String>,
}

/// One call to an upstream.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    pub(super) target: String,
    pub(super) key: String,
    /// A dash if no reply came.
    pub(super) status: String,
    pub(super) outcome: String,
    pub(super) upstream_request_id: Option<String>,
    pub(super) started: Elapsed,
    pub(super) elapsed: Elapsed,
}

/// A part of the request's time.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) elapsed: Elapsed,
    /// The start and the length on the time line, in thousandths of the duration.
    pub(super) from: u32,
    pub(super) length: u32,
    /// The class of its colour.
    pub(super) kind: &'static str,
}

impl Details {
    /// The request with this id: in flight, just ended, or in the history.
    pub(super) async fn find(gateway: &Gateway, id: &str, active: &[Active]) -> Option<Self> {
        let live = gateway.live_config();
        if let Some(active) = active.iter().find(|active| &*active.request_id == id) {
            let row = Row::running(active, &live.secrets);
            return Some(Self::new(row, &running(active), &live.secrets));
        }
        let latest = gateway.last_hour.news(0).requests;
        let latest = latest.iter().rev().find(|finished| &*finished.record.request_id == id);
        let stored = match latest {
            Some(finished) => StoredRequest::from(&**finished),
            None => {
                let history = gateway.registry.load().history.clone();
                history.request(id.to_owned()).await.ok().flatten()?
            }
        };
        Some(Self::new(Row::finished(&stored, &live.secrets), &stored, &live.secrets))
    }

    fn new(row: Row, request: &StoredRequest, secrets: &Secrets) -> Self {
        let text =
            |text: &Option<String>| text.as_deref().map(|text| shown(text, secrets)).unwrap_or_default();
        let saved = request.cost.map(|cost| cost.saved_micro_dollars).filter(|saved| *saved != 0);
        Self {
            row,
            api: request.api.clone().unwrap_or_default(),
            upstream_api: request.upstream_api.clone().unwrap_or_default(),
            agent: text(&request.agent),
            parent: text(&request.parent),
            purpose: text(&request.purpose),
            verdicts: request.verdicts.map(judged).unwrap_or_default(),
            role: request.role.clone().unwrap_or_default(),
            stop_reason: text(&request.stop_reason),
            steps: steps(request),
            calls: request.calls.iter().map(|call| Call::new(call, secrets)).collect(),
            tool_calls: Count(request.tool_calls.into()),
            tool_uses: Count(request.tool_uses.into()),
            tool_results: Count(request.tool_results.into()),
            messages: Count(request.messages.into()),
            request_bytes: Bytes(request.request_bytes),
            reply_bytes: Bytes(request.reply_bytes),
            cache_written: Count(request.usage.cache_creation),
            reasoning: Count(request.usage.reasoning),
            saved: saved.map(|saved| {
                let sign = if saved < 0 { "−" } else { "" };
                format!("{sign}{}", Money(Some(saved.unsigned_abs())))
            }),
            cache_loss: request.cache_loss.as_ref().map(lost),
        }
    }
}

impl Call {
    fn new(call: &StoredCall, secrets: &Secrets) -> Self {
        Self {
            target: format!("{}:{}", call.provider, shown(&call.model, secrets)),
            key: call.key.clone().unwrap_or_else(|| "–".to_owned()),
            status: call.status.map_or_else(|| "–".to_owned(), |status| status.to_string()),
            outcome: call.outcome.clone().unwrap_or_else(|| "running".to_owned()),
            upstream_request_id: call.upstream_request_id.as_deref().map(|id| shown(id, secrets)),
            started: Elapsed(Some(Duration::from_millis(call.started_ms))),
            elapsed: Elapsed(Some(Duration::from_millis(call.elapsed_ms))),
        }
    }
}

/// The verdicts in words.
fn judged(VerdictCounts { not_flagged, flagged, unavailable, shadow }: VerdictCounts) -> String {
    let shadow = if shadow { " (recorded only)" } else { "" };
    format!("{not_flagged} not flagged, {flagged} flagged, {unavailable} unavailable{shadow}")
}

/// One sentence about a lost prompt cache.
fn lost(loss: &StoredCacheLoss) -> String {
    let StoredCacheLoss { explanation, tokens, micro_dollars, .. } = loss;
    let cost = micro_dollars.map(|cost| format!(", for {} more", Money(Some(cost)))).unwrap_or_default();
    format!("The prompt cache was lost: {explanation}. {} tokens were paid again{cost}.", Count(*tokens))
}

/// A request in flight as one that ends now.
fn running(active: &Active) -> StoredRequest {
    let request = &active.request;
    StoredRequest {
        request_id: active.request_id.to_string(),
        started: active.since,
        ended: active.since.saturating_add(vandamme_actors::clock::millis(active.elapsed)),
        streamed: request.streamed,
        agent: request.agent.as_deref().map(str::to_owned),
        parent: request.origin.as_ref().map(|origin| origin.parent.to_string()),
        purpose: request.origin.as_ref().map(|origin| origin.purpose.to_owned()),
        role: request.role.as_deref().map(str::to_owned),
        api: request.api_word().map(str::to_owned),
        calls: active.calls.iter().map(StoredCall::from).collect(),
        usage: active.usage,
        tool_calls: active.tool_calls,
        tool_uses: request.tools.uses,
        tool_results: request.tools.results,
        messages: request.messages,
        request_bytes: request.size as u64,
        reply_bytes: active.reply_size,
        first_event: active.first_event,
        elapsed: active.elapsed,
        ..StoredRequest::default()
    }
}

/// The time before the first call, the calls, and the reply after its first event.
fn steps(request: &StoredRequest) -> Vec<Step> {
    let total = vandamme_actors::clock::millis(request.elapsed);
    let step = |name: String, kind, from: Millis, length: Millis| {
        let share = |part: Millis| {
            let thousandths = part.min(total).saturating_mul(1000) / total.max(1);
            u32::try_from(thousandths).unwrap_or(1000)
        };
        let (start, end) = (share(from), share(from.saturating_add(length)));
        Step {
            name,
            elapsed: Elapsed(Some(Duration::from_millis(length))),
            from: start,
            // A short step stays visible.
            length: end.saturating_sub(start).max(4).min(1000 - start.min(996)),
            kind,
        }
    };
    let first_call = request.calls.first().map_or(total, |call| call.started_ms.min(total));
    let mut steps = vec![step("Queue".to_owned(), "muted", 0, first_call)];
    for (at, call) in request.calls.iter().enumerate() {
        let is_last = at + 1 == request.calls.len();
        let kind = if call.status.is_some_and(|status| status < 400) || (is_last && call.outcome.is_none()) {
            "1"
        } else {
            "bad"
        };
        let name = format!("Call {} to its first byte", at + 1);
        steps.push(step(name, kind, call.started_ms, call.elapsed_ms));
    }
    if let Some(first) = request.first_event.map(vandamme_actors::clock::millis) {
        steps.push(step(
            "Reply after its first event".to_owned(),
            "good",
            first,
            total.saturating_sub(first),
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(started_ms: u64, elapsed_ms: u64, status: Option<u16>) -> StoredCall {
        StoredCall {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            key: Some("0a1b2c3d".to_owned()),
            status,
            outcome: Some("answered".to_owned()),
            upstream_request_id: None,
            started_ms,
            elapsed_ms,
        }
    }

    /// Checklist 33: request details show each upstream try with key hash, status and duration.
    #[test]
    fn details_show_every_call() {
        let stored = StoredRequest {
            calls: vec![call(10, 190, Some(429)), call(250, 250, Some(200))],
            first_event: Some(Duration::from_millis(500)),
            elapsed: Duration::from_secs(1),
            status: 200,
            end: "succeeded".to_owned(),
            ..StoredRequest::default()
        };
        let secrets = Secrets::new([]);
        let details = Details::new(Row::finished(&stored, &secrets), &stored, &secrets);
        let calls: Vec<_> = details
            .calls
            .iter()
            .map(|call| (call.key.as_str(), call.status.as_str(), call.elapsed.to_string()))
            .collect();
        assert_eq!(
            calls,
            [("0a1b2c3d", "429", "190 ms".to_owned()), ("0a1b2c3d", "200", "250 ms".to_owned())]
        );
        let steps: Vec<_> = details.steps.iter().map(|step| (step.from, step.length, step.kind)).collect();
        assert_eq!(steps, [(0, 10, "muted"), (10, 190, "bad"), (250, 250, "1"), (500, 500, "good")]);
    }

    /// Requirement: the time line stays within its frame, whatever was recorded.
    #[test]
    fn steps_stay_within_the_time_line() {
        for (started, elapsed, total) in
            [(0, 0, 0), (5, 5_000, 10), (u64::MAX, u64::MAX, 3), (1, 1, u64::MAX)]
        {
            let stored = StoredRequest {
                calls: vec![call(started, elapsed, None)],
                first_event: Some(Duration::from_millis(total)),
                elapsed: Duration::from_millis(total),
                ..StoredRequest::default()
            };
            for step in steps(&stored) {
                assert!(step.from + step.length <= 1004 && step.length >= 4, "{step:?}");
            }
        }
    }
}
