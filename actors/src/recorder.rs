//! Records one request: the guard that every request holds, and that writes its record to the ledger.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use vandamme_protocol::reported::Reported;
use vandamme_protocol::vocabulary::Usage;

use crate::excerpt;
use crate::ledger::{
    Cancellation, ImageCounts, InFlight, LedgerEvent, MAX_MESSAGE, Record, RequestEnd, RequestSummary, WakeUp,
};
use crate::outcome::Outcome;
use crate::registry::Registry;
use crate::secret::KeyId;
use crate::settings::{Api, Metrics};
use crate::snapshot::Snapshot;

/// A request's guard: it writes the record when it is dropped, also if the request is cancelled.
pub struct RequestRecorder {
    pub record: Record,
    registry: Snapshot<Registry>,
    metrics: Metrics,
    in_flight: Arc<InFlight>,
}

/// Counts what a client is sent before its request has an outcome.
pub struct EarlyReply(Arc<InFlight>);

impl EarlyReply {
    /// The client gets the head of its reply now.
    pub fn head_sent(&self, status: u16) {
        self.0.set_early_status(status);
    }

    /// The client is sent this many bytes of its reply's body.
    pub fn sent(&self, bytes: usize) {
        self.0.sent(bytes as u64);
    }
}

/// Records calls that the gateway makes for a request while its reply is on its way, such as the rounds of a web search. They
/// follow the calls that the request's guard has recorded.
#[derive(Clone)]
pub struct CallRecorder(Arc<InFlight>);

impl CallRecorder {
    /// A call to this target is sent now.
    pub fn call_started(&self, provider: &Arc<str>, model: &Arc<str>, key: KeyId) {
        self.0.call_started(provider, model, key);
    }

    /// The number of calls so far, the guard's included.
    pub fn calls(&self) -> u32 {
        self.0.call_count()
    }

    /// The head of the call's reply has arrived.
    pub fn call_replied(&self, status: u16) {
        self.0.call_replied(status);
    }

    /// The upstream has this id for the call.
    pub fn call_identified(&self, id: &str) {
        self.0.call_identified(id);
    }

    /// The call has this outcome.
    pub fn call_ended(&self, outcome: Outcome) {
        end_call(&self.0, outcome);
    }

    /// The tokens of the calls so far. They are recorded if the request ends without a usage of its own.
    pub fn set_usage(&self, usage: Usage) {
        self.0.set_usage(usage);
    }

    /// The web searches that the gateway has run for the request so far.
    pub fn set_web_searches(&self, searches: u32) {
        self.0.set_web_searches(searches);
    }
}

fn end_call(in_flight: &InFlight, outcome: Outcome) {
    if matches!(outcome, Outcome::Answered | Outcome::Cancelled) {
        in_flight.call_ended(outcome.label());
    } else {
        in_flight.call_failed(outcome.label());
    }
}

impl RequestRecorder {
    /// Starts the record of a request, with the end [`RequestEnd::Cancelled`] until another end is set.
    pub fn open(request_id: Arc<str>, registry: Snapshot<Registry>, metrics: Metrics) -> Self {
        let in_flight = Arc::new(InFlight::start());
        if metrics == Metrics::Kept {
            registry.load().event_queue.write(LedgerEvent::Started(request_id.clone(), in_flight.clone()));
        }
        Self { record: begun(request_id), registry, metrics, in_flight }
    }

    /// Resolves when an operator cancels the request.
    pub fn cancellation(&self) -> Cancellation {
        Cancellation(self.in_flight.clone())
    }

    /// Whether an operator has cancelled the request. Otherwise a cancellation wakes this task.
    pub(crate) fn poll_cancelled(&self, task: &Context<'_>) -> Poll<()> {
        self.in_flight.poll_cancelled(task)
    }

    /// Sets the summary of the client's request, once it is known.
    pub fn set_summary(&mut self, summary: RequestSummary) {
        self.in_flight.set_summary(summary.clone());
        self.record.request = summary;
    }

    /// Updates the usage and the number of tool calls that the upstream has reported so far.
    pub(crate) fn set_counters(&self, usage: Usage, tool_calls: u32) {
        self.in_flight.set_counters(usage, tool_calls);
    }

