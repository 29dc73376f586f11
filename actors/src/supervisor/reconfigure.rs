//! Applies changed settings to the supervisor's tree: adds, removes and reconfigures providers.

use std::sync::Arc;

use super::{ActorName, ProviderSlot, Supervisor};
use crate::catalog::ForgetProvider;
use crate::provider;
use crate::registry::{ProviderHandle, Registry};
use crate::routing::Routes;
use crate::settings::{Limits, ProviderSettings, Settings};

impl Supervisor {
    /// Publishes the new registry as a whole, so that no request sees routes to a provider that does not exist.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        let old = self.registry.load();
        let mut slots = std::mem::take(&mut self.providers);
        let mut changed = Vec::new();
        let mut handles = std::collections::BTreeMap::new();
        for provider in &settings.providers {
            let name = &provider.name;
            let (slot, handle) = match (slots.remove(name), old.handle(name)) {
                (Some(mut slot), Some(handle)) => {
                    if provider::is_another_upstream(&slot.settings, provider) {
                        changed.push(name.clone());
                    }
                    slot.reconfigure(provider, &settings.limits);
                    // The message must be in the provider's mailbox before the routes that lead to the provider are
                    // published.
                    handle.permits.suspend_fast_path();
                    handle.address.do_send(provider::ReconfigureProvider {
                        settings: provider.clone(),
                        limits: settings.limits.clone(),
                    });
                    (slot, handle.clone())
                }
                (Some(_), None) | (None, _) => self.add_provider(provider, &settings),
            };
            handles.insert(name.clone(), handle);
            self.providers.insert(name.clone(), slot);
        }
        for name in slots.into_keys() {
            self.retire(&name, &old);
            changed.push(name);
        }
        old.catalog.do_send(ForgetProvider(changed));
        self.ledger.set_prices(settings.prices.clone());
        old.event_queue.set_summary_interval(settings.log_summary_interval);
        self.routes = Arc::new(Routes::new(&settings, self.lists.clone()));
        self.registry.store(Registry {
            ledger: old.ledger.clone(),
            catalog: old.catalog.clone(),
            signatures: old.signatures.clone(),
            event_queue: old.event_queue.clone(),
            finished: old.finished.clone(),
            history: old.history.clone(),
            series: old.series.clone(),
            routes: self.routes.clone(),
            providers: handles,
            // The generation stays the same: no actor was replaced, so every pending request gets its answer.
            generation: old.generation,
        });
        old.event_queue.set_summary_interval(settings.log_summary_interval);
        self.settings = settings;
        self.warm();
    }

    fn add_provider(
        &mut self,
        provider: &Arc<ProviderSettings>,
        settings: &Settings,
    ) -> (ProviderSlot, ProviderHandle) {
        let thread = (self.start_thread)();
        let mut slot = ProviderSlot::new(provider, settings);
        let handle = slot.start(&*thread, settings);
        if let Some(left) = self.threads.insert(ActorName::Provider(provider.name.clone()), thread) {
            left.stop();
        }
        (slot, handle)
    }

    /// Retires a provider: its actor ends with its last lease, and its thread is stopped afterwards.
    fn retire(&mut self, name: &Arc<str>, old: &Registry) {
        let thread = self.threads.remove(&ActorName::Provider(name.clone()));
        if let Some((thread, address)) = thread.zip(old.provider(name)) {
            self.retired.push((address.downgrade(), thread));
        }
    }

    /// Stops the threads of retired providers whose actors have ended.
    pub(super) fn stop_retired(&mut self) {
        self.retired.retain(|(address, thread)| {
            let is_running = address.upgrade().is_some_and(|address| address.connected());
            if !is_running {
                thread.stop();
            }
            is_running
        });
    }
}

impl ProviderSlot {
    /// Also updates the state that a replacement would start from.
    fn reconfigure(&mut self, provider: &Arc<ProviderSettings>, limits: &Limits) {
        self.health.store(self.health.load().for_settings(&self.settings, provider, limits));
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
    use crate::faults::{InjectedFault, inject};
    use crate::observe::Observe;
    use crate::outcome::Outcome;
    use crate::provider::{Lease, ProviderView, Size};
    use crate::router::{self, Destination, Dispatch};
    use crate::routing::Unroutable;
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

    fn tree(providers: Vec<Arc<ProviderSettings>>) -> (Addr<Supervisor>, Snapshot<Registry>) {
        Supervisor::start_tree(quick(providers))
    }

    async fn lease(registry: &Snapshot<Registry>, model: &str) -> Result<Lease, Unroutable> {
        let (reply, answer) = oneshot::channel();
        router::thread_router(registry).do_send(Dispatch {
            destination: Destination::Name(model.into()),
            session: None,
            size: Size::default(),
            when_busy: crate::provider::WhenBusy::Queue,
            reply,
        });
        let lease = async {
            let routed = answer.await.expect("an answer")?;
            Ok(routed.lease.answer().await.expect("an answer").expect("a healthy key"))
        };
        timeout(Duration::from_secs(5), lease).await.expect("in time")
    }

    #[actix_rt::test]
    async fn a_removed_provider_ends_with_its_last_lease() {
        let (supervisor, registry) = tree(vec![provider("p").build(), provider("q").build()]);
        let held = lease(&registry, "p:m").await.unwrap();
        let address = registry.load().provider("p").unwrap().downgrade();

        supervisor.send(Reconfigure(quick(vec![provider("q").build()]))).await.unwrap();

        assert!(matches!(lease(&registry, "p:m").await, Err(Unroutable::UnknownProvider { .. })));
        lease(&registry, "q:m").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        assert!(address.upgrade().is_some_and(|address| address.connected()));
        held.finish(Outcome::Answered);
        let gone = async {
            while address.upgrade().is_some() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), gone).await.expect("the actor does not end");
    }

    #[actix_rt::test]
    async fn a_provider_that_is_added_again_starts_fresh() {
        let (supervisor, registry) = tree(vec![provider("p").build(), provider("q").build()]);
        let held = lease(&registry, "p:m").await.unwrap();

        supervisor.send(Reconfigure(quick(vec![provider("q").build()]))).await.unwrap();
        supervisor.send(Reconfigure(quick(vec![provider("p").build()]))).await.unwrap();

        let view = registry.load().provider("p").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
        assert_eq!(view.in_flight, 0);
        lease(&registry, "p:m").await.unwrap();
        drop(held);
    }

    #[actix_rt::test]
    async fn a_provider_that_hangs_during_a_reload_restarts_with_the_new_keys() {
        let (supervisor, registry) = tree(vec![provider("p").keys(&["a", "b"]).build()]);
        lease(&registry, "p:m").await.unwrap().finish(Outcome::KeyRejected);
        registry.load().provider("p").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
        inject(
            &registry.load(),
            &ActorName::Provider("p".into()),
            InjectedFault::Hang(Duration::from_secs(2)),
        );

        let other = quick(vec![provider("p").keys(&["a", "c"]).build()]);
        supervisor.send(Reconfigure(other)).await.unwrap();
        let replaced = async {
            while registry.load().generation == 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), replaced).await.expect("the provider is not replaced");

        let view = registry.load().provider("p").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
        let states: Vec<_> = view.keys.iter().map(|key| key.state).collect();
        assert_eq!((view.incarnation, states), (2, vec!["rejected", "ready"]));
        let key = crate::secret::ApiKey::new("c").id();
        assert_eq!(lease(&registry, "p:m").await.unwrap().key.id(), key);
    }
}
