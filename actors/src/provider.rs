//! Provider: one upstream account with its keys. It decides who may ask it, with which key, and when.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`LeaseKey`] | router, exchange | a [`Lease`] through the message's own channel, now or when a permit is free; or a [`Refusal`] |
//! | `Freed` | a lease | – |
//! | `Reconfigure` | supervisor | – |
//! | [`Observe`] | supervisor, health page, tests | [`ProviderView`] |
//!
//! It never waits for the network: it lends and is told. After a panic it goes on from the last health that was
//! published; permits are counted outside of it.

mod breaker;
mod key_ring;
mod lease;
mod lessons;
mod offer;
mod reconfigure;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use tokio::sync::oneshot;
use vandamme_protocol::healing::Edit;

use self::breaker::{Breaker, Health};
use self::key_ring::{Exhausted, KeyRing, Verdict};
pub use self::key_ring::{KeyView, Scope, Session};
pub use self::lease::{CallOutcome, Lease};
pub(crate) use self::lease::{Freed, Permits};
use self::lease::{Permit, Report, Told};
pub use self::lessons::LessonView;
use self::lessons::{Lessons, Novelty};
pub(crate) use self::reconfigure::{Reconfigure, is_another};
use crate::clock::{self, Millis};
use crate::observe::{Observe, Ping};
use crate::router::Unroutable;
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Limits, Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// Leases come one per request in flight; the gate in front of the doors is the bound that matters.
pub(crate) const MAILBOX: usize = 4096;
/// How often those who wait are looked after.
const TEND: Duration = Duration::from_millis(50);
/// Models whose overload is watched apart from the provider's; beyond, the provider's breaker stands for them.
const MODELS_WATCHED: usize = 64;

pub struct Provider {
    settings: Arc<ProviderSettings>,
    limits: Limits,
    permits: Arc<Permits>,
    incarnation: u64,
    saved: Snapshot<ProviderHealth>,
    health: ProviderHealth,
    waiting: VecDeque<Waiter>,
}

/// What a provider knows about its keys and its upstream: handed from one incarnation to the next.
#[derive(Clone, Debug)]
pub struct ProviderHealth {
    ring: KeyRing,
    breaker: Breaker,
    overload: HashMap<Arc<str>, Breaker>,
    lessons: Lessons,
}

/// Asks for a key for one request for `model`, not one of `tried`.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct LeaseKey {
    pub model: Arc<str>,
    /// Whose timeout and retries hold.
    pub profile: Option<Arc<Profile>>,
    /// Requests of one session get the same key as long as it is healthy.
    pub session: Option<Session>,
    pub tried: Vec<KeyId>,
    /// Dropped by the asker when the client has left.
    pub reply: oneshot::Sender<Result<Lease, NoLease>>,
}

/// Why a request gets no lease.
#[derive(Clone, Debug)]
pub enum NoLease {
    /// The model name leads nowhere.
    Unroutable(Unroutable),
    Refused {
        provider: Arc<ProviderSettings>,
        /// The model's name at that provider.
        model: Arc<str>,
        refusal: Refusal,
    },
}

/// Why a provider lends no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Some keys only wait for their rate limit; `said` is what is left of the wait that the upstream asked for.
    Cooling { wait: Duration, said: Option<Duration> },
    /// All keys that could be tried have been rejected.
    AllRejected,
    /// The upstream fails too often; it is left alone for a while.
    BreakerOpen { wait: Duration },
    /// Too many requests wait already, or this one has waited too long.
    Busy,
}

/// A provider's state as others may see it.
#[derive(Clone, Debug)]
pub struct ProviderView {
    pub settings: Arc<ProviderSettings>,
    pub keys: Vec<KeyView>,
    pub in_flight: usize,
    pub waiting: usize,
    pub breaker_open: bool,
    /// What refusals have taught, by model.
    pub lessons: Vec<LessonView>,
    pub incarnation: u64,
}

#[derive(Debug)]
struct Waiter {
    request: LeaseKey,
    deadline: Millis,
}

impl ProviderHealth {
    pub(crate) fn new(settings: &ProviderSettings, limits: &Limits) -> Self {
        Self {
            ring: KeyRing::new(&settings.keys, limits),
            breaker: Breaker::default(),
            overload: HashMap::new(),
            lessons: Lessons::new(limits.healing_ttl),
        }
    }

    /// As one actor hands it on to the next: without the probes that will not report to it.
    fn handed_on(&self) -> Self {
        let mut health = self.clone();
        health.ring.forget_probes();
        health.breaker.forget();
        health.overload.values_mut().for_each(Breaker::forget);
        health
    }

    fn check(&self, now: Millis, model: &str) -> Result<(), Duration> {
        self.overload.get(model).map_or(Ok(()), |overload| overload.check(now))?;
        self.breaker.check(now)
    }

    /// Whether nobody need be asked who gets a key.
    fn is_untroubled(&self) -> bool {
        let breakers = self.overload.values().chain([&self.breaker]);
        self.ring.is_untroubled() && self.lessons.are_none() && breakers.into_iter().all(Breaker::is_closed)
    }

