//! `--reload`: notices that a file of the configuration has changed.
//!
//! It compares what the system reports about each file, twice a second. That works for every way to replace a file (an editor
//! that renames a new one, a link that is pointed elsewhere, a network file system), without a list of cases.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

/// Between two comparisons. A change is reported when the files have not changed for so long.
const INTERVAL: Duration = Duration::from_millis(500);

/// Reports changes of files; never, if none are watched.
pub(super) struct FileChanges(Option<mpsc::Receiver<()>>);

/// What identifies the content of a file without reading it.
#[derive(Clone, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl FileChanges {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Watches these files on a thread of its own, since a network file system may hang.
    pub(super) fn watch(files: Vec<PathBuf>) -> std::io::Result<Self> {
        let (report, changes) = mpsc::channel(1);
        let thread = thread::Builder::new().name("file-changes".to_owned());
        thread.spawn(move || watch(&files, &report))?;
        Ok(Self(Some(changes)))
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) {
        let change = match &mut self.0 {
            Some(changes) => changes.recv().await,
            None => None,
        };
        if change.is_none() {
            std::future::pending().await
        }
    }
}

fn watch(files: &[PathBuf], report: &mpsc::Sender<()>) {
    let fingerprints = || files.iter().map(|file| fingerprint(file)).collect::<Vec<_>>();
    let mut applied = fingerprints();
    let mut before = applied.clone();
    while !report.is_closed() {
        thread::sleep(INTERVAL);
        let now = fingerprints();
        if now == before && now != applied {
            applied.clone_from(&now);
            // A report that waits is for this change as well.
            let _ = report.try_send(());
        }
        before = now;
    }
}

/// `None` for a file that does not exist.
fn fingerprint(file: &Path) -> Option<Fingerprint> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
        length: metadata.len(),
    })
}
