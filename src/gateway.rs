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

/// One running gateway.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) roster: Snapshot<Roster>,
    pub(crate) wiring: Wiring,
    /// What clients must present, if anything.
    pub(crate) proxy_key: Option<ApiKey>,
    /// All configured keys, as texts that must not leave.
    pub(crate) secrets: Secrets,
    in_flight: Arc<AtomicUsize>,
    ready: AtomicBool,
    drain: watch::Sender<bool>,
    workers: Snapshot<Vec<ArbiterHandle>>,
}

/// One request's place among those in flight; freed by its drop.
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    pub(crate) fn new(
        settings: Settings,
        roster: Snapshot<Roster>,
        wiring: Wiring,
        proxy_key: Option<ApiKey>,
    ) -> Self {
        let keys = settings.providers.iter().flat_map(|provider| &provider.keys);
        let secrets = Secrets::new(keys.chain(&proxy_key).cloned());
        Self {
            settings,
            roster,
            wiring,
            proxy_key,
            secrets,
            in_flight: Arc::default(),
            ready: AtomicBool::new(true),
            drain: watch::Sender::new(false),
            workers: Snapshot::new(vec![]),
        }
    }

    /// A place among the requests in flight; `None` when there are too many.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let limit = self.settings.limits.in_flight;
        let room = |taken: usize| (taken < limit).then_some(taken + 1);
        self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Admission(self.in_flight.clone()))
    }

    /// Whether new requests are welcome; not while the gateway drains.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn leave_rotation(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Changes to `true` when replies that still run are to end.
    pub(crate) fn drained(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    /// Called once by each worker thread as it starts.
    pub(crate) fn enlist(&self, worker: ArbiterHandle) {
        let mut workers = self.workers.load().as_ref().clone();
        workers.push(worker);
        self.workers.store(workers);
    }

    /// Ends all replies that still run, each with an error event.
    pub(crate) fn end_replies(&self) {
        self.drain.send_replace(true);
        for worker in self.workers.load().iter() {
            worker.spawn_fn(vandamme_actors::converter::drain_here);
        }
    }
}
