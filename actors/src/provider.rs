//! Provider: one upstream account with its keys. It decides who may ask it, with which key, and when.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`LeaseKey`] | router, exchange | a [`Lease`] through the message's own channel, now or when a permit is free; or a [`Refusal`] |
//! | `Freed` | a lease | – |
//! | `Reconfigure` | supervisor | – |
//! | [`Observe`] | supervisor, health page, tests | [`ProviderView`] |
//!
//! It never waits for the network: it lends keys and reads reports. After a panic it continues with the health that it saved last;
//! permits are counted outside of it.

mod fast_path;
mod health;
mod learned_rules;
mod lease;
mod queue;
mod reconfigure;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use tokio::sync::oneshot;
use vandamme_protocol::compat::Edit;

pub use self::health::{Alternatives, ConditionView, KeyView, ModelView, Session, Size};
use self::health::{Change, Choice, Chosen, Health, Patience, Request, RestKind, State, Subject};
pub use self::learned_rules::LessonView;
use self::learned_rules::{Lessons, Novelty};
pub(crate) use self::lease::Permits;
use self::lease::{Event, Permit};
pub use self::lease::{Held, Lease};
use self::queue::Queue;
pub(crate) use self::reconfigure::{Reconfigure, is_another};
use crate::clock;
use crate::observe::{Observe, Ping};
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Limits, Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// Leases come one per request in flight; the gate in front of the doors is the bound that matters.
pub(crate) const MAILBOX: usize = 4096;

pub struct Provider {
    settings: Arc<ProviderSettings>,
    limits: Limits,
    permits: Arc<Permits>,
    incarnation: u64,
    saved: Snapshot<ProviderHealth>,
    known: ProviderHealth,
    waiting: Queue,
}

/// What a provider knows about its keys and its upstream: handed from one incarnation to the next.
#[derive(Clone, Debug)]
pub struct ProviderHealth {
    health: Health,
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
    /// How large the request is.
    pub size: Size,
    /// Whether another target may serve it.
    pub alternatives: Alternatives,
    pub tried: Vec<KeyId>,
    /// Whoever has a permit need not wait for another.
    pub held: Option<Held>,
    /// Dropped by the asker when the client has left.
    pub reply: oneshot::Sender<Result<Lease, NoLease>>,
}

/// Why a request gets no lease.
#[derive(Clone, Debug)]
pub struct NoLease {
    pub provider: Arc<ProviderSettings>,
    /// The model's name at that provider.
    pub model: Arc<str>,
    pub refusal: Refusal,
}

/// Why a provider lends no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The upstream itself asked to wait so long for this model, with every key that is left.
    RateLimited { wait: Duration },
    /// The provider or the model is known to fail, and another target is left.
    PassedOver,
    /// All keys have been tried.
    AllTried,
    /// Too many requests wait already, or this one has waited too long.
    Busy,
}

/// A provider's state as others may see it.
#[derive(Clone, Debug)]
pub struct ProviderView {
    pub settings: Arc<ProviderSettings>,
    /// Whether the upstream's host works.
    pub host: ConditionView,
    pub keys: Vec<KeyView>,
    /// Models that are not preferred.
    pub models: Vec<ModelView>,
    pub in_flight: usize,
    pub waiting: usize,
    /// What refusals have taught, by model.
    pub lessons: Vec<LessonView>,
    pub incarnation: u64,
}

impl ProviderHealth {
    pub(crate) fn new(settings: &ProviderSettings, limits: &Limits) -> Self {
        Self { health: Health::new(&settings.keys, limits), lessons: Lessons::new(limits.healing_ttl) }
    }

    /// As one actor hands it on to the next with these settings: without the marks of leases that report elsewhere. What was
    /// saved may be of other settings, whose keys must not be lent under these.
    fn handed_on(&self, settings: &ProviderSettings, limits: &Limits) -> Self {
        let mut known = self.clone();
        known.health = self.health.with_keys(&settings.keys, limits);
        known.health.release_all();
        known
    }
}

impl Provider {
    pub(crate) fn new(
        settings: Arc<ProviderSettings>,
        limits: Limits,
        permits: Arc<Permits>,
        (incarnation, saved): (u64, Snapshot<ProviderHealth>),
    ) -> Self {
        let known = saved.load().handed_on(&settings, &limits);
        Self { settings, limits, permits, incarnation, saved, known, waiting: Queue::default() }
    }

    /// Answers a request with this permit, or with none when it has one.
    fn grant(
        &mut self,
        request: LeaseKey,
        (permit, patience): (Option<Permit>, Patience),
        context: &mut Context<Self>,
    ) {
        if request.reply.is_closed() {
            return;
        }
        let number = self.permits.number();
        let chosen = match self.choose(&request, (number, patience)) {
            Choice::Key(chosen) => Ok(chosen),
            Choice::WaitUntil(until) => return self.hold(request, (permit, until), context),
            Choice::PassedOver => Err(Refusal::PassedOver),
            Choice::RateLimited { wait } => Err(Refusal::RateLimited { wait }),
            Choice::AllTried => Err(Refusal::AllTried),
        };
        let LeaseKey { model, profile, size, alternatives, reply, .. } = request;
        let answer = match chosen {
            Err(refusal) => Err(self.refused(model, refusal)),
            Ok(Chosen { key, is_known_to_fail, is_trial }) => {
                let settings = self.settings.clone();
                let remembered = self.known.lessons.recall(clock::boot(), &model);
                let owner = (context.address(), self.incarnation, self.permits.clone());
                let lease = Lease::new(settings, model, (key, size), owner).holding(permit);
                let mut lease = lease.under(profile).remembering(remembered).beside(alternatives);
                lease.is_known_to_fail = is_known_to_fail;
                Ok(if is_trial { lease.on_trial(number) } else { lease })
            }
        };
        // A lease that nobody takes any more reports itself as cancelled.
        drop(reply.send(answer));
    }

