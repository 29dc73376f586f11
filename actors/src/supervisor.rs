//! Supervisor: starts the actors that all threads share, monitors them, and replaces those that hang or that their
//! panic guard has given up.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Restart`] | operators, tests | whether an actor of that name exists |
//! | [`Reconfigure`] | a reload | – |
//!
//! Each supervised actor runs on its own arbiter, so that an actor that hangs does not affect the others. A replacement
//! starts on a fresh arbiter from the state that its predecessor last published; the registry gets its new address. The
//! thread of a hung actor cannot be killed: it ends when its work ends, if ever.

mod reconfigure;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, MailboxError, Message, WeakAddr,
    WrapFuture as _,
};
use actix_rt::Arbiter;

use crate::actor_thread::{ActorThread, StartThread};
use crate::catalog::{self, Catalog};
use crate::history::HistoryHandle;
use crate::ledger::{self, LedgerSlot};
use crate::observe::Ping;
use crate::panic_guard;
use crate::provider::{self, Permits, Provider, ProviderHealth};
use crate::registry::{ProviderHandle, Registry};
use crate::routing::{Lists, Routes};
use crate::settings::{ProviderSettings, Settings};
use crate::signatures::{self, SignatureStore};
use crate::snapshot::Snapshot;

/// The actor that owns all actors outside of the worker threads, with their arbiters.
pub struct Supervisor {
    settings: Settings,
    routes: Arc<Routes>,
    lists: Snapshot<Lists>,
    disk: catalog::Disk,
    registry: Snapshot<Registry>,
    providers: BTreeMap<Arc<str>, ProviderSlot>,
    ledger: LedgerSlot,
    start_thread: StartThread,
    threads: BTreeMap<ActorName, Box<dyn ActorThread>>,
    /// Providers that are no longer configured, kept while requests in flight hold leases of theirs.
    retired: Vec<(WeakAddr<Provider>, Box<dyn ActorThread>)>,
}

/// The part of a provider that outlives its actor.
struct ProviderSlot {
    settings: Arc<ProviderSettings>,
    permits: Arc<Permits>,
    health: Snapshot<ProviderHealth>,
    incarnation: u64,
}

/// An actor's name: `ledger`, `catalog`, `signatures`, `provider:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActorName {
    Ledger,
    Catalog,
    SignatureStore,
    Provider(Arc<str>),
}

/// Replaces an actor.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Restart(pub ActorName);

/// Applies new settings to all actors. Actors whose settings are unchanged keep their state; requests in flight end
/// under the settings that they started with.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconfigure(pub Settings);

impl ActorName {
    /// Parses a name as [`Display`](std::fmt::Display) prints it; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ledger" => Some(Self::Ledger),
            "catalog" => Some(Self::Catalog),
            "signatures" => Some(Self::SignatureStore),
            _ => text.strip_prefix("provider:").map(|name| Self::Provider(name.into())),
        }
    }
}

impl std::fmt::Display for ActorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ledger => f.write_str("ledger"),
            Self::Catalog => f.write_str("catalog"),
            Self::SignatureStore => f.write_str("signatures"),
            Self::Provider(name) => write!(f, "provider:{name}"),
        }
    }
}

impl Supervisor {
    /// Starts all actors. The supervisor itself runs on the current arbiter.
    pub fn start_tree(settings: Settings) -> (Addr<Self>, Snapshot<Registry>) {
        Self::start_tree_on(settings, Box::new(|| Box::new(Arbiter::new())))
    }

