//! Sums over the requests of the last hour: in intervals of ten seconds and by provider for the latest minutes, by minute before.

use std::collections::VecDeque;
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
const MINUTE: Millis = 60_000;
/// The latest intervals that keep their length and their providers: 12 minutes or more. Nothing reads more than the last ten
/// minutes that way.
const LATEST: usize = 72;
/// Whole minutes before the latest intervals: together more than an hour.
const MINUTES: usize = 60;

/// The requests of the last hour.
///
/// Its size: an interval has 264 bytes for each provider with requests, a minute 288 bytes. To this, an interval adds eight bytes
/// for each different duration (to 2 %) of a provider, and a minute two to three; a request has at most two durations. With one
/// provider and 200 different durations of each kind that is 3.5 KiB for an interval and 1.3 KiB for a minute: 330 KiB for an hour, of which
/// 250 KiB are reached after twelve minutes. No load exceeds 1088 different durations: 1.6 MiB for one provider.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) failures: Failures,
    /// The latest intervals that had requests, in their order.
    latest: VecDeque<Interval>,
    /// The minutes before them, in their order.
    minutes: VecDeque<Minute>,
}

/// Sums of one interval.
#[derive(Default)]
struct Interval {
    /// A multiple of [`SLOT`].
    start: Millis,
    /// Of the requests that are not among `providers`.
    rest: UsageSums,
    providers: Vec<(Arc<str>, UsageSums)>,
}

/// Sums of one minute.
struct Minute {
    /// A multiple of [`MINUTE`].
    start: Millis,
    /// Without histograms.
    sums: UsageSums,
    elapsed: Box<[u8]>,
    first_event: Box<[u8]>,
}

impl Window {
    pub(super) fn add(&mut self, finished: &FinishedRequest) {
        self.failures.add(finished);
        let start = finished.ended - finished.ended % SLOT;
        // The clock was set back: intervals that now are in the future would displace the present.
        if self.latest.back().is_some_and(|last| start + MINUTE < last.start) {
            self.latest.retain(|interval| interval.start <= start);
        }
        self.add_to(start, finished.record.provider.as_ref(), |sums| sums.count(finished));
    }

    /// Adds sums of an earlier process, grouped by provider and end. The window must be empty.
    pub(crate) fn seed(&mut self, rows: &[UsageRow]) {
        rows.iter().for_each(|row| self.failures.seed(row));
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by_key(|row| row.start);
        for row in rows {
            let provider = row.group.first().filter(|name| !name.is_empty());
            self.add_to(row.start - row.start % SLOT, provider, |sums| sums.merge(&row.sums));
        }
    }

    fn add_to(&mut self, start: Millis, provider: Option<&Arc<str>>, add: impl FnOnce(&mut UsageSums)) {
        // Almost always the last one.
        let place = match self.latest.iter().rposition(|interval| interval.start <= start) {
            Some(place) if self.latest[place].start == start => place,
            before => {
                let place = before.map_or(0, |before| before + 1);
                self.latest.insert(place, Interval { start, ..Interval::default() });
                place
            }
        };
        add(self.latest[place].sums_of(provider));
        while self.latest.len() > LATEST {
            self.close_minute();
        }
    }

    /// Turns the oldest intervals into their minute.
    fn close_minute(&mut self) {
        let Some(oldest) = self.latest.front() else { return };
        let start = oldest.start - oldest.start % MINUTE;
        let count = self.latest.partition_point(|interval| interval.start < start + MINUTE);
        let mut sums = UsageSums::default();
        self.latest.drain(..count).for_each(|interval| interval.add_to(&mut sums));
        let place = self.minutes.partition_point(|minute| minute.start < start);
        if let Some(minute) = self.minutes.get_mut(place).filter(|minute| minute.start == start) {
            minute.add_to(&mut sums);
            *minute = Minute::new(start, sums);
            return;
        }
        // A minute before all others does not displace one of them.
        if place > 0 || self.minutes.len() < MINUTES {
            self.minutes.insert(place, Minute::new(start, sums));
        }
        self.minutes.drain(..self.minutes.len().saturating_sub(MINUTES));
    }

    /// The sums of `since..until`. More than ten minutes ago, both must be the start of a minute.
    pub(crate) fn sums(&self, since: Millis, until: Millis) -> UsageSums {
        let mut sums = UsageSums::default();
        let range = since..until;
        self.minutes
            .iter()
            .filter(|minute| range.contains(&minute.start))
            .for_each(|minute| minute.add_to(&mut sums));
        self.intervals(since, until).for_each(|interval| interval.add_to(&mut sums));
        sums
    }

    /// The sums of one provider in `since..until`, within the last ten minutes.
    pub(crate) fn provider(&self, name: &str, since: Millis, until: Millis) -> UsageSums {
        let mut sums = UsageSums::default();
        let intervals = self.intervals(since, until).flat_map(|interval| &interval.providers);
        intervals.filter(|(provider, _)| **provider == *name).for_each(|(_, provider)| sums.merge(provider));
        sums
    }

    fn intervals(&self, since: Millis, until: Millis) -> impl Iterator<Item = &Interval> {
        self.latest.iter().filter(move |interval| (since..until).contains(&interval.start))
    }
}

