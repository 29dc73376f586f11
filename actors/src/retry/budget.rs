//! Limits the calls beyond the first one that all requests of a provider may make together.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::Millis;

/// The number of seconds for which counts are kept.
const WINDOW: usize = 10;
/// The number of retries that are always allowed, per second.
const RESERVE: u64 = 1;
/// One retry is allowed for this many requests.
const REQUESTS_PER_RETRY: u64 = 5;

/// Allows retries for 20 % of the requests of the last 10 s, and one more per second. Without a budget, an upstream in
/// trouble gets several times its usual traffic. Counts without a lock; two threads that meet in a new second may lose
/// a count.
#[derive(Debug, Default)]
pub struct RetryBudget {
    seconds: [Second; WINDOW],
}

#[derive(Debug, Default)]
struct Second {
    /// The second on the boot clock that the counts belong to.
    number: AtomicU64,
    requests: AtomicU32,
    retries: AtomicU32,
}

impl RetryBudget {
    /// Counts a call that is not a retry.
    pub fn count_request(&self, now: Millis) {
        self.second(now).requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry. Returns `false` if the budget is used up.
    pub fn draw(&self, now: Millis) -> bool {
        let (mut requests, mut retries) = (0, 0);
        let current = now / 1000;
        for second in &self.seconds {
            if second.number.load(Ordering::Relaxed) + WINDOW as u64 > current {
                requests += u64::from(second.requests.load(Ordering::Relaxed));
                retries += u64::from(second.retries.load(Ordering::Relaxed));
            }
        }
        let allowed = requests / REQUESTS_PER_RETRY + RESERVE * WINDOW as u64;
        let has_room = retries < allowed;
        if has_room {
            self.second(now).retries.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn second(&self, now: Millis) -> &Second {
        let number = now / 1000;
        let second = &self.seconds[usize::try_from(number % WINDOW as u64).unwrap_or_default()];
        if second.number.swap(number, Ordering::Relaxed) != number {
            second.requests.store(0, Ordering::Relaxed);
            second.retries.store(0, Ordering::Relaxed);
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_request_may_be_repeated_and_an_outage_is_not_multiplied() {
        let budget = RetryBudget::default();
        let start = 50_000;
        budget.count_request(start);
        assert!((0..10).all(|_| budget.draw(start)));
        assert!(!budget.draw(start));
        (0..100).for_each(|_| budget.count_request(start + 1000));
        assert_eq!((0..100).filter(|_| budget.draw(start + 1000)).count(), 20);
        assert!(!budget.draw(start + 9999));
        assert!(budget.draw(start + 10_000), "the first second has left the window");
    }
}