    /// Starts all actors, each on a thread of its own.
    pub(crate) fn start_tree_on(
        settings: Settings,
        start_thread: StartThread,
    ) -> (Addr<Self>, Snapshot<Registry>) {
        let lists = Snapshot::new(Lists::new());
        let routes = Arc::new(Routes::new(&settings, lists.clone()));
        let mut providers: BTreeMap<_, _> = settings
            .providers
            .iter()
            .map(|provider| (provider.name.clone(), ProviderSlot::new(provider, &settings)))
            .collect();
        let mut threads = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for (name, slot) in &mut providers {
            let thread = start_thread();
            addresses.insert(name.clone(), slot.start(&*thread, &settings));
            threads.insert(ActorName::Provider(name.clone()), thread);
        }
        let (for_ledger, for_catalog) = (start_thread(), start_thread());
        let for_signatures = start_thread();
        let history = HistoryHandle::default();
        let ledger = LedgerSlot::new(Arc::new(history.clone()));
        ledger.set_prices(settings.prices.clone());
        ledger.queue().set_summary_interval(settings.log_summary_interval);
        let disk = Catalog::disk(settings.cache.as_deref());
        let catalog = panic_guard::start(&*for_catalog, "catalog", catalog::MAILBOX, {
            let (lists, disk) = (lists.clone(), disk.clone());
            move || Catalog::new(lists, disk)
        });
        let signatures = start_signatures(&*for_signatures, &settings);
        let registry = Snapshot::new(Registry {
            ledger: ledger::start(&*for_ledger, &ledger),
            catalog,
            event_queue: ledger.queue().clone(),
            finished: ledger.finished(),
            history,
            series: ledger.series(),
            signatures,
            routes: routes.clone(),
            providers: addresses,
            generation: 0,
        });
        threads.extend([
            (ActorName::Ledger, for_ledger),
            (ActorName::Catalog, for_catalog),
            (ActorName::SignatureStore, for_signatures),
        ]);
        ledger.queue().set_summary_interval(settings.log_summary_interval);
        let supervisor = Self {
            settings,
            routes,
            lists,
            disk,
            registry: registry.clone(),
            providers,
            ledger,
            start_thread,
            threads,
            retired: Vec::new(),
        };
        supervisor.warm();
        (supervisor.start(), registry)
    }

    /// Sends the catalog the current providers.
    fn warm(&self) {
        let shared = self.settings.providers.iter().filter(|provider| !provider.passthrough);
        self.registry.load().catalog.do_send(catalog::LoadFromDisk(shared.cloned().collect()));
    }

    fn watch(&mut self, context: &mut Context<Self>) {
        self.stop_retired();
        self.ping(ActorName::Ledger, |registry| Some(&registry.ledger), context);
        self.ping(ActorName::Catalog, |registry| Some(&registry.catalog), context);
        self.ping(ActorName::SignatureStore, |registry| Some(&registry.signatures), context);
        for name in self.providers.keys() {
            let provider = name.clone();
            self.ping(
                ActorName::Provider(name.clone()),
                move |registry| registry.provider(&provider),
                context,
            );
        }
    }

    /// Pings the actor that has this name. `address_in` finds its address in a registry.
    fn ping<A>(
        &self,
        name: ActorName,
        address_in: impl Fn(&Registry) -> Option<&Addr<A>> + 'static,
        context: &mut Context<Self>,
    ) where
        A: Actor<Context = Context<A>> + Handler<Ping>,
    {
        let registry = self.registry.load();
        let Some(address) = address_in(&registry) else { return };
        // The actor of a removed provider ends after its last ping. A weak address of a closed actor could not be compared.
        let pinged = address.clone();
        let answer = address.send(Ping).timeout(self.settings.limits.watch_patience);
        context.spawn(answer.into_actor(self).map(move |answer, supervisor, _| {
            let Err(error) = answer else { return };
            // The answer says nothing about an actor that has taken the place of the pinged one. The replacement of
            // another actor does not matter: otherwise actors that fail together would be replaced one after the other.
            let registry = supervisor.registry.load();
            let Some(current) = address_in(&registry) else { return };
            if pinged == *current {
                supervisor.replace(&name, reason(error));
            }
        }));
    }

    fn replace(&mut self, name: &ActorName, reason: &str) -> bool {
        if let ActorName::Provider(provider) = name
            && !self.providers.contains_key(provider)
        {
            return false;
        }
        let old = self.registry.load();
        let thread = (self.start_thread)();
        let (mut ledger, mut catalog) = (old.ledger.clone(), old.catalog.clone());
        let (mut signatures, mut providers) = (old.signatures.clone(), old.providers.clone());
        match name {
            ActorName::Ledger => ledger = ledger::start(&*thread, &self.ledger),
            ActorName::Catalog => {
                let (lists, disk) = (self.lists.clone(), self.disk.clone());
                catalog = panic_guard::start(&*thread, "catalog", catalog::MAILBOX, move || {
                    Catalog::new(lists, disk)
                });
            }
            ActorName::SignatureStore => signatures = start_signatures(&*thread, &self.settings),
            ActorName::Provider(provider) => {
                let Some(slot) = self.providers.get_mut(provider) else { return false };
                providers.insert(provider.clone(), slot.start(&*thread, &self.settings));
            }
        }
        let (routes, generation) = (self.routes.clone(), old.generation + 1);
        self.registry.store(Registry {
            ledger,
            catalog,
            signatures,
            event_queue: old.event_queue.clone(),
            finished: old.finished.clone(),
            history: old.history.clone(),
            series: old.series.clone(),
            routes,
            providers,
            generation,
        });
        if *name == ActorName::Catalog {
            self.warm();
        }
        if let Some(left) = self.threads.insert(name.clone(), thread) {
            left.stop();
        }
        log::error!("actor {name} {reason}; restarted");
        true
    }
}

