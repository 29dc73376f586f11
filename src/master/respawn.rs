//! When a worker that ended unexpectedly is replaced.

use std::time::{Duration, Instant};

/// A worker that has served for so long has started well: the next one is started at once.
const STABLE: Duration = Duration::from_secs(10);
/// The wait after the second failure in a row, doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// When the next worker is started.
    due: Option<Instant>,
}

impl Backoff {
    /// A worker has ended. `served` is how long it served; zero if it did not start. Returns the wait before the next one.
    pub(super) fn failed(&mut self, served: Duration, now: Instant) -> Duration {
        if served >= STABLE {
            self.failures = 0;
        }
        let wait = match self.failures {
            0 => Duration::ZERO,
            failures => (FIRST_WAIT * 2_u32.saturating_pow((failures - 1).min(16))).min(LONGEST_WAIT),
        };
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + wait);
        wait
    }

    /// How long until the next worker is started, if one is to be.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }

    /// Whether to start a worker now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// Another worker serves already.
    pub(super) fn cancel(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a worker is replaced at once, and with growing, bounded waits when it fails again and again.
    #[test]
    fn the_first_replacement_comes_at_once_and_later_ones_wait_longer() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let waits: Vec<_> = (0..4).map(|_| backoff.failed(Duration::ZERO, now).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400]);
        let last = (0..100).map(|_| backoff.failed(Duration::ZERO, now)).last();
        assert_eq!(last, Some(LONGEST_WAIT));
        assert!(!backoff.take(now) && backoff.take(now + LONGEST_WAIT) && !backoff.take(now + LONGEST_WAIT));
        assert_eq!(backoff.failed(STABLE, now), Duration::ZERO, "it has served well");
    }
}
