//! What every thread of the running gateway shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_rt::ArbiterHandle;
use tokio::sync::watch;
use vandamme_actors::roster::Roster;
use vandamme_actors::secret::ApiKey;
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
        Self {
            settings,
            roster,
            wiring,
            proxy_key,
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

    /// `text` without any configured key in it.
    pub(crate) fn scrub(&self, text: String) -> String {
        self.secrets()
            .filter(|secret| text.contains(*secret))
            .fold(text.clone(), |text, secret| text.replace(secret, "[key]"))
    }

    pub(crate) fn has_secret(&self, bytes: &[u8]) -> bool {
        self.secrets().any(|secret| memchr::memmem::find(bytes, secret.as_bytes()).is_some())
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let keys = self.settings.providers.iter().flat_map(|provider| &provider.keys);
        keys.chain(&self.proxy_key).map(ApiKey::expose)
    }
}