impl ProviderSlot {
    fn new(provider: &Arc<ProviderSettings>, settings: &Settings) -> Self {
        Self {
            settings: provider.clone(),
            permits: Permits::new(settings.limits.provider_in_flight),
            health: Snapshot::new(ProviderHealth::new(provider, &settings.limits)),
            incarnation: 0,
        }
    }

    fn start(&mut self, thread: &dyn ActorThread, settings: &Settings) -> ProviderHandle {
        self.incarnation += 1;
        self.permits.set_incarnation(self.incarnation);
        let (provider, limits) = (self.settings.clone(), settings.limits.clone());
        let (permits, counted) = (self.permits.clone(), self.permits.clone());
        let (incarnation, saved) = (self.incarnation, self.health.clone());
        let name = ActorName::Provider(provider.name.clone()).to_string();
        let address = panic_guard::start(thread, name, provider::MAILBOX, move || {
            Provider::new(provider, limits, counted, incarnation, saved)
        });
        ProviderHandle { address, permits }
    }
}

fn start_signatures(thread: &dyn ActorThread, settings: &Settings) -> Addr<SignatureStore> {
    let retention = settings.limits.signatures;
    panic_guard::start(thread, "signatures", signatures::MAILBOX, move || SignatureStore::new(retention))
}

fn reason(error: MailboxError) -> &'static str {
    match error {
        MailboxError::Closed => "has stopped",
        MailboxError::Timeout => "does not respond",
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(self.settings.limits.watch_interval, |supervisor, context| {
            supervisor.watch(context)
        });
    }
}

impl Handler<Ping> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

impl Handler<Reconfigure> for Supervisor {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, _: &mut Self::Context) {
        self.reconfigure(settings);
    }
}

impl Handler<Restart> for Supervisor {
    type Result = bool;

    fn handle(&mut self, Restart(name): Restart, _: &mut Self::Context) -> bool {
        self.replace(&name, "was replaced on request")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_rt::time::{sleep, timeout};
    use tokio::sync::oneshot;

    use super::*;
    use crate::faults::{InjectedFault, inject};
    use crate::observe::Observe;
    use crate::outcome::{LimitScope, Outcome};
    use crate::provider::{Lease, ProviderView, Size};
    use crate::router::{self, Destination, Dispatch};
    use crate::settings::Limits;
    use crate::testing::{limits, provider, settings};

    fn tree() -> (Addr<Supervisor>, Snapshot<Registry>) {
        let mut settings = settings(vec![provider("p").keys(&["a", "b"]).build(), provider("q").build()]);
        settings.limits = Limits {
            watch_interval: Duration::from_millis(10),
            watch_patience: Duration::from_millis(50),
            ..limits()
        };
        Supervisor::start_tree(settings)
    }

    async fn lease(registry: &Snapshot<Registry>, model: &str) -> Option<Lease> {
        let (reply, answer) = oneshot::channel();
        router::thread_router(registry).do_send(Dispatch {
            destination: Destination::Name(model.into()),
            session: None,
            size: Size::default(),
            when_busy: crate::provider::WhenBusy::Queue,
            reply,
        });
        let lease = async { answer.await.ok()?.ok()?.lease.answer().await?.ok() };
        timeout(Duration::from_secs(1), lease).await.ok()?
    }

    async fn restarted(registry: &Snapshot<Registry>) {
        let replaced = async {
            while registry.load().generation == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), replaced).await.expect("no actor was replaced");
    }

    #[actix_rt::test]
    async fn a_hung_provider_is_replaced_and_its_state_is_kept() {
        let (_supervisor, registry) = tree();
        let held = lease(&registry, "p:m").await.unwrap();
        let rejected = lease(&registry, "p:m").await.unwrap();
        let bad = rejected.key.id();
        rejected.finish(Outcome::KeyRejected);
        let address = registry.load().provider("p").cloned().unwrap();
        address.send(Observe::<ProviderView>::new()).await.unwrap();

        inject(
            &registry.load(),
            &ActorName::Provider("p".into()),
            InjectedFault::Hang(Duration::from_secs(2)),
        );
        restarted(&registry).await;

        let next = lease(&registry, "p:m").await.unwrap();
        assert_ne!(next.key.id(), bad);
        let view = registry.load().provider("p").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
        assert_eq!((view.incarnation, view.in_flight), (2, 2));
        drop(held);
    }

