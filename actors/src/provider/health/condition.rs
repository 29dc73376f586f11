//! Tracks the health of one thing that requests depend on: a key, a key with one model, a model, or the provider's
//! host.

mod exported;

use std::sync::Arc;
use std::time::Duration;

pub(in crate::provider) use self::exported::ExportedCondition;
use super::Size;
use crate::clock::{Millis, millis};
use crate::outcome::Outcome;
use crate::retry::SESSION_WAIT;

/// The failed requests in a row after which a model or a host has a cooldown. A rate-limited or rejected key has one at once.
const FAILURES_BEFORE_COOLDOWN: usize = 3;
/// The number of failed requests that are remembered to recognise their repeats.
const REQUESTS: usize = 8;
/// The longest wait if the upstream names none.
const LONGEST_GUESS: Duration = Duration::from_secs(60);
/// If the remaining wait is longer than this, single calls check whether it is over.
const CHECK_BEYOND: Duration = Duration::from_secs(60);
/// The pause before the first check; doubled after each.
const FIRST_CHECK: Duration = Duration::from_secs(10);
/// The longest pause between two checks.
const LONGEST_CHECK: Duration = Duration::from_secs(300);
/// A condition without new evidence for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// One condition: preferred, on cooldown, or just out of its cooldown.
#[derive(Clone, Debug, Default)]
pub(super) struct HealthCondition {
    /// When the last cooldown started or ended. A call that started earlier carries no current evidence.
    changed: Millis,
    /// When a call last gave evidence.
    seen: Millis,
    /// The last requests that failed in a row, with their times. Repeats of a request count once, however they
    /// interleave.
    failed: Vec<(u64, Millis)>,
    /// The number of cooldowns in a row without a success between them.
    cooldowns: u32,
    cooldown: Option<Cooldown>,
}

#[derive(Clone, Debug)]
pub(super) struct Cooldown {
    pub(super) since: Millis,
    pub(super) until: Millis,
    pub(super) cause: Outcome,
    /// The upstream's error in short.
    pub(super) message: Arc<str>,
    stated: Option<StatedWait>,
    /// The lease that probes the condition.
    probe: Option<u64>,
}

/// The wait that the upstream itself named, for requests at least half as large as the refused one.
#[derive(Clone, Copy, Debug)]
struct StatedWait {
    until: Millis,
    size: Size,
    next_check: Millis,
    checks: u32,
}

/// The state of a condition for a request, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Availability {
    Preferred,
    /// The cooldown is over, and no request is probing yet.
    Recovering,
    /// Another request is probing.
    Probing(ProbeKind),
    CoolingDown {
        until: Millis,
    },
    /// The key has no credit, or it is rejected.
    Refused {
        until: Millis,
    },
    /// The upstream's own wait is running. `may_check`: a single call may check whether it is over.
    Waiting {
        until: Millis,
        may_check: bool,
    },
}

/// What a probe finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProbeKind {
    /// Whether a short wait that the upstream named is over. It most likely is.
    ShortWait,
    Other,
}

/// The lengths of cooldowns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// The first cooldown if the upstream names no wait; doubled each time.
    pub(super) guess: Duration,
    /// The longest cooldown.
    pub(super) cap: Duration,
}

/// The evidence of one call.
#[derive(Clone, Debug)]
pub(super) struct CallEvidence<'e> {
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

impl HealthCondition {
    pub(super) fn availability(&self, now: Millis, size: Size) -> Availability {
        let Some(cooldown) = &self.cooldown else { return Availability::Preferred };
        if cooldown.until <= now {
            return match cooldown.probe {
                Some(_) if cooldown.is_short_wait() => Availability::Probing(ProbeKind::ShortWait),
                Some(_) => Availability::Probing(ProbeKind::Other),
                None => Availability::Recovering,
            };
        }
        match cooldown.stated.filter(|stated| size.is_comparable_to(stated.size)) {
            Some(stated) => Availability::Waiting { until: stated.until, may_check: stated.may_check(now) },
            None if matches!(
                cooldown.cause,
                Outcome::OutOfCredit | Outcome::KeyRejected | Outcome::KeyForbidden
            ) =>
            {
                Availability::Refused { until: cooldown.until }
            }
            None => Availability::CoolingDown { until: cooldown.until },
        }
    }

    /// Whether the condition has no effect on requests.
    pub(super) fn is_clear(&self) -> bool {
        self.cooldown.is_none()
    }

    /// Whether the condition carries no more evidence and can be dropped.
    pub(super) fn is_forgotten(&self, now: Millis) -> bool {
        let end = self.cooldown.as_ref().map_or(self.seen, |cooldown| cooldown.until.max(self.seen));
        let is_tried = self.cooldown.as_ref().is_some_and(|cooldown| cooldown.probe.is_some());
        !is_tried && end.saturating_add(millis(FORGOTTEN)) <= now
    }

    pub(super) fn cooldown(&self) -> Option<&Cooldown> {
        self.cooldown.as_ref()
    }

    /// The number of cooldowns and of failures in a row. A success sets it to zero.
    pub(super) fn failures(&self) -> usize {
        usize::from(self.cooldown.is_some()) + self.failed.len()
    }

    /// Whether a lease is probing the condition.
    #[cfg(test)]
    pub(super) fn is_probed(&self) -> bool {
        self.cooldown.as_ref().is_some_and(|cooldown| cooldown.probe.is_some())
    }

