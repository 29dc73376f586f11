//! Reloads the configuration, and injects faults into actors.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::time::sleep;
use fastrand::Rng;
use tokio::sync::oneshot;

use super::checks::Disturbance;
use super::upstream::{key_name, pick};
use super::{HORIZON, KEYS, MODELS, PROVIDERS, World};
use crate::clock;
use crate::faults::{InjectedFault, inject, inject_into_router};
use crate::observe::Observe;
use crate::provider::{
    Alternatives, KeySwitch, KeySwitched, LeaseKey, MAILBOX, ProviderView, Size, SwitchKey,
};
use crate::secret::KeyId;
use crate::settings::{Limits, ProviderSettings, Settings};
use crate::supervisor::{ActorName, Reconfigure, Restart};
use crate::testing::{limits, provider, settings};

/// The longest time until the supervisor has replaced a hung actor: a watch interval and a ping.
const REPLACED_WITHIN: Duration = Duration::from_millis(500 + 500);
/// How long an operator waits for a provider's actor.
const PATIENCE: Duration = Duration::from_secs(2);
pub(super) const QUEUE: usize = 3;
pub(super) const QUEUE_WAIT: Duration = Duration::from_millis(800);

/// The providers of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    providers: [Option<ConfiguredProvider>; PROVIDERS.len()],
    in_flight: usize,
}

#[derive(Clone, Debug)]
struct ConfiguredProvider {
    keys: Vec<usize>,
    /// Changes only if another upstream takes the provider's name.
    host: usize,
    max_retries: u32,
}

impl ConfiguredProvider {
    fn random(rng: &mut Rng) -> Self {
        let mut keys: Vec<_> = (0..KEYS).filter(|_| rng.bool()).collect();
        if keys.is_empty() {
            keys.push(rng.usize(0..KEYS));
        }
        rng.shuffle(&mut keys);
        Self { keys, host: 0, max_retries: rng.u32(0..3) }
    }

    fn settings(&self, number: usize) -> Arc<ProviderSettings> {
        let names: Vec<_> = self.keys.iter().map(|&key| key_name(number, key)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        // `m0` has a chain of all providers, `m1` of two, `m2` has no fallback.
        let next =
            |step: usize, model: &str| format!("{}:{model}", PROVIDERS[(number + step) % PROVIDERS.len()]);
        let (first, second, other) = (next(1, "m0"), next(2, "m0"), next(1, "m1"));
        let chain: [&str; 2] = [&first, &second];
        let built = provider(PROVIDERS[number]).keys(&names).fallbacks(&[("m0", &chain), ("m1", &[&other])]);
        let mut built = Arc::unwrap_or_clone(built.build());
        built.base_url = format!("http://127.0.0.1:1/v{}", self.host);
        built.max_retries = self.max_retries;
        Arc::new(built)
    }
}

impl Configuration {
    /// The first provider always exists.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let providers = std::array::from_fn(|number| {
            (number == 0 || rng.u8(0..10) > 0).then(|| ConfiguredProvider::random(rng))
        });
        Self { providers, in_flight: rng.usize(1..6) }
    }

    /// A reload of this configuration.
    fn changed(&self, rng: &mut Rng) -> Self {
        let mut next = self.clone();
        let number = rng.usize(0..PROVIDERS.len());
        let provider = &mut next.providers[number];
        match (rng.u8(0..8), &mut *provider) {
            (0 | 1, Some(_)) if number > 0 => *provider = None,
            (2, Some(known)) => known.host += 1,
            (3, _) => next.in_flight = rng.usize(1..6),
            (_, Some(known)) => known.keys = ConfiguredProvider::random(rng).keys,
            (_, None) => *provider = Some(ConfiguredProvider::random(rng)),
        }
        next
    }

    pub(super) fn settings(&self) -> Settings {
        let providers = self.providers.iter().enumerate();
        let providers = providers.filter_map(|(number, known)| Some(known.as_ref()?.settings(number)));
        let mut settings = settings(providers.collect());
        settings.limits = Limits {
            watch_interval: Duration::from_millis(500),
            watch_patience: Duration::from_millis(500),
            provider_in_flight: self.in_flight,
            provider_queue: QUEUE,
            provider_queue_wait: QUEUE_WAIT,
            cooldown: Duration::from_secs(1),
            cooldown_cap: Duration::from_secs(4),
            ..limits()
        };
        settings
    }
}

