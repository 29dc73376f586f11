//! Tracks requests in flight: each request updates its own entry without locks, and no request waits for another.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use vandamme_protocol::vocabulary::Usage;

use super::{CallRecord, RequestSummary, UNKNOWN};
use crate::clock::{self, Millis};
use crate::secret::KeyId;

/// A snapshot of a request in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Active {
    pub request_id: Arc<str>,
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub request: RequestSummary,
    pub since: Millis,
    pub elapsed: Duration,
    /// The usage that the upstream has reported so far.
    pub usage: Usage,
    pub tool_calls: u32,
    /// See [`Record::first_event`](super::Record::first_event).
    pub first_event: Option<Duration>,
    /// The bytes of the reply's body that the client has been sent so far.
    pub reply_size: u64,
    /// The calls so far. The last one names the key in use.
    pub calls: Vec<CallRecord>,
}

/// The entry of one request.
#[derive(Debug)]
pub(crate) struct InFlight {
    started: Instant,
    since: Millis,
    summary: OnceLock<RequestSummary>,
    first_hop: Hop,
    first_call: Call,
    counters: TokenCounters,
    /// The web searches that the gateway has run for it.
    web_searches: AtomicU32,
    /// Microseconds from the start to the first event, plus one; 0 until then.
    first_event: AtomicU64,
    reply_size: AtomicU64,
    /// The status that the client has got before the request had an outcome; 0 if none.
    early_status: AtomicU16,
    cancelled: AtomicBool,
    /// The task that carries the request now.
    task: AtomicWaker,
}

/// Tells a request's task that an operator has cancelled the request. One task at a time may wait for it.
#[derive(Clone, Debug)]
pub struct Cancellation(pub(crate) Arc<InFlight>);

/// One target that the request was sent to.
#[derive(Debug, Default)]
struct Hop {
    target: OnceLock<(Arc<str>, Arc<str>)>,
    /// The target that the request moved to after a failure here.
    next: OnceLock<Box<Self>>,
}

/// One call to an upstream. Only the request itself writes it: its calls follow one another.
#[derive(Debug, Default)]
struct Call {
    target: OnceLock<CallTarget>,
    /// 0 until the upstream's head has arrived.
    status: AtomicU16,
    /// Microseconds to the head or the failure, plus one; 0 until then.
    elapsed: AtomicU64,
    outcome: OnceLock<&'static str>,
    upstream_request_id: OnceLock<Arc<str>>,
    next: OnceLock<Box<Self>>,
}

#[derive(Debug)]
struct CallTarget {
    provider: Arc<str>,
    model: Arc<str>,
    key: KeyId,
    started: Duration,
}

/// Counters that only grow, each updated independently.
#[derive(Debug, Default)]
struct TokenCounters {
    input: AtomicU64,
    output: AtomicU64,
    cache_read: AtomicU64,
    cache_creation: AtomicU64,
    cache_creation_1h: AtomicU64,
    reasoning: AtomicU64,
    tool_calls: AtomicU32,
}

