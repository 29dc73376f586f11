//! Provider: owns one configured provider with its keys. It decides which request gets which key, and when.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`LeaseKey`] | router, proxy run | a [`Lease`] through the message's own channel, immediately or when a permit is free; or a [`LeaseRefusal`] |
//! | `Freed` | a lease | – |
//! | `ReconfigureProvider` | supervisor | – |
//! | [`ResetHealth`] | an operator's order | the keys that were reset |
//! | [`SwitchKey`] | an operator's order | [`KeySwitched`] |
//! | [`Observe`] | supervisor, health page; export of state | [`ProviderView`]; [`ExportedProvider`] |
//! | `ImportState` | the import of state | – |
//!
//! The actor never waits for the network. After a panic it continues with the health that it saved last. Permits are counted outside.

mod exported;
mod fast_path;
mod gate;
mod health;
mod learned_rules;
mod lease;
mod permits;
mod queue;
mod reconfigure;
mod reset;
mod state_log;
mod switch_key;

/// What [`gate`] is built from; its model check replaces these by loom's types.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
}

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use tokio::sync::oneshot;

pub use self::exported::ExportedProvider;
pub(crate) use self::exported::ImportState;
pub use self::health::{
    AffinityHash, Alternatives, ConditionView, KeySwitch, KeyView, ModelView, ResetScope, Size,
};
use self::health::{Chosen, Health, KeyChoice, KeyRequest, SessionWait};
pub use self::learned_rules::LearnedRuleView;
use self::learned_rules::LearnedRules;
pub use self::lease::Lease;
use self::lease::LeaseSource;
pub use self::permits::HeldPermit;
pub(crate) use self::permits::Permits;
use self::permits::{LeaseEvent, Permit};
use self::queue::Queue;
pub(crate) use self::reconfigure::{ReconfigureProvider, is_another_upstream};
pub use self::reset::ResetHealth;
pub use self::switch_key::{KeySwitched, SwitchKey};
use crate::clock;
use crate::observe::{Observe, Ping};
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Limits, Profile, ProviderSettings};
use crate::snapshot::Snapshot;

/// A mailbox holds at most one lease request per request in flight, so the limit of those is the effective bound.
pub(crate) const MAILBOX: usize = 4096;

/// The actor that owns one provider's keys, health, learned rules and waiting requests.
pub struct Provider {
    settings: Arc<ProviderSettings>,
    limits: Limits,
    permits: Arc<Permits>,
    incarnation: u64,
    saved: Snapshot<ProviderHealth>,
    known: ProviderHealth,
    waiting: Queue,
}

/// A provider's knowledge about its keys and its upstream. Each incarnation passes it to the next.
#[derive(Clone, Debug)]
pub struct ProviderHealth {
    health: Health,
    learned_rules: LearnedRules,
}

/// Requests a key, not one of `tried`, for one request for `model`.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct LeaseKey {
    pub model: Arc<str>,
    /// The profile whose timeout and retries apply.
    pub profile: Option<Arc<Profile>>,
    /// Requests of one session get the same key while it is healthy.
    pub session: Option<AffinityHash>,
    /// The size of the request.
    pub size: Size,
    /// Whether another target can serve the request.
    pub alternatives: Alternatives,
    pub tried: Vec<KeyId>,
    /// Set if the request already holds a permit; it then needs no other one.
    pub held: Option<HeldPermit>,
    pub when_busy: WhenBusy,
    /// The receiver is dropped when the client disconnects.
    pub reply: oneshot::Sender<Result<Lease, NoLease>>,
}

/// What a request does if the provider has no permit free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// It waits in the provider's queue.
    Queue,
    /// It gets no lease. A request that serves another one must not wait for the permit that the other one holds.
    Refuse,
}

/// The reason why a request gets no lease.
#[derive(Clone, Debug)]
pub struct NoLease {
    pub provider: Arc<ProviderSettings>,
    /// The model's name at that provider.
    pub model: Arc<str>,
    pub refusal: LeaseRefusal,
}

/// The reason why a provider lends no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRefusal {
    /// The upstream's own wait for this model is still running, for every key that has not been tried.
    RateLimited { wait: Duration },
    /// The provider or the model is known to fail, and another target is left.
    PassedOver,
    /// All keys have been tried.
    AllTried,
    /// An operator has disabled all keys.
    Disabled,
    /// Too many requests are waiting already, or this request has waited too long.
    Busy,
}

/// A snapshot of a provider's state.
#[derive(Clone, Debug)]
pub struct ProviderView {
    pub settings: Arc<ProviderSettings>,
    /// Whether the upstream's host works.
    pub host: ConditionView,
    pub keys: Vec<KeyView>,
    /// Models that are not preferred at present.
    pub models: Vec<ModelView>,
    pub in_flight: usize,
    pub waiting: usize,
    /// The learned rules, by model.
    pub learned_rules: Vec<LearnedRuleView>,
    pub incarnation: u64,
}

impl ProviderHealth {
    pub(crate) fn new(settings: &ProviderSettings, limits: &Limits) -> Self {
        Self {
            health: Health::new(&settings.keys, limits),
            learned_rules: LearnedRules::new(limits.learned_rules_ttl),
        }
    }

    /// The state that one incarnation passes to the next, for these settings, without the marks of leases that report
    /// to the old one. The saved state may belong to other settings, whose keys must not be lent under these.
    fn for_next_incarnation(&self, settings: &ProviderSettings, limits: &Limits) -> Self {
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
        incarnation: u64,
        saved: Snapshot<ProviderHealth>,
    ) -> Self {
        let known = saved.load().for_next_incarnation(&settings, &limits);
        Self { settings, limits, permits, incarnation, saved, known, waiting: Queue::default() }
    }