    #[actix_rt::test]
    async fn a_hung_provider_does_not_affect_others() {
        let (_supervisor, registry) = tree();

        inject(
            &registry.load(),
            &ActorName::Provider("p".into()),
            InjectedFault::Hang(Duration::from_secs(1)),
        );

        assert!(lease(&registry, "q:m").await.is_some());
    }

    #[actix_rt::test]
    async fn a_shared_actor_that_was_given_up_is_replaced() {
        for name in [ActorName::Ledger, ActorName::Catalog, ActorName::SignatureStore] {
            let (_supervisor, registry) = tree();

            for _ in 0..6 {
                inject(&registry.load(), &name, InjectedFault::Panic);
            }
            restarted(&registry).await;

            assert!(lease(&registry, "p:m").await.is_some(), "{name}");
            assert!(registry.load().ledger.connected(), "{name}");
            assert!(registry.load().catalog.connected(), "{name}");
            assert!(registry.load().signatures.connected(), "{name}");
        }
    }

    #[actix_rt::test]
    async fn an_actor_is_replaced_by_name_and_an_unknown_name_is_reported() {
        let (supervisor, registry) = tree();

        let name = |text| ActorName::parse(text).unwrap();
        assert!(supervisor.send(Restart(name("provider:q"))).await.unwrap());
        assert!(!supervisor.send(Restart(name("provider:nobody"))).await.unwrap());

        assert!(lease(&registry, "q:m").await.is_some());
        assert_eq!(registry.load().generation, 1);
    }

    /// Ends a lease in one of the ways in which a request can end, including a drop on another thread.
    fn end(lease: Lease, number: u64) {
        let after = Some(Duration::from_millis(1));
        match number % 8 {
            0 => lease.finish(Outcome::RateLimited { wait: after, scope: LimitScope::Account }),
            1 => lease.finish(Outcome::KeyForbidden),
            2 => drop(std::thread::spawn(move || drop(lease)).join()),
            3 => drop(lease),
            _ => lease.finish(Outcome::Answered),
        }
    }

    /// Requests leases repeatedly, as requests on a worker thread do.
    async fn request_leases(registry: Snapshot<Registry>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            if let Some(lease) = lease(&registry, "p:m").await {
                if random.bool() {
                    sleep(Duration::from_micros(random.u64(..500))).await;
                }
                end(lease, random.u64(..));
            }
        }
    }

    #[actix_rt::test]
    async fn concurrent_faults_lose_no_permit_and_the_fast_path_opens_again() {
        let settings_with = |keys: &[&str]| {
            let mut settings = settings(vec![provider("p").keys(keys).build()]);
            settings.limits = Limits {
                watch_interval: Duration::from_millis(10),
                watch_patience: Duration::from_millis(30),
                provider_in_flight: 3,
                cooldown: Duration::from_millis(1),
                cooldown_cap: Duration::from_millis(5),
                ..limits()
            };
            settings
        };
        let (supervisor, registry) = Supervisor::start_tree(settings_with(&["a", "b"]));
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                let registry = registry.clone();
                std::thread::spawn(move || actix_rt::System::new().block_on(request_leases(registry, seed)))
            })
            .collect();
        let name = ActorName::Provider("p".into());
        for round in 0.. {
            let done = match round % 4 {
                0 => inject(&registry.load(), &name, InjectedFault::Panic),
                1 => supervisor.send(Reconfigure(settings_with(&["a", "b", "c"]))).await.is_ok(),
                2 => inject(&registry.load(), &name, InjectedFault::Hang(Duration::from_millis(60))),
                _ => supervisor.send(Reconfigure(settings_with(&["b", "a"]))).await.is_ok(),
            };
            assert!(done);
            sleep(Duration::from_millis(20)).await;
            if threads.iter().all(std::thread::JoinHandle::is_finished) {
                break;
            }
        }
        threads.into_iter().for_each(|thread| thread.join().expect("a thread panicked"));

        let recovered = async {
            loop {
                let handle = registry.load().handle("p").cloned().expect("the provider is registered");
                let read = handle.address.send(Ping).await;
                if read.is_ok()
                    && let Some(lent) =
                        Lease::from_fast_path(&handle.permits, &"m".into(), None, Size::default())
                {
                    break (lent, handle);
                }
                if let Some(lease) = lease(&registry, "p:m").await {
                    lease.finish(Outcome::Answered);
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let (_lent, handle) =
            timeout(Duration::from_secs(20), recovered).await.expect("the fast path does not open");
        let given_back = async {
            while handle.permits.taken() > 1 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), given_back).await.expect("a permit is lost");
    }
}
