//! The one place with a lock: a value that one owner publishes and every thread reads.

use std::sync::Arc;

use parking_lot::RwLock;

/// A cell with the newest version of an immutable value. Reading clones an [`Arc`]; nothing is held while the
/// value is in use.
pub struct Snapshot<T> {
    cell: Arc<RwLock<Arc<T>>>,
}

impl<T> Snapshot<T> {
    pub fn new(value: T) -> Self {
        Self { cell: Arc::new(RwLock::new(Arc::new(value))) }
    }

    pub fn load(&self) -> Arc<T> {
        self.cell.read().clone()
    }

    pub fn store(&self, value: T) {
        *self.cell.write() = Arc::new(value);
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone() }
    }
}