    /// Counts what the client is sent before the request has an outcome.
    pub fn early_reply(&self) -> EarlyReply {
        EarlyReply(self.in_flight.clone())
    }

    /// A call to this target is sent now.
    pub fn call_started(&mut self, provider: &Arc<str>, model: &Arc<str>, api: Api, key: KeyId) {
        self.in_flight.call_started(provider, model, key);
        self.record.upstream_api = Some(api);
        self.record.key = Some(key);
        self.record.upstream_calls += 1;
    }

    /// The head of the call's reply has arrived.
    pub fn call_replied(&self, status: u16) {
        self.in_flight.call_replied(status);
    }

    /// The upstream has this id for the call.
    pub fn call_identified(&self, id: &str) {
        self.in_flight.call_identified(id);
    }

    /// The call has this outcome.
    pub fn call_ended(&self, outcome: Outcome) {
        end_call(&self.in_flight, outcome);
    }

    /// Records further calls of the request.
    pub fn later_calls(&self) -> CallRecorder {
        CallRecorder(self.in_flight.clone())
    }

    /// The client is sent the first event of its reply, or the head of a whole reply.
    pub fn first_event(&self) {
        self.in_flight.set_first_event();
    }

    /// The client is sent this many bytes of its reply's body.
    pub fn sent(&self, bytes: usize) {
        self.in_flight.sent(bytes as u64);
    }

    /// The client has disconnected before it got this many of those bytes.
    pub(crate) fn not_sent(&self, bytes: usize) {
        self.in_flight.not_sent(bytes as u64);
    }

    /// The client has its whole reply; the record is completed later.
    pub fn reply_complete(&mut self) {
        self.record.elapsed = self.in_flight.elapsed();
    }

    /// Sets the target that the request is sent to.
    pub fn routed(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        self.in_flight.routed(self.record.failed_targets.len(), provider, model);
        if self.record.provider.as_ref() != Some(provider) {
            // The key of the call before belongs to another provider.
            self.record.key = None;
        }
        self.record.provider = Some(provider.clone());
        self.record.model = Some(model.clone());
    }

    /// Records that this target failed and that the request moves to the next one.
    pub fn target_failed(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        self.routed(provider, model);
        self.record.failed_targets.push(format!("{provider}:{model}"));
    }
}

/// The record of a request that has begun.
fn begun(request_id: Arc<str>) -> Record {
    Record {
        request_id,
        request: RequestSummary::default(),
        provider: None,
        model: None,
        upstream_api: None,
        failed_targets: vec![],
        calls: vec![],
        key: None,
        status: 0,
        upstream_calls: 0,
        usage: Usage::default(),
        reported: Reported::default(),
        tool_calls: 0,
        verdicts: None,
        stop_reason: None,
        images: ImageCounts::default(),
        reply_size: 0,
        first_event: None,
        elapsed: Duration::ZERO,
        end: RequestEnd::Cancelled,
    }
}

/// Counts the calls that a [`CallRecorder`] has added, and takes the key of the last one.
fn add_later_calls(record: &mut Record) {
    let calls = u32::try_from(record.calls.len()).unwrap_or(u32::MAX);
    if calls > record.upstream_calls {
        record.upstream_calls = calls;
        record.key = record.calls.last().and_then(|call| call.key);
    }
}

