//! What every thread of the running gateway shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_rt::ArbiterHandle;
use tokio::sync::watch;
use vandamme_actors::roster::Roster;
use vandamme_actors::secret::{ApiKey, Secrets};
use vandamme_actors::settings::Settings;
use vandamme_actors::snapshot::Snapshot;
use vandamme_actors::upstream::Wiring;

/// Clients that may watch the running requests, each of which is told all of them anew.
const WATCHERS: usize = 16;

/// One running gateway.
pub(crate) struct Gateway {
    terms: Snapshot<Terms>,
    pub(crate) roster: Snapshot<Roster>,
    pub(crate) wiring: Wiring,
    in_flight: Arc<AtomicUsize>,
    watchers: Arc<AtomicUsize>,
    ready: AtomicBool,
    drain: watch::Sender<bool>,
    workers: Snapshot<Vec<ArbiterHandle>>,
}

/// What a reload replaces, as a whole.
pub(crate) struct Terms {
    pub(crate) settings: Settings,
    /// What clients must present, if anything.
    pub(crate) proxy_key: Option<ApiKey>,
    /// All configured keys, as texts that must not leave; also those of the terms before, which requests in flight have.
    pub(crate) secrets: Secrets,
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
        let mut keys: Vec<ApiKey> = own_keys(&settings, proxy_key.as_ref());
        for key in before.into_iter().flat_map(|terms| own_keys(&terms.settings, terms.proxy_key.as_ref())) {
            if keys.iter().all(|known| known.id() != key.id()) {
                keys.push(key);
            }
        }
        Self { settings, proxy_key, secrets: Secrets::new(keys) }
    }
}

fn own_keys(settings: &Settings, proxy_key: Option<&ApiKey>) -> Vec<ApiKey> {
    settings.providers.iter().flat_map(|provider| &provider.keys).chain(proxy_key).cloned().collect()
}

impl Gateway {
    pub(crate) fn new(
        settings: Settings,
        roster: Snapshot<Roster>,
        wiring: Wiring,
        proxy_key: Option<ApiKey>,
    ) -> Self {
        Self {
            terms: Snapshot::new(Terms::new(settings, proxy_key, None)),
            roster,
            wiring,
            in_flight: Arc::default(),
            watchers: Arc::default(),
            ready: AtomicBool::new(true),
            drain: watch::Sender::new(false),
            workers: Snapshot::new(vec![]),
        }
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
