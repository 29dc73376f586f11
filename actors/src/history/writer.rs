//! The thread that writes. A disk that is slow, full or read-only delays only this thread: requests wait in the queue, and
//! their sums beyond that.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::prune::{self, Counts, Retention};
use super::queue::{Next, Queue};
use super::row::Redact;
use super::schema::{self, OpenError};
use super::state::{HistoryState, Source};
use super::totals;
use super::write::{self, Batch, Statements};
use crate::clock;

/// Between two looks at the size and the age of the history.
const MAINTENANCE: Duration = Duration::from_secs(60);
/// Between two counts of all rows. In between, the writer adds up its own.
const RECOUNT: Duration = Duration::from_secs(3_600);
/// The first and the longest wait before another attempt after a failure.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// The steps of pruning after one batch, so that pruning is faster than writing.
const STEPS: usize = 4;
/// The steps of pruning by age: less than a second's work in each minute.
const MAINTENANCE_STEPS: usize = 50;
/// How long the end waits for other processes.
const LAST_WAIT: Duration = Duration::from_millis(500);
/// Bounds of a history in memory.
const IN_MEMORY: u64 = 10_000;

/// What the history starts with.
#[derive(Clone, Debug)]
pub struct HistorySettings {
    /// The database; `None` keeps the history in memory.
    pub file: Option<PathBuf>,
    pub retention: Retention,
}

/// Writes until the queue is closed.
pub(super) struct Writer {
    settings: HistorySettings,
    queue: Arc<Queue>,
    state: Arc<HistoryState>,
    redact: Box<Redact>,
    /// Distinguishes this process from others that write to the same file.
    id: i64,
    connection: Option<Arc<Mutex<Connection>>>,
    counts: Counts,
    /// When the rows were counted; `None` if the database is newly opened.
    counted: Option<Instant>,
    maintained: Instant,
    /// The database as this writer last saw it; another value means that another process has written.
    data_version: i64,
    has_warned: bool,
    /// The requests without details that the log has not reported.
    unreported: u64,
}

/// What the writer works on.
struct Pending {
    batch: Batch,
    /// How many batches have been written.
    written: u64,
}

impl Writer {
    pub(super) fn new(
        settings: HistorySettings,
        queue: Arc<Queue>,
        state: Arc<HistoryState>,
        redact: Box<Redact>,
    ) -> Self {
        Self {
            settings,
            queue,
            state,
            redact,
            id: fastrand::i64(1..),
            connection: None,
            counts: Counts::default(),
            counted: None,
            maintained: Instant::now(),
            data_version: 0,
            has_warned: false,
            unreported: 0,
        }
    }

    /// Runs until the queue is closed. `opened` learns when the first attempt to open the database is over.
    pub(super) fn run(mut self, opened: &SyncSender<()>) {
        if let Err(error) = self.open() {
            self.failed(&error);
        }
        // The starter may have given up waiting.
        let _ = opened.try_send(());
        loop {
            self.count();
            match self.queue.next(MAINTENANCE) {
                Next::Write(batch) => {
                    if !self.write(batch) {
                        break;
                    }
                }
                Next::Idle => self.report_dropped(),
                Next::Closed => break,
            }
            if self.maintained.elapsed() >= MAINTENANCE {
                self.report_dropped();
                self.maintain();
            }
        }
        self.end();
    }

