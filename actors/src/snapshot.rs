//! Holds a value that one owner publishes and every thread reads. Besides the history, only this module of the crate uses a lock.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A cell with the newest version of an immutable value. Reading clones an [`Arc`]; no lock is held while the value is
/// in use.
pub struct Snapshot<T> {
    cell: Arc<Cell<T>>,
}

struct Cell<T> {
    value: RwLock<Arc<T>>,
    changed: Notify,
}

impl<T> Snapshot<T> {
    /// A cell with this value.
    pub fn new(value: T) -> Self {
        Self { cell: Arc::new(Cell { value: RwLock::new(Arc::new(value)), changed: Notify::new() }) }
    }

    /// The newest version.
    pub fn load(&self) -> Arc<T> {
        self.cell.value.read().clone()
    }

    /// Whether both are the same cell.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }

    /// Publishes a new version.
    pub fn store(&self, value: T) {
        *self.cell.value.write() = Arc::new(value);
        self.cell.changed.notify_waiters();
    }

    /// Publishes what `change` makes of the newest version, unless it is `None`. Changes come one after the other; readers wait
    /// meanwhile.
    pub fn update(&self, change: impl FnOnce(&T) -> Option<T>) {
        let mut value = self.cell.value.write();
        let Some(changed) = change(&value) else { return };
        let before = std::mem::replace(&mut *value, Arc::new(changed));
        drop(value);
        // What its parts do at their end must not happen under the lock.
        drop(before);
        self.cell.changed.notify_waiters();
    }

    /// Completes at the first [`store`](Self::store) after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.cell.changed.notified()
    }
}

impl<T: Default> Default for Snapshot<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone() }
    }
}