impl Interval {
    /// Where the requests of this provider count.
    fn sums_of(&mut self, provider: Option<&Arc<str>>) -> &mut UsageSums {
        let Some(provider) = provider else { return &mut self.rest };
        let place = match self.providers.iter().position(|(name, _)| name == provider) {
            Some(place) => place,
            None if self.providers.len() >= PROVIDERS => return &mut self.rest,
            None => {
                // Most intervals have one or two; a vector would begin with room for four.
                self.providers.reserve_exact(1);
                self.providers.push((provider.clone(), UsageSums::default()));
                self.providers.len() - 1
            }
        };
        &mut self.providers[place].1
    }

    fn add_to(&self, sums: &mut UsageSums) {
        sums.merge(&self.rest);
        self.providers.iter().for_each(|(_, provider)| sums.merge(provider));
    }
}

impl Minute {
    fn new(start: Millis, mut sums: UsageSums) -> Self {
        let [elapsed, first_event] =
            [&mut sums.elapsed, &mut sums.first_event].map(|histogram| std::mem::take(histogram).pack());
        Self { start, sums, elapsed, first_event }
    }

    fn add_to(&self, sums: &mut UsageSums) {
        sums.merge(&self.sums);
        let Self { elapsed, first_event, .. } = self;
        sums.elapsed.merge_packed(elapsed);
        sums.first_event.merge_packed(first_event);
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
            verdicts: None,
            stop_reason: None,
            images: Default::default(),
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
        for slot in 1..=3 * SLOTS as u64 {
            window.add(&finished(slot * SLOT, "a", RequestEnd::Succeeded));
        }
        assert_eq!(window.minutes.len(), MINUTES);
        assert!((LATEST - 5..=LATEST).contains(&window.latest.len()));
        let oldest = window.minutes.front().map(|minute| minute.start);
        let one = UsageSums::of(&finished(0, "a", RequestEnd::Succeeded));
        (0..6).for_each(|slot| window.add_to(slot * SLOT, None, |sums| sums.merge(&one)));
        assert_eq!((window.minutes.len(), window.latest.len() <= LATEST), (MINUTES, true));
        assert_eq!(window.minutes.front().map(|minute| minute.start), oldest);
    }

    /// Requirement: the numbers of the last hour are those of all of its requests, by minute, and of the last ten minutes by interval and
    /// provider; with any number of requests in an interval.
    #[test]
    fn an_hour_is_complete_by_minute() {
        let mut window = Window::default();
        let mut all = vec![];
        for second in 0..4 * 3600u64 {
            let mut request = finished(second * 1000, ["a", "b"][second as usize % 2], RequestEnd::Succeeded);
            request.record.elapsed = Duration::from_millis(second * 7919 % 3001);
            if second % 5 == 0 {
                request.record.provider = None;
            }
            window.add(&request);
            all.push(request);
        }
        let expected = |since: Millis, until: Millis, provider: Option<&str>| {
            let mut sums = UsageSums::default();
            all.iter()
                .filter(|request| (since..until).contains(&request.ended))
                .filter(|request| {
                    provider.is_none_or(|name| request.record.provider.as_deref() == Some(name))
                })
                .for_each(|request| sums.merge(&UsageSums::of(request)));
            sums
        };
        let now = 4 * 3600 * 1000;
        for minute in 1..=60 {
            let start = now - minute * MINUTE;
            assert_eq!(window.sums(start, start + MINUTE), expected(start, start + MINUTE, None));
        }
        for slot in 1..=60 {
            let start = now - slot * SLOT;
            assert_eq!(window.sums(start, start + SLOT), expected(start, start + SLOT, None));
            let provider = window.provider("a", start, start + SLOT);
            assert_eq!(provider, expected(start, start + SLOT, Some("a")));
        }
    }

    /// Requirement: the size that is stated at [`Window`] holds for an hour of requests.
    #[test]
    fn an_hour_of_requests_has_the_stated_size() {
        let mut window = Window::default();
        let durations: Vec<_> = (0..200).map(|step| 1000.0 * 1.03f64.powi(step)).collect();
        for slot in 0..SLOTS as u64 {
            for duration in &durations {
                let mut request = finished(slot * SLOT, "a", RequestEnd::Succeeded);
                request.record.elapsed = Duration::from_micros(*duration as u64);
                request.record.first_event = Some(request.record.elapsed);
                window.add(&request);
            }
        }
        let of_interval = |interval: &Interval| {
            let entries = interval.providers.iter().map(|(_, sums)| {
                sums.elapsed.to_bytes().len() / 10 * 8 + sums.first_event.to_bytes().len() / 10 * 8
            });
            entries.sum::<usize>() + size_of_val(&*interval.providers) + size_of::<Interval>()
        };
        let of_minute =
            |minute: &Minute| minute.elapsed.len() + minute.first_event.len() + size_of::<Minute>();
        assert!(window.latest.iter().all(|interval| of_interval(interval) <= 3_840));
        assert!(window.minutes.iter().all(|minute| of_minute(minute) <= 1_500));
    }

    /// Requirement: after the clock was set back, the numbers of the present are those of the requests that end now.
    #[test]
    fn a_clock_that_is_set_back_leaves_the_present_right() {
        let mut window = Window::default();
        for slot in 1000..1003 + LATEST as u64 {
            window.add(&finished(slot * SLOT, "a", RequestEnd::Succeeded));
        }
        for slot in 500..500 + LATEST as u64 {
            window.add(&finished(slot * SLOT, "a", RequestEnd::Succeeded));
            assert_eq!(window.provider("a", slot * SLOT, (slot + 1) * SLOT).requests, 1);
            let ten_minutes = (slot * SLOT).saturating_sub(600_000);
            assert_eq!(window.provider("a", ten_minutes, Millis::MAX).requests, (slot - 499).min(61));
        }
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
