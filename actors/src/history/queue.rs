//! The queue between the ledger and the thread that writes. Writing to it never waits for the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::write::{Batch, Merged};
use crate::ledger::FinishedRequest;

/// The most requests that wait with their details. Beyond that, their sums wait instead.
pub(super) const WAITING: usize = 4_096;
/// The most requests of one second that are written with their details; the sums have the others. A gateway with 4,096 requests in
/// flight reaches it if each takes four seconds or less. Without it, a flood would replace the whole history within minutes, and
/// writing took a fifth of the CPU time of a flooded gateway (measured).
pub(super) const DETAILS_PER_SECOND: usize = 1_000;
/// The most requests of one transaction.
pub(super) const BATCH: usize = 1_000;
/// The time in which requests collect before they are written.
const DELAY: Duration = Duration::from_millis(50);
/// The same while so many requests arrive within [`DELAY`] (more than 300 a second). A transaction costs as much as thirty of
/// its rows, and the more rows share it, the fewer pages are written twice.
pub(super) const BUSY_DELAY: Duration = Duration::from_millis(250);
pub(super) const BUSY: usize = 16;

/// Finished requests that are not yet written.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// How many of all accepted requests have been written.
    written: watch::Sender<u64>,
    /// Whether the writer has ended.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Arc<FinishedRequest>>,
    merged: Merged,
    accepted: u64,
    /// The second in which the last request ended, and how many details it has.
    second: (u64, usize),
    /// The requests without details in the batch that the writer has.
    taken: u64,
    is_open: bool,
    is_closing: bool,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Next {
    Write(Batch),
    /// Nothing has arrived for a while.
    Idle,
    /// All is written, and nothing will arrive.
    Closed,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            written: watch::Sender::new(0),
            ended: watch::Sender::new(false),
        }
    }
}

impl Queue {
    /// Accepts requests from now on; `false` if it does already.
    pub(super) fn open(&self) -> bool {
        !std::mem::replace(&mut self.waiting.lock().is_open, true)
    }

    /// Adds a request. One that has no room is added to the sums.
    pub(super) fn add(&self, finished: &Arc<FinishedRequest>) {
        let mut waiting = self.waiting.lock();
        if !waiting.is_open || waiting.is_closing {
            return;
        }
        waiting.accepted += 1;
        let was_empty = waiting.is_empty();
        if waiting.has_room(finished.ended / 1_000) {
            waiting.requests.push_back(finished.clone());
        } else {
            waiting.merged.add(finished);
        }
        // The writer waits for the first request and for a full batch; other wake-ups would have no effect.
        let must_wake = was_empty || waiting.requests.len() >= BATCH;
        drop(waiting);
        if must_wake {
            self.arrived.notify_one();
        }
    }

    /// Waits up to `patience` for the next batch.
    pub(super) fn next(&self, patience: Duration) -> Next {
        let until = Instant::now() + patience;
        let mut waiting = self.waiting.lock();
        while waiting.is_empty() {
            if waiting.is_closing {
                return Next::Closed;
            }
            if self.arrived.wait_until(&mut waiting, until).timed_out() {
                return Next::Idle;
            }
        }
        let began = Instant::now();
        self.collect(&mut waiting, began + DELAY);
        if waiting.requests.len() >= BUSY {
            self.collect(&mut waiting, began + BUSY_DELAY);
        }
        let few = waiting.requests.len().min(BATCH);
        let requests = waiting.requests.drain(..few).collect();
        let merged = std::mem::take(&mut waiting.merged);
        waiting.taken = merged.requests;
        Next::Write(Batch { requests, merged })
    }

    fn collect(&self, waiting: &mut MutexGuard<'_, Waiting>, until: Instant) {
        while waiting.requests.len() < BATCH && !waiting.is_closing {
            if self.arrived.wait_until(waiting, until).timed_out() {
                return;
            }
        }
    }

    /// A batch has been written.
    pub(super) fn written(&self, batch: &Batch) {
        let count = (batch.requests.len() as u64).saturating_add(batch.merged.requests);
        self.waiting.lock().taken = 0;
        self.written.send_modify(|written| *written += count);
    }

    /// Waits until nothing is left to write before the next attempt; `true` if the queue is closing.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut waiting = self.waiting.lock();
        while !waiting.is_closing {
            if self.arrived.wait_until(&mut waiting, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// The writer has ended.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Resolves when the writer has ended.
    pub(super) async fn ended(&self) {
        // The sender lives as long as the queue.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Accepts no more requests; the writer ends when it has written the rest.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closing = true;
        self.arrived.notify_all();
    }

    /// The number of requests that wait, and of those whose details are dropped.
    pub(super) fn lengths(&self) -> (u64, u64) {
        let waiting = self.waiting.lock();
        let written = *self.written.borrow();
        (waiting.accepted.saturating_sub(written), waiting.merged.requests.saturating_add(waiting.taken))
    }

    /// Resolves when all requests that have been added before are written.
    pub(super) async fn flushed(&self) {
        let accepted = self.waiting.lock().accepted;
        // The sender lives as long as the queue.
        let _ = self.written.subscribe().wait_for(|written| *written >= accepted).await;
    }
}

impl Waiting {
    /// Whether the details of a request that ended in this second are kept.
    fn has_room(&mut self, second: u64) -> bool {
        if self.second.0 != second {
            self.second = (second, 0);
        }
        let has_room = self.requests.len() < WAITING && self.second.1 < DETAILS_PER_SECOND;
        self.second.1 += usize::from(has_room);
        has_room
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.merged.requests == 0
    }
}
