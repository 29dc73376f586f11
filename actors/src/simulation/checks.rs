//! Checks the rules during a schedule and at its end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;

use super::clients::{self, ClientRequest};
use super::{MODELS, World};
use crate::clock::{self, Millis};
use crate::ledger::{LedgerView, Record, RequestEnd, UNKNOWN};
use crate::observe::Observe;
use crate::provider::{ConditionView, Lease, ModelView, Permits, Provider, ProviderView};
use crate::registry::Registry;
use crate::routing::Target;
use crate::secret::KeyId;
use crate::supervisor::ActorName;

/// The time in which an actor may lose messages.
#[derive(Debug)]
pub(super) struct Disturbance {
    pub(super) actor: ActorName,
    pub(super) from: Millis,
    pub(super) until: Millis,
}

/// A call that the upstream answered.
struct Success {
    provider: Arc<str>,
    key: KeyId,
    model: Arc<str>,
    at: Millis,
}

/// A key that an operator has disabled.
struct DisabledKey {
    provider: Arc<str>,
    key: KeyId,
    from: Millis,
    until: Millis,
}

/// What the schedule knows by itself.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) disturbances: Vec<Disturbance>,
    /// Providers that a reload has removed.
    pub(super) removed: Vec<WeakAddr<Provider>>,
    /// The permits of every provider that has existed.
    permits: Vec<Arc<Permits>>,
    successes: Vec<Success>,
    /// When a lease of each provider was last returned.
    returned: BTreeMap<Arc<str>, Millis>,
    /// Every key that an operator has disabled, with the times from and until which it must not be lent.
    disabled: Vec<DisabledKey>,
    /// Every key that an operator has ordered to be disabled. A refusal can arrive before the confirmation.
    ordered: Vec<(Arc<str>, KeyId)>,
    /// What the ledger must have counted, over all its replacements.
    counted: BTreeMap<LedgerRow, Counts>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LedgerRow {
    provider: Arc<str>,
    model: Arc<str>,
    streamed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    failed: u64,
    cancelled: u64,
    output: u64,
}

/// Notes the return of a lease when dropped, however the request ends.
pub(super) struct NoteReturned<'w> {
    world: &'w World,
    provider: Arc<str>,
}

impl<'w> NoteReturned<'w> {
    pub(super) fn new(world: &'w World, target: &Target) -> Self {
        Self { world, provider: target.provider.name.clone() }
    }
}

impl Drop for NoteReturned<'_> {
    fn drop(&mut self) {
        self.world.checks.borrow_mut().note_returned(&self.provider);
    }
}

/// A provider's state before a fault.
pub(super) struct Observed {
    at: Millis,
    view: ProviderView,
    /// A provider that is removed and added again has others, and knows nothing.
    permits: Arc<Permits>,
}

impl Checks {
    /// Whether the actor may have lost a message since `since`.
    pub(super) fn is_disturbed(&self, actor: &ActorName, since: Millis) -> bool {
        let mut of_actor = self.disturbances.iter().filter(|disturbance| disturbance.actor == *actor);
        of_actor.any(|disturbance| disturbance.until >= since && disturbance.from <= clock::boot())
    }

    pub(super) fn count(&mut self, record: &Record) {
        let unknown = || Arc::from(UNKNOWN);
        let row = LedgerRow {
            provider: record.provider.clone().unwrap_or_else(unknown),
            model: record.model.clone().unwrap_or_else(unknown),
            streamed: record.request.streamed,
        };
        let counts = self.counted.entry(row).or_default();
        counts.requests += 1;
        counts.output += record.usage.output;
        match record.end {
            RequestEnd::Succeeded => {}
            RequestEnd::Failed { .. } => counts.failed += 1,
            RequestEnd::Cancelled => counts.cancelled += 1,
        }
    }

    pub(super) fn note_success(&mut self, provider: &Arc<str>, key: KeyId, model: &Arc<str>) {
        let (provider, model) = (provider.clone(), model.clone());
        self.successes.push(Success { provider, key, model, at: clock::boot() });
    }

