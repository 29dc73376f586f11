//! What the supervisor does when the settings change: providers come, go, and go on under other terms.

use std::sync::Arc;

use actix_rt::Arbiter;

use super::{Name, Station, Supervisor};
use crate::catalog::Forget;
use crate::provider;
use crate::registry::{Post, Roster};
use crate::router::Routes;
use crate::settings::{Limits, ProviderSettings, Settings};

impl Supervisor {
    /// The new roster is published as a whole: no request sees routes to a provider that is not there.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        let old = self.roster.load();
        let mut stations = std::mem::take(&mut self.providers);
        let mut strangers = Vec::new();
        let mut posts = std::collections::BTreeMap::new();
        for provider in &settings.providers {
            let name = &provider.name;
            let (station, post) = match (stations.remove(name), old.post(name)) {
                (Some(mut station), Some(post)) => {
                    if provider::is_another(&station.settings, provider) {
                        strangers.push(name.clone());
                    }
                    station.reconfigure(provider, &settings.limits);
                    // Before the routes that lead to it, and to the same mailbox.
                    post.permits.withdraw();
                    post.address.do_send(provider::Reconfigure {
                        settings: provider.clone(),
                        limits: settings.limits.clone(),
                    });
                    (station, post.clone())
                }
                (Some(_), None) | (None, _) => self.enlist(provider, &settings),
            };
            posts.insert(name.clone(), post);
            self.providers.insert(name.clone(), station);
        }
        for name in stations.into_keys() {
            self.retire(&name, &old);
            strangers.push(name);
        }
        old.catalog.do_send(Forget(strangers));
        self.routes = Arc::new(Routes::new(&settings, self.lists.clone()));
        self.roster.store(Roster {
            ledger: old.ledger.clone(),
            catalog: old.catalog.clone(),
            thoughts: old.thoughts.clone(),
            diary: old.diary.clone(),
            routes: self.routes.clone(),
            providers: posts,
            // Nobody who waits for an answer waits in vain.
            generation: old.generation,
        });
        self.settings = settings;
        self.warm();
    }

    fn enlist(&mut self, provider: &Arc<ProviderSettings>, settings: &Settings) -> (Station, Post) {
        let arbiter = Arbiter::new();
        let mut station = Station::new(provider, settings);
        let post = station.start(&arbiter, settings);
        if let Some(left) = self.arbiters.insert(Name::Provider(provider.name.clone()), arbiter) {
            left.stop();
        }
        (station, post)
    }

    /// The actor ends when its last lease does; its thread is ended after it.
    fn retire(&mut self, name: &Arc<str>, old: &Roster) {
        let arbiter = self.arbiters.remove(&Name::Provider(name.clone()));
        if let Some((arbiter, address)) = arbiter.zip(old.provider(name)) {
            self.retired.push((address.downgrade(), arbiter));
        }
    }

    /// Ends the threads of those who have left for good.
    pub(super) fn bury(&mut self) {
        self.retired.retain(|(address, arbiter)| {
            let lives = address.upgrade().is_some_and(|address| address.connected());
            if !lives {
                arbiter.stop();
            }
            lives
        });
    }
}

impl Station {
    /// Also what a replacement would start from.
    fn reconfigure(&mut self, provider: &Arc<ProviderSettings>, limits: &Limits) {
        self.health.store(self.health.load().under((&self.settings, provider), limits));
        self.permits.resize(limits.provider_in_flight);
        self.settings = provider.clone();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::Addr;
    use actix_rt::time::{sleep, timeout};
    use tokio::sync::oneshot;

    use super::*;
    use crate::faults::{Misfortune, strike};
    use crate::observe::Observe;
    use crate::outcome::Outcome;
    use crate::provider::{Lease, Size};
    use crate::router::{self, Destination, Dispatch, Unroutable};
    use crate::snapshot::Snapshot;
    use crate::supervisor::Reconfigure;
    use crate::testing::{limits, provider, settings};

    fn quick(providers: Vec<Arc<ProviderSettings>>) -> Settings {
        let mut settings = settings(providers);
        settings.limits = Limits {
            watch_interval: Duration::from_millis(10),
            watch_patience: Duration::from_millis(50),
            ..limits()
        };
        settings
    }

    fn tree(providers: Vec<Arc<ProviderSettings>>) -> (Addr<Supervisor>, Snapshot<Roster>) {
        Supervisor::start_tree(quick(providers))
    }

    async fn lease(roster: &Snapshot<Roster>, model: &str) -> Result<Lease, Unroutable> {
        let (reply, answer) = oneshot::channel();
        router::here(roster).do_send(Dispatch {
            destination: Destination::Name(model.into()),
            session: None,
            size: Size::default(),
            reply,
        });
        let lease = async {
            let routed = answer.await.expect("an answer")?;
            Ok(routed.lease.answer().await.expect("an answer").expect("a healthy key"))
        };
        timeout(Duration::from_secs(5), lease).await.expect("in time")
    }

    #[actix_rt::test]
    async fn a_provider_that_goes_stays_for_its_lease_and_no_longer() {
        let (supervisor, roster) = tree(vec![provider("p").build(), provider("q").build()]);
        let held = lease(&roster, "p:m").await.unwrap();
        let address = roster.load().provider("p").unwrap().downgrade();

        supervisor.send(Reconfigure(quick(vec![provider("q").build()]))).await.unwrap();

        assert!(matches!(lease(&roster, "p:m").await, Err(Unroutable::UnknownProvider { .. })));
        lease(&roster, "q:m").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        assert!(address.upgrade().is_some_and(|address| address.connected()));
        held.finish(Outcome::Answered);
        let gone = async {
            while address.upgrade().is_some() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), gone).await.expect("it goes");
    }

    #[actix_rt::test]
    async fn a_provider_comes_back_as_somebody_new() {
        let (supervisor, roster) = tree(vec![provider("p").build(), provider("q").build()]);
        let held = lease(&roster, "p:m").await.unwrap();

        supervisor.send(Reconfigure(quick(vec![provider("q").build()]))).await.unwrap();
        supervisor.send(Reconfigure(quick(vec![provider("p").build()]))).await.unwrap();

        let view = roster.load().provider("p").unwrap().send(Observe::new()).await.unwrap();
        assert_eq!(view.in_flight, 0);
        lease(&roster, "p:m").await.unwrap();
        drop(held);
    }

    #[actix_rt::test]
    async fn one_that_hangs_meanwhile_is_replaced_by_one_with_the_new_keys() {
        let (supervisor, roster) = tree(vec![provider("p").keys(&["a", "b"]).build()]);
        lease(&roster, "p:m").await.unwrap().finish(Outcome::KeyRejected);
        roster.load().provider("p").unwrap().send(Observe::new()).await.unwrap();
        strike(&roster.load(), &Name::Provider("p".into()), Misfortune::Hang(Duration::from_secs(2)));

        let other = quick(vec![provider("p").keys(&["a", "c"]).build()]);
        supervisor.send(Reconfigure(other)).await.unwrap();
        let replaced = async {
            while roster.load().generation == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), replaced).await.expect("it is replaced");

        let view = roster.load().provider("p").unwrap().send(Observe::new()).await.unwrap();
        let states: Vec<_> = view.keys.iter().map(|key| key.state).collect();
        assert_eq!((view.incarnation, states), (2, vec!["rejected", "ready"]));
        let key = crate::secret::ApiKey::new("c").id();
        assert_eq!(lease(&roster, "p:m").await.unwrap().key.id(), key);
    }
}