/// Disturbs the tree once, at a random time.
pub(super) async fn disturb(world: std::rc::Rc<World>) {
    sleep(Duration::from_millis(world.draw(|rng| rng.u64(0..HORIZON)))).await;
    match world.draw(|rng| rng.u8(0..36)) {
        30.. => world.switch_keys().await,
        0..=10 => world.reload().await,
        11..=14 => world.restart().await,
        15..=20 => world.hang().await,
        21 => world.flood().await,
        22 | 23 => {
            world.note(format_args!("the router panics"));
            inject_into_router(&world.registry, InjectedFault::Panic);
        }
        _ => world.panic().await,
    }
}

impl World {
    fn random_actor(&self) -> ActorName {
        let provider = || ActorName::Provider(self.draw(|rng| pick(rng, &PROVIDERS)).into());
        match self.draw(|rng| rng.u8(0..8)) {
            0 => ActorName::Ledger,
            1 => ActorName::SignatureStore,
            2 => ActorName::Catalog,
            _ => provider(),
        }
    }

    fn disturbed(&self, name: &ActorName, time: Duration) {
        let now = clock::boot();
        let until = now + clock::millis(time + REPLACED_WITHIN);
        self.checks.borrow_mut().disturbances.push(Disturbance { actor: name.clone(), from: now, until });
    }

    async fn reload(&self) {
        let next = self.draw(|rng| self.configuration.borrow().changed(rng));
        self.note(format_args!("reload: {next:?}"));
        self.configuration.replace(next.clone());
        self.reloads.set(self.reloads.get() + 1);
        let before = self.registry.load();
        self.supervisor.send(Reconfigure(next.settings())).await.expect("the supervisor lives");
        let after = self.registry.load();
        let settings = next.settings();
        let is_gone = |provider: &str, key: KeyId| {
            let mut keys = settings.providers.iter().filter(|known| *known.name == *provider);
            !keys.any(|known| known.keys.iter().any(|known| known.id() == key))
        };
        self.checks.borrow_mut().note_enabled(is_gone);
        for (name, address) in before.providers().filter(|(name, _)| after.provider(name).is_none()) {
            self.note(format_args!("{name} is removed"));
            self.disturbed(&ActorName::Provider(name.clone()), Duration::ZERO);
            self.checks.borrow_mut().removed.push(address.downgrade());
        }
        self.note_permits();
    }

    async fn restart(&self) {
        let name = self.random_actor();
        self.disturbed(&name, Duration::ZERO);
        let before = self.observe(&name).await;
        let known = self.supervisor.send(Restart(name.clone())).await.expect("the supervisor lives");
        self.note(format_args!("{name} restarts: {known}"));
        if let Some(before) = before {
            self.check_kept(&name, &before).await;
        }
    }

    async fn hang(&self) {
        let name = self.random_actor();
        let time = Duration::from_millis(self.draw(|rng| rng.u64(50..2_500)));
        let before = self.observe(&name).await;
        self.disturbed(&name, time);
        self.note(format_args!("{name} hangs for {time:?}"));
        inject(&self.registry.load(), &name, InjectedFault::Hang(time));
        sleep(time.min(REPLACED_WITHIN) + Duration::from_millis(1)).await;
        if let Some(before) = before {
            self.check_kept(&name, &before).await;
        }
    }

