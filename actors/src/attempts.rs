//! What to do after an upstream call that failed: the one owner of retries. Pure; the exchange executes it.

use std::time::Duration;

/// Upstream calls for one client request, over all keys.
const CALLS: u32 = 6;
/// Of these, the ones that may go to trying what a refusal taught.
const EDITS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(8);
/// An upstream that asks for a longer pause than this gets none from us: the client is told to wait instead.
const PAUSE_CAP: Duration = Duration::from_secs(10);

/// The budget of one client request.
#[derive(Clone, Debug)]
pub struct Attempts {
    calls: u32,
    repeats: u32,
    edits: u32,
    max_repeats: u32,
    /// The client itself already repeats this request, so it does the waiting.
    client_retries: bool,
}

/// How an upstream call failed, as far as retries are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 401, 403, 429 or an exhausted quota: another key may do.
    Key,
    /// 408, 409, 5xx, 529, no connection, or an answer that broke off: the same call may do later. `after` is what the
    /// upstream asked for.
    Passing { after: Option<Duration> },
    /// It would fail again here, but is not the request's own fault: another target may do.
    Here,
    /// No answer in time: the call may still be running up there.
    Timeout,
    /// A refusal that names something which the request had, and can do without.
    Named,
    /// Anything that would fail again anywhere.
    Final,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same call again with the same key, after a pause.
    SameKey(Duration),
    /// Again at once with the same key, without what was named.
    Edited,
    /// Again with a key that was not tried yet.
    NextKey,
    /// Again with the next target of the fallbacks.
    NextTarget,
    /// The failure goes to the client.
    Give,
}

impl Attempts {
    /// `client_retries` is the client's own count (`x-stainless-retry-count`).
    pub fn new(client_retries: u32) -> Self {
        Self { calls: 0, repeats: 0, edits: 0, max_repeats: 0, client_retries: client_retries >= 1 }
    }

    /// The calls from now on are to another target, which takes so many repeats on one key.
    pub fn at(&mut self, max_repeats: u32) {
        (self.repeats, self.max_repeats) = (0, max_repeats);
    }

    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Decides after one more failed call. `left` targets have not been tried; one call is kept for each of them.
    /// `jitter` is a random number in 0..1.
    pub fn next(&mut self, failure: Failure, left: usize, jitter: f64) -> Next {
        self.calls += 1;
        let room = self.room() > left;
        match failure {
            Failure::Key if room => {
                self.repeats = 0;
                Next::NextKey
            }
            Failure::Passing { after } if room && self.may_repeat() => {
                let pause = after.unwrap_or_else(|| self.backoff(jitter));
                self.repeats += 1;
                if pause > PAUSE_CAP { self.elsewhere(left) } else { Next::SameKey(pause) }
            }
            Failure::Named if room && self.edits < EDITS => {
                self.edits += 1;
                Next::Edited
            }
            Failure::Key | Failure::Passing { .. } | Failure::Here => self.elsewhere(left),
            Failure::Named | Failure::Timeout | Failure::Final => Next::Give,
        }
    }

    /// Where to go from a target that lends no key; nothing was called.
    pub fn elsewhere(&self, left: usize) -> Next {
        if left > 0 && self.room() > 0 { Next::NextTarget } else { Next::Give }
    }

    fn room(&self) -> usize {
        usize::try_from(CALLS.saturating_sub(self.calls)).unwrap_or_default()
    }

    fn may_repeat(&self) -> bool {
        self.repeats < self.max_repeats && !self.client_retries
    }

