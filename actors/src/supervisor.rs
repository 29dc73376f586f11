//! Supervisor: starts the actors that every thread talks to, watches them, and replaces those that hang or have been
//! given up.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Restart`] | operators, tests | whether there is an actor of that name |
//! | [`Reconfigure`] | a reload | – |
//!
//! Each of its actors lives on an arbiter of its own, so that one that hangs costs nobody else. A replacement starts on
//! a fresh arbiter from what its predecessor last published; its new address goes into the roster. The thread of a hung
//! actor cannot be killed: it ends if its work ever does.

mod reconfigure;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, MailboxError, Message, WeakAddr,
    WrapFuture as _,
};
use actix_rt::Arbiter;

use crate::catalog::{self, Catalog};
use crate::ledger;
use crate::observe::Ping;
use crate::panic_guard;
use crate::provider::{self, Permits, Provider, ProviderHealth};
use crate::registry::{Post, Roster};
use crate::router::{Lists, Routes};
use crate::settings::{ProviderSettings, Settings};
use crate::signatures::{self, Thoughts};
use crate::snapshot::Snapshot;

pub struct Supervisor {
    settings: Settings,
    routes: Arc<Routes>,
    lists: Snapshot<Lists>,
    disk: catalog::Disk,
    roster: Snapshot<Roster>,
    providers: BTreeMap<Arc<str>, Station>,
    arbiters: BTreeMap<Name, Arbiter>,
    /// Providers that are no longer configured, for as long as requests in flight have a lease of theirs.
    retired: Vec<(WeakAddr<Provider>, Arbiter)>,
}

/// What of a provider outlives its actor.
struct Station {
    settings: Arc<ProviderSettings>,
    permits: Arc<Permits>,
    health: Snapshot<ProviderHealth>,
    incarnation: u64,
}

/// An actor's name: `ledger`, `catalog`, `thoughts`, `provider:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Ledger,
    Catalog,
    Thoughts,
    Provider(Arc<str>),
}

/// Replaces an actor.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Restart(pub Name);

/// Everything goes on under other settings. What has not changed keeps what it knows; requests in flight end under the settings
/// that they began under.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconfigure(pub Settings);

impl Name {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ledger" => Some(Self::Ledger),
            "catalog" => Some(Self::Catalog),
            "thoughts" => Some(Self::Thoughts),
            _ => text.strip_prefix("provider:").map(|name| Self::Provider(name.into())),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ledger => f.write_str("ledger"),
            Self::Catalog => f.write_str("catalog"),
            Self::Thoughts => f.write_str("thoughts"),
            Self::Provider(name) => write!(f, "provider:{name}"),
        }
    }
}

impl Supervisor {
    /// Starts the whole tree; the supervisor itself lives on the current arbiter.
    pub fn start_tree(settings: Settings) -> (Addr<Self>, Snapshot<Roster>) {
        let lists = Snapshot::new(Lists::new());
        let routes = Arc::new(Routes::new(&settings, lists.clone()));
        let mut providers: BTreeMap<_, _> = settings
            .providers
            .iter()
            .map(|provider| (provider.name.clone(), Station::new(provider, &settings)))
            .collect();
        let mut arbiters = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for (name, station) in &mut providers {
            let arbiter = Arbiter::new();
            addresses.insert(name.clone(), station.start(&arbiter, &settings));
            arbiters.insert(Name::Provider(name.clone()), arbiter);
        }
        let (for_ledger, for_catalog) = (Arbiter::new(), Arbiter::new());
        let for_thoughts = Arbiter::new();
        let (ledger, diary) = ledger::start(&for_ledger);
        let disk = Catalog::disk(settings.cache.as_deref());
        let catalog = panic_guard::start(&for_catalog.handle(), "catalog", catalog::MAILBOX, {
            let (lists, disk) = (lists.clone(), disk.clone());
            move || Catalog::new(lists, disk)
        });
        let thoughts = start_thoughts(&for_thoughts, &settings);
        let roster = Snapshot::new(Roster {
            ledger,
            catalog,
            diary,
            thoughts,
            routes: routes.clone(),
            providers: addresses,
            generation: 0,
        });
        arbiters.extend([
            (Name::Ledger, for_ledger),
            (Name::Catalog, for_catalog),
            (Name::Thoughts, for_thoughts),
        ]);
        let supervisor = Self {
            settings,
            routes,
            lists,
            disk,
            roster: roster.clone(),
            providers,
            arbiters,
            retired: Vec::new(),
        };
        supervisor.warm();
        (supervisor.start(), roster)
    }

    /// Tells the catalog which providers there are.
    fn warm(&self) {
        let shared = self.settings.providers.iter().filter(|provider| !provider.passthrough);
        self.roster.load().catalog.do_send(catalog::Warm(shared.cloned().collect()));
    }

    fn watch(&mut self, context: &mut Context<Self>) {
        self.bury();
        let roster = self.roster.load();
        self.ask(Name::Ledger, &roster.ledger, context);
        self.ask(Name::Catalog, &roster.catalog, context);
        self.ask(Name::Thoughts, &roster.thoughts, context);
        for (name, provider) in roster.providers() {
            self.ask(Name::Provider(name.clone()), provider, context);
        }
    }

