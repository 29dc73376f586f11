//! Sums over the requests of the last hour, in intervals of ten seconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use vandamme_actors::clock::Millis;
use vandamme_actors::history::{UsageRow, UsageSums};
use vandamme_actors::ledger::FinishedRequest;

use super::failures::Failures;

/// The length of an interval, in milliseconds.
pub(crate) const SLOT: Millis = 10_000;
/// The intervals of an hour.
pub(super) const SLOTS: usize = 360;
/// The most providers in an interval; requests of further ones count only in total. A configuration can change within the hour.
pub(super) const PROVIDERS: usize = 128;

/// The intervals that had requests, in their order.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) failures: Failures,
    slots: VecDeque<Interval>,
}

/// Sums of one interval, in total and by provider.
#[derive(Clone, Default)]
pub(crate) struct Interval {
    /// A multiple of [`SLOT`].
    pub(crate) start: Millis,
    pub(crate) total: UsageSums,
    pub(crate) providers: BTreeMap<Arc<str>, UsageSums>,
}

impl Window {
    pub(super) fn add(&mut self, finished: &FinishedRequest) {
        self.failures.add(finished);
        let Some(slot) = self.slot(finished.ended) else { return };
        let sums = UsageSums::of(finished);
        slot.total.merge(&sums);
        let Some(provider) = &finished.record.provider else { return };
        if slot.providers.len() < PROVIDERS || slot.providers.contains_key(provider) {
            slot.providers.entry(provider.clone()).or_default().merge(&sums);
        }
    }

    /// Adds sums of an earlier process, grouped by provider and end.
    pub(crate) fn seed(&mut self, rows: &[UsageRow]) {
        rows.iter().for_each(|row| self.failures.seed(row));
        for row in rows {
            let Some(slot) = self.slot(row.start) else { continue };
            slot.total.merge(&row.sums);
            let provider = row.group.first().filter(|name| !name.is_empty());
            if let Some(provider) = provider.filter(|_| slot.providers.len() < PROVIDERS) {
                slot.providers.entry(provider.clone()).or_default().merge(&row.sums);
            }
        }
    }

    /// The interval of this time; `None` if the window has moved on.
    fn slot(&mut self, at: Millis) -> Option<&mut Interval> {
        let start = at - at % SLOT;
        let place = match self.slots.binary_search_by_key(&start, |slot| slot.start) {
            Ok(place) => place,
            // The clock was set back, or the request is older than the window.
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

    /// The intervals that begin in `since..until`.
    pub(crate) fn between(&self, since: Millis, until: Millis) -> impl Iterator<Item = &Interval> {
        self.slots.iter().filter(move |slot| (since..until).contains(&slot.start))
    }

    /// The sums of `since..until`.
    pub(crate) fn sums(&self, since: Millis, until: Millis) -> UsageSums {
        let mut sums = UsageSums::default();
        self.between(since, until).for_each(|slot| sums.merge(&slot.total));
        sums
    }

    /// The sums of one provider in `since..until`.
    pub(crate) fn provider(&self, name: &str, since: Millis, until: Millis) -> UsageSums {
        let mut sums = UsageSums::default();
        for slot in self.between(since, until) {
            slot.providers.get(name).into_iter().for_each(|provider| sums.merge(provider));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vandamme_actors::ledger::{Record, RequestEnd, RequestSummary};
    use vandamme_protocol::reported::Reported;
    use vandamme_protocol::vocabulary::Usage;

    use super::*;

    fn finished(ended: Millis, provider: &str, end: RequestEnd) -> FinishedRequest {
        let record = Record {
            request_id: "req".into(),
            request: RequestSummary { streamed: true, ..RequestSummary::default() },
            provider: Some(provider.into()),
            model: Some("m".into()),
            reported: Reported::default(),
            upstream_api: None,
            failed_targets: vec![],
            calls: vec![],
            key: None,
            status: 200,
            upstream_calls: 1,
            usage: Usage { output: 10, ..Usage::default() },
            tool_calls: 0,
            stop_reason: None,
            reply_size: 0,
            first_event: Some(Duration::from_millis(100)),
            elapsed: Duration::from_millis(1100),
            end,
        };
        FinishedRequest { record, ended, cost: None, cache_loss: None }
    }

    /// Requirement: requests are counted once, in the interval in which they ended and at their provider.
    #[test]
    fn requests_are_counted_in_their_interval_and_at_their_provider() {
        let mut window = Window::default();
        window.add(&finished(5, "a", RequestEnd::Succeeded));
        window.add(&finished(SLOT + 1, "b", RequestEnd::Cancelled));
        window.add(&finished(SLOT - 1, "a", RequestEnd::Succeeded));
        let all = window.sums(0, 2 * SLOT);
        assert_eq!((all.requests, all.cancelled, all.unpriced, all.usage.output), (3, 1, 3, 30));
        assert_eq!((all.streaming, all.streamed_output), (Duration::from_secs(2), 20));
        assert_eq!(window.sums(0, SLOT).requests, 2);
        assert_eq!(window.provider("a", 0, 2 * SLOT).requests, 2);
        assert_eq!(window.provider("c", 0, 2 * SLOT).requests, 0);
        assert_eq!(window.between(0, 2 * SLOT).count(), 2);
    }

    /// Requirement: a reply that came at once has no speed: a provider may answer a stream with a whole reply.
    #[test]
    fn a_reply_that_came_at_once_has_no_speed() {
        let mut at_once = finished(5, "a", RequestEnd::Succeeded);
        at_once.record.elapsed = Duration::from_micros(100_900);
        let mut window = Window::default();
        window.add(&at_once);
        let sums = window.sums(0, SLOT);
        assert_eq!((sums.requests, sums.streaming, sums.streamed_output), (1, Duration::ZERO, 0));
    }

    /// Requirement: the window has a bound, and an old request does not displace a new one.
    #[test]
    fn the_window_has_a_bound() {
        let mut window = Window::default();
        for slot in 1..=(SLOTS as u64 + 5) {
            window.add(&finished(slot * SLOT, "a", RequestEnd::Succeeded));
        }
        assert_eq!(window.slots.len(), SLOTS);
        window.add(&finished(0, "a", RequestEnd::Succeeded));
        assert_eq!(window.sums(0, Millis::MAX).requests, SLOTS as u64);
        assert_eq!(window.slots.front().map(|slot| slot.start), Some(6 * SLOT));
    }

    /// Requirement: sums of an earlier process are added to those of this one.
    #[test]
    fn sums_of_an_earlier_process_are_added() {
        let mut window = Window::default();
        window.add(&finished(5, "a", RequestEnd::Succeeded));
        let sums = window.sums(0, SLOT);
        window.seed(&[UsageRow { start: 0, group: vec!["a".into()], sums }]);
        assert_eq!(window.sums(0, SLOT).requests, 2);
        assert_eq!(window.provider("a", 0, SLOT).elapsed.count(), 2);
    }
}
