//! The last hour of requests, in memory, for the dashboard: sums in short intervals, and the latest requests one by one. One task
//! receives every finished request; it works without the history.

mod failures;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::{Dimension, HistoryHandle, Selection, UsageQuery};
use vandamme_actors::ledger::FinishedRequest;
use vandamme_actors::registry::Registry;
use vandamme_actors::snapshot::Snapshot;

use self::failures::ENDS;
pub(crate) use self::failures::{Failures, Share};
use self::window::{PROVIDERS, SLOTS};
pub(crate) use self::window::{SLOT, Window};

/// The latest requests, for clients that reconnect.
const RECENT: usize = 256;

/// If so many requests arrive together, the next ones are collected for [`PAUSE`]: each would wake the thread (2 % of the CPU time of a
/// flooded gateway).
const FLOOD: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// What the dashboard shows of the present.
pub(crate) struct Live {
    /// When this process began to watch.
    since: Millis,
    state: Mutex<LiveState>,
}

#[derive(Default)]
struct LiveState {
    window: Window,
    recent: VecDeque<Arc<FinishedRequest>>,
    /// The number of requests that have been in `recent`.
    published: u64,
    /// Requests that arrived faster than they could be counted.
    missed: u64,
}

/// The requests that have ended after a position, and the next position.
pub(crate) struct News {
    pub(crate) requests: Vec<Arc<FinishedRequest>>,
    pub(crate) position: u64,
    /// Some requests in between are no longer known.
    pub(crate) gap: bool,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { since: clock::wall(), state: Mutex::default() }
    }

    /// Receives finished requests until the registry is gone. Requires a running [`System`](actix_rt::System).
    pub(crate) fn watch(self: &Arc<Self>, registry: &Snapshot<Registry>) {
        let (live, mut finished) = (self.clone(), registry.load().finished.subscribe());
        let history = registry.load().history.clone();
        actix_rt::spawn(async move {
            live.seed(&history).await;
            loop {
                match finished.recv().await {
                    Ok(request) => live.add(request),
                    Err(RecvError::Lagged(missed)) => live.miss(missed),
                    Err(RecvError::Closed) => return,
                }
                let more = live.take_waiting(&mut finished);
                if more >= FLOOD {
                    actix_rt::time::sleep(PAUSE).await;
                }
            }
        });
    }

    /// Adds the last hour of earlier processes, so that a restart leaves no hole.
    async fn seed(&self, history: &HistoryHandle) {
        let hour = SLOT * SLOTS as u64;
        let selection =
            Selection { since: self.since.saturating_sub(hour), until: self.since, filters: vec![] };
        let query = UsageQuery {
            selection,
            group_by: vec![Dimension::Provider, Dimension::End],
            interval: Some(Duration::from_millis(SLOT)),
            groups: PROVIDERS * ENDS,
        };
        match history.usage(query).await {
            Ok(rows) => self.state.lock().window.seed(&rows),
            Err(error) => log::debug!("the dashboard begins without the last hour: {error}"),
        }
    }

    /// Takes the requests that wait, and counts them.
    fn take_waiting(&self, finished: &mut Receiver<Arc<FinishedRequest>>) -> usize {
        let mut taken = 0;
        loop {
            match finished.try_recv() {
                Ok(request) => self.add(request),
                Err(TryRecvError::Lagged(missed)) => self.miss(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return taken,
            }
            taken += 1;
        }
    }

    fn miss(&self, missed: u64) {
        let mut state = self.state.lock();
        state.missed = state.missed.saturating_add(missed);
    }

    fn add(&self, request: Arc<FinishedRequest>) {
        let mut state = self.state.lock();
        state.window.add(&request);
        if state.recent.len() >= RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(request);
        state.published = state.published.wrapping_add(1);
    }

    /// When this process began to watch.
    pub(crate) fn since(&self) -> Millis {
        self.since
    }

    /// The position after the latest request.
    pub(crate) fn position(&self) -> u64 {
        self.state.lock().published
    }

    /// The requests that have ended since `position`.
    pub(crate) fn news(&self, position: u64) -> News {
        let state = self.state.lock();
        let behind = state.published.saturating_sub(position);
        let kept = state.recent.len();
        let wanted = usize::try_from(behind).unwrap_or(usize::MAX);
        let requests = state.recent.iter().skip(kept.saturating_sub(wanted)).cloned().collect();
        News { requests, position: state.published, gap: wanted > kept || position > state.published }
    }

    /// Reads the window, at this time.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&Window) -> R) -> R {
        read(&self.state.lock().window)
    }

    /// Requests that are missing in the window, because they arrived faster than they could be counted.
    pub(crate) fn missed(&self) -> u64 {
        self.state.lock().missed
    }
}