    /// A request with this key goes, and will report. Answers whether others must wait for that.
    fn go(&mut self, model: &str, key: KeyId) -> bool {
        let overload = self.overload.get_mut(model).is_some_and(Breaker::go);
        let breaker = self.breaker.go();
        overload || breaker || self.ring.is_tried_out(key, model)
    }

    fn overload(&mut self, model: &Arc<str>) -> &mut Breaker {
        let room = self.overload.len() < MODELS_WATCHED || self.overload.contains_key(model);
        if room { self.overload.entry(model.clone()).or_default() } else { &mut self.breaker }
    }
}

impl Provider {
    pub(crate) fn new(
        settings: Arc<ProviderSettings>,
        limits: Limits,
        permits: Arc<Permits>,
        (incarnation, saved): (u64, Snapshot<ProviderHealth>),
    ) -> Self {
        let health = saved.load().handed_on();
        Self { settings, limits, permits, incarnation, saved, health, waiting: VecDeque::new() }
    }

    fn serve(&mut self, request: LeaseKey, context: &mut Context<Self>) {
        if request.reply.is_closed() {
            return;
        }
        let Some(permit) = self.permit() else { return self.queue(request, context) };
        let now = clock::now();
        let LeaseKey { model, profile, session, tried, reply } = request;
        let granted = match self.health.check(now, &model) {
            Err(wait) => Err(Refusal::BreakerOpen { wait }),
            Ok(()) if self.settings.passthrough => client_key(&tried),
            Ok(()) => self.key(now, &model, (&tried, session)).map_err(Refusal::from),
        };
        let answer = match granted {
            Err(refusal) => Err(self.refused(model, refusal)),
            Ok(key) => {
                let settings = self.settings.clone();
                let remembered = self.health.lessons.recall(now, &model);
                let owner = (context.address(), self.incarnation, permit);
                let probes = self.health.go(&model, key.id());
                let lease = Lease::new(settings, model, key, owner).under(profile).remembering(remembered);
                Ok(if probes { lease.watched() } else { lease })
            }
        };
        // A lease that nobody takes any more reports itself as cancelled.
        drop(reply.send(answer));
    }

    fn key(
        &mut self,
        now: Millis,
        model: &str,
        (tried, session): (&[KeyId], Option<Session>),
    ) -> Result<ApiKey, Exhausted> {
        let counter = &self.permits.counter;
        self.health.ring.turn_to(counter.turn());
        let key = self.health.ring.take(now, model, (tried, session));
        counter.set_turn(self.health.ring.next());
        key
    }

    /// Makes this actor and its settings the ones that are offered.
    fn offer(&self, context: &Context<Self>) {
        if self.permits.belongs_to(self.incarnation) {
            self.permits.counter.open(&self.settings, &context.address(), self.incarnation);
            self.settle();
        }
    }

    /// Offers keys to everybody as long as there is nothing to decide.
    fn settle(&self) {
        if !self.permits.belongs_to(self.incarnation) {
            return;
        }
        if self.waiting.is_empty() && self.health.is_untroubled() {
            self.permits.counter.stand();
        } else {
            self.permits.counter.fall();
        }
    }

    /// Whoever gives one back while there is none is asked to say so.
    fn permit(&self) -> Option<Permit> {
        let awaits = || {
            self.permits.await_freed(1);
            // It may have been given back in between.
            self.permits.take()
        };
        self.permits.take().or_else(awaits)
    }

    fn refused(&self, model: Arc<str>, refusal: Refusal) -> NoLease {
        NoLease::Refused { provider: self.settings.clone(), model, refusal }
    }

    fn queue(&mut self, request: LeaseKey, context: &mut Context<Self>) {
        self.waiting.retain(|waiter| !waiter.request.reply.is_closed());
        if self.waiting.len() >= self.limits.provider_queue {
            let LeaseKey { model, reply, .. } = request;
            drop(reply.send(Err(self.refused(model, Refusal::Busy))));
            return;
        }
        let wait = self.limits.provider_queue_wait;
        // Who comes now must not overtake those who wait.
        self.permits.counter.fall();
        self.waiting.push_back(Waiter { request, deadline: clock::now() + clock::millis(wait) });
        if self.waiting.len() == 1 {
            Self::tend(context);
        }
    }

    /// Looks after those who wait, as long as somebody does. A permit may come free without a word to this actor, when
    /// its lease was its predecessor's.
    fn tend(context: &mut Context<Self>) {
        context.run_later(TEND, |provider, context| {
            provider.catch_up();
            provider.serve_waiting(context);
            provider.dismiss(clock::now());
            if !provider.waiting.is_empty() {
                Self::tend(context);
            }
        });
    }

