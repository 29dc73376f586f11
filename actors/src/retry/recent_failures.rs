//! Remembers requests that have just failed, to recognise a client's own retry: Claude Code sends
//! `x-stainless-retry-count: 0` on its retries too (captured from 2.1.332).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Millis;

/// A repeat within this many seconds counts as the client's retry.
const WINDOW: u64 = 60;
/// The number of slots; further failures replace earlier ones.
const SLOTS: usize = 1024;
/// The number of bits of a slot that hold the second.
const SECOND_BITS: u64 = 20;

/// The session and body length of requests that failed within the last minute. Constant size, no lock.
#[derive(Debug)]
pub struct RecentFailures {
    slots: Box<[AtomicU64]>,
}

impl Default for RecentFailures {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl RecentFailures {
    /// Records that a request with this session and body length failed.
    pub fn note(&self, session: u64, length: usize, now: Millis) {
        let (slot, mark) = Self::place(session, length);
        self.slots[slot].store(mark | second(now), Ordering::Relaxed);
    }

    /// Whether a request with this session and body length failed within the last minute.
    pub fn contains(&self, session: u64, length: usize, now: Millis) -> bool {
        let (slot, mark) = Self::place(session, length);
        let noted = self.slots[slot].load(Ordering::Relaxed);
        let age = second(now).wrapping_sub(noted) & ((1 << SECOND_BITS) - 1);
        noted != 0 && noted >> SECOND_BITS << SECOND_BITS == mark && age <= WINDOW
    }

    fn place(session: u64, length: usize) -> (usize, u64) {
        // The finalizer of SplitMix64.
        let mut hash = session ^ (length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let slot = usize::try_from(hash % SLOTS as u64).unwrap_or_default();
        (slot, (hash | 1 << 63) >> SECOND_BITS << SECOND_BITS)
    }
}

fn second(now: Millis) -> u64 {
    (now / 1000) & ((1 << SECOND_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_within_a_minute_is_recognised_and_nothing_else() {
        let recent = RecentFailures::default();
        recent.note(7, 100, 5_000);
        assert!(recent.contains(7, 100, 5_000) && recent.contains(7, 100, 65_000));
        assert!(!recent.contains(7, 100, 66_000));
        assert!(!recent.contains(7, 101, 5_000) && !recent.contains(8, 100, 5_000));
    }
}
