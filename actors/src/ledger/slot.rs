//! The part of the ledger that outlives its actor: the event queue and the totals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::SegQueue;
use tokio::sync::broadcast;
use vandamme_protocol::vocabulary::Usage;

use super::series::SharedSeries;
use super::{FinishedRequest, LedgerEvent, Record, Rows};
use crate::clock::{self, Millis};
use crate::cost::{Cost, KnownPrices, ModelPrices, PriceTable};
use crate::snapshot::Snapshot;

/// Up to this number of rows, the totals are saved after each batch of events.
const FEW_ROWS: usize = 1_000;
/// The interval at which more rows are saved: a copy of 10,000 rows takes milliseconds.
const SAVE_INTERVAL: Millis = 1_000;

/// The queue that tells a ledger which requests have started and ended. It holds the events of one batch, and those of
/// a ledger that hangs until it is replaced.
#[derive(Clone, Default)]
pub(crate) struct EventQueue {
    events: Arc<SegQueue<LedgerEvent>>,
    awake: Arc<AtomicBool>,
    /// After this many requests the log sums them up; 0 turns it off.
    summary_interval: Arc<AtomicU64>,
}

/// The totals of this process, and those of the process before it.
#[derive(Clone, Debug, Default)]
pub(super) struct SavedTotals {
    pub(super) own: Rows,
    /// Replaced as a whole by each import, so that a repeated import counts no request twice.
    pub(super) imported: Rows,
}

/// Requests that a subscriber may be behind; it loses older ones.
const PUBLISHED: usize = 4_096;

/// What keeps requests for longer than this process runs.
pub trait RequestStore: Send + Sync {
    /// Keeps a request. Must not wait.
    fn record(&self, finished: &Arc<FinishedRequest>);

    /// The totals of other processes, the earlier ones included; `None` if they are not known.
    fn earlier_totals(&self) -> Option<Arc<Rows>>;
}

/// What each ledger passes to the one that replaces it.
#[derive(Clone)]
pub(crate) struct LedgerSlot {
    queue: EventQueue,
    saved: Snapshot<SavedTotals>,
    finished: broadcast::Sender<Arc<FinishedRequest>>,
    prices: Snapshot<Arc<PriceTable>>,
    store: Arc<dyn RequestStore>,
    series: SharedSeries,
    /// The incarnation that reads the queue. A replaced one may still be running.
    current: Arc<AtomicU64>,
}

/// One ledger's access to its slot.
pub(super) struct SlotAccess {
    slot: LedgerSlot,
    incarnation: u64,
    saved_at: Millis,
    known_prices: KnownPrices,
}

impl EventQueue {
    /// Marks the ledger as awake; whether it was asleep, so that the caller must wake it.
    pub(crate) fn must_wake(&self) -> bool {
        !self.awake.swap(true, Ordering::AcqRel)
    }

    /// Marks the ledger as asleep: the next event wakes it.
    pub(super) fn sleep(&self) {
        // A store may become visible only after the queue has been read.
        self.awake.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn set_summary_interval(&self, requests: u64) {
        self.summary_interval.store(requests, Ordering::Relaxed);
    }

    pub(super) fn summary_interval(&self) -> u64 {
        self.summary_interval.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, event: LedgerEvent) {
        self.events.push(event);
    }
}

impl SavedTotals {
    /// The sums of this process and of earlier ones: as the history knows them, or else as they were imported.
    pub(super) fn rows(&self, earlier: Option<&Rows>) -> Rows {
        let mut rows = earlier.unwrap_or(&self.imported).clone();
        rows.merge(&self.own);
        rows
    }
}

impl LedgerSlot {
    pub(crate) fn new(store: Arc<dyn RequestStore>) -> Self {
        Self {
            queue: EventQueue::default(),
            saved: Snapshot::default(),
            finished: broadcast::Sender::new(PUBLISHED),
            store,
            prices: Snapshot::default(),
            series: SharedSeries::default(),
            current: Arc::default(),
        }
    }

