//! Exports a condition, and imports it into another process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Condition, LONGEST_CHECK, REQUESTS, Rest, StatedWait};
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
    rests: u32,
    rest: Option<ExportedRest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedRest {
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

impl Condition {
    /// Whether no call has given any evidence yet.
    pub(in crate::provider::health) fn is_unknown(&self) -> bool {
        let Self { changed, seen, failed, rests, rest } = self;
        (*changed, *seen, *rests) == (0, 0, 0) && failed.is_empty() && rest.is_none()
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
        let rest = |rest: &Rest| ExportedRest {
            since: offset(rest.since),
            until: offset(rest.until),
            cause: rest.cause,
            message: rest.message.to_string(),
            stated: rest.stated.as_ref().map(wait),
        };
        ExportedCondition {
            changed: offset(self.changed),
            seen: offset(self.seen),
            failed: self.failed.iter().map(|&(_, at)| offset(at)).collect(),
            rests: self.rests,
            rest: self.rest.as_ref().map(rest),
        }
    }
}

impl ExportedCondition {
    /// No rest is longer than `cap`.
    pub(in crate::provider::health) fn import(self, clock: ImportClock, cap: Duration) -> Condition {
        let failed = self.failed.into_iter().take(REQUESTS);
        Condition {
            changed: clock.past(self.changed),
            seen: clock.past(self.seen),
            failed: (FIRST_IMPORTED_REQUEST..).zip(failed.map(|at| clock.past(at))).collect(),
            rests: self.rests,
            rest: self.rest.map(|rest| rest.import(clock, cap)),
        }
    }
}

impl ExportedRest {
    fn import(self, clock: ImportClock, cap: Duration) -> Rest {
        // Only a rate limit has a wait that can refuse a request.
        let is_limit = matches!(self.cause, Outcome::RateLimited { wait: Some(_), .. });
        Rest {
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
