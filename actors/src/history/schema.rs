//! The database: its tables, its versions, and how its file is opened.
//!
//! | table | holds |
//! |---|---|
//! | `requests` | one row for each request: the details |
//! | `buckets`, `span` 3600 | sums by hour and [group](super::group::Group), over all requests |
//! | `buckets`, `span` 60 | sums by minute over requests whose details were dropped because the queue was full |
//! | `totals` | sums by provider and model over the whole time, for each process that writes |
//! | `facts` | numbers: `horizon`, `dropped` |

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::clock;

/// Each step changes the tables of the version before it. Steps only add: a process of the version before writes to the
/// same file until its last request has ended.
pub(super) const MIGRATIONS: [&str; 3] = [
    include_str!("schema/version_1.sql"),
    include_str!("schema/version_2.sql"),
    include_str!("schema/version_3.sql"),
];

/// How long a transaction waits for that of another process.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The length of a bucket of `buckets` in milliseconds.
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const MINUTE: u64 = 60_000;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{}: {error}", directory.display())]
    Directory { directory: PathBuf, error: std::io::Error },
    /// A newer program wrote it; it is left alone.
    #[error("it has version {version}, and this program knows {known}", known = MIGRATIONS.len())]
    Newer { version: i64 },
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

impl OpenError {
    /// Whether the file is no database, or is damaged.
    pub(super) fn is_corrupt(&self) -> bool {
        match self {
            Self::Database(error) => is_corrupt(error),
            Self::Directory { .. } | Self::Newer { .. } => false,
        }
    }
}

/// Whether the file is no database, or is damaged.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Opens the file for writing. Creates it, for this user only, if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    if let Some(directory) = path.parent() {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        created.map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
    }
    // SQLite gives its other files the mode of this one.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(OpenError::Directory { directory: path.to_owned(), error }),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    version(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A crash of the process loses nothing that was written; one of the machine may lose the last transactions.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    connection.pragma_update(None, "cache_size", -1_024)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// A database in memory, which ends with the process.
pub(super) fn in_memory() -> Result<Connection, OpenError> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens an existing file for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    version(&connection)?;
    Ok(connection)
}

/// The version of the tables; an error for one that this program does not know.
fn version(connection: &Connection) -> Result<usize, OpenError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        Ok(_) | Err(_) => Err(OpenError::Newer { version }),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let from = version(&transaction)?;
    for step in &MIGRATIONS[from..] {
        transaction.execute_batch(step)?;
    }
    if from < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    }
    Ok(transaction.commit()?)
}

/// Renames a damaged database with its journal; returns the new path.
pub(super) fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let suffixed = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = suffixed(path, &format!(".corrupt-{}", date(clock::wall())));
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        // There may be none.
        let _ = fs::rename(suffixed(path, suffix), suffixed(&aside, suffix));
    }
    Ok(aside)
}

/// A wall clock's time as `YYYYMMDD-HHMMSS` in UTC.
fn date(now: clock::Millis) -> String {
    let seconds = now / 1000;
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last one.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_date() {
        assert_eq!(date(0), "19700101-000000");
        assert_eq!(date(951_782_400_000), "20000229-000000");
        assert_eq!(date(1_796_066_696_000), "20261130-192456");
    }
}
