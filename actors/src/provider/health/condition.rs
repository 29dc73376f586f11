//! Tracks the health of one thing that requests depend on: a key, a key with one model, a model, or the provider's
//! host.

use std::sync::Arc;
use std::time::Duration;

use super::Size;
use crate::clock::{Millis, millis};
use crate::outcome::Outcome;
use crate::retry::SESSION_WAIT;

/// The failed requests in a row after which a model or a host rests. A rate-limited or rejected key rests at once.
const FAILURES_BEFORE_REST: usize = 3;
/// The number of failed requests that are remembered to recognise their repeats.
const REQUESTS: usize = 8;
/// The longest wait if the upstream names none.
const LONGEST_GUESS: Duration = Duration::from_secs(60);
/// If the remaining wait is longer than this, single calls check whether it is over.
const LOOK_BEYOND: Duration = Duration::from_secs(60);
const FIRST_LOOK: Duration = Duration::from_secs(10);
const LONGEST_LOOK: Duration = Duration::from_secs(300);
/// A condition without new evidence for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// One condition: preferred, resting, or just out of its rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    /// When the last rest started or ended. A call that started earlier carries no current evidence.
    changed: Millis,
    /// When a call last gave evidence.
    seen: Millis,
    /// The last requests that failed in a row, with their times. Repeats of a request count once, however they
    /// interleave.
    failed: Vec<(u64, Millis)>,
    /// The number of rests in a row without a success between them.
    rests: u32,
    rest: Option<Rest>,
}

#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) since: Millis,
    pub(super) until: Millis,
    pub(super) cause: Outcome,
    /// The upstream's error in short.
    pub(super) message: Arc<str>,
    stated: Option<Stated>,
    /// The lease that probes the condition.
    trial: Option<u64>,
}

/// The wait that the upstream itself named, for requests at least half as large as the refused one.
#[derive(Clone, Copy, Debug)]
struct Stated {
    until: Millis,
    size: Size,
    next_look: Millis,
    looks: u32,
}

/// The state of a condition for a request, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Preferred,
    /// The rest is over, and no request is probing yet.
    Recovering,
    /// Another request is probing.
    OnTrial(Probe),
    Resting {
        until: Millis,
    },
    /// The key has no credit, or it is rejected.
    Refused {
        until: Millis,
    },
    /// The upstream's own wait is running. `may_look`: a single call may check whether it is over.
    Waiting {
        until: Millis,
        may_look: bool,
    },
}

/// What a probe finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Probe {
    /// Whether a short wait that the upstream named is over. It most likely is.
    OfShortWait,
    OfAnythingElse,
}

/// The lengths of rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// The first rest if the upstream names no wait; doubled each time.
    pub(super) guess: Duration,
    /// The longest rest.
    pub(super) cap: Duration,
}

/// The evidence of one call.
#[derive(Clone, Debug)]
pub(super) struct Evidence<'e> {
    pub(super) now: Millis,
    /// When the call started.
    pub(super) began: Millis,
    pub(super) request: u64,
    pub(super) size: Size,
    pub(super) outcome: Outcome,
    pub(super) message: &'e str,
    /// A random number in 0..1.
    pub(super) jitter: f64,
}

impl Condition {
    pub(super) fn standing(&self, now: Millis, size: Size) -> Standing {
        let Some(rest) = &self.rest else { return Standing::Preferred };
        if rest.until <= now {
            return match rest.trial {
                Some(_) if rest.is_short_wait() => Standing::OnTrial(Probe::OfShortWait),
                Some(_) => Standing::OnTrial(Probe::OfAnythingElse),
                None => Standing::Recovering,
            };
        }
        match rest.stated.filter(|stated| size.is_comparable_to(stated.size)) {
            Some(stated) => Standing::Waiting { until: stated.until, may_look: stated.may_look(now) },
            None if matches!(
                rest.cause,
                Outcome::OutOfCredit | Outcome::KeyRejected | Outcome::KeyForbidden
            ) =>
            {
                Standing::Refused { until: rest.until }
            }
            None => Standing::Resting { until: rest.until },
        }
    }

    /// Whether the condition has no effect on requests.
    pub(super) fn is_clear(&self) -> bool {
        self.rest.is_none()
    }

    /// Whether the condition carries no more evidence and can be dropped.
    pub(super) fn is_forgotten(&self, now: Millis) -> bool {
        let end = self.rest.as_ref().map_or(self.seen, |rest| rest.until.max(self.seen));
        let is_tried = self.rest.as_ref().is_some_and(|rest| rest.trial.is_some());
        !is_tried && end.saturating_add(millis(FORGOTTEN)) <= now
    }