    fn choose(&mut self, request: &LeaseKey, (lease, patience): (u64, Patience)) -> Choice {
        let fast_path = &self.permits.fast_path;
        self.known.health.set_turn(fast_path.turn());
        let request = Request {
            now: clock::boot(),
            model: &request.model,
            session: request.session,
            tried: &request.tried,
            size: request.size,
            alternatives: request.alternatives,
            patience,
            lease,
            chance: fastrand::f64(),
        };
        if self.settings.passthrough {
            return self.known.health.choose_client_key(&request, client_key(request.tried));
        }
        let choice = self.known.health.choose(&request);
        fast_path.set_turn(self.known.health.turn());
        choice
    }

    /// Leases come from this actor and its settings from now on.
    fn serve(&self, context: &Context<Self>) {
        if self.permits.belongs_to(self.incarnation) {
            self.permits.fast_path.serve(&self.settings, &context.address(), self.incarnation);
            self.set_fast_path();
        }
    }

    /// Opens the fast path as long as there is nothing to decide.
    fn set_fast_path(&self) {
        if !self.permits.belongs_to(self.incarnation) {
            return;
        }
        let now = clock::boot();
        let is_clear = self.known.health.is_clear(now) && self.known.lessons.are_none(now);
        if self.waiting.is_empty() && is_clear {
            self.permits.fast_path.open();
        } else {
            self.permits.fast_path.close();
        }
    }

    fn refused(&self, model: Arc<str>, refusal: Refusal) -> NoLease {
        NoLease { provider: self.settings.clone(), model, refusal }
    }

    /// Reads what requests have reported since the last time.
    fn catch_up(&mut self) {
        while self.permits.belongs_to(self.incarnation)
            && let Some(event) = self.permits.next_event()
        {
            self.permits.fast_path.before_read(&event);
            match event {
                Event::Report { provider, incarnation, mut report } if self.is_of(&provider) => {
                    if incarnation != self.incarnation {
                        // An older incarnation's requests still show how keys and upstream are, but their marks are not ours.
                        report.lease = 0;
                    }
                    self.note(&report);
                }
                Event::Lesson { provider, model, edits } if self.is_of(&provider) => {
                    edits.into_iter().for_each(|edit| self.learn(&model, edit));
                    self.saved.store(self.known.clone());
                }
                // What began before a reload may be about another upstream.
                Event::Report { .. } | Event::Lesson { .. } => {}
            }
        }
        self.known.health.forget_old(clock::boot());
        self.set_fast_path();
    }

    /// Whether a lease under these settings was for the upstream that is asked now.
    fn is_of(&self, settings: &Arc<ProviderSettings>) -> bool {
        Arc::ptr_eq(settings, &self.settings) || !is_another(settings, &self.settings)
    }

    fn note(&mut self, report: &health::Report) {
        let changes = self.known.health.note(report, fastrand::f64());
        changes.iter().for_each(|change| self.log(change));
        if !changes.is_empty() || report.outcome.is_adverse() {
            self.saved.store(self.known.clone());
        }
    }

    /// One line for each change of state.
    fn log(&self, Change { subject, into }: &Change) {
        let name = &self.settings.name;
        let subject = match subject {
            Subject::Key(key) => format!("key {key} of provider '{name}'"),
            Subject::KeyAndModel(key, model) => {
                format!("key {key} of provider '{name}' with model '{model}'")
            }
            Subject::Model(model) => format!("model '{model}' of provider '{name}'"),
            Subject::Host => format!("provider '{name}'"),
        };
        match into {
            State::Preferred => log::info!("{subject} is preferred again"),
            State::Resting { kind: RestKind::Extended, .. } => {}
            State::Resting { kind: RestKind::New, cause, pause, message } => {
                let last = if message.is_empty() { String::new() } else { format!(": {message}") };
                let pause = pause.as_secs_f64();
                log::warn!("{subject} is not preferred for {pause:.1} s: {}{last}", cause.label());
            }
        }
    }
}

impl Provider {
    /// Logs once which configuration would avoid the next refusal.
    fn learn(&mut self, model: &Arc<str>, edit: Edit) {
        let rule = edit.line(model);
        if self.known.lessons.learn(clock::boot(), model, edit) == Novelty::New {
            let name = &self.settings.name;
            log::warn!(
                "provider '{name}' refused a part of the requests for '{model}'; they are now sent as it accepts them. To make this permanent, add under [{name}]: {rule}"
            );
        }
    }
}

/// Stands for the key that the client brings. There is no other one to try.
fn client_key(tried: &[KeyId]) -> Option<ApiKey> {
    tried.is_empty().then(|| ApiKey::new(""))
}

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.serve(context);
    }
}

impl Supervised for Provider {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.known = self.saved.load().handed_on(&self.settings, &self.limits);
        self.waiting = Queue::default();
        self.set_fast_path();
    }
}

impl Handler<LeaseKey> for Provider {
    type Result = ();

    fn handle(&mut self, request: LeaseKey, context: &mut Self::Context) {
        self.catch_up();
        self.enter((request, Patience::MayWait), context);
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
        let now = clock::boot();
        MessageResult(ProviderView {
            settings: self.settings.clone(),
            host: self.known.health.host_view(now),
            keys: self.known.health.keys_view(now),
            models: self.known.health.models_view(now),
            in_flight: self.permits.taken(),
            waiting: self.waiting.len(),
            lessons: self.known.lessons.view(now),
            incarnation: self.incarnation,
        })
    }
}

#[cfg(test)]
mod tests;