    pub(super) fn is_rate_limited(&self, now: Millis) -> bool {
        self.cooldown.as_ref().is_some_and(|cooldown| {
            cooldown.until > now && matches!(cooldown.cause, Outcome::RateLimited { .. })
        })
    }

    /// Marks the condition as probed by this lease. Until it is released, other requests avoid the condition if they
    /// can.
    pub(super) fn begin_probe(&mut self, now: Millis, lease: u64) {
        if let Some(cooldown) = &mut self.cooldown
            && cooldown.until <= now
            && cooldown.probe.is_none()
        {
            cooldown.probe = Some(lease);
        }
    }

    /// Lets a single call pass to check whether the upstream's wait is over.
    pub(super) fn start_check(&mut self, now: Millis) {
        if let Some(stated) = self.cooldown.as_mut().and_then(|cooldown| cooldown.stated.as_mut()) {
            stated.checks = stated.checks.saturating_add(1);
            stated.next_check = now.saturating_add(millis(check_pause(stated.checks)));
        }
    }

    /// Releases the mark of this lease.
    pub(super) fn release(&mut self, lease: u64) {
        if let Some(cooldown) = &mut self.cooldown
            && cooldown.probe == Some(lease)
        {
            cooldown.probe = None;
        }
    }

    pub(super) fn release_all(&mut self) {
        if let Some(cooldown) = &mut self.cooldown {
            cooldown.probe = None;
        }
    }

    /// Applies the success of a call that started at `began`. Returns whether the condition becomes preferred again.
    pub(super) fn succeed(&mut self, now: Millis, began: Millis, size: Size) -> bool {
        if began < self.changed {
            return false;
        }
        // A failure after the start of this call is newer evidence.
        self.failed.retain(|&(_, at)| at > began);
        let Some(cooldown) = &self.cooldown else {
            self.cooldowns = 0;
            return false;
        };
        let is_smaller_than_limited = cooldown.stated.is_some_and(|stated| {
            stated.until > now && cooldown.until > now && !size.is_comparable_to(stated.size)
        });
        if is_smaller_than_limited {
            return false;
        }
        *self = Self { changed: now, seen: now, ..Self::default() };
        true
    }

    /// Applies a failure that counts against this condition. Returns whether a cooldown starts.
    pub(super) fn fail(&mut self, evidence: &CallEvidence<'_>, pauses: Pauses) -> bool {
        let is_repeat = self.failed.iter().any(|&(request, _)| request == evidence.request);
        if evidence.began < self.changed
            || (is_repeat && self.cooldown.is_none() && self.needs_repeated_failures(evidence))
        {
            return false;
        }
        self.seen = evidence.now;
        if !is_repeat {
            self.failed.truncate(REQUESTS - 1);
            self.failed.insert(0, (evidence.request, evidence.now));
        }
        if self.needs_repeated_failures(evidence)
            && self.cooldown.is_none()
            && self.failed.len() < FAILURES_BEFORE_COOLDOWN
        {
            return false;
        }
        let now = evidence.now;
        let (pause, stated) = self.pause(evidence, pauses);
        let cooldown = Cooldown {
            since: now,
            until: now.saturating_add(millis(pause)),
            cause: evidence.outcome,
            message: evidence.message.into(),
            stated,
            probe: None,
        };
        if !(is_repeat && self.cooldown.is_some()) {
            self.cooldowns = self.cooldowns.saturating_add(1);
        }
        (self.changed, self.cooldown) = (now, Some(cooldown));
        true
    }

    fn needs_repeated_failures(&self, evidence: &CallEvidence<'_>) -> bool {
        use crate::outcome::HealthEffect::{HostFails, ModelFails};
        matches!(evidence.outcome.treatment().health, ModelFails | HostFails)
    }

    fn pause(&self, evidence: &CallEvidence<'_>, pauses: Pauses) -> (Duration, Option<StatedWait>) {
        const CREDIT: Duration = Duration::from_secs(300);
        let now = evidence.now;
        let doubled = |longest: Duration| {
            let full = pauses.guess.saturating_mul(2u32.saturating_pow(self.cooldowns.min(16)));
            full.mul_f64(1.0 - 0.25 * evidence.jitter).min(longest)
        };
        match evidence.outcome {
            Outcome::RateLimited { wait: Some(wait), .. } => {
                let until = now.saturating_add(millis(wait));
                // A check that found the same wait delays the next one.
                let stated = self.cooldown.as_ref().and_then(|cooldown| cooldown.stated);
                let checks = stated.filter(|stated| stated.until > now).map_or(0, |stated| stated.checks);
                let next_check = now.saturating_add(millis(check_pause(checks)));
                let stated = StatedWait { until, size: evidence.size, next_check, checks };
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
            | Outcome::Cancelled
            | Outcome::NotCounted => (doubled(LONGEST_GUESS.min(pauses.cap)), None),
        }
    }
}

impl Cooldown {
    fn is_short_wait(&self) -> bool {
        self.stated.is_some() && self.until.saturating_sub(self.since) <= millis(SESSION_WAIT)
    }
}

impl StatedWait {
    fn may_check(&self, now: Millis) -> bool {
        self.until.saturating_sub(now) > millis(CHECK_BEYOND) && self.next_check <= now
    }
}

/// 10, 20, 40 … 300 s.
fn check_pause(checks: u32) -> Duration {
    FIRST_CHECK.saturating_mul(2u32.saturating_pow(checks.min(8))).min(LONGEST_CHECK)
}
