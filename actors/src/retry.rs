//! The retry policy: which call follows a failed one. Pure; the proxy run executes it, within the provider's [budget](RetryBudget).

mod budget;
mod recent_failures;

use std::time::Duration;

pub use self::budget::RetryBudget;
pub use self::recent_failures::RecentFailures;
use crate::outcome::{Outcome, Retry};

/// The most upstream calls for one client request, over all keys and targets.
const CALLS: u32 = 6;
/// The most of these calls that may be spent on fixups.
const FIXUPS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(8);
/// If the upstream names a longer pause than this, the client waits instead of the gateway.
const PAUSE_CAP: Duration = Duration::from_secs(10);
/// The longest time that a session waits for its own key before it moves to another one, whose prompt cache is cold.
pub(crate) const SESSION_WAIT: Duration = Duration::from_secs(5);
/// The most waits of a session's request for its key.
const SESSION_WAITS: u32 = 2;

/// Counts the calls of one client request.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    calls: u32,
    repeats: u32,
    fixups: u32,
    waits: u32,
    max_repeats: u32,
}

/// A failed call with regard to retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedCall {
    pub outcome: Outcome,
    /// The retry that the outcome's treatment or the upstream's `x-should-retry` allows.
    pub retry: Retry,
    /// The pause that the upstream named.
    pub after: Option<Duration>,
    /// Whether the upstream named something that the request can do without.
    pub can_fix: Fixable,
    pub request: RetryContext,
}

/// Whether a fixup of the request may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixable {
    Yes,
    No,
}

/// The state of the request and its key before the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryContext {
    /// The client repeats a request that has just failed, so the client does the waiting.
    pub is_client_retry: bool,
    /// No better key was left; one call is enough.
    pub is_known_to_fail: bool,
    /// The request belongs to a session, which stays with its key.
    pub has_session: bool,
}

/// The next step after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Repeat the call with the same key after this pause.
    SameKey(Duration),
    /// Repeat the call at once with the same key and a fixed request.
    Fixed,
    /// Repeat the call with a key that has not been tried.
    NextKey,
    /// Repeat the call with the next target of the fallback chain.
    NextTarget,
    /// Return the failure to the client.
    GiveUp,
}

impl Attempts {
    /// Moves to another target, which allows `max_repeats` repeats on one key.
    pub fn start_target(&mut self, max_repeats: u32) {
        (self.repeats, self.waits, self.max_repeats) = (0, 0, max_repeats);
    }

    /// The number of calls so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Decides the next call after a failed one. `left` is the number of targets that have not been tried; one call is
    /// reserved for each. `jitter` is a random number in 0..1.
    pub fn next(&mut self, failed: FailedCall, left: usize, jitter: f64) -> Next {
        self.calls += 1;
        let has_room = self.room() > left;
        if failed.can_fix == Fixable::Yes {
            if has_room && self.fixups < FIXUPS {
                self.fixups += 1;
                return Next::Fixed;
            }
            // A refusal that another target may not share.
            return if failed.retry == Retry::NextTarget { self.elsewhere(left) } else { Next::GiveUp };
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

    /// Decides the next step if a target was not called.
    pub fn elsewhere(&self, left: usize) -> Next {
        if left > 0 && self.room() > 0 { Next::NextTarget } else { Next::GiveUp }
    }

    fn session_wait(&self, failed: &FailedCall, jitter: f64) -> Option<Duration> {
        let Outcome::RateLimited { wait, .. } = failed.outcome else { return None };
        let wait = wait.filter(|&wait| wait <= SESSION_WAIT && failed.retry == Retry::NextKey)?;
        let may_wait = failed.request.has_session && self.waits < SESSION_WAITS;
        may_wait.then(|| with_jitter(wait, jitter))
    }

    fn room(&self) -> usize {
        usize::try_from(CALLS.saturating_sub(self.calls)).unwrap_or_default()
    }

    fn may_repeat(&self, request: RetryContext) -> bool {
        self.repeats < self.max_repeats && !request.is_client_retry && !request.is_known_to_fail
    }

    /// Doubles from half a second; up to a quarter is random, so that clients do not return in step.
    fn backoff(&self, jitter: f64) -> Duration {
        let full = BACKOFF.saturating_mul(2u32.saturating_pow(self.repeats)).min(BACKOFF_CAP);
        full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }
}

/// A wait with 0–20 % on top, so that waiting requests do not return in step.
pub fn with_jitter(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
