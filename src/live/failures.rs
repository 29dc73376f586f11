//! Which failures of the last hour are the gateway's, and since when it fails. A client's own mistake, such as an unknown model, does not
//! show that anything is wrong with the gateway or its providers.

use std::collections::VecDeque;
use std::sync::Arc;

use vandamme_actors::clock::Millis;
use vandamme_actors::history::UsageRow;
use vandamme_actors::ledger::{FinishedRequest, RequestEnd, is_client_error};

/// The length of an interval, in milliseconds, and their number: an hour.
const SLOT: Millis = 10_000;
const SLOTS: usize = 360;
/// The most providers with counts of their own in an interval; client errors at further ones count only in total.
const PROVIDERS: usize = 128;
/// The ends of requests: success, cancellation, and the types of errors.
pub(super) const ENDS: usize = 16;

/// The requests of the last hour, in intervals of ten seconds: 48 bytes each, and 24 for each provider with client errors.
#[derive(Default)]
pub(crate) struct Failures {
    slots: VecDeque<Interval>,
}

#[derive(Default)]
struct Interval {
    /// A multiple of [`SLOT`].
    start: Millis,
    /// All requests but client errors.
    counted: Share,
    client_errors: Vec<(Option<Arc<str>>, u64)>,
}

/// Failed requests among others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

impl Share {
    fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, failed: self.failed + other.failed }
    }

    /// 0 without any request.
    pub(crate) fn value(self) -> f64 {
        self.failed as f64 / self.requests.max(1) as f64
    }
}

impl Failures {
    pub(super) fn add(&mut self, finished: &FinishedRequest) {
        let record = &finished.record;
        let Some(slot) = self.slot(finished.ended) else { return };
        if record.is_client_error() {
            return slot.add_client_errors(record.provider.as_ref(), 1);
        }
        let has_failed = record.end != RequestEnd::Succeeded && !record.end.is_cancelled();
        slot.counted = slot.counted.plus(Share { requests: 1, failed: has_failed.into() });
    }

    /// Adds sums of an earlier process, grouped by provider and end.
    pub(super) fn seed(&mut self, row: &UsageRow) {
        let Some(slot) = self.slot(row.start) else { return };
        let provider = row.group.first().filter(|name| !name.is_empty());
        let UsageRow { sums, .. } = row;
        if row.group.get(1).is_some_and(|end| is_client_error(end, sums.upstream_calls)) {
            return slot.add_client_errors(provider, sums.requests);
        }
        slot.counted = slot.counted.plus(Share { requests: sums.requests, failed: sums.failed });
    }

    /// The interval of this time; `None` if the hour has moved on.
    fn slot(&mut self, at: Millis) -> Option<&mut Interval> {
        let start = at - at % SLOT;
        let place = match self.slots.binary_search_by_key(&start, |slot| slot.start) {
            Ok(place) => place,
            Err(0) if self.slots.len() >= SLOTS => return None,
            Err(place) => {
                self.slots.insert(place, Interval { start, ..Interval::default() });
                place
            }
        };
        let excess = self.slots.len().saturating_sub(SLOTS);
        self.slots.drain(..excess);
        self.slots.get_mut(place.checked_sub(excess)?)
    }

    fn between(&self, since: Millis, until: Millis) -> impl Iterator<Item = &Interval> {
        self.slots.iter().filter(move |slot| (since..until).contains(&slot.start))
    }

    /// The requests of `since..until` that failed because of their clients' own mistakes.
    pub(crate) fn client_errors(&self, since: Millis, until: Millis) -> u64 {
        self.between(since, until).flat_map(|slot| &slot.client_errors).map(|(_, count)| count).sum()
    }

    /// The same for the requests of one provider.
    pub(crate) fn client_errors_of(&self, provider: &str, since: Millis, until: Millis) -> u64 {
        let counts = self.between(since, until).flat_map(|slot| &slot.client_errors);
        counts.filter(|(name, _)| name.as_deref() == Some(provider)).map(|(_, count)| count).sum()
    }

    /// The other requests of `since..until`: they decide about the state of the gateway.
    pub(crate) fn share(&self, since: Millis, until: Millis) -> Share {
        self.between(since, until).fold(Share::default(), |sum, slot| sum.plus(slot.counted))
    }

