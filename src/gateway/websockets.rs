//! What all WebSocket connections share: their number, and the memory for the items of their conversations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Admission;

/// The WebSocket connections of all threads.
#[derive(Default)]
pub(crate) struct WebSockets {
    open: Arc<AtomicUsize>,
    /// The bytes of the items that are kept for them.
    kept: Arc<AtomicUsize>,
}

/// The bytes that one connection keeps. Its drop frees them.
pub(crate) struct KeptItems {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl WebSockets {
    /// A place for one connection; `None` if there are too many.
    pub(crate) fn open(&self, most: usize) -> Option<Admission> {
        Admission::among(&self.open, most)
    }

    /// The share of a new connection, which keeps nothing yet.
    pub(crate) fn keep(&self) -> KeptItems {
        KeptItems { all: self.kept.clone(), own: 0 }
    }
}

impl KeptItems {
    /// Changes the share to `size` bytes. Returns `false`, and frees the share, if all connections would keep more than `most`.
    pub(crate) fn resize(&mut self, size: usize, most: usize) -> bool {
        self.free();
        let room = |kept: usize| kept.checked_add(size).filter(|kept| *kept <= most);
        let fits = self.all.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok();
        if fits {
            self.own = size;
        }
        fits
    }

    fn free(&mut self) {
        self.all.fetch_sub(std::mem::take(&mut self.own), Ordering::AcqRel);
    }
}

impl Drop for KeptItems {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_memory_for_items() {
        let all = WebSockets::default();
        let (mut one, mut two) = (all.keep(), all.keep());
        assert!(one.resize(6, 10) && !two.resize(5, 10) && two.resize(4, 10));
        assert!(!one.resize(7, 10), "its old share is free, and the new one does not fit");
        assert!(two.resize(10, 10));
        drop(two);
        assert!(one.resize(10, 10));
        drop(one);
        assert_eq!(all.kept.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_closed_connection_makes_room_for_another_one() {
        let all = WebSockets::default();
        let place = all.open(1);
        assert!(place.is_some() && all.open(1).is_none());
        drop(place);
        assert!(all.open(1).is_some());
    }
}