    fn ask<A>(&self, name: Name, address: &Addr<A>, context: &mut Context<Self>)
    where
        A: Actor<Context = Context<A>> + Handler<Ping>,
    {
        let generation = self.roster.load().generation;
        let answer = address.send(Ping).timeout(self.settings.limits.watch_patience);
        context.spawn(answer.into_actor(self).map(move |answer, supervisor, _| {
            let Err(error) = answer else { return };
            // Somebody may have been replaced since the question was asked: ask again before acting on an old answer.
            if supervisor.roster.load().generation == generation {
                supervisor.replace(&name, reason(error));
            }
        }));
    }

    fn replace(&mut self, name: &Name, reason: &str) -> bool {
        if let Name::Provider(provider) = name
            && !self.providers.contains_key(provider)
        {
            return false;
        }
        let old = self.roster.load();
        let arbiter = Arbiter::new();
        let (mut ledger, mut diary) = (old.ledger.clone(), old.diary.clone());
        let mut catalog = old.catalog.clone();
        let (mut thoughts, mut providers) = (old.thoughts.clone(), old.providers.clone());
        match name {
            Name::Ledger => (ledger, diary) = ledger::start(&arbiter),
            Name::Catalog => {
                let (lists, disk) = (self.lists.clone(), self.disk.clone());
                catalog = panic_guard::start(&arbiter.handle(), "catalog", catalog::MAILBOX, move || {
                    Catalog::new(lists, disk)
                });
            }
            Name::Thoughts => thoughts = start_thoughts(&arbiter, &self.settings),
            Name::Provider(provider) => {
                let Some(station) = self.providers.get_mut(provider) else { return false };
                providers.insert(provider.clone(), station.start(&arbiter, &self.settings));
            }
        }
        let (routes, generation) = (self.routes.clone(), old.generation + 1);
        self.roster.store(Roster { ledger, catalog, thoughts, diary, routes, providers, generation });
        if *name == Name::Catalog {
            self.warm();
        }
        if let Some(left) = self.arbiters.insert(name.clone(), arbiter) {
            left.stop();
        }
        log::error!("actor {name} {reason}: started anew");
        true
    }
}

impl Station {
    fn new(provider: &Arc<ProviderSettings>, settings: &Settings) -> Self {
        Self {
            settings: provider.clone(),
            permits: Permits::new(settings.limits.provider_in_flight),
            health: Snapshot::new(ProviderHealth::new(provider, &settings.limits)),
            incarnation: 0,
        }
    }

    fn start(&mut self, arbiter: &Arbiter, settings: &Settings) -> Post {
        self.incarnation += 1;
        self.permits.belong_to(self.incarnation);
        let (provider, limits) = (self.settings.clone(), settings.limits.clone());
        let (permits, counted) = (self.permits.clone(), self.permits.clone());
        let origin = (self.incarnation, self.health.clone());
        let name = Name::Provider(provider.name.clone()).to_string();
        let address = panic_guard::start(&arbiter.handle(), name, provider::MAILBOX, move || {
            Provider::new(provider, limits, counted, origin)
        });
        Post { address, permits }
    }
}

fn start_thoughts(arbiter: &Arbiter, settings: &Settings) -> Addr<Thoughts> {
    let retention = settings.limits.thoughts;
    panic_guard::start(&arbiter.handle(), "thoughts", signatures::MAILBOX, move || Thoughts::new(retention))
}

fn reason(error: MailboxError) -> &'static str {
    match error {
        MailboxError::Closed => "has died",
        MailboxError::Timeout => "does not answer",
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

impl Handler<Reconfigure> for Supervisor {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, _: &mut Self::Context) {
        self.reconfigure(settings);
    }
}

impl Handler<Restart> for Supervisor {
    type Result = bool;

    fn handle(&mut self, Restart(name): Restart, _: &mut Self::Context) -> bool {
        self.replace(&name, "was to be replaced")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_rt::time::{sleep, timeout};
    use tokio::sync::oneshot;

    use super::*;
    use crate::faults::{Misfortune, strike};
    use crate::observe::Observe;
    use crate::outcome::{LimitScope, Outcome};
    use crate::provider::{Lease, Size};
    use crate::router::{self, Destination, Dispatch};
    use crate::settings::Limits;
    use crate::testing::{limits, provider, settings};

    fn tree() -> (Addr<Supervisor>, Snapshot<Roster>) {
        let mut settings = settings(vec![provider("p").keys(&["a", "b"]).build(), provider("q").build()]);
        settings.limits = Limits {
            watch_interval: Duration::from_millis(10),
            watch_patience: Duration::from_millis(50),
            ..limits()
        };
        Supervisor::start_tree(settings)
    }

    async fn lease(roster: &Snapshot<Roster>, model: &str) -> Option<Lease> {
        let (reply, answer) = oneshot::channel();
        router::here(roster).do_send(Dispatch {
            destination: Destination::Name(model.into()),
            session: None,
            size: Size::default(),
            reply,
        });
        let lease = async { answer.await.ok()?.ok()?.lease.answer().await?.ok() };
        timeout(Duration::from_secs(1), lease).await.ok()?
    }

    async fn restarted(roster: &Snapshot<Roster>) {
        let replaced = async {
            while roster.load().generation == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), replaced).await.expect("nobody was replaced");
    }

