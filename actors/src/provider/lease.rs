//! The right to ask one provider once with one key: a guard that always reports how it ended.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Addr, Message};
use crossbeam_queue::SegQueue;
use vandamme_protocol::healing::Edit;

use super::Provider;
use super::key_ring::Scope;
use super::offer::Counter;
use crate::clock::{self, Millis};
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Profile, ProviderSettings};

/// How many requests a provider has in flight, and what those have shown that it has not looked at yet. It outlives the
/// provider's actor, so that one started anew neither forgets nor leaks any.
///
/// A report wakes nobody who does not wait for it, since wake-ups were most of what a small request cost (measured): the
/// provider reads them before it lends or tells anything, and whenever it is looked after. So there are
/// never more than the requests in flight and those that have ended in between.
pub(crate) struct Permits {
    taken: AtomicUsize,
    limit: AtomicUsize,
    told: SegQueue<Told>,
    /// Somebody waits for a permit.
    awaited: AtomicBool,
    pub(super) counter: Counter,
    /// The incarnation of the actor to which all this belongs. One that was replaced may still be about.
    current: AtomicU64,
}

/// One of them; freed by its drop.
pub(crate) struct Permit(Arc<Permits>);

/// Says that a request has a permit already, by a lease whose successor it wants.
#[derive(Clone, Debug)]
pub struct Held(Arc<Permits>);

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
        let (told, awaited) = (SegQueue::new(), AtomicBool::new(false));
        Arc::new(Self {
            taken,
            limit,
            told,
            awaited,
            counter: Counter::default(),
            current: AtomicU64::new(0),
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// The oldest of what nobody has read.
    pub(crate) fn told(&self) -> Option<Told> {
        self.told.pop()
    }

    fn tell(&self, told: Told) {
        self.counter.hear(&told);
        self.told.push(told);
    }

    /// From now on this incarnation's actor lends, and reads the reports.
    pub(crate) fn belong_to(&self, incarnation: u64) {
        self.current.store(incarnation, Ordering::SeqCst);
    }

    pub(super) fn belongs_to(&self, incarnation: u64) -> bool {
        self.current.load(Ordering::SeqCst) == incarnation
    }

    /// How much nobody has read.
    pub(super) fn unread(&self) -> usize {
        self.told.len()
    }

    /// Whoever wants a key must ask the actor, until that has heard of its new settings.
    pub(crate) fn withdraw(&self) {
        self.counter.close();
    }

    /// So many wait at the provider; while anybody does, it wants to hear of every permit that becomes free.
    pub(crate) fn await_freed(&self, waiting: usize) {
        self.awaited.store(waiting > 0, Ordering::SeqCst);
    }

    /// From now on there are so many. Those that are taken beyond that come back in their time.
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

impl Held {
    pub(super) fn is_of(&self, permits: &Arc<Permits>) -> bool {
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
    /// What refusals have taught about requests for this model.
    pub remembered: Option<Arc<[Edit]>>,
    /// Whose timeout and retries hold.
    pub profile: Option<Arc<Profile>>,
    /// Others wait for what this request shows.
    watched: bool,
    ticket: Ticket,
}

/// What reports when a lease ends.
#[derive(Debug)]
struct Ticket {
    owner: Addr<Provider>,
    provider: Arc<ProviderSettings>,
    incarnation: u64,
    key: KeyId,
    model: Arc<str>,
    stage: Stage,
    permits: Arc<Permits>,
    permit: Option<Permit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Silent,
    Reported,
    Finished,
}

/// What one upstream call showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The upstream answered as it should, or refused what was wrong with the request itself.
    Answered,
    /// 429. `after` is the wait that the upstream asked for.
    RateLimited { after: Option<Duration>, scope: Scope },
    /// 401 or 403.
    Rejected { scope: Scope },
    /// 529.
    Overloaded,
    /// 5xx, no connection, no answer in time, or an answer that broke off.
    Failed,
    /// The client left, or the request ended before anything was learnt.
    Cancelled,
}

/// What requests tell their provider.
#[derive(Debug)]
pub(crate) enum Told {
    Report(Report),
    /// What a refusal has taught about a model.
    Lesson {
        provider: Arc<ProviderSettings>,
        model: Arc<str>,
        edits: Vec<Edit>,
    },
}

/// How a call with one of a provider's keys ended.
#[derive(Debug)]
pub(crate) struct Report {
    /// When it was known; a cool-down counts from here.
    pub(crate) at: Millis,
    /// As it was when the lease was made.
    pub(crate) provider: Arc<ProviderSettings>,
    pub(crate) incarnation: u64,
    pub(crate) key: KeyId,
    pub(crate) model: Arc<str>,
    pub(crate) outcome: CallOutcome,
}

impl Lease {
    pub(crate) fn new(
        provider: Arc<ProviderSettings>,
        model: Arc<str>,
        key: ApiKey,
        (owner, incarnation, permits): (Addr<Provider>, u64, Arc<Permits>),
    ) -> Self {
        let ticket = Ticket {
            owner,
            provider: provider.clone(),
            incarnation,
            key: key.id(),
            model: model.clone(),
            stage: Stage::Silent,
            permits,
            permit: None,
        };
        Self { provider, model, key, remembered: None, profile: None, watched: false, ticket }
    }

    pub(crate) fn remembering(mut self, remembered: Option<Arc<[Edit]>>) -> Self {
        self.remembered = remembered;
        self
    }

    pub(crate) fn holding(mut self, permit: Option<Permit>) -> Self {
        self.ticket.permit = permit;
        self
    }

    pub(crate) fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    pub(crate) fn under(mut self, profile: Option<Arc<Profile>>) -> Self {
        self.profile = profile;
        self
    }

    /// How long the upstream may take, if something is said about it.
    pub fn timeout(&self) -> Option<Duration> {
        self.profile.as_ref().and_then(|profile| profile.timeout).or(self.provider.timeout)
    }

    /// Repeats on one key.
    pub fn max_retries(&self) -> u32 {
        let own = self.profile.as_ref().and_then(|profile| profile.max_retries);
        own.unwrap_or(self.provider.max_retries)
    }

    /// A reply has begun well, and may go on for long: who waits for this request need not wait for its end.
    pub fn begun(&mut self) {
        if self.watched {
            self.report(CallOutcome::Answered);
        }
    }

    /// Tells the provider what a call showed, and keeps the lease for another one.
    pub fn report(&mut self, outcome: CallOutcome) {
        self.ticket.stage = Stage::Reported;
        self.ticket.report(outcome);
    }

    /// Tells the provider which edits made a refused request acceptable.
    pub fn learn(&self, edits: Vec<Edit>) {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        self.ticket.permits.tell(Told::Lesson { provider, model, edits });
    }

    /// For the next lease of the same request: while all permits are taken, requests that want another key would wait for
    /// one another.
    pub fn held(&self) -> Option<Held> {
        self.ticket.permit.as_ref().map(|permit| Held(permit.0.clone()))
    }

    /// Goes on with the permit of the lease before, unless it has got one of its own.
    #[must_use]
    pub fn after(mut self, mut before: Self) -> Self {
        if self.ticket.permit.is_none() {
            self.ticket.permit = before.ticket.permit.take();
        }
        self
    }

    /// Gives the lease back.
    pub fn finish(mut self, outcome: CallOutcome) {
        self.ticket.finish(outcome);
    }
}

impl Ticket {
    fn report(&self, outcome: CallOutcome) {
        let report = Report {
            at: clock::now(),
            provider: self.provider.clone(),
            incarnation: self.incarnation,
            key: self.key,
            model: self.model.clone(),
            outcome,
        };
        self.permits.tell(Told::Report(report));
    }

    fn finish(&mut self, outcome: CallOutcome) {
        self.stage = Stage::Finished;
        self.report(outcome);
        self.free();
    }

    /// First the permit, then the word: the provider looks for waiters when it hears.
    fn free(&mut self) {
        self.permit.take();
        if self.permits.awaited.load(Ordering::SeqCst) {
            // Bounded by the requests in flight; it must never block.
            self.owner.do_send(Freed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.stage {
            Stage::Finished => {}
            Stage::Silent => self.finish(CallOutcome::Cancelled),
            Stage::Reported => self.free(),
        }
    }
}

/// Tells a provider that a permit has become free.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Freed;