    /// Moves the journal into the database, so that the file is complete by itself.
    fn end(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.settings.file.is_some()) {
            let connection = connection.lock();
            // If another process uses the file, the journal stays.
            let _ = connection
                .busy_timeout(LAST_WAIT)
                .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        }
        self.state.set_source(Source::None);
        self.queue.end();
    }

    /// Writes a batch, however long it takes, and those after it; `false` if the queue closes before all are written.
    fn write(&mut self, batch: Batch) -> bool {
        let (mut pause, mut is_last) = (RETRY, false);
        let mut pending = Pending { batch, written: 0 };
        loop {
            let before = pending.written;
            let Err(error) = self.try_write(&mut pending) else { return true };
            self.failed(&error);
            if pending.written > before {
                (pause, is_last) = (RETRY, false);
            }
            if is_last {
                return false;
            }
            // While the process ends, there is one more attempt.
            is_last = self.queue.pause(pause);
            pause = (2 * pause).min(LONGEST_RETRY);
        }
    }

    /// Writes batches with the same statements until none arrives, or something else is due.
    fn try_write(&mut self, pending: &mut Pending) -> Result<(), OpenError> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.open()?,
        };
        // Only a history in memory shares its connection, with the reader.
        let connection = connection.lock();
        let mut statements = Statements::prepare(&connection)?;
        loop {
            let new = write::write(&mut statements, &pending.batch, self.id, &*self.redact)?;
            self.written(&connection, &pending.batch, new);
            pending.written += 1;
            let until_maintenance = MAINTENANCE.saturating_sub(self.maintained.elapsed());
            if self.connection.is_none() || self.settings.file.is_none() || until_maintenance.is_zero() {
                return Ok(());
            }
            match self.queue.next(until_maintenance) {
                Next::Write(next) => pending.batch = next,
                Next::Idle | Next::Closed => return Ok(()),
            }
        }
    }

    /// A batch has been written, with so many new hourly sums. A failure here must not write it again.
    fn written(&mut self, connection: &Connection, batch: &Batch, new: u64) {
        if std::mem::take(&mut self.has_warned) {
            log::info!("the history is written again");
        }
        self.state.set_error(None);
        self.counts.add(batch, new);
        self.unreported = self.unreported.saturating_add(batch.merged.requests);
        if let Err(error) = self.read_totals(connection) {
            self.failed(&error.into());
        }
        self.publish_counts();
        self.queue.written(batch);
        if self.connection.is_some() && self.counts.requests > self.settings.retention.requests {
            self.prune(connection, STEPS);
        }
    }

    /// Opens the database. One of a newer version is left alone, and a damaged one is moved aside.
    fn open(&mut self) -> Result<Arc<Mutex<Connection>>, OpenError> {
        let Some(path) = self.settings.file.clone() else {
            return self.open_in_memory();
        };
        let connection = match schema::open(&path) {
            Ok(connection) => connection,
            Err(error) if error.is_corrupt() => {
                self.move_aside(&error);
                schema::open(&path)?
            }
            Err(error @ OpenError::Newer { .. }) => {
                log::warn!(
                    "the history {} is not used: {error}; it is kept in memory until vdm is updated or state-dir is changed",
                    path.display()
                );
                self.settings.file = None;
                return self.open_in_memory();
            }
            Err(error) => return Err(error),
        };
        self.adopt(connection, |_| Source::File(path))
    }

    fn open_in_memory(&mut self) -> Result<Arc<Mutex<Connection>>, OpenError> {
        let requests = &mut self.settings.retention.requests;
        *requests = (*requests).min(IN_MEMORY);
        self.adopt(schema::in_memory()?, |connection| Source::Memory(connection.clone()))
    }

    fn adopt(
        &mut self,
        mut connection: Connection,
        source: impl FnOnce(&Arc<Mutex<Connection>>) -> Source,
    ) -> Result<Arc<Mutex<Connection>>, OpenError> {
        let now = clock::wall();
        totals::mark_alive(&connection, self.id, now)?;
        totals::fold(&mut connection, now)?;
        self.counted = None;
        self.data_version = 0;
        self.read_totals(&connection)?;
        let connection = Arc::new(Mutex::new(connection));
        self.state.set_source(source(&connection));
        self.publish_counts();
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Publishes the totals of other processes, if they have changed. A history in memory has none.
    fn read_totals(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.settings.file.is_none() {
            return Ok(());
        }
        let version: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version != self.data_version {
            self.state.set_totals(totals::of_others(connection, self.id)?);
            self.data_version = version;
        }
        Ok(())
    }

    /// Called once a minute at most.
    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.unreported);
        if dropped > 0 {
            log::warn!(
                "the history has no details of {dropped} requests, which came too fast for it or for the disk; its sums are complete"
            );
        }
    }

    fn failed(&mut self, error: &OpenError) {
        self.state.set_error(Some(error.to_string()));
        if error.is_corrupt() {
            self.move_aside(error);
        }
        // Another attempt opens the file again: it may have been moved or replaced.
        self.connection = None;
        if !std::mem::replace(&mut self.has_warned, true) {
            let path = self.settings.file.clone().unwrap_or_default();
            log::warn!(
                "cannot write the history {}: {error}; requests are served, and their sums are kept in memory until it can be \
                 written; set VDM_STATE_DIR, or VDM_HISTORY=off",
                path.display()
            );
        }
    }

    fn move_aside(&mut self, error: &OpenError) {
        let Some(path) = &self.settings.file else { return };
        self.connection = None;
        self.state.set_source(Source::None);
        match schema::move_aside(path) {
            Ok(aside) => log::error!(
                "the history {} is damaged ({error}); it was moved to {}, and a new one begins",
                path.display(),
                aside.display()
            ),
            Err(failure) => log::error!(
                "the history {} is damaged ({error}), and cannot be moved aside: {failure}",
                path.display()
            ),
        }
    }

    fn maintain(&mut self) {
        self.maintained = Instant::now();
        // After a failure, writing tries to open it again.
        let Some(connection) = self.connection.clone() else { return };
        if self.settings.file.as_ref().is_some_and(|path| !path.exists()) {
            self.connection = None;
            return;
        }
        let connection = connection.lock();
        let read = totals::mark_alive(&connection, self.id, clock::wall())
            .and_then(|()| self.read_totals(&connection));
        match read {
            Ok(()) => self.prune(&connection, MAINTENANCE_STEPS),
            Err(error) => self.failed(&error.into()),
        }
        self.publish_counts();
    }

    /// Counts the rows if that is due. A large database takes a while, so that the start does not wait for it.
    fn count(&mut self) {
        if self.counted.is_some_and(|counted| counted.elapsed() < RECOUNT) {
            return;
        }
        let Some(connection) = self.connection.clone() else { return };
        let counts = Counts::read(&connection.lock());
        match counts {
            Ok(counts) => {
                (self.counts, self.counted) = (counts, Some(Instant::now()));
                self.publish_counts();
            }
            Err(error) => self.failed(&error.into()),
        }
    }

    fn prune(&mut self, connection: &Connection, steps: usize) {
        for _ in 0..steps {
            let retention = self.settings.retention;
            match prune::step(connection, &retention, &mut self.counts, clock::wall()) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.failed(&error.into()),
            }
        }
    }

    fn publish_counts(&self) {
        self.state.set_counts(self.counts);
    }
}
