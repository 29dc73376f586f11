//! Stops asking an upstream that fails most of the time. Pure: time is handed in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Millis, millis};

/// Requests that must be known before anything is concluded.
const SAMPLES: usize = 10;
/// Outcomes older than this no longer count.
const WINDOW: Duration = Duration::from_secs(30);
/// How many outcomes are kept.
const KEPT: usize = 64;
/// The first pause; it doubles up to [`PAUSE_CAP`].
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_CAP: Duration = Duration::from_secs(30);
/// After this long without a probe it is as if nothing had been.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// Closed while fewer than half of the recent requests fail; then open for a pause; then one probe at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    recent: VecDeque<(Millis, Health)>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Millis,
    trips: u32,
    probing: bool,
}

/// What one request says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Bad,
}

impl Breaker {
    /// Whether a request may go; the error is how long to wait.
    pub(super) fn check(&self, now: Millis) -> Result<(), Duration> {
        let Some(open) = &self.open else { return Ok(()) };
        if open.until > now {
            return Err(Duration::from_millis(open.until - now).min(PAUSE_CAP));
        }
        if open.probing { Err(Duration::from_secs(1)) } else { Ok(()) }
    }

    /// A request goes, and will report. Answers whether others must wait for that.
    pub(super) fn go(&mut self) -> bool {
        let Some(open) = &mut self.open else { return false };
        open.probing = true;
        true
    }

    /// A request that was let through ended without saying anything.
    pub(super) fn forget(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    pub(super) fn note(&mut self, now: Millis, health: Health) {
        match (self.open, health) {
            (Some(open), Health::Bad) if open.until <= now => self.trip(now, open.trips + 1),
            // What was sent before the breaker opened says nothing new.
            (Some(open), _) if open.until > now => {}
            (Some(_), _) => *self = Self::default(),
            (None, _) => self.sample(now, health),
        }
    }

    /// Whether its pause is over for so long, without anybody who came to try, that it says nothing any more.
    pub(super) fn is_forgotten(&self, now: Millis) -> bool {
        self.open.is_some_and(|open| !open.probing && open.until.saturating_add(millis(FORGOTTEN)) <= now)
    }

    /// Whether it lets everybody through.
    pub(super) fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    pub(super) fn is_open(&self, now: Millis) -> bool {
        self.open.is_some_and(|open| open.until > now)
    }

    fn sample(&mut self, now: Millis, health: Health) {
        self.recent.push_back((now, health));
        let horizon = now.saturating_sub(millis(WINDOW));
        while self.recent.len() > KEPT || self.recent.front().is_some_and(|&(at, _)| at < horizon) {
            self.recent.pop_front();
        }
        let bad = self.recent.iter().filter(|(_, health)| *health == Health::Bad).count();
        if self.recent.len() >= SAMPLES && bad * 2 >= self.recent.len() {
            self.trip(now, 0);
        }
    }

    fn trip(&mut self, now: Millis, trips: u32) {
        let pause = PAUSE.saturating_mul(2u32.saturating_pow(trips.min(8))).min(PAUSE_CAP);
        self.recent.clear();
        self.open = Some(Open { until: now + millis(pause), trips, probing: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: impl IntoIterator<Item = Health>) -> Breaker {
        let mut breaker = Breaker::default();
        outcomes.into_iter().for_each(|health| breaker.note(0, health));
        breaker
    }

    fn admit(breaker: &mut Breaker, now: Millis) -> Result<(), Duration> {
        breaker.check(now)?;
        breaker.go();
        Ok(())
    }

    #[test]
    fn fewer_than_ten_failures_prove_nothing() {
        assert_eq!(admit(&mut after([Health::Bad; 9]), 0), Ok(()));
    }

    #[test]
    fn half_of_ten_opens_it_for_a_while() {
        let mut breaker = after([Health::Good; 5].into_iter().chain([Health::Bad; 5]));

        assert_eq!(admit(&mut breaker, 0), Err(PAUSE));
        assert!(breaker.is_open(0));
    }

    #[test]
    fn after_the_pause_one_probe_decides() {
        let mut breaker = after([Health::Bad; 10]);
        let later = millis(PAUSE);

        assert_eq!(admit(&mut breaker, later), Ok(()));
        assert_eq!(admit(&mut breaker, later), Err(Duration::from_secs(1)));
        breaker.note(later, Health::Good);

        assert_eq!(admit(&mut breaker, later), Ok(()));
        assert_eq!(admit(&mut breaker, later), Ok(()));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_a_cap() {
        let mut breaker = after([Health::Bad; 10]);
        let mut now = 0;
        let mut pauses = vec![];

        for _ in 0..4 {
            let Err(pause) = admit(&mut breaker, now) else { panic!("closed") };
            pauses.push(pause.as_secs());
            now += millis(pause);
            assert_eq!(admit(&mut breaker, now), Ok(()));
            breaker.note(now, Health::Bad);
        }

        assert_eq!(pauses, [5, 10, 20, 30]);
    }

    #[test]
    fn a_breaker_that_nobody_tries_is_forgotten() {
        let mut breaker = after([Health::Bad; 10]);
        let long = millis(PAUSE + FORGOTTEN);

        assert!(!breaker.is_forgotten(long - 1) && breaker.is_forgotten(long));
        breaker.go();
        assert!(!breaker.is_forgotten(long), "it is tried just now");
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = after([Health::Bad; 9]);

        breaker.note(millis(WINDOW) + 1, Health::Bad);

        assert_eq!(admit(&mut breaker, millis(WINDOW) + 1), Ok(()));
    }
}