    /// The requests that end from now on.
    pub(crate) fn finished(&self) -> broadcast::Sender<Arc<FinishedRequest>> {
        self.finished.clone()
    }

    /// The counters and histograms of all requests.
    pub(crate) fn series(&self) -> SharedSeries {
        self.series.clone()
    }

    pub(crate) fn queue(&self) -> &EventQueue {
        &self.queue
    }

    /// The prices of the requests that end from now on.
    pub(crate) fn set_prices(&self, prices: Arc<PriceTable>) {
        self.prices.store(prices);
    }

    /// Makes a new ledger the reader of the queue.
    pub(super) fn take_over(&self) -> SlotAccess {
        let incarnation = self.current.fetch_add(1, Ordering::AcqRel) + 1;
        // Its predecessor may have been awake.
        self.queue.sleep();
        SlotAccess { slot: self.clone(), incarnation, saved_at: 0, known_prices: KnownPrices::default() }
    }
}

impl SlotAccess {
    pub(super) fn queue(&self) -> &EventQueue {
        &self.slot.queue
    }

    /// The totals that the predecessor has saved.
    pub(super) fn saved(&self) -> SavedTotals {
        self.slot.saved.load().as_ref().clone()
    }

    /// The next event, for the current ledger only.
    pub(super) fn next_event(&self) -> Option<LedgerEvent> {
        self.is_current().then(|| self.slot.queue.events.pop()).flatten()
    }

    /// Saves the totals for a replacement, unless there are many rows and the last save is recent.
    pub(super) fn save(&mut self, totals: &SavedTotals) {
        let now = clock::boot();
        let is_due = totals.own.len() <= FEW_ROWS || now >= self.saved_at.saturating_add(SAVE_INTERVAL);
        if is_due && self.is_current() {
            self.slot.saved.store(totals.clone());
            self.saved_at = now;
        }
    }

    /// What a request has cost that ended at this time; `None` if that is not known, or if it reached no provider.
    pub(super) fn cost(&mut self, record: &Record, ended: Millis) -> Option<Cost> {
        self.prices_of(record)?.cost(&record.usage, record.reported.cost, ended)
    }

    fn prices_of(&mut self, record: &Record) -> Option<&ModelPrices> {
        let (provider, model) = (record.provider.as_ref()?, record.model.as_ref()?);
        Some(self.known_prices.of_model(&self.slot.prices.load(), provider, model))
    }

    /// What `tokens` of a request's prompt have cost more than from the cache; `None` if the price is not known.
    pub(super) fn cost_of_loss(&mut self, record: &Record, tokens: u64, ended: Millis) -> Option<u64> {
        let usage = record.usage;
        let prices = self.prices_of(record)?;
        let written = tokens.min(usage.cache_creation);
        let kept = Usage {
            input: usage.input.saturating_sub(tokens - written),
            cache_read: usage.cache_read.saturating_add(tokens),
            cache_creation: usage.cache_creation - written,
            cache_creation_1h: usage.cache_creation_1h.min(usage.cache_creation - written),
            ..usage
        };
        let [paid, kept] = [usage, kept].map(|usage| prices.cost(&usage, None, ended));
        Some(paid?.micro_dollars.saturating_sub(kept?.micro_dollars))
    }

    /// Counts a request, and hands it to the history and to all subscribers; it never waits for them.
    pub(super) fn publish(&self, finished: FinishedRequest) {
        self.slot.series.count(&finished);
        let finished = Arc::new(finished);
        self.slot.store.record(&finished);
        if self.slot.finished.receiver_count() > 0 {
            // An error means that the last subscriber has just left.
            let _ = self.slot.finished.send(finished);
        }
    }

    /// The totals of other processes, as the history knows them.
    pub(super) fn earlier_totals(&self) -> Option<Arc<Rows>> {
        self.slot.store.earlier_totals()
    }

    fn is_current(&self) -> bool {
        self.slot.current.load(Ordering::Acquire) == self.incarnation
    }
}