    /// Doubles from half a second; a quarter of it is random, so that clients do not come back in step.
    fn backoff(&self, jitter: f64) -> Duration {
        let full = BACKOFF.saturating_mul(2u32.saturating_pow(self.repeats)).min(BACKOFF_CAP);
        full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: Failure = Failure::Passing { after: None };

    fn attempts(max_repeats: u32, client_retries: u32) -> Attempts {
        let mut attempts = Attempts::new(client_retries);
        attempts.at(max_repeats);
        attempts
    }

    #[test]
    fn a_passing_failure_is_repeated_on_the_same_key_as_often_as_configured() {
        let mut attempts = attempts(2, 0);

        let next = [(); 3].map(|()| attempts.next(PASSING, 0, 0.0));

        assert_eq!(
            next,
            [Next::SameKey(Duration::from_millis(500)), Next::SameKey(Duration::from_secs(1)), Next::Give]
        );
    }

    #[test]
    fn a_key_failure_is_not_counted_as_a_repeat_but_the_whole_is_bounded() {
        let mut attempts = attempts(0, 0);

        let next = [(); 6].map(|()| attempts.next(Failure::Key, 0, 0.0));

        assert_eq!(next[..5], [Next::NextKey; 5]);
        assert_eq!(next[5], Next::Give);
    }

    #[test]
    fn a_client_that_retries_itself_is_not_made_to_wait_by_us() {
        let mut attempts = attempts(2, 1);

        assert_eq!(attempts.next(PASSING, 0, 0.0), Next::Give);
        assert_eq!(attempts.next(Failure::Key, 0, 0.0), Next::NextKey);
    }

    #[test]
    fn a_request_is_edited_three_times_at_most_even_for_a_client_that_retries() {
        let mut attempts = attempts(0, 1);

        let next = [(); 4].map(|()| attempts.next(Failure::Named, 0, 0.0));

        assert_eq!(next, [Next::Edited, Next::Edited, Next::Edited, Next::Give]);
    }

    #[test]
    fn a_timeout_is_never_repeated() {
        assert_eq!(attempts(2, 0).next(Failure::Timeout, 0, 0.0), Next::Give);
    }

    #[test]
    fn the_upstreams_own_pause_is_kept_unless_it_is_long() {
        let said = |secs| Failure::Passing { after: Some(Duration::from_secs(secs)) };

        assert_eq!(attempts(2, 0).next(said(3), 0, 0.5), Next::SameKey(Duration::from_secs(3)));
        assert_eq!(attempts(2, 0).next(said(60), 0, 0.5), Next::Give);
    }

    #[test]
    fn the_backoff_grows_to_its_cap_and_jitter_only_shortens_it() {
        let mut attempts = attempts(9, 0);
        let mut last = Duration::ZERO;

        for jitter in [0.0, 1.0, 0.5, 0.0, 0.0] {
            let Next::SameKey(pause) = attempts.next(PASSING, 0, jitter) else { panic!("gave up") };
            assert!(pause <= BACKOFF_CAP && pause > last, "{pause:?}");
            last = pause;
        }
    }

    #[test]
    fn what_fails_here_may_do_elsewhere_as_long_as_there_is_another_target() {
        let mut attempts = attempts(1, 0);

        assert!(matches!(attempts.next(PASSING, 1, 0.0), Next::SameKey(_)));
        assert_eq!(attempts.next(PASSING, 1, 0.0), Next::NextTarget);
        attempts.at(1);
        assert!(matches!(attempts.next(PASSING, 0, 0.0), Next::SameKey(_)));
        assert_eq!(attempts.next(PASSING, 0, 0.0), Next::Give);
        assert_eq!(attempts.calls(), 4);
    }

    #[test]
    fn the_requests_own_fault_and_a_call_that_may_still_run_go_nowhere() {
        for failure in [Failure::Final, Failure::Timeout] {
            assert_eq!(attempts(2, 0).next(failure, 3, 0.0), Next::Give, "{failure:?}");
        }
        assert_eq!(attempts(2, 0).next(Failure::Here, 3, 0.0), Next::NextTarget);
    }

    #[test]
    fn a_call_is_kept_for_every_target_and_no_more_than_the_budget_is_spent() {
        let mut attempts = attempts(9, 0);

        let next = [(); 4].map(|()| attempts.next(Failure::Key, 2, 0.0));

        assert_eq!(next, [Next::NextKey, Next::NextKey, Next::NextKey, Next::NextTarget]);
        assert_eq!(attempts.next(Failure::Key, 1, 0.0), Next::NextTarget);
        assert_eq!(attempts.elsewhere(1), Next::NextTarget);
        assert_eq!(attempts.next(Failure::Key, 7, 0.0), Next::Give);
        assert_eq!(attempts.elsewhere(1), Next::Give);
    }

    #[test]
    fn a_client_that_retries_itself_goes_to_the_next_target_at_once() {
        assert_eq!(attempts(2, 1).next(PASSING, 1, 0.0), Next::NextTarget);
    }
}