    /// Sends those away who have waited too long.
    fn dismiss(&mut self, now: Millis) {
        while self.waiting.front().is_some_and(|waiter| waiter.deadline <= now) {
            if let Some(waiter) = self.waiting.pop_front() {
                let LeaseKey { model, reply, .. } = waiter.request;
                drop(reply.send(Err(self.refused(model, Refusal::Busy))));
            }
        }
    }

    fn serve_waiting(&mut self, context: &mut Context<Self>) {
        while !self.waiting.is_empty() && self.permits.has_room() {
            let Some(waiter) = self.waiting.pop_front() else { return };
            self.serve(waiter.request, context);
        }
        self.permits.await_freed(self.waiting.len());
        self.settle();
    }

    /// Reads what requests have shown since the last time.
    fn catch_up(&mut self) {
        if !self.permits.belongs_to(self.incarnation) {
            return;
        }
        while let Some(told) = self.permits.told() {
            self.permits.counter.deal_with(&told);
            match told {
                Told::Report(report) => self.take_note(&report),
                Told::Lesson { model, edits } => {
                    edits.into_iter().for_each(|edit| self.learn(&model, edit));
                    self.saved.store(self.health.clone());
                }
            }
        }
        self.settle();
    }

    /// An older incarnation's requests still tell the truth about keys and upstream, except that their probes are not
    /// ours.
    fn take_note(&mut self, report: &Report) {
        if report.incarnation == self.incarnation || report.outcome != CallOutcome::Cancelled {
            self.note(report);
        }
    }

    fn note(&mut self, report: &Report) {
        let &Report { at: now, key, ref model, outcome, .. } = report;
        let (verdict, scope) = match outcome {
            CallOutcome::Answered => (Verdict::Works, Scope::Key),
            CallOutcome::RateLimited { after, scope } => (Verdict::RateLimited { after }, scope),
            CallOutcome::Rejected { scope } => (Verdict::Rejected, scope),
            CallOutcome::Overloaded | CallOutcome::Failed | CallOutcome::Cancelled => {
                (Verdict::Unknown, Scope::Key)
            }
        };
        let changed = self.health.ring.note(now, key, model, verdict, scope);
        match outcome {
            CallOutcome::Failed => self.health.breaker.note(now, Health::Bad),
            CallOutcome::Overloaded => self.health.overload(model).note(now, Health::Bad),
            CallOutcome::Cancelled => {
                self.health.breaker.forget();
                self.health.overload.get_mut(model).into_iter().for_each(Breaker::forget);
            }
            CallOutcome::Answered | CallOutcome::RateLimited { .. } | CallOutcome::Rejected { .. } => {
                self.health.breaker.note(now, Health::Good);
                self.health
                    .overload
                    .get_mut(model)
                    .into_iter()
                    .for_each(|breaker| breaker.note(now, Health::Good));
            }
        }
        if changed || matches!(outcome, CallOutcome::Failed | CallOutcome::Overloaded) {
            self.saved.store(self.health.clone());
        }
    }
}

impl Provider {
    /// Tells whoever reads the log what would spare the next refusal, once.
    fn learn(&mut self, model: &Arc<str>, edit: Edit) {
        let rule = edit.to_string();
        if self.health.lessons.learn(clock::now(), model, edit) == Novelty::New {
            let name = &self.settings.name;
            log::warn!(
                "provider '{name}' refuses a part of requests for '{model}', which go without it for now; to let them all go without it, write under [{name}]: {rule}"
            );
        }
    }
}

/// Stands for the key that the client brings. There is no other one to try.
fn client_key(tried: &[KeyId]) -> Result<ApiKey, Refusal> {
    if tried.is_empty() { Ok(ApiKey::new("")) } else { Err(Refusal::AllRejected) }
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Cooling { wait, said } => Self::Cooling { wait, said },
            Exhausted::Rejected => Self::AllRejected,
        }
    }
}

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.offer(context);
    }
}

impl Supervised for Provider {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.health = self.saved.load().handed_on();
        self.waiting.clear();
        self.settle();
    }
}

impl Handler<LeaseKey> for Provider {
    type Result = ();

    fn handle(&mut self, request: LeaseKey, context: &mut Self::Context) {
        self.catch_up();
        self.serve(request, context);
    }
}

impl Handler<Freed> for Provider {
    type Result = ();

    fn handle(&mut self, _: Freed, context: &mut Self::Context) {
        self.catch_up();
        self.serve_waiting(context);
    }
}

impl Handler<Ping> for Provider {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.catch_up();
    }
}

impl Handler<Observe<ProviderView>> for Provider {
    type Result = MessageResult<Observe<ProviderView>>;

    fn handle(&mut self, _: Observe<ProviderView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        let now = clock::now();
        MessageResult(ProviderView {
            settings: self.settings.clone(),
            keys: self.health.ring.view(now),
            in_flight: self.permits.taken(),
            waiting: self.waiting.len(),
            breaker_open: self.health.breaker.is_open(now),
            lessons: self.health.lessons.view(now),
            incarnation: self.incarnation,
        })
    }
}

#[cfg(test)]
mod tests;