    /// Since when at least this share of the requests in a time of this length has failed, looking back from `until`.
    pub(crate) fn failing_since(&self, until: Millis, length: Millis, share: f64) -> Option<Millis> {
        let fails = |end: &Millis| {
            let found = self.share(end.saturating_sub(length), *end);
            found.failed > 0 && found.value() >= share
        };
        let ends = (0..SLOTS as u64).map(|back| until.saturating_sub(back * SLOT));
        ends.take_while(fails).last().map(|end| end.saturating_sub(SLOT))
    }
}

impl Interval {
    fn add_client_errors(&mut self, provider: Option<&Arc<str>>, count: u64) {
        let has_room = self.client_errors.len() < PROVIDERS;
        let is_known =
            |name: &&Arc<str>| self.client_errors.iter().any(|(known, _)| known.as_ref() == Some(*name));
        let provider = provider.filter(|name| has_room || is_known(name));
        match self.client_errors.iter_mut().find(|(name, _)| name.as_ref() == provider) {
            Some((_, sum)) => *sum += count,
            None => self.client_errors.push((provider.cloned(), count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use vandamme_actors::history::UsageSums;

    use super::*;

    const LENGTH: Millis = 3 * SLOT;

    /// Sums of requests that ended so.
    fn row(start: Millis, provider: &str, end: &str, requests: u64) -> UsageRow {
        let failed = if end == "succeeded" { 0 } else { requests };
        let sums = UsageSums { requests, failed, upstream_calls: requests, ..UsageSums::default() };
        UsageRow { start, group: vec![provider.into(), end.into()], sums }
    }

    /// Requirement: client errors are counted apart and by provider, those without one in total only.
    #[test]
    fn client_errors_are_counted_apart() {
        let mut failures = Failures::default();
        failures.seed(&row(5, "a", "not_found_error", 2));
        failures.seed(&row(5, "", "invalid_request_error", 3));
        assert_eq!(failures.share(0, SLOT), Share::default());
        failures.seed(&row(5, "a", "authentication_error", 1));
        failures.seed(&row(5, "b", "succeeded", 3));
        assert_eq!(failures.share(0, SLOT), Share { requests: 4, failed: 1 });
        let errors = |name| failures.client_errors_of(name, 0, SLOT);
        assert_eq!((failures.client_errors(0, SLOT), errors("a"), errors("b")), (5, 2, 0));
        assert_eq!(failures.client_errors(SLOT, 2 * SLOT), 0);
    }

    /// Requirement: the intervals and the providers with counts of their own are bounded, and no client error of a provider is lost.
    #[test]
    fn the_size_is_bounded() {
        let mut failures = Failures::default();
        for number in 0..PROVIDERS + 5 {
            failures.seed(&row(0, &number.to_string(), "not_found_error", 1));
        }
        assert_eq!(failures.slots[0].client_errors.len(), PROVIDERS + 1);
        assert_eq!(failures.client_errors(0, SLOT), PROVIDERS as u64 + 5);
        for slot in 1..=SLOTS as u64 + 3 {
            failures.seed(&row(slot * SLOT, "a", "succeeded", 1));
        }
        failures.seed(&row(0, "a", "succeeded", 1));
        assert_eq!((failures.slots.len(), failures.client_errors(0, Millis::MAX)), (SLOTS, 0));
    }

    /// Requirement: the status says since when: from the failure that made the share too large, not from the first one.
    #[test]
    fn failures_are_followed_back_to_their_begin() {
        let mut failures = Failures::default();
        let until = 20 * SLOT;
        assert_eq!(failures.failing_since(until, LENGTH, 0.5), None);
        failures.seed(&row(2 * SLOT, "a", "api_error", 1));
        for slot in 6..20 {
            failures.seed(&row(slot * SLOT, "a", "succeeded", 1));
        }
        for slot in 15..20 {
            failures.seed(&row(slot * SLOT + 1, "a", "api_error", 1));
        }
        assert_eq!(failures.failing_since(until, LENGTH, 0.5), Some(17 * SLOT));
        assert_eq!(failures.failing_since(until, LENGTH, 0.2), Some(15 * SLOT));
        assert_eq!(failures.failing_since(until, LENGTH, 0.6), None);
    }
}