    /// An operator disables some keys of a provider, and enables them later.
    async fn switch_keys(&self) {
        let name = self.draw(|rng| pick(rng, &PROVIDERS));
        let Some(address) = self.registry.load().provider(name).cloned() else { return };
        let Ok(view) = address.send(Observe::<ProviderView>::new()).timeout(PATIENCE).await else { return };
        let keys: Vec<_> = view.keys.iter().map(|key| key.id).filter(|_| self.draw(Rng::bool)).collect();
        for &key in &keys {
            if self.switch_key(name, key, KeySwitch::Disabled).await == Some(KeySwitched::Done) {
                self.note(format_args!("key {key} of {name} is disabled"));
            }
        }
        sleep(Duration::from_millis(self.draw(|rng| rng.u64(0..3_000)))).await;
        for key in keys {
            self.checks.borrow_mut().note_enabled(|provider, known| provider == name && known == key);
            self.switch_key(name, key, KeySwitch::Enabled).await;
        }
    }

    /// Switches the key, as `src/gateway/key_switch.rs` does.
    async fn switch_key(&self, name: &str, key: KeyId, to: KeySwitch) -> Option<KeySwitched> {
        if to == KeySwitch::Disabled {
            self.checks.borrow_mut().note_order(name, key);
        }
        for _ in 0..3 {
            let address = self.registry.load().provider(name).cloned()?;
            let switched = address.send(SwitchKey { key, to }).timeout(PATIENCE).await.ok();
            match switched {
                None | Some(KeySwitched::Replaced) => sleep(Duration::from_millis(250)).await,
                Some(KeySwitched::Done) => {
                    if to == KeySwitch::Disabled {
                        self.checks.borrow_mut().note_disabled(name, key);
                    }
                    return switched;
                }
                Some(KeySwitched::UnknownKey) => return switched,
            }
        }
        None
    }

    pub(super) async fn enable_all_keys(&self) {
        self.checks.borrow_mut().note_enabled(|_, _| true);
        for name in PROVIDERS {
            let Some(address) = self.registry.load().provider(name).cloned() else { continue };
            let view: ProviderView =
                address.send(Observe::new()).await.expect("the supervisor has replaced it");
            for key in view.keys {
                self.switch_key(name, key.id, KeySwitch::Enabled).await;
            }
        }
    }

    /// A few panics cost a message each; more of them make the guard give the actor up.
    async fn panic(&self) {
        let name = self.random_actor();
        let panics = self.draw(|rng| pick(rng, &[1, 2, 7]));
        let before = self.observe(&name).await;
        self.disturbed(&name, Duration::ZERO);
        self.note(format_args!("{name} panics {panics} times"));
        if panics > 5 {
            self.note(format_args!("{name} is given up"));
        }
        for _ in 0..panics {
            inject(&self.registry.load(), &name, InjectedFault::Panic);
        }
        sleep(REPLACED_WITHIN).await;
        if let Some(before) = before {
            self.check_kept(&name, &before).await;
        }
    }

    /// Fills the mailbox of a hung provider.
    async fn flood(&self) {
        let number = self.draw(|rng| rng.usize(0..PROVIDERS.len()));
        let name = ActorName::Provider(PROVIDERS[number].into());
        let registry = self.registry.load();
        let Some(address) = registry.provider(PROVIDERS[number]) else { return };
        self.disturbed(&name, Duration::from_millis(700));
        inject(&registry, &name, InjectedFault::Hang(Duration::from_millis(700)));
        let model: Arc<str> = MODELS[0].into();
        let sent = (0..MAILBOX + 10).take_while(|_| {
            let (reply, _gone) = oneshot::channel();
            let request = LeaseKey {
                model: model.clone(),
                profile: None,
                session: None,
                size: Size::default(),
                alternatives: Alternatives::None,
                tried: vec![],
                held: None,
                when_busy: crate::provider::WhenBusy::Queue,
                reply,
            };
            address.try_send(request).is_ok()
        });
        let sent = sent.count();
        self.note(format_args!("a client floods {name} with {sent} requests"));
        assert!(sent <= MAILBOX + 1, "the mailbox has no bound");
    }
}
