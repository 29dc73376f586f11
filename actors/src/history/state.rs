//! What the threads of the history share: where the database is, and how it is.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::prune::Counts;
use crate::clock::Millis;
use crate::ledger::Rows;

/// The database that questions are put to.
#[derive(Clone, Debug, Default)]
pub(super) enum Source {
    /// There is none, or it cannot be opened.
    #[default]
    None,
    File(PathBuf),
    Memory(Arc<Mutex<Connection>>),
}

/// Where the history is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryStorage {
    /// Nothing is kept: this is a command, or the gateway is starting.
    #[default]
    None,
    File,
    /// It ends with the process.
    Memory,
    /// The file cannot be used now. Sums wait in memory.
    Unavailable,
}

/// How the history is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    pub storage: HistoryStorage,
    /// The database file, as configured.
    pub path: Option<PathBuf>,
    /// The size of the database file and its journal.
    pub bytes: u64,
    /// The requests with details.
    pub requests: u64,
    /// The rows of hourly sums.
    pub sums: u64,
    /// When the oldest request with details ended.
    pub oldest: Option<Millis>,
    /// The requests that wait to be written.
    pub waiting: u64,
    /// The requests whose details were dropped, since the history began: they came too fast for it or for the disk. They are
    /// part of all sums.
    pub dropped: u64,
    /// Why the last attempt to write has failed.
    pub error: Option<String>,
}

/// Shared by the threads and all handles.
#[derive(Debug, Default)]
pub(super) struct HistoryState {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_started: bool,
    path: Option<PathBuf>,
    source: Source,
    /// Changes with the source, so that readers open the new one.
    generation: u64,
    totals: Option<Arc<Rows>>,
    counts: Counts,
    error: Option<String>,
}

impl HistoryState {
    pub(super) fn start(&self, path: Option<PathBuf>) {
        let mut inner = self.inner.lock();
        (inner.is_started, inner.path) = (true, path);
    }

    pub(super) fn set_source(&self, source: Source) {
        let mut inner = self.inner.lock();
        inner.source = source;
        inner.generation += 1;
    }

    pub(super) fn set_totals(&self, totals: Rows) {
        self.inner.lock().totals = Some(Arc::new(totals));
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        self.inner.lock().counts = counts;
    }

    pub(super) fn set_error(&self, error: Option<String>) {
        self.inner.lock().error = error;
    }

    /// The totals of other processes; `None` without a file.
    pub(super) fn totals(&self) -> Option<Arc<Rows>> {
        self.inner.lock().totals.clone()
    }

    /// The database, with a number that changes with it, and why there is none.
    pub(super) fn source(&self) -> (Source, u64, Option<String>) {
        let inner = self.inner.lock();
        (inner.source.clone(), inner.generation, inner.error.clone())
    }

    pub(super) fn is_started(&self) -> bool {
        self.inner.lock().is_started
    }

    /// Without what waits.
    pub(super) fn status(&self) -> HistoryStatus {
        let inner = self.inner.lock();
        let storage = match (&inner.source, inner.is_started) {
            (_, false) => HistoryStorage::None,
            (Source::None, true) => HistoryStorage::Unavailable,
            (Source::File(_), true) if inner.error.is_some() => HistoryStorage::Unavailable,
            (Source::File(_), true) => HistoryStorage::File,
            (Source::Memory(_), true) => HistoryStorage::Memory,
        };
        HistoryStatus {
            storage,
            path: inner.path.clone(),
            bytes: inner.path.as_deref().map_or(0, size),
            requests: inner.counts.requests,
            sums: inner.counts.buckets,
            oldest: inner.counts.oldest,
            waiting: 0,
            dropped: inner.counts.dropped,
            error: inner.error.clone(),
        }
    }
}

/// The size of the database and its journal.
fn size(path: &std::path::Path) -> u64 {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    length(path.to_owned()) + length(journal.into())
}