    pub(super) fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
    }

    /// Whether a lease is probing the condition.
    #[cfg(test)]
    pub(super) fn is_on_trial(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.trial.is_some())
    }

    pub(super) fn is_rate_limited(&self, now: Millis) -> bool {
        self.rest
            .as_ref()
            .is_some_and(|rest| rest.until > now && matches!(rest.cause, Outcome::RateLimited { .. }))
    }

    /// Marks the condition as probed by this lease. Until it is released, other requests avoid the condition if they
    /// can.
    pub(super) fn begin_trial(&mut self, now: Millis, lease: u64) {
        if let Some(rest) = &mut self.rest
            && rest.until <= now
            && rest.trial.is_none()
        {
            rest.trial = Some(lease);
        }
    }

    /// Lets a single call pass to check whether the upstream's wait is over.
    pub(super) fn look(&mut self, now: Millis) {
        if let Some(stated) = self.rest.as_mut().and_then(|rest| rest.stated.as_mut()) {
            stated.looks = stated.looks.saturating_add(1);
            stated.next_look = now.saturating_add(millis(look_pause(stated.looks)));
        }
    }

    /// Releases the mark of this lease.
    pub(super) fn release(&mut self, lease: u64) {
        if let Some(rest) = &mut self.rest
            && rest.trial == Some(lease)
        {
            rest.trial = None;
        }
    }

    pub(super) fn release_all(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.trial = None;
        }
    }

    /// Applies the success of a call that started at `began`. Returns whether the condition becomes preferred again.
    pub(super) fn succeed(&mut self, now: Millis, began: Millis, size: Size) -> bool {
        if began < self.changed {
            return false;
        }
        // A failure after the start of this call is newer evidence.
        self.failed.retain(|&(_, at)| at > began);
        let Some(rest) = &self.rest else {
            self.rests = 0;
            return false;
        };
        let is_about_less = rest.stated.is_some_and(|stated| {
            stated.until > now && rest.until > now && !size.is_comparable_to(stated.size)
        });
        if is_about_less {
            return false;
        }
        *self = Self { changed: now, seen: now, ..Self::default() };
        true
    }

    /// Applies a failure that counts against this condition. Returns whether a rest starts.
    pub(super) fn fail(&mut self, evidence: &Evidence<'_>, pauses: Pauses) -> bool {
        let is_repeat = self.failed.iter().any(|&(request, _)| request == evidence.request);
        if evidence.began < self.changed || (is_repeat && self.rest.is_none() && self.needs_many(evidence)) {
            return false;
        }
        self.seen = evidence.now;
        if !is_repeat {
            self.failed.truncate(REQUESTS - 1);
            self.failed.insert(0, (evidence.request, evidence.now));
        }
        if self.needs_many(evidence) && self.rest.is_none() && self.failed.len() < FAILURES_BEFORE_REST {
            return false;
        }
        let now = evidence.now;
        let (pause, stated) = self.pause(evidence, pauses);
        let rest = Rest {
            since: now,
            until: now.saturating_add(millis(pause)),
            cause: evidence.outcome,
            message: evidence.message.into(),
            stated,
            trial: None,
        };
        if !(is_repeat && self.rest.is_some()) {
            self.rests = self.rests.saturating_add(1);
        }
        (self.changed, self.rest) = (now, Some(rest));
        true
    }

    fn needs_many(&self, evidence: &Evidence<'_>) -> bool {
        use crate::outcome::HealthEffect::{HostFails, ModelFails};
        matches!(evidence.outcome.treatment().health, ModelFails | HostFails)
    }

    fn pause(&self, evidence: &Evidence<'_>, pauses: Pauses) -> (Duration, Option<Stated>) {
        const CREDIT: Duration = Duration::from_secs(300);
        let now = evidence.now;
        let doubled = |longest: Duration| {
            let full = pauses.guess.saturating_mul(2u32.saturating_pow(self.rests.min(16)));
            full.mul_f64(1.0 - 0.25 * evidence.jitter).min(longest)
        };
        match evidence.outcome {
            Outcome::RateLimited { wait: Some(wait), .. } => {
                let until = now.saturating_add(millis(wait));
                // A check that found the same wait delays the next one.
                let stated = self.rest.as_ref().and_then(|rest| rest.stated);
                let looks = stated.filter(|stated| stated.until > now).map_or(0, |stated| stated.looks);
                let next_look = now.saturating_add(millis(look_pause(looks)));
                let stated = Stated { until, size: evidence.size, next_look, looks };
                (wait.min(pauses.cap), Some(stated))
            }
            Outcome::OutOfCredit => (CREDIT.min(pauses.cap), None),
            Outcome::KeyRejected | Outcome::KeyForbidden => (doubled(pauses.cap), None),
            Outcome::Answered
            | Outcome::RequestRefused
            | Outcome::RequestTooLarge
            | Outcome::NotServedHere
            | Outcome::TryAgain
            | Outcome::RateLimited { wait: None, .. }
            | Outcome::Overloaded
            | Outcome::ServerError
            | Outcome::BrokenReply
            | Outcome::ReplyTooLarge
            | Outcome::SendAborted
            | Outcome::Unreachable
            | Outcome::Silent
            | Outcome::LocalFault
            | Outcome::Cancelled => (doubled(LONGEST_GUESS.min(pauses.cap)), None),
        }
    }
}

impl Rest {
    fn is_short_wait(&self) -> bool {
        self.stated.is_some() && self.until.saturating_sub(self.since) <= millis(SESSION_WAIT)
    }
}

impl Stated {
    fn may_look(&self, now: Millis) -> bool {
        self.until.saturating_sub(now) > millis(LOOK_BEYOND) && self.next_look <= now
    }
}

/// 10, 20, 40 … 300 s.
fn look_pause(looks: u32) -> Duration {
    FIRST_LOOK.saturating_mul(2u32.saturating_pow(looks.min(8))).min(LONGEST_LOOK)
}
