//! The retry policy: which call follows a failed one. Pure; the proxy run executes it, within the provider's [budget](RetryBudget).

mod budget;
mod recent_failures;

use std::time::Duration;

pub use self::budget::RetryBudget;
pub use self::recent_failures::RecentFailures;
use crate::outcome::{Outcome, Retry};

/// Upstream calls for one client request, over all keys and targets.
const CALLS: u32 = 6;
/// Of these, the ones that may go to changing what an upstream refused.
const FIXUPS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(8);
/// If an upstream asks for a longer pause than this before a repeat, the client waits instead of the gateway.
const PAUSE_CAP: Duration = Duration::from_secs(10);
/// A session waits this long for its own key before it moves to another one, whose prompt cache is cold.
pub(crate) const SESSION_WAIT: Duration = Duration::from_secs(5);
/// A session's request waits for its key this often.
const SESSION_WAITS: u32 = 2;

/// The calls of one client request.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    calls: u32,
    repeats: u32,
    fixups: u32,
    waits: u32,
    max_repeats: u32,
}

/// A failed call, as far as retries are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub outcome: Outcome,
    /// What the outcome's own row or the upstream's `x-should-retry` allows.
    pub retry: Retry,
    /// The pause that the upstream asked for.
    pub after: Option<Duration>,
    /// The upstream named something that the request can do without.
    pub can_fix: Fixable,
    pub request: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixable {
    Yes,
    No,
}

/// What is known about the request and its key before the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The client repeats a request that has just failed, so the client does the waiting.
    pub is_client_retry: bool,
    /// Nothing better than this key was left; one call is enough.
    pub is_known_to_fail: bool,
    /// It belongs to a session, which stays with its key.
    pub has_session: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same call again with the same key, after a pause.
    SameKey(Duration),
    /// Again at once with the same key, changed as the upstream asked.
    Fixed,
    /// Again with a key that was not tried yet.
    NextKey,
    /// Again with the next target of the fallback chain.
    NextTarget,
    /// The failure goes to the client.
    GiveUp,
}

impl Attempts {
    /// The calls from now on go to another target, which allows so many repeats on one key.
    pub fn start_target(&mut self, max_repeats: u32) {
        (self.repeats, self.waits, self.max_repeats) = (0, 0, max_repeats);
    }

    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Decides after one more failed call. `left` targets have not been tried; one call is kept for each of them.
    /// `jitter` is a random number in 0..1.
    pub fn next(&mut self, failed: Failed, left: usize, jitter: f64) -> Next {
        self.calls += 1;
        let has_room = self.room() > left;
        if failed.can_fix == Fixable::Yes {
            if has_room && self.fixups < FIXUPS {
                self.fixups += 1;
                return Next::Fixed;
            }
            return Next::GiveUp;
        }
        if let Some(pause) = self.session_wait(&failed, jitter).filter(|_| has_room) {
            self.waits += 1;
            return Next::SameKey(pause);
        }
        match failed.retry {
            Retry::No => Next::GiveUp,
            Retry::NextKey if has_room && !failed.request.is_known_to_fail => {
                self.repeats = 0;
                Next::NextKey
            }
            Retry::SameKey if has_room && self.may_repeat(failed.request) => {
                let pause = failed.after.unwrap_or_else(|| self.backoff(jitter));
                self.repeats += 1;
                if pause > PAUSE_CAP { self.elsewhere(left) } else { Next::SameKey(pause) }
            }
            Retry::NextKey | Retry::SameKey | Retry::NextTarget => self.elsewhere(left),
        }
    }

    /// Where to go from a target that was not called.
    pub fn elsewhere(&self, left: usize) -> Next {
        if left > 0 && self.room() > 0 { Next::NextTarget } else { Next::GiveUp }
    }

    fn session_wait(&self, failed: &Failed, jitter: f64) -> Option<Duration> {
        let Outcome::RateLimited { wait, .. } = failed.outcome else { return None };
        let wait = wait.filter(|&wait| wait <= SESSION_WAIT && failed.retry == Retry::NextKey)?;
        let may_wait = failed.request.has_session && self.waits < SESSION_WAITS;
        may_wait.then(|| with_jitter(wait, jitter))
    }

    fn room(&self) -> usize {
        usize::try_from(CALLS.saturating_sub(self.calls)).unwrap_or_default()
    }

    fn may_repeat(&self, request: Standing) -> bool {
        self.repeats < self.max_repeats && !request.is_client_retry && !request.is_known_to_fail
    }

    /// Doubles from half a second; a quarter of it is random, so that clients do not come back in step.
    fn backoff(&self, jitter: f64) -> Duration {
        let full = BACKOFF.saturating_mul(2u32.saturating_pow(self.repeats)).min(BACKOFF_CAP);
        full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

/// A wait with 0–20 % on top, so that those who wait do not come back in step.
pub fn with_jitter(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
