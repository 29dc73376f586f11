//! Defines the lease, the right to call one provider once with one key: a guard that always reports how the call ended.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Addr, Message};
use crossbeam_queue::SegQueue;
use vandamme_protocol::compat::Fixup;

use super::Provider;
use super::fast_path::FastPath;
use super::health::{Alternatives, CallReport, Size};
use crate::clock::{self, Millis};
use crate::excerpt;
use crate::outcome::Outcome;
use crate::retry::RetryBudget;
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Profile, ProviderSettings};

/// Counts a provider's requests in flight and queues their reports for the actor. It outlives the provider's actor, so
/// that a restarted actor neither forgets nor leaks a permit.
///
/// A report wakes the actor only if a request waits for a permit, since wake-ups were most of the cost of a small
/// request (measured). The actor reads the reports before it lends a key or answers a question, and at each ping of the
/// supervisor. So their number is bounded by the requests in flight and those that have ended in between.
pub(crate) struct Permits {
    taken: AtomicUsize,
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

    /// The oldest unread event.
    pub(crate) fn next_event(&self) -> Option<LeaseEvent> {
        self.events.pop()
    }

    fn report(&self, event: LeaseEvent) {
        self.fast_path.before_report(&event);
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
        let room = |taken: usize| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).ok()?;
        Some(Permit(self.clone()))
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

/// A key of a provider, lent for one request.
#[derive(Debug)]
pub struct Lease {
    pub provider: Arc<ProviderSettings>,
    /// The model's name at that provider.
    pub model: Arc<str>,
    pub key: ApiKey,
    /// The fixups from learned rules for this model.
    pub remembered: Option<Arc<[Fixup]>>,
    /// The profile whose timeout and retries apply.
    pub profile: Option<Arc<Profile>>,
    /// No better key was left: the request gets one call.
    pub is_known_to_fail: bool,
    /// Whether another target is left.
    pub alternatives: Alternatives,
    ticket: Ticket,
}

/// The actor that a lease comes from, and the permits that it counts against.
#[derive(Debug)]
pub(crate) struct LeaseSource {
    pub(super) owner: Addr<Provider>,
    pub(super) incarnation: u64,
    pub(super) permits: Arc<Permits>,
}

/// The part of a lease that reports its end.
#[derive(Debug)]
struct Ticket {
    provider: Arc<ProviderSettings>,
    source: LeaseSource,
    stage: LeaseStage,
    permit: Option<Permit>,
    /// The lease is a probe: other requests skip its key, model or host until it reports.
    is_probe: bool,
    /// The contents of the next report, apart from the outcome.
    call: CallInProgress,
}

/// The call in progress.
#[derive(Clone, Debug)]
struct CallInProgress {
    key: KeyId,
    model: Arc<str>,
    began: Millis,
    request: u64,
    size: Size,
    lease: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseStage {
    Unreported,
    Reported,
    Finished,
}

/// A report of a request to its provider.
#[derive(Debug)]
pub(crate) enum LeaseEvent {
    /// The result of a call, with the settings that the lease was made under.
    Report { provider: Arc<ProviderSettings>, incarnation: u64, report: CallReport },
    /// The fixups that made requests for a model acceptable.
    LearnedRule { provider: Arc<ProviderSettings>, model: Arc<str>, fixups: Vec<Fixup> },
}

impl Lease {
    pub(crate) fn new(
        provider: Arc<ProviderSettings>,
        model: Arc<str>,
        key: ApiKey,
        size: Size,
        source: LeaseSource,
    ) -> Self {
        let call = CallInProgress {
            key: key.id(),
            model: model.clone(),
            began: clock::boot(),
            request: 0,
            size,
            lease: 0,
        };
        let ticket = Ticket {
            provider: provider.clone(),
            source,
            stage: LeaseStage::Unreported,
            permit: None,
            is_probe: false,
            call,
        };
        Self {
            provider,
            model,
            key,
            remembered: None,
            profile: None,
            is_known_to_fail: false,
            alternatives: Alternatives::None,
            ticket,
        }
    }

    pub(crate) fn with_fixups(mut self, fixups: Option<Arc<[Fixup]>>) -> Self {
        self.remembered = fixups;
        self
    }

    pub(crate) fn with_permit(mut self, permit: Option<Permit>) -> Self {
        self.ticket.permit = permit;
        self
    }

    /// Marks the lease as a probe with this number.
    pub(super) fn with_probe(mut self, lease: u64) -> Self {
        self.ticket.call.lease = lease;
        self.ticket.is_probe = true;
        self
    }

