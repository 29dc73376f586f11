//! Exports a condition, and imports it into another process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Cooldown, HealthCondition, LONGEST_CHECK, REQUESTS, StatedWait};
use crate::clock::{ImportClock, Millis, Offset};
use crate::excerpt::{self, one_line};
use crate::outcome::Outcome;
use crate::provider::health::Size;

/// The longest wait of an upstream that is imported.
const LONGEST_STATED: Duration = Duration::from_secs(30 * 24 * 3600);
/// The numbers of imported failures. Requests are numbered from 0 in each process, so that no request has such a
/// number.
const FIRST_IMPORTED_REQUEST: u64 = u64::MAX - REQUESTS as u64;

/// A condition without the marks of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::provider) struct ExportedCondition {
    changed: Offset,
    seen: Offset,
    /// The times of the last failures in a row, newest first.
    failed: Vec<Offset>,
    cooldowns: u32,
    cooldown: Option<ExportedCooldown>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedCooldown {
    since: Offset,
    until: Offset,
    cause: Outcome,
    message: String,
    stated: Option<ExportedWait>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedWait {
    until: Offset,
    body: usize,
    max_tokens: u64,
    next_check: Offset,
    checks: u32,
}

impl HealthCondition {
    /// Whether no call has given any evidence yet.
    pub(in crate::provider::health) fn is_unknown(&self) -> bool {
        let Self { changed, seen, failed, cooldowns, cooldown } = self;
        (*changed, *seen, *cooldowns) == (0, 0, 0) && failed.is_empty() && cooldown.is_none()
    }

    pub(in crate::provider::health) fn export(&self, now: Millis) -> ExportedCondition {
        let offset = |time| Offset::from_time(time, now);
        let wait = |wait: &StatedWait| ExportedWait {
            until: offset(wait.until),
            body: wait.size.body,
            max_tokens: wait.size.max_tokens,
            next_check: offset(wait.next_check),
            checks: wait.checks,
        };
        let cooldown = |cooldown: &Cooldown| ExportedCooldown {
            since: offset(cooldown.since),
            until: offset(cooldown.until),
            cause: cooldown.cause,
            message: cooldown.message.to_string(),
            stated: cooldown.stated.as_ref().map(wait),
        };
        ExportedCondition {
            changed: offset(self.changed),
            seen: offset(self.seen),
            failed: self.failed.iter().map(|&(_, at)| offset(at)).collect(),
            cooldowns: self.cooldowns,
            cooldown: self.cooldown.as_ref().map(cooldown),
        }
    }
}

impl ExportedCondition {
    /// No cooldown is longer than `cap`.
    pub(in crate::provider::health) fn import(self, clock: ImportClock, cap: Duration) -> HealthCondition {
        let failed = self.failed.into_iter().take(REQUESTS);
        HealthCondition {
            changed: clock.past(self.changed),
            seen: clock.past(self.seen),
            failed: (FIRST_IMPORTED_REQUEST..).zip(failed.map(|at| clock.past(at))).collect(),
            cooldowns: self.cooldowns,
            cooldown: self.cooldown.map(|cooldown| cooldown.import(clock, cap)),
        }
    }
}

impl ExportedCooldown {
    fn import(self, clock: ImportClock, cap: Duration) -> Cooldown {
        // Only a rate limit has a wait that can refuse a request.
        let is_limit = matches!(self.cause, Outcome::RateLimited { wait: Some(_), .. });
        Cooldown {
            since: clock.past(self.since),
            until: clock.until(self.until, cap),
            cause: self.cause,
            message: one_line(&self.message, excerpt::LINE).into(),
            stated: self.stated.filter(|_| is_limit).map(|wait| wait.import(clock)),
            probe: None,
        }
    }
}

impl ExportedWait {
    fn import(self, clock: ImportClock) -> StatedWait {
        StatedWait {
            until: clock.until(self.until, LONGEST_STATED),
            size: Size { body: self.body, max_tokens: self.max_tokens },
            next_check: clock.until(self.next_check, LONGEST_CHECK),
            checks: self.checks,
        }
    }
}