impl InFlight {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            since: clock::wall(),
            summary: OnceLock::new(),
            first_hop: Hop::default(),
            first_call: Call::default(),
            counters: TokenCounters::default(),
            web_searches: AtomicU32::new(0),
            first_event: AtomicU64::new(0),
            reply_size: AtomicU64::new(0),
            early_status: AtomicU16::new(0),
            cancelled: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    /// Ends the request as soon as its task runs.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Ready once the request is cancelled; otherwise a cancellation wakes this task.
    pub(crate) fn poll_cancelled(&self, task: &Context<'_>) -> Poll<()> {
        if !self.cancelled.load(Ordering::Acquire) {
            self.task.register(task.waker());
            // It may have been cancelled before the waker was in place.
            if !self.cancelled.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sets the summary; only the first call has an effect.
    pub(crate) fn set_summary(&self, summary: RequestSummary) {
        self.summary.get_or_init(|| summary);
    }

    /// Sets the target that the request is sent to after `left` failed targets.
    pub(crate) fn routed(&self, left: usize, provider: &Arc<str>, model: &Arc<str>) {
        let mut hop = &self.first_hop;
        for _ in 0..left {
            hop = hop.next.get_or_init(Box::default);
        }
        hop.target.get_or_init(|| (provider.clone(), model.clone()));
    }

    /// A call is sent now.
    pub(crate) fn call_started(&self, provider: &Arc<str>, model: &Arc<str>, key: KeyId) {
        let mut call = &self.first_call;
        while call.target.get().is_some() {
            call = call.next.get_or_init(Box::default);
        }
        let (provider, model) = (provider.clone(), model.clone());
        call.target.get_or_init(|| CallTarget { provider, model, key, started: self.elapsed() });
    }

    /// The head of the last call's reply has arrived.
    pub(crate) fn call_replied(&self, status: u16) {
        if let Some((call, target)) = self.last_call() {
            call.status.store(status, Ordering::Relaxed);
            call.elapsed.store(stored(self.elapsed().saturating_sub(target.started)), Ordering::Relaxed);
        }
    }

    /// The upstream of the last call has this id for it. Only the first one counts.
    pub(crate) fn call_identified(&self, id: &str) {
        if let Some((call, _)) = self.last_call() {
            call.upstream_request_id.get_or_init(|| id.into());
        }
    }

    /// The last call has this outcome.
    pub(crate) fn call_ended(&self, outcome: &'static str) {
        let Some((call, target)) = self.last_call() else { return };
        if call.elapsed.load(Ordering::Relaxed) == 0 {
            call.elapsed.store(stored(self.elapsed().saturating_sub(target.started)), Ordering::Relaxed);
        }
        call.outcome.get_or_init(|| outcome);
    }

    /// The last call has failed with this outcome. Its time is the time until now, unless it has ended before.
    pub(crate) fn call_failed(&self, outcome: &'static str) {
        if let Some((call, _)) = self.last_call().filter(|(call, _)| call.outcome.get().is_none()) {
            call.elapsed.store(0, Ordering::Relaxed);
        }
        self.call_ended(outcome);
    }

    fn last_call(&self) -> Option<(&Call, &CallTarget)> {
        let mut call = &self.first_call;
        while let Some(next) = call.next.get().filter(|next| next.target.get().is_some()) {
            call = next;
        }
        Some((call, call.target.get()?))
    }

    /// The calls so far, in order.
    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        let elapsed = self.elapsed();
        self.chain().filter_map(|call| call.record(elapsed)).collect()
    }

    /// The number of calls so far.
    pub(crate) fn call_count(&self) -> u32 {
        let begun = self.chain().filter(|call| call.target.get().is_some()).count();
        u32::try_from(begun).unwrap_or(u32::MAX)
    }

    fn chain(&self) -> impl Iterator<Item = &Call> {
        std::iter::successors(Some(&self.first_call), |call| call.next.get().map(Box::as_ref))
    }

    /// The first event of the reply is sent now. Only the first call has an effect.
    pub(crate) fn set_first_event(&self) {
        if self.first_event.load(Ordering::Relaxed) == 0 {
            self.first_event.store(stored(self.elapsed()), Ordering::Relaxed);
        }
    }

    pub(crate) fn first_event(&self) -> Option<Duration> {
        loaded(&self.first_event)
    }

    /// Counts bytes of the reply's body. Only the request itself counts them.
    pub(crate) fn sent(&self, bytes: u64) {
        let size = self.reply_size().saturating_add(bytes);
        self.reply_size.store(size, Ordering::Relaxed);
    }

    /// Takes back bytes that were counted but did not leave.
    pub(crate) fn not_sent(&self, bytes: u64) {
        let size = self.reply_size().saturating_sub(bytes);
        self.reply_size.store(size, Ordering::Relaxed);
    }

    pub(crate) fn reply_size(&self) -> u64 {
        self.reply_size.load(Ordering::Relaxed)
    }

    pub(crate) fn set_early_status(&self, status: u16) {
        self.early_status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn early_status(&self) -> Option<u16> {
        Some(self.early_status.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    pub(crate) fn set_counters(&self, usage: Usage, tool_calls: u32) {
        self.set_usage(usage);
        self.counters.tool_calls.store(tool_calls, Ordering::Relaxed);
    }

    pub(crate) fn set_usage(&self, usage: Usage) {
        let counters = &self.counters;
        counters.input.store(usage.input, Ordering::Relaxed);
        counters.output.store(usage.output, Ordering::Relaxed);
        counters.cache_read.store(usage.cache_read, Ordering::Relaxed);
        counters.cache_creation.store(usage.cache_creation, Ordering::Relaxed);
        counters.cache_creation_1h.store(usage.cache_creation_1h, Ordering::Relaxed);
        counters.reasoning.store(usage.reasoning, Ordering::Relaxed);
    }

    pub(crate) fn set_web_searches(&self, searches: u32) {
        self.web_searches.store(searches, Ordering::Relaxed);
    }

    pub(crate) fn web_searches(&self) -> u32 {
        self.web_searches.load(Ordering::Relaxed)
    }

    /// The usage that the upstream has reported so far.
    pub(crate) fn usage(&self) -> Usage {
        let counters = &self.counters;
        Usage {
            input: counters.input.load(Ordering::Relaxed),
            output: counters.output.load(Ordering::Relaxed),
            cache_read: counters.cache_read.load(Ordering::Relaxed),
            cache_creation: counters.cache_creation.load(Ordering::Relaxed),
            cache_creation_1h: counters.cache_creation_1h.load(Ordering::Relaxed),
            reasoning: counters.reasoning.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn snapshot(&self, request_id: &Arc<str>) -> Active {
        let mut hop = &self.first_hop;
        while let Some(next) = hop.next.get().filter(|next| next.target.get().is_some()) {
            hop = next;
        }
        let (provider, model) = hop.target.get().cloned().unwrap_or_else(|| (UNKNOWN.into(), UNKNOWN.into()));
        Active {
            request_id: request_id.clone(),
            provider,
            model,
            request: self.summary.get().cloned().unwrap_or_default(),
            since: self.since,
            elapsed: self.elapsed(),
            usage: self.usage(),
            tool_calls: self.counters.tool_calls.load(Ordering::Relaxed),
            first_event: self.first_event(),
            reply_size: self.reply_size(),
            calls: self.calls(),
        }
    }
}

impl Cancellation {
    pub async fn cancelled(&self) {
        poll_fn(|task| self.0.poll_cancelled(task)).await;
    }
}

impl Call {
    /// `None` if the call has not begun. `now` is the request's age, for a call that runs.
    fn record(&self, now: Duration) -> Option<CallRecord> {
        let CallTarget { provider, model, key, started } = self.target.get()?;
        Some(CallRecord {
            provider: provider.clone(),
            model: model.clone(),
            key: Some(*key),
            status: Some(self.status.load(Ordering::Relaxed)).filter(|status| *status != 0),
            outcome: self.outcome.get().copied(),
            upstream_request_id: self.upstream_request_id.get().cloned(),
            started: *started,
            elapsed: loaded(&self.elapsed).unwrap_or_else(|| now.saturating_sub(*started)),
        })
    }
}

/// A duration as an atomic holds it, in which 0 means none.
fn stored(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).saturating_add(1)
}

fn loaded(stored: &AtomicU64) -> Option<Duration> {
    stored.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::task::{Wake, Waker};

    use futures_util::FutureExt as _;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Requirement: a cancelled request ends, whether it waited already or is polled later.
    #[test]
    fn a_cancellation_wakes_the_task_that_waits() {
        let in_flight = Arc::new(InFlight::start());
        let cancellation = Cancellation(in_flight.clone());
        assert_eq!(cancellation.cancelled().now_or_never(), None);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut waiting = Box::pin(cancellation.cancelled());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        in_flight.cancel();
        assert_eq!(woken.0.load(Ordering::Acquire), 1);
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(cancellation.cancelled().now_or_never(), Some(()));
    }

    #[test]
    fn a_request_is_reported_at_its_latest_target() {
        let (in_flight, id) = (InFlight::start(), Arc::from("req_1"));
        let at = |in_flight: &InFlight| {
            let active = in_flight.snapshot(&id);
            (active.provider.to_string(), active.model.to_string())
        };
        assert_eq!(at(&in_flight), (UNKNOWN.to_owned(), UNKNOWN.to_owned()));

        in_flight.routed(0, &"p".into(), &"m".into());
        in_flight.routed(0, &"late".into(), &"late".into());
        assert_eq!(at(&in_flight), ("p".to_owned(), "m".to_owned()));

        in_flight.routed(1, &"q".into(), &"n".into());
        in_flight.set_summary(RequestSummary { messages: 3, ..RequestSummary::default() });
        in_flight.set_counters(
            Usage { input: 1, output: 2, cache_read: 3, cache_creation: 4, ..Usage::default() },
            5,
        );
        assert_eq!(at(&in_flight), ("q".to_owned(), "n".to_owned()));
        let active = in_flight.snapshot(&id);
        assert_eq!(
            active.usage,
            Usage { input: 1, output: 2, cache_read: 3, cache_creation: 4, ..Usage::default() }
        );
        assert_eq!((active.request.messages, active.tool_calls), (3, 5));
    }

    fn key() -> KeyId {
        crate::secret::ApiKey::new("k").id()
    }

    #[test]
    fn every_call_is_kept_in_order() {
        let in_flight = InFlight::start();
        in_flight.call_replied(500);
        in_flight.call_failed("lost");
        assert_eq!(in_flight.calls(), []);

        in_flight.call_started(&"p".into(), &"m".into(), key());
        in_flight.call_replied(429);
        in_flight.call_failed("rate limited");
        in_flight.call_started(&"q".into(), &"n".into(), key());
        in_flight.call_replied(200);

        let calls = in_flight.calls();
        let seen: Vec<_> =
            calls.iter().map(|call| (&*call.provider, &*call.model, call.status, call.outcome)).collect();
        assert_eq!(seen, [("p", "m", Some(429), Some("rate limited")), ("q", "n", Some(200), None)]);
        assert!(calls[1].started >= calls[0].started + calls[0].elapsed && calls[1].key == Some(key()));

        in_flight.call_ended("answered");
        assert_eq!(in_flight.calls()[1].elapsed, calls[1].elapsed, "the time of the head");
        assert_eq!(in_flight.calls()[1].outcome, Some("answered"));
    }

    #[test]
    fn only_the_first_event_counts_as_first() {
        let in_flight = InFlight::start();
        assert_eq!(in_flight.first_event(), None);
        in_flight.set_first_event();
        let first = in_flight.first_event();
        std::thread::sleep(Duration::from_millis(2));
        in_flight.set_first_event();
        assert_eq!(in_flight.first_event(), first);
        assert!(first.unwrap() <= in_flight.elapsed());
    }
}
