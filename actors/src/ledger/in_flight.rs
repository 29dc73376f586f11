//! Tracks requests in flight: each request updates its own entry without locks, and no request waits for another.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use vandamme_protocol::request::ToolHistory;
use vandamme_protocol::vocabulary::Usage;

use super::UNKNOWN;
use crate::clock::{self, Millis};
use crate::secret::KeyId;
use crate::settings::Api;

/// A snapshot of a request in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Active {
    pub request_id: Arc<str>,
    pub provider: Arc<str>,
    pub model: Arc<str>,
    /// The key of the latest call; `None` before the first one.
    pub key: Option<KeyId>,
    pub request: RequestSummary,
    pub since: Millis,
    pub elapsed: Duration,
    /// The usage that the upstream has reported so far.
    pub usage: Usage,
    pub tool_calls: u32,
}

/// The parts of the client's request that the ledger reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestSummary {
    /// The model name in the client's request.
    pub model: Arc<str>,
    pub streamed: bool,
    /// Counts the tool use in the history that the client sent.
    pub tools: ToolHistory,
    /// The number of messages in that history; a separate system prompt does not count.
    pub messages: u32,
    /// The size of the body, in bytes.
    pub size: usize,
    /// The name of the client's key; `None` if the key has none, or no key is required.
    pub client: Option<Arc<str>>,
    /// The API of the client's endpoint; `None` until the request is read.
    pub api: Option<Api>,
    /// The session that the client names, such as Claude Code's. The client chooses it.
    pub session: Option<Arc<str>>,
    /// The agent in that session that the client names; `None` for the main one.
    pub agent: Option<Arc<str>>,
}

/// The entry of one request.
#[derive(Debug)]
pub(crate) struct InFlight {
    started: Instant,
    since: Millis,
    summary: OnceLock<RequestSummary>,
    first_hop: Hop,
    counters: TokenCounters,
    key: LatestKey,
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

/// A key's id, with a further bit if there is one.
#[derive(Debug, Default)]
struct LatestKey(AtomicU64);

const HAS_KEY: u64 = 1 << 32;

impl LatestKey {
    fn get(&self) -> Option<KeyId> {
        let bits = self.0.load(Ordering::Relaxed);
        u32::try_from(bits ^ HAS_KEY).ok().map(KeyId::from_bits)
    }
}

/// Counters that only grow, each updated independently.
#[derive(Debug, Default)]
struct TokenCounters {
    input: AtomicU64,
    output: AtomicU64,
    cache_read: AtomicU64,
    cache_creation: AtomicU64,
    tool_calls: AtomicU32,
}

impl InFlight {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            since: clock::wall(),
            summary: OnceLock::new(),
            first_hop: Hop::default(),
            counters: TokenCounters::default(),
            key: LatestKey::default(),
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

    /// Sets the key of the call that begins.
    pub(crate) fn set_key(&self, key: KeyId) {
        self.key.0.store(u64::from(key.bits()) | HAS_KEY, Ordering::Relaxed);
    }

    pub(crate) fn set_counters(&self, usage: Usage, tool_calls: u32) {
        let TokenCounters { input, output, cache_read, cache_creation, tool_calls: calls } = &self.counters;
        input.store(usage.input, Ordering::Relaxed);
        output.store(usage.output, Ordering::Relaxed);
        cache_read.store(usage.cache_read, Ordering::Relaxed);
        cache_creation.store(usage.cache_creation, Ordering::Relaxed);
        calls.store(tool_calls, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, request_id: &Arc<str>) -> Active {
        let mut hop = &self.first_hop;
        while let Some(next) = hop.next.get().filter(|next| next.target.get().is_some()) {
            hop = next;
        }
        let (provider, model) = hop.target.get().cloned().unwrap_or_else(|| (UNKNOWN.into(), UNKNOWN.into()));
        let TokenCounters { input, output, cache_read, cache_creation, tool_calls } = &self.counters;
        Active {
            request_id: request_id.clone(),
            provider,
            model,
            key: self.key.get(),
            request: self.summary.get().cloned().unwrap_or_default(),
            since: self.since,
            elapsed: self.elapsed(),
            usage: Usage {
                input: input.load(Ordering::Relaxed),
                output: output.load(Ordering::Relaxed),
                cache_read: cache_read.load(Ordering::Relaxed),
                cache_creation: cache_creation.load(Ordering::Relaxed),
                ..Usage::default()
            },
            tool_calls: tool_calls.load(Ordering::Relaxed),
        }
    }
}

impl Cancellation {
    pub async fn cancelled(&self) {
        poll_fn(|task| self.0.poll_cancelled(task)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Wake, Waker};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::secret::ApiKey;

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

        assert_eq!(in_flight.snapshot(&id).key, None);
        for key in ["one", "two"].map(|text| ApiKey::new(text).id()) {
            in_flight.set_key(key);
            assert_eq!(in_flight.snapshot(&id).key, Some(key), "the latest one");
        }

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
}