    /// A lease of this provider is returned now.
    pub(super) fn note_returned(&mut self, provider: &Arc<str>) {
        self.returned.insert(provider.clone(), clock::boot());
    }

    pub(super) fn was_returned(&self, provider: &str, at: Millis) -> bool {
        self.returned.get(provider) == Some(&at)
    }

    /// An operator orders that this key be disabled.
    pub(super) fn note_order(&mut self, provider: &str, key: KeyId) {
        self.ordered.push((provider.into(), key));
    }

    /// An operator's order has been confirmed.
    pub(super) fn note_disabled(&mut self, provider: &str, key: KeyId) {
        let known = DisabledKey { provider: provider.into(), key, from: clock::boot(), until: Millis::MAX };
        self.disabled.push(known);
    }

    /// The key may be lent from now on: an operator enables it, or a reload has removed it.
    pub(super) fn note_enabled(&mut self, is_meant: impl Fn(&str, KeyId) -> bool) {
        for known in self.disabled.iter_mut().filter(|known| is_meant(&known.provider, known.key)) {
            known.until = known.until.min(clock::boot());
        }
    }

    /// Whether an operator has ordered at any time that the key be disabled.
    pub(super) fn was_disabled(&self, provider: &str, key: KeyId) -> bool {
        self.ordered.iter().any(|(name, ordered)| **name == *provider && *ordered == key)
    }

    /// A lease that was requested while its key was disabled.
    pub(super) fn check_enabled(&self, lease: &Lease, asked: Millis) {
        let (provider, key, now) = (&lease.provider.name, lease.key.id(), clock::boot());
        let is_lent = |known: &DisabledKey| {
            known.provider == *provider && known.key == key && known.from < asked && known.until > now
        };
        assert!(!self.disabled.iter().any(is_lent), "the disabled key {key} of {provider} is lent");
    }

    fn note_permits(&mut self, registry: &Registry) {
        for (name, _) in registry.providers() {
            let permits = &registry.handle(name).expect("it is listed").permits;
            if !self.permits.iter().any(|known| Arc::ptr_eq(known, permits)) {
                self.permits.push(permits.clone());
            }
        }
    }
}

impl Observed {
    /// The conditions that must still be on cooldown: their time is not over, and no call has succeeded since.
    fn lasting<'m>(
        &self,
        models: &'m [ModelView],
        now: Millis,
        has_succeeded: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = &'m ModelView> {
        models.iter().filter(move |view| is_running(&view.condition, now) && !has_succeeded(&view.model))
    }
}

fn is_running(condition: &ConditionView, now: Millis) -> bool {
    condition.until.is_some_and(|until| until > now)
}

impl World {
    pub(super) fn note_permits(&self) {
        self.checks.borrow_mut().note_permits(&self.registry.load());
    }

    /// The provider's state; `None` for another actor, or if it does not answer.
    pub(super) async fn observe(&self, actor: &ActorName) -> Option<Observed> {
        let ActorName::Provider(name) = actor else { return None };
        let (address, permits) = {
            let registry = self.registry.load();
            let handle = registry.handle(name)?;
            (handle.address.clone(), handle.permits.clone())
        };
        let at = clock::boot();
        let view = address.send(Observe::new()).timeout(Duration::from_secs(3)).await.ok()?;
        Some(Observed { at, view, permits })
    }