    /// Answers a request with this permit, or with none if the request already holds one.
    fn grant(
        &mut self,
        request: LeaseKey,
        permit: Option<Permit>,
        patience: SessionWait,
        context: &mut Context<Self>,
    ) {
        if request.reply.is_closed() {
            return;
        }
        let number = self.permits.next_lease_number();
        let chosen = match self.choose(&request, number, patience) {
            KeyChoice::Key(chosen) => Ok(chosen),
            KeyChoice::WaitUntil(until) => return self.hold_for_session(request, permit, until, context),
            KeyChoice::PassedOver => Err(LeaseRefusal::PassedOver),
            KeyChoice::RateLimited { wait } => Err(LeaseRefusal::RateLimited { wait }),
            KeyChoice::AllTried => Err(LeaseRefusal::AllTried),
            KeyChoice::Disabled => Err(LeaseRefusal::Disabled),
        };
        let LeaseKey { model, profile, size, alternatives, reply, .. } = request;
        let answer = match chosen {
            Err(refusal) => Err(self.refused(model, refusal)),
            Ok(Chosen { key, is_known_to_fail, is_probe }) => {
                let settings = self.settings.clone();
                let fixups = self.known.learned_rules.recall(clock::boot(), &model);
                let source = LeaseSource {
                    owner: context.address(),
                    incarnation: self.incarnation,
                    permits: self.permits.clone(),
                };
                let lease = Lease::new(settings, model, key, size, source).with_permit(permit);
                let mut lease =
                    lease.with_profile(profile).with_fixups(fixups).with_alternatives(alternatives);
                lease.is_known_to_fail = is_known_to_fail;
                Ok(if is_probe { lease.with_probe(number) } else { lease })
            }
        };
        // If the receiver is gone, the dropped lease reports itself as cancelled.
        drop(reply.send(answer));
    }

    fn choose(&mut self, request: &LeaseKey, lease: u64, patience: SessionWait) -> KeyChoice {
        let fast_path = &self.permits.fast_path;
        self.known.health.set_turn(fast_path.turn());
        let request = KeyRequest {
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

    /// Makes this actor and its settings the source of leases.
    fn publish_source(&self, context: &Context<Self>) {
        if self.permits.is_current(self.incarnation) {
            self.permits.fast_path.set_source(&self.settings, &context.address(), self.incarnation);
            self.set_fast_path();
        }
    }

    /// Opens the fast path if every key is equally good and no request waits; closes it otherwise.
    fn set_fast_path(&self) {
        if !self.permits.is_current(self.incarnation) {
            return;
        }
        let now = clock::boot();
        let is_clear = self.known.health.is_clear(now) && self.known.learned_rules.is_empty(now);
        if self.waiting.is_empty() && is_clear {
            self.permits.fast_path.open(self.incarnation);
        } else {
            self.permits.fast_path.close();
        }
    }

    fn refused(&self, model: Arc<str>, refusal: LeaseRefusal) -> NoLease {
        NoLease { provider: self.settings.clone(), model, refusal }
    }

    /// Reads all reports since the last call.
    fn catch_up(&mut self) {
        while self.permits.is_current(self.incarnation)
            && let Some(event) = self.permits.next_event()
        {
            if event.is_adverse() {
                self.permits.fast_path.before_failure_is_handled();
            }
            match event {
                LeaseEvent::Report { provider, incarnation, mut report }
                    if self.concerns_current_upstream(&provider) =>
                {
                    if incarnation != self.incarnation {
                        // Requests of an older incarnation still show the state of keys and upstream, but this
                        // incarnation has not set their marks.
                        report.lease = 0;
                    }
                    self.note(&report);
                }
                LeaseEvent::LearnedRule { provider, model, fixups }
                    if self.concerns_current_upstream(&provider) =>
                {
                    fixups.into_iter().for_each(|fixup| self.learn(&model, fixup));
                    self.saved.store(self.known.clone());
                }
                // A lease from before a reload may concern another upstream.
                LeaseEvent::Report { .. } | LeaseEvent::LearnedRule { .. } => {}
            }
        }
        self.known.health.forget_old(clock::boot());
        self.set_fast_path();
    }

    /// Whether a lease under these settings concerns the current upstream.
    fn concerns_current_upstream(&self, settings: &Arc<ProviderSettings>) -> bool {
        Arc::ptr_eq(settings, &self.settings) || !is_another_upstream(settings, &self.settings)
    }

    fn note(&mut self, report: &health::CallReport) {
        let failures = self.known.health.failures(report);
        let changes = self.known.health.note(report, fastrand::f64());
        changes.iter().for_each(|change| self.log(change));
        let has_changed = !changes.is_empty() || failures != self.known.health.failures(report);
        if has_changed || report.outcome.is_adverse() {
            self.saved.store(self.known.clone());
        }
    }
}

/// A placeholder for the key that the client sends. It is the only key.
fn client_key(tried: &[KeyId]) -> Option<ApiKey> {
    tried.is_empty().then(|| ApiKey::new(""))
}

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // The requests that waited for an earlier incarnation ask again.
        self.permits.set_waiting(0);
        self.publish_source(context);
    }
}

impl Supervised for Provider {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.known = self.saved.load().for_next_incarnation(&self.settings, &self.limits);
        self.waiting = Queue::default();
        self.permits.set_waiting(0);
        self.set_fast_path();
    }
}

impl Handler<LeaseKey> for Provider {
    type Result = ();

    fn handle(&mut self, request: LeaseKey, context: &mut Self::Context) {
        self.catch_up();
        self.admit(request, SessionWait::MayWait, context);
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
            learned_rules: self.known.learned_rules.view(now),
            incarnation: self.incarnation,
        })
    }
}

#[cfg(test)]
mod tests;
