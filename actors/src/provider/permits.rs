//! The permits of a provider's requests in flight, and the events that these requests report.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::SegQueue;
use vandamme_protocol::compat::Fixup;

use super::fast_path::FastPath;
use super::health::CallReport;
use crate::retry::RetryBudget;
use crate::settings::ProviderSettings;

/// Counts a provider's requests in flight and queues their reports for the actor. It outlives the provider's actor, so
/// that a restarted actor neither forgets nor leaks a permit.
///
/// A report wakes the actor only if a request waits for a permit, since wake-ups were most of the cost of a small
/// request (measured). The actor reads the reports before it lends a key or answers a question, and at each ping of the
/// supervisor. So their number is bounded by the requests in flight and those that have ended in between.
pub(crate) struct Permits {
    taken: AtomicUsize,
    /// Permits that requests of an earlier process hold. They count against the limit.
    elsewhere: AtomicUsize,
    limit: AtomicUsize,
    events: SegQueue<LeaseEvent>,
    /// A request waits for a permit.
    has_waiters: AtomicBool,
    pub(super) fast_path: FastPath,
    budget: RetryBudget,
    /// Numbers the leases that may be probes.
    lease_numbers: AtomicU64,
    /// The incarnation that owns the permits. A replaced incarnation may still be running.
    current: AtomicU64,
}

/// One permit; its drop frees it.
pub(crate) struct Permit(Arc<Permits>);

/// Proves that a request already holds a permit, when it asks for its next lease.
#[derive(Clone, Debug)]
pub struct HeldPermit(Arc<Permits>);

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("taken", &self.taken()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Permits {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let (taken, limit) = (AtomicUsize::new(0), AtomicUsize::new(limit));
        let (events, has_waiters) = (SegQueue::new(), AtomicBool::new(false));
        Arc::new(Self {
            taken,
            elsewhere: AtomicUsize::new(0),
            limit,
            events,
            has_waiters,
            fast_path: FastPath::default(),
            budget: RetryBudget::default(),
            lease_numbers: AtomicU64::new(0),
            current: AtomicU64::new(0),
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Requests of an earlier process hold so many permits.
    pub(crate) fn set_elsewhere(&self, elsewhere: usize) {
        self.elsewhere.store(elsewhere, Ordering::SeqCst);
    }

    /// The oldest unread event.
    pub(crate) fn next_event(&self) -> Option<LeaseEvent> {
        self.events.pop()
    }

    /// Whether a request waits for a permit.
    pub(crate) fn has_waiters(&self) -> bool {
        self.has_waiters.load(Ordering::SeqCst)
    }

    /// The retry budget of the provider.
    pub(super) fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    pub(super) fn report(&self, event: LeaseEvent) {
        if event.is_adverse() {
            self.fast_path.before_failure_is_queued();
        }
        self.events.push(event);
    }

    /// The number of a lease that may be a probe. Never 0, which the leases of the fast path have.
    pub(super) fn next_lease_number(&self) -> u64 {
        self.lease_numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// From now on this incarnation lends keys and reads the reports.
    pub(crate) fn set_incarnation(&self, incarnation: u64) {
        self.current.store(incarnation, Ordering::SeqCst);
    }

    pub(super) fn is_current(&self, incarnation: u64) -> bool {
        self.current.load(Ordering::SeqCst) == incarnation
    }

    /// The number of unread events.
    pub(super) fn unread(&self) -> usize {
        self.events.len()
    }

    /// Closes the fast path until the actor has its new settings; meanwhile every request asks the actor.
    pub(crate) fn suspend_fast_path(&self) {
        self.fast_path.suspend();
    }

    /// Sets the number of waiting requests. While there are any, the actor gets a message for every freed permit.
    pub(crate) fn set_waiting(&self, waiting: usize) {
        self.has_waiters.store(waiting > 0, Ordering::SeqCst);
    }

    /// Sets the number of permits. Permits taken beyond it are freed when their requests end.
    pub(crate) fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Release);
    }

    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let limit = self.limit.load(Ordering::Acquire);
        let limit = limit.saturating_sub(self.elsewhere.load(Ordering::SeqCst));
        let room = |taken: usize| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).ok()?;
        Some(Permit(self.clone()))
    }
}

impl Permit {
    pub(super) fn held(&self) -> HeldPermit {
        HeldPermit(self.0.clone())
    }
}

impl HeldPermit {
    pub(super) fn belongs_to(&self, permits: &Arc<Permits>) -> bool {
        Arc::ptr_eq(&self.0, permits)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A report of a request to its provider.
#[derive(Debug)]
pub(crate) enum LeaseEvent {
    /// The result of a call, with the settings that the lease was made under.
    Report { provider: Arc<ProviderSettings>, incarnation: u64, report: CallReport },
    /// The fixups that made requests for a model acceptable.
    LearnedRule { provider: Arc<ProviderSettings>, model: Arc<str>, fixups: Vec<Fixup> },
}

impl LeaseEvent {
    /// Whether the event can change which key or fixups other requests get.
    pub(super) fn is_adverse(&self) -> bool {
        match self {
            Self::Report { report, .. } => report.outcome.is_adverse(),
            Self::LearnedRule { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement (design §6): permits of an earlier process count against the limit until they are reported as free, and
    /// never take more than there are.
    #[test]
    fn permits_of_an_earlier_process_count_against_the_limit() {
        let permits = Permits::new(3);
        permits.set_elsewhere(2);
        let own = permits.take();
        assert!(own.is_some() && permits.take().is_none());
        assert_eq!(permits.taken(), 1, "only those of this process");
        permits.set_elsewhere(9);
        drop(own);
        assert!(permits.take().is_none());
        permits.set_elsewhere(0);
        let all: Vec<_> = (0..3).map_while(|_| permits.take()).collect();
        assert!(all.len() == 3 && permits.take().is_none());
    }
}