    #[actix_rt::test]
    async fn a_hung_provider_is_replaced_and_knows_what_the_old_one_knew() {
        let (_supervisor, roster) = tree();
        let held = lease(&roster, "p:m").await.unwrap();
        let rejected = lease(&roster, "p:m").await.unwrap();
        let bad = rejected.key.id();
        rejected.finish(Outcome::KeyRejected);
        let address = roster.load().provider("p").cloned().unwrap();
        address.send(Observe::new()).await.unwrap();

        strike(&roster.load(), &Name::Provider("p".into()), Misfortune::Hang(Duration::from_secs(2)));
        restarted(&roster).await;

        let next = lease(&roster, "p:m").await.unwrap();
        assert_ne!(next.key.id(), bad);
        let view = roster.load().provider("p").unwrap().send(Observe::new()).await.unwrap();
        assert_eq!((view.incarnation, view.in_flight), (2, 2));
        drop(held);
    }

    #[actix_rt::test]
    async fn while_one_provider_hangs_the_others_go_on() {
        let (_supervisor, roster) = tree();

        strike(&roster.load(), &Name::Provider("p".into()), Misfortune::Hang(Duration::from_secs(1)));

        assert!(lease(&roster, "q:m").await.is_some());
    }

    #[actix_rt::test]
    async fn an_actor_for_all_that_has_been_given_up_is_replaced() {
        for name in [Name::Ledger, Name::Catalog, Name::Thoughts] {
            let (_supervisor, roster) = tree();

            for _ in 0..6 {
                strike(&roster.load(), &name, Misfortune::Panic);
            }
            restarted(&roster).await;

            assert!(lease(&roster, "p:m").await.is_some(), "{name}");
            assert!(roster.load().ledger.connected(), "{name}");
            assert!(roster.load().catalog.connected(), "{name}");
            assert!(roster.load().thoughts.connected(), "{name}");
        }
    }

    #[actix_rt::test]
    async fn an_actor_is_replaced_by_name_and_a_name_that_is_nobodys_is_told() {
        let (supervisor, roster) = tree();

        let name = |text| Name::parse(text).unwrap();
        assert!(supervisor.send(Restart(name("provider:q"))).await.unwrap());
        assert!(!supervisor.send(Restart(name("provider:nobody"))).await.unwrap());

        assert!(lease(&roster, "q:m").await.is_some());
        assert_eq!(roster.load().generation, 1);
    }

    /// What one request shows, told from wherever it is.
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

    /// Asks again and again, as exchanges on a worker thread do.
    async fn ask_on(roster: Snapshot<Roster>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            if let Some(lease) = lease(&roster, "p:m").await {
                if random.bool() {
                    sleep(Duration::from_micros(random.u64(..500))).await;
                }
                end(lease, random.u64(..));
            }
        }
    }

    #[actix_rt::test]
    async fn whatever_happens_at_once_no_permit_is_lost_and_the_fast_path_is_open_in_the_end() {
        let begun = |keys: &[&str]| {
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
        let (supervisor, roster) = Supervisor::start_tree(begun(&["a", "b"]));
        let askers: Vec<_> = (0..4)
            .map(|seed| {
                let roster = roster.clone();
                std::thread::spawn(move || actix_rt::System::new().block_on(ask_on(roster, seed)))
            })
            .collect();
        let name = Name::Provider("p".into());
        for round in 0.. {
            let done = match round % 4 {
                0 => strike(&roster.load(), &name, Misfortune::Panic),
                1 => supervisor.send(Reconfigure(begun(&["a", "b", "c"]))).await.is_ok(),
                2 => strike(&roster.load(), &name, Misfortune::Hang(Duration::from_millis(60))),
                _ => supervisor.send(Reconfigure(begun(&["b", "a"]))).await.is_ok(),
            };
            assert!(done);
            sleep(Duration::from_millis(20)).await;
            if askers.iter().all(std::thread::JoinHandle::is_finished) {
                break;
            }
        }
        askers.into_iter().for_each(|asker| asker.join().expect("no panic"));

        let recovered = async {
            loop {
                let post = roster.load().post("p").cloned().expect("it is there");
                let read = post.address.send(Ping).await;
                if read.is_ok()
                    && let Some(lent) = post.permits.lend(&"m".into(), None, (None, Size::default()))
                {
                    break (lent, post);
                }
                if let Some(lease) = lease(&roster, "p:m").await {
                    lease.finish(Outcome::Answered);
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let (_lent, post) = timeout(Duration::from_secs(20), recovered).await.expect("the fast path is open");
        let given_back = async {
            while post.permits.taken() > 1 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), given_back).await.expect("no permit is lost");
    }
}
