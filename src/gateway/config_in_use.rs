//! Which configuration the gateway uses: its files, for a worker that replaces this one, and whether the one on disk is invalid.

use std::sync::Arc;

use tokio::sync::watch;
use vandamme_actors::snapshot::Snapshot;

use crate::config::SavedFiles;

/// The configuration in use.
pub(crate) struct ConfigInUse {
    files: watch::Sender<Arc<SavedFiles>>,
    /// Why the configuration on disk is not the one in use, since this worker started; empty if it is.
    errors: Snapshot<Vec<String>>,
}

impl ConfigInUse {
    pub(super) fn new(files: SavedFiles) -> Self {
        Self { files: watch::Sender::new(Arc::new(files)), errors: Snapshot::default() }
    }

    /// A copy of its files, and its changes.
    pub(crate) fn files(&self) -> watch::Receiver<Arc<SavedFiles>> {
        self.files.subscribe()
    }

    /// The errors of the configuration on disk, because of which the last good one is in use.
    pub(crate) fn errors(&self) -> Arc<Vec<String>> {
        self.errors.load()
    }

    /// This worker has started with the last good configuration, because of these errors in the one on disk.
    pub(crate) fn fell_back(&self, errors: Vec<String>) {
        self.errors.store(errors);
    }

    /// The configuration on disk is in use.
    pub(super) fn replace(&self, files: SavedFiles) {
        self.errors.store(vec![]);
        self.files.send_replace(Arc::new(files));
    }

    /// Some of its files have changed and are in use.
    pub(super) fn update(&self, newer: &SavedFiles) {
        let files = self.files.borrow().updated(newer);
        self.files.send_replace(Arc::new(files));
    }
}