    /// A provider continues with what it knew: cooldowns, learned rules and counters.
    pub(super) async fn check_kept(&self, actor: &ActorName, before: &Observed) {
        let Some(Observed { view: after, permits, .. }) = self.observe(actor).await else { return };
        let before_settings = &before.view.settings;
        let is_new = !Arc::ptr_eq(&permits, &before.permits);
        if is_new || crate::provider::is_another_upstream(before_settings, &after.settings) {
            return;
        }
        self.note(format_args!("{actor} keeps its state as incarnation {}", after.incarnation));
        let rules = |view: &ProviderView| -> Vec<_> {
            view.learned_rules.iter().map(|rule| (rule.model.clone(), rule.fixup.clone())).collect()
        };
        let learned = rules(&after);
        assert!(rules(&before.view).iter().all(|rule| learned.contains(rule)), "{actor} forgets a rule");
        let (now, checks) = (clock::boot(), self.checks.borrow());
        let since = |success: &&super::checks::Success| {
            success.provider == before_settings.name && success.at >= before.at
        };
        for key in &before.view.keys {
            let Some(next) = after.keys.iter().find(|next| next.id == key.id) else { continue };
            let mut of_key = checks.successes.iter().filter(since).filter(|success| success.key == key.id);
            if is_running(&key.condition, now) && of_key.next().is_none() {
                assert_ne!(next.state, "ready", "{actor} forgets the cooldown of key {}: {key:?}", key.id);
            }
            let has_succeeded = |model: &str| {
                let mut successes = checks.successes.iter().filter(since);
                successes.any(|success| success.key == key.id && *success.model == *model)
            };
            for known in before.lasting(&key.models, now, has_succeeded) {
                let is_kept = next.models.iter().any(|next| next.model == known.model);
                assert!(is_kept, "{actor} forgets the cooldown of key {} with {}", key.id, known.model);
            }
        }
        let has_succeeded =
            |model: &str| checks.successes.iter().filter(since).any(|success| *success.model == *model);
        for known in before.lasting(&before.view.models, now, has_succeeded) {
            let is_kept = after.models.iter().any(|next| next.model == known.model);
            assert!(is_kept, "{actor} forgets the cooldown of {}", known.model);
        }
    }
}

/// Checks that nothing is left, and that a healthy upstream serves every first request.
pub(super) async fn check_end(world: &Rc<World>) {
    world.note(format_args!("the end"));
    world.enable_all_keys().await;
    check_released(world).await;
    world.upstream.borrow_mut().heal();
    let registry = world.registry.load();
    for (name, _) in registry.providers() {
        for (model, session) in MODELS.iter().flat_map(|model| [None, Some(7)].map(|one| (model, one))) {
            let request = ClientRequest::healthy(format!("{name}:{model}"), session);
            assert_eq!(clients::first_request(world, request).await, Ok(1), "{name}:{model} is not served");
        }
    }
    check_released(world).await;
    check_ledger(world).await;
}

async fn check_released(world: &World) {
    let registry = world.registry.load();
    for (name, address) in registry.providers() {
        let view =
            address.send(Observe::<ProviderView>::new()).await.expect("the supervisor has replaced it");
        assert_eq!(
            (view.waiting, view.in_flight),
            (0, 0),
            "{name} has waiting requests or requests in flight"
        );
    }
    let checks = world.checks.borrow();
    for permits in &checks.permits {
        assert_eq!(permits.taken(), 0, "a permit is lost");
        assert!(!permits.has_waiters(), "a provider believes that requests wait");
    }
    let remaining = checks.removed.iter().filter(|removed| removed.upgrade().is_some());
    assert_eq!(remaining.count(), 0, "the actor of a removed provider does not end");
}

async fn check_ledger(world: &World) {
    let registry = world.registry.load();
    let view: LedgerView =
        registry.ledger.send(Observe::new()).await.expect("the supervisor has replaced it");
    assert!(view.active.is_empty(), "requests are left in flight: {:?}", view.active);
    let counted: BTreeMap<_, _> = view
        .rows
        .iter()
        .flat_map(|(provider, model, totals)| {
            [(true, totals.streamed), (false, totals.whole)].map(|(streamed, totals)| {
                let row = LedgerRow { provider: provider.into(), model: model.into(), streamed };
                let crate::ledger::RequestTotals { requests, failed, cancelled, tokens, .. } = totals;
                (row, Counts { requests, failed, cancelled, output: tokens.output })
            })
        })
        .filter(|(_, counts)| *counts != Counts::default())
        .collect();
    let checks = world.checks.borrow();
    assert_eq!(counted, checks.counted, "the ledger's counts differ");
}
