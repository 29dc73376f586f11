//! What the supervisor does when the settings change: providers come, go, and go on under other terms.

use std::sync::Arc;

use actix_rt::Arbiter;

use super::{Name, Station, Supervisor};
use crate::catalog::Forget;
use crate::provider::{self, Provider};
use crate::roster::Roster;
use crate::router::Routes;
use crate::settings::{Limits, ProviderSettings, Settings};

impl Supervisor {
    /// The new roster is published as a whole: no request sees routes to a provider that is not there.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        let old = self.roster.load();
        let mut stations = std::mem::take(&mut self.providers);
        let mut strangers = Vec::new();
        let mut addresses = std::collections::BTreeMap::new();
        for provider in &settings.providers {
            let name = &provider.name;
            let (station, address) = match (stations.remove(name), old.provider(name)) {
                (Some(mut station), Some(address)) => {
                    if provider::is_another(&station.settings, provider) {
                        strangers.push(name.clone());
                    }
                    station.reconfigure(provider, &settings.limits);
                    // Before the routes that lead to it, and to the same mailbox.
                    address.do_send(provider::Reconfigure {
                        settings: provider.clone(),
                        limits: settings.limits.clone(),
                    });
                    (station, address.clone())
                }
                (Some(_), None) | (None, _) => self.enlist(provider, &settings),
            };
            addresses.insert(name.clone(), address);
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
            providers: addresses,
            // Nobody who waits for an answer waits in vain.
            generation: old.generation,
        });
        self.settings = settings;
    }

    fn enlist(
        &mut self,
        provider: &Arc<ProviderSettings>,
        settings: &Settings,
    ) -> (Station, actix::Addr<Provider>) {
        let arbiter = Arbiter::new();
        let mut station = Station::new(provider, settings);
        let address = station.start(&arbiter, settings);
        if let Some(left) = self.arbiters.insert(Name::Provider(provider.name.clone()), arbiter) {
            left.stop();
        }
        (station, address)
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
