//! The handle by which the gateway records requests and asks about them.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::details;
use super::query::{HistoryError, RequestPage, RequestQuery, Selection, SessionRow, UsageQuery, UsageRow};
use super::queue::Queue;
use super::reader::Reader;
use super::schema;
use super::state::{HistoryState, HistoryStatus};
use super::stored::StoredRequest;
use super::usage;
use super::writer::{HistorySettings, Writer};
use crate::ledger::{FinishedRequest, RequestStore, Rows};

/// How long the start waits for the database, so that the totals are complete from the first request on.
const OPENING: Duration = Duration::from_secs(2);

/// Access to the history of this process. All clones are the same history. Until [`HistoryHandle::start`] nothing is
/// recorded.
#[derive(Clone, Default)]
pub struct HistoryHandle {
    queue: Arc<Queue>,
    state: Arc<HistoryState>,
    reader: Arc<OnceLock<Reader>>,
}

impl HistoryHandle {
    /// Starts to record. Only the first call has an effect. `redact` removes secrets from texts that come from outside.
    pub fn start(&self, settings: HistorySettings, redact: impl Fn(String) -> String + Send + 'static) {
        if !self.queue.open() {
            return;
        }
        self.state.start(settings.file.clone());
        match Reader::start(self.state.clone()) {
            Ok(reader) => drop(self.reader.set(reader)),
            Err(error) => log::warn!("the history cannot be read: no thread can be started: {error}"),
        }
        let writer = Writer::new(settings, self.queue.clone(), self.state.clone(), Box::new(redact));
        let (opened, opening) = sync_channel(1);
        let started =
            thread::Builder::new().name("vdm-history".to_owned()).spawn(move || writer.run(&opened));
        match started {
            // A slow disk does not keep the gateway from serving.
            Ok(_) => drop(opening.recv_timeout(OPENING)),
            Err(error) => {
                self.queue.close();
                self.queue.end();
                log::warn!("no history is kept: no thread can be started: {error}");
            }
        }
    }

    /// Records a request. Never waits for the disk.
    pub fn record(&self, finished: &Arc<FinishedRequest>) {
        self.queue.add(finished);
    }

    /// Answers a question about usage. Rows are in the order of their start and group.
    ///
    /// # Errors
    /// If there is no history, it cannot be read, or the question is too large.
    pub async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, HistoryError> {
        self.reader()?.ask(move |connection| usage::usage(connection, &query)).await
    }

    /// Lists requests, newest first.
    ///
    /// # Errors
    /// If there is no history, or it cannot be read in time.
    pub async fn requests(&self, query: RequestQuery) -> Result<RequestPage, HistoryError> {
        self.reader()?.ask(move |connection| details::requests(connection, &query)).await
    }

    /// The request with this id; `None` if it is not known.
    ///
    /// # Errors
    /// If there is no history, or it cannot be read in time.
    pub async fn request(&self, id: String) -> Result<Option<StoredRequest>, HistoryError> {
        self.reader()?.ask(move |connection| details::request(connection, &id)).await
    }

    /// The sessions that were used last, the newest first.
    ///
    /// # Errors
    /// If there is no history, or it cannot be read in time.
    pub async fn sessions(
        &self,
        selection: Selection,
        limit: usize,
    ) -> Result<Vec<SessionRow>, HistoryError> {
        self.reader()?.ask(move |connection| usage::sessions(connection, &selection, limit)).await
    }

    /// How the history is.
    pub fn status(&self) -> HistoryStatus {
        let mut status = self.state.status();
        let (waiting, dropped) = self.queue.lengths();
        status.waiting = waiting;
        status.dropped = status.dropped.saturating_add(dropped);
        status
    }

    /// Resolves when all requests that have been recorded before are written.
    pub async fn flushed(&self) {
        if self.state.is_started() {
            self.queue.flushed().await;
        }
    }

    /// Ends recording; resolves when what waits has been written, and the file is complete.
    pub async fn close(&self) {
        self.queue.close();
        if self.state.is_started() {
            self.queue.ended().await;
        }
    }

    fn reader(&self) -> Result<&Reader, HistoryError> {
        self.reader.get().ok_or(HistoryError::NotRunning)
    }
}

impl RequestStore for HistoryHandle {
    fn record(&self, finished: &Arc<FinishedRequest>) {
        Self::record(self, finished);
    }

    fn earlier_totals(&self) -> Option<Arc<Rows>> {
        self.state.totals()
    }
}

/// Answers a question from a file that no gateway of this process has open.
///
/// # Errors
/// If the file cannot be read.
pub fn usage_of_file(path: &Path, query: &UsageQuery) -> Result<Vec<UsageRow>, HistoryError> {
    let connection =
        schema::open_to_read(path).map_err(|error| HistoryError::Unavailable(error.to_string()))?;
    usage::usage(&connection, query).map_err(HistoryError::from)
}