impl Drop for RequestRecorder {
    fn drop(&mut self) {
        if let RequestEnd::Failed { message, .. } = &mut self.record.end {
            // The record waits in a queue from here on.
            *message = excerpt::cut(std::mem::take(message), MAX_MESSAGE);
        }
        let mut record = std::mem::replace(&mut self.record, begun(Arc::default()));
        if record.elapsed.is_zero() {
            record.elapsed = self.in_flight.elapsed();
        }
        if record.usage == Usage::default() {
            record.usage = self.in_flight.usage();
        }
        record.usage = record.usage.plausible();
        record.reported.web_searches = record.reported.web_searches.max(self.in_flight.web_searches());
        if std::thread::panicking() {
            record.end = RequestEnd::Failed { kind: "api_error", message: "the request panicked".to_owned() };
            if record.status == 0 {
                record.status = 500;
            }
        }
        record.status = self.in_flight.early_status().unwrap_or(record.status);
        // A call without an outcome ended with the request.
        self.in_flight.call_ended(Outcome::Cancelled.label());
        record.calls = self.in_flight.calls();
        add_later_calls(&mut record);
        record.first_event = self.in_flight.first_event();
        record.reply_size = self.in_flight.reply_size();
        let event = match self.metrics {
            Metrics::Kept => LedgerEvent::Finished(Box::new(record)),
            Metrics::Off if log::log_enabled!(log::Level::Debug) => LedgerEvent::LogOnly(Box::new(record)),
            Metrics::Off => return,
        };
        let registry = self.registry.load();
        registry.event_queue.write(event);
        if registry.event_queue.must_wake() {
            // At most one wake-up is pending; sending it must never block.
            registry.ledger.do_send(WakeUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use actix_rt::time::timeout;

    use super::*;
    use crate::secret::ApiKey;
    use crate::supervisor::Supervisor;
    use crate::testing::settings;

    fn called(registry: &Snapshot<Registry>) -> RequestRecorder {
        let mut recorder = RequestRecorder::open("id".into(), registry.clone(), Metrics::Kept);
        recorder.call_started(&"p".into(), &"m".into(), Api::Messages, ApiKey::new("k").id());
        recorder
    }

    /// The record of a request that panics after these steps.
    async fn record_of_a_panic(steps: impl FnOnce(&mut RequestRecorder)) -> Record {
        let (_supervisor, registry) = Supervisor::start_tree(settings(vec![]));
        let mut finished = registry.load().finished.subscribe();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut recorder = called(&registry);
            steps(&mut recorder);
            panic!("a test");
        }));
        assert!(panicked.is_err());
        let finished = timeout(Duration::from_secs(20), finished.recv()).await.unwrap().unwrap();
        finished.record.clone()
    }

    /// Requirement: a request that panics is recorded as a failure, with the status that its client gets, and with its calls.
    #[actix_rt::test]
    async fn a_panic_is_recorded_with_the_calls_before_it() {
        let record = record_of_a_panic(|recorder| recorder.call_replied(200)).await;
        assert!(matches!(record.end, RequestEnd::Failed { kind: "api_error", .. }), "{record:?}");
        assert_eq!((record.status, record.upstream_api), (500, Some(Api::Messages)));
        let [call] = &record.calls[..] else { panic!("one call: {record:?}") };
        assert_eq!((call.status, call.outcome), (Some(200), Some("cancelled")));
        assert!(call.started + call.elapsed <= record.elapsed, "{record:?}");
    }

    /// Requirement: a client that had its status keeps it.
    #[actix_rt::test]
    async fn a_panic_after_an_early_head_keeps_the_status() {
        let record = record_of_a_panic(|recorder| {
            let early = recorder.early_reply();
            early.head_sent(200);
            early.sent(12);
        });
        let record = record.await;
        assert_eq!((record.status, record.reply_size, record.first_event), (200, 12, None));
    }

    /// Requirement: the key of a record belongs to its provider: none is shown for a target that was refused without a call.
    #[actix_rt::test]
    async fn the_key_of_a_record_belongs_to_its_provider() {
        let key = ApiKey::new("k").id();
        let record = record_of_a_panic(move |recorder| {
            recorder.routed(&"p".into(), &"m".into());
            assert_eq!(recorder.record.key, None);
            recorder.call_started(&"p".into(), &"m".into(), Api::Messages, key);
            recorder.routed(&"p".into(), &"other-model".into());
            assert_eq!(recorder.record.key, Some(key));
            recorder.target_failed(&"p".into(), &"m".into());
            recorder.routed(&"q".into(), &"m".into());
        });
        let record = record.await;
        assert_eq!((record.provider.as_deref(), record.key), (Some("q"), None));
    }

    /// Requirement: a count that no request can have does not get into the sums; the others do.
    #[actix_rt::test]
    async fn an_impossible_count_of_tokens_is_not_recorded() {
        let record = record_of_a_panic(|recorder| {
            recorder.record.usage = Usage { input: u64::MAX, output: 55, ..Usage::default() };
        });
        assert_eq!(record.await.usage, Usage { output: 55, ..Usage::default() });
    }
}
