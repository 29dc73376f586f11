//! What every thread of the running gateway shares.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix_rt::ArbiterHandle;
use tokio::sync::watch;
use vandamme_actors::registry::Registry;
use vandamme_actors::retry::RecentFailures;
use vandamme_actors::secret::{self, ApiKey, Secrets};
use vandamme_actors::settings::Settings;
use vandamme_actors::snapshot::Snapshot;
use vandamme_actors::upstream::Wiring;

use crate::proxy::Flights;

/// Clients that may watch the running requests, each of which is told all of them anew.
const WATCHERS: usize = 16;
/// How many keys are remembered, replaced ones included. Beyond that, the oldest are forgotten.
const MOST_KEYS: usize = 10_000;

/// One running gateway.
pub(crate) struct Gateway {
    terms: Snapshot<Terms>,
    pub(crate) registry: Snapshot<Registry>,
    pub(crate) wiring: Wiring,
    /// By which a client's own retry is recognised.
    pub(crate) failures: RecentFailures,
    /// Calls for lists of models that are under way.
    pub(crate) flights: Flights,
    in_flight: Arc<AtomicUsize>,
    watchers: Arc<AtomicUsize>,
    ready: AtomicBool,
    drain: watch::Sender<bool>,
    workers: Snapshot<Vec<ArbiterHandle>>,
    listener: OnceLock<Listener>,
}

/// Where clients reach the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// As configured: a name or an address.
    pub(crate) host: String,
}

/// What a reload replaces, as a whole.
pub(crate) struct Terms {
    pub(crate) settings: Settings,
    /// What clients must present, if anything.
    pub(crate) proxy_key: Option<ApiKey>,
    /// All keys and credentials that this process has had, as texts that must not leave: requests in flight have those of the
    /// terms before.
    pub(crate) secrets: Secrets,
    /// Every key that has ever been what clients must present, the oldest first. None of them goes to an upstream: a request
    /// may have been admitted with one that a reload has replaced since.
    pub(crate) gateway_keys: Vec<ApiKey>,
    /// What `secrets` searches for, the oldest first.
    known: Vec<ApiKey>,
}

/// One request's place among those in flight, or among those that watch; freed by its drop.
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Admission {
    fn among(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let room = |taken: usize| (taken < limit).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Self(taken.clone()))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Terms {
    fn new(settings: Settings, proxy_key: Option<ApiKey>, before: Option<&Self>) -> Self {
        let earlier = |of: fn(&Self) -> &[ApiKey]| before.map(of).unwrap_or_default().iter().cloned();
        let known = latest(earlier(|terms| &terms.known).chain(credentials(&settings, proxy_key.as_ref())));
        let gateway_keys = latest(earlier(|terms| &terms.gateway_keys).chain(proxy_key.clone()));
        Self { settings, proxy_key, secrets: Secrets::new(known.iter().cloned()), gateway_keys, known }
    }
}

/// All that a configuration keeps secret.
fn credentials(settings: &Settings, proxy_key: Option<&ApiKey>) -> Vec<ApiKey> {
    let catalogue = settings.top_models.as_ref().map(|top| &top.catalogue);
    let providers: Vec<_> = settings.providers.iter().chain(catalogue).collect();
    let headers = providers.iter().flat_map(|provider| &provider.custom_headers);
    let in_headers = headers
        .filter_map(|(name, value)| Some(secret::in_header(name.as_str(), value.to_str().ok()?)))
        .flatten();
    let keys = providers.iter().flat_map(|provider| &provider.keys).chain(proxy_key).cloned();
    keys.chain(in_headers).collect()
}

/// Without duplicates, of which the last occurrence stays, and with the most recent [`MOST_KEYS`] only.
fn latest(keys: impl Iterator<Item = ApiKey>) -> Vec<ApiKey> {
    let all: Vec<_> = keys.collect();
    let mut seen = HashSet::new();
    let last_first = all.iter().rev().filter(|key| seen.insert(key.expose())).take(MOST_KEYS);
    let mut latest: Vec<_> = last_first.cloned().collect();
    latest.reverse();
    latest
}

impl Gateway {
    pub(crate) fn new(
        settings: Settings,
        registry: Snapshot<Registry>,
        wiring: Wiring,
        proxy_key: Option<ApiKey>,
    ) -> Self {
        Self {
            terms: Snapshot::new(Terms::new(settings, proxy_key, None)),
            registry,
            failures: RecentFailures::default(),
            wiring,
            flights: Flights::default(),
            in_flight: Arc::default(),
            watchers: Arc::default(),
            ready: AtomicBool::new(true),
            drain: watch::Sender::new(false),
            workers: Snapshot::new(vec![]),
            listener: OnceLock::new(),
        }
    }

    /// Called once, before anybody is served.
    pub(crate) fn listens(&self, listener: Listener) {
        self.listener.get_or_init(|| listener);
    }

    /// `None` when nobody can reach it: a command asks providers.
    pub(crate) fn listener(&self) -> Option<&Listener> {
        self.listener.get()
    }

    /// What holds now. Read it once for what must go together.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.terms.load()
    }

    /// From now on these hold.
    pub(crate) fn agree(&self, settings: Settings, proxy_key: Option<ApiKey>) {
        let before = self.terms.load();
        self.terms.store(Terms::new(settings, proxy_key, Some(&before)));
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// A place among the requests in flight; `None` when there are too many.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let limit = self.terms().settings.limits.in_flight;
        Admission::among(&self.in_flight, limit)
    }

    /// A place among the clients that watch the running requests; `None` when there are too many.
    pub(crate) fn watch(&self) -> Option<Admission> {
        Admission::among(&self.watchers, WATCHERS)
    }

    /// Whether new requests are welcome; not while the gateway drains.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn leave_rotation(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Ends when replies that still run are to end.
    pub(crate) async fn drained(&self) {
        if self.drain.subscribe().wait_for(|&drained| drained).await.is_err() {
            // Its other end is this gateway's own.
            std::future::pending().await
        }
    }

    /// Called once by each worker thread as it starts.
    pub(crate) fn enlist(&self, worker: ArbiterHandle) {
        let mut workers = self.workers.load().as_ref().clone();
        workers.push(worker);
        self.workers.store(workers);
    }

    /// Those that have called [`Gateway::enlist`].
    pub(crate) fn workers(&self) -> Arc<Vec<ArbiterHandle>> {
        self.workers.load()
    }

    /// Closes the connections that are kept for the next request to these providers.
    pub(crate) fn hang_up(&self, providers: &[Arc<str>]) {
        for worker in self.workers.load().iter() {
            let providers = providers.to_vec();
            worker.spawn_fn(move || vandamme_actors::upstream::forget_here(&providers));
        }
    }

    /// Ends all replies that still run, each with an error event.
    pub(crate) fn end_replies(&self) {
        self.drain.send_replace(true);
        for worker in self.workers.load().iter() {
            worker.spawn_fn(vandamme_actors::converter::drain_here);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_keys_are_kept_each_once() {
        let keys = |texts: &[&str]| -> Vec<String> {
            let latest = latest(texts.iter().map(|text| ApiKey::new(*text)));
            latest.iter().map(|key| key.expose().to_owned()).collect()
        };
        assert_eq!(keys(&["a", "b", "a", "c"]), ["b", "a", "c"]);
        let many: Vec<_> = (0..MOST_KEYS + 2).map(|number| number.to_string()).collect();
        let kept = keys(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((kept.len(), kept[0].as_str()), (MOST_KEYS, "2"));
    }
}
