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
mod queue;
mod reconfigure;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use tokio::sync::oneshot;
use vandamme_protocol::healing::Edit;

use self::breaker::{Breaker, Health};
use self::key_ring::{Exhausted, KeyRing, Verdict};
pub use self::key_ring::{KeyView, Scope, Session};
pub(crate) use self::lease::Permits;
pub use self::lease::{CallOutcome, Held, Lease};
use self::lease::{Permit, Report, Told};
pub use self::lessons::LessonView;
use self::lessons::{Lessons, Novelty};
use self::queue::Queue;
pub(crate) use self::reconfigure::{Reconfigure, is_another};
use crate::clock::{self, Millis};
use crate::observe::{Observe, Ping};
use crate::router::Unroutable;
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Limits, Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// Leases come one per request in flight; the gate in front of the doors is the bound that matters.
pub(crate) const MAILBOX: usize = 4096;
/// Models whose overload is watched apart from the provider's; beyond, the provider's breaker stands for them.
const MODELS_WATCHED: usize = 64;

pub struct Provider {
    settings: Arc<ProviderSettings>,
    limits: Limits,
    permits: Arc<Permits>,
    incarnation: u64,
    saved: Snapshot<ProviderHealth>,
    health: ProviderHealth,
    waiting: Queue,
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
    /// Whoever has a permit need not wait for another.
    pub held: Option<Held>,
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

impl ProviderHealth {
    pub(crate) fn new(settings: &ProviderSettings, limits: &Limits) -> Self {
        Self {
            ring: KeyRing::new(&settings.keys, limits),
            breaker: Breaker::default(),
            overload: HashMap::new(),
            lessons: Lessons::new(limits.healing_ttl),
        }
    }

    /// As one actor hands it on to the next with these settings: without the probes that will not report to it. What was
    /// saved may be of other settings, whose keys must not be lent under these.
    fn handed_on(&self, settings: &ProviderSettings, limits: &Limits) -> Self {
        let mut health = self.clone();
        health.ring = self.ring.of(&settings.keys, limits);
        health.ring.forget_probes();
        health.breaker.forget();
        health.overload.values_mut().for_each(Breaker::forget);
        health
    }

    fn check(&self, now: Millis, model: &str) -> Result<(), Duration> {
        self.overload.get(model).map_or(Ok(()), |overload| overload.check(now))?;
        self.breaker.check(now)
    }

    /// Forgets what was about one model alone, and nobody has asked for since: it would keep all others from the offer.
    fn forget_old(&mut self, now: Millis) {
        self.ring.forget_old(now);
        self.overload.retain(|_, overload| !overload.is_forgotten(now));
    }

    /// Whether nobody need be asked who gets a key.
    fn is_untroubled(&self, now: Millis) -> bool {
        let mut breakers = self.overload.values().chain([&self.breaker]);
        self.ring.is_untroubled() && self.lessons.are_none(now) && breakers.all(Breaker::is_closed)
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
        let health = saved.load().handed_on(&settings, &limits);
        Self { settings, limits, permits, incarnation, saved, health, waiting: Queue::default() }
    }

    /// Answers a request with this permit, or with none when it has one.
    fn grant(&mut self, request: LeaseKey, permit: Option<Permit>, context: &mut Context<Self>) {
        if request.reply.is_closed() {
            return;
        }
        let now = clock::now();
        let LeaseKey { model, profile, session, tried, reply, .. } = request;
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
                let owner = (context.address(), self.incarnation, self.permits.clone());
                let probes = self.health.go(&model, key.id());
                let lease = Lease::new(settings, model, key, owner).holding(permit);
                let lease = lease.under(profile).remembering(remembered);
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
        if self.waiting.is_empty() && self.health.is_untroubled(clock::now()) {
            self.permits.counter.stand();
        } else {
            self.permits.counter.fall();
        }
    }

    fn refused(&self, model: Arc<str>, refusal: Refusal) -> NoLease {
        NoLease::Refused { provider: self.settings.clone(), model, refusal }
    }

    /// Reads what requests have shown since the last time.
    fn catch_up(&mut self) {
        while self.permits.belongs_to(self.incarnation)
            && let Some(told) = self.permits.told()
        {
            self.permits.counter.deal_with(&told);
            match told {
                Told::Report(report) => self.take_note(&report),
                Told::Lesson { provider, model, edits } if self.is_of(&provider) => {
                    edits.into_iter().for_each(|edit| self.learn(&model, edit));
                    self.saved.store(self.health.clone());
                }
                Told::Lesson { .. } => {}
            }
        }
        self.health.forget_old(clock::now());
        self.settle();
    }

    /// Whether a lease under these settings was for the upstream that is asked now.
    fn is_of(&self, settings: &Arc<ProviderSettings>) -> bool {
        Arc::ptr_eq(settings, &self.settings) || !is_another(settings, &self.settings)
    }

    /// An older incarnation's requests still tell the truth about keys and upstream, except that their probes are not
    /// ours. What began before a reload may be about another upstream, and says nothing of this one.
    fn take_note(&mut self, report: &Report) {
        let is_ours = report.incarnation == self.incarnation || report.outcome != CallOutcome::Cancelled;
        if is_ours && self.is_of(&report.provider) {
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
        self.health = self.saved.load().handed_on(&self.settings, &self.limits);
        self.waiting = Queue::default();
        self.settle();
    }
}

impl Handler<LeaseKey> for Provider {
    type Result = ();

    fn handle(&mut self, request: LeaseKey, context: &mut Self::Context) {
        self.catch_up();
        self.enter(request, context);
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