    pub(crate) fn with_profile(mut self, profile: Option<Arc<Profile>>) -> Self {
        self.profile = profile;
        self
    }

    pub(crate) fn with_alternatives(mut self, alternatives: Alternatives) -> Self {
        self.alternatives = alternatives;
        self
    }

    /// The timeout of the profile or the provider, if one is configured.
    pub fn timeout(&self) -> Option<Duration> {
        self.profile.as_ref().and_then(|profile| profile.timeout).or(self.provider.timeout)
    }

    /// The most repeats on one key.
    pub fn max_retries(&self) -> u32 {
        let own = self.profile.as_ref().and_then(|profile| profile.max_retries);
        own.unwrap_or(self.provider.max_retries)
    }

    /// Records the start of a call for this client request.
    pub fn begin_call(&mut self, request: u64) {
        self.ticket.call.began = clock::boot();
        self.ticket.call.request = request;
    }

    /// Counts a call that is not a retry. The retry budget grows with these calls.
    pub fn count_request(&self) {
        self.ticket.source.permits.budget.count_request(clock::boot());
    }

    /// Takes one retry from the provider's budget. Returns `false` if the budget is used up.
    pub fn draw_retry(&self) -> bool {
        self.ticket.source.permits.budget.draw(clock::boot())
    }

    /// Records that a reply has started successfully. If the lease is a probe, the probe has succeeded; the reply may
    /// take long.
    pub fn reply_started(&mut self) {
        if self.ticket.is_probe {
            self.report(Outcome::Answered, "");
        }
    }

    /// Reports an intermediate result and keeps the lease. `message` is the upstream's error, without secrets.
    pub fn report(&mut self, outcome: Outcome, message: &str) {
        self.ticket.stage = LeaseStage::Reported;
        self.ticket.report(outcome, message);
    }

    /// Reports that the call has been silent for long. The call continues.
    pub fn report_silence(&self) {
        self.ticket.report(Outcome::Silent, "no answer yet");
    }

    /// Reports which fixups made a refused request acceptable.
    pub fn learn(&self, fixups: Vec<Fixup>) {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        self.ticket.source.permits.report(LeaseEvent::LearnedRule { provider, model, fixups });
    }

    /// The proof of this lease's permit, for the next lease of the same request. Without it, requests that need another
    /// key would wait for one another while all permits are taken.
    pub fn held(&self) -> Option<HeldPermit> {
        self.ticket.permit.as_ref().map(|permit| HeldPermit(permit.0.clone()))
    }

    /// Takes over the permit of the previous lease, unless this lease has its own.
    #[must_use]
    pub fn after(mut self, mut before: Self) -> Self {
        if self.ticket.permit.is_none() {
            self.ticket.permit = before.ticket.permit.take();
        }
        self
    }

    /// Ends the lease with this outcome.
    pub fn finish(self, outcome: Outcome) {
        self.finish_with(outcome, "");
    }

    /// Ends the lease with this outcome and the upstream's error, without secrets.
    pub fn finish_with(mut self, outcome: Outcome, message: &str) {
        self.ticket.finish(outcome, message);
    }
}

impl Ticket {
    fn report(&self, outcome: Outcome, message: &str) {
        let outcome = if self.provider.passthrough { outcome.without_key() } else { outcome };
        let CallInProgress { key, model, began, request, size, lease } = self.call.clone();
        let message =
            if outcome.is_adverse() { excerpt::one_line(message, excerpt::LINE).into() } else { "".into() };
        let report =
            CallReport { outcome, key, model, began, at: clock::boot(), request, size, lease, message };
        let (provider, incarnation) = (self.provider.clone(), self.source.incarnation);
        self.source.permits.report(LeaseEvent::Report { provider, incarnation, report });
    }

    fn finish(&mut self, outcome: Outcome, message: &str) {
        self.stage = LeaseStage::Finished;
        self.report(outcome, message);
        self.free();
    }

    /// Frees the permit before it sends the message, since the message makes the provider look for free permits.
    fn free(&mut self) {
        self.permit.take();
        if self.source.permits.has_waiters.load(Ordering::SeqCst) {
            // Bounded by the requests in flight; it must never block.
            self.source.owner.do_send(Freed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.stage {
            LeaseStage::Finished => {}
            LeaseStage::Unreported => self.finish(Outcome::Cancelled, ""),
            LeaseStage::Reported => self.free(),
        }
    }
}

/// Notifies a provider that a permit has been freed.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Freed;
