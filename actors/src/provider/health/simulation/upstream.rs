//! Simulates the upstream: the ground truth of its faults.

use std::time::Duration;

use fastrand::Rng;

use super::{DAY, HOUR, KEYS, MINUTE, MODELS, PROVIDERS, SECOND, START};
use crate::clock::Millis;
use crate::outcome::{LimitScope, Outcome};
use crate::provider::health::Size;

/// One model with one key of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallTarget {
    pub(super) provider: usize,
    pub(super) key: usize,
    pub(super) model: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    Limited(NamedWait),
    AccountLimited(NamedWait),
    NoCredit,
    Rejected,
    Forbidden,
    ServerError,
    Overloaded,
    MidStream,
    Closed,
    Unreachable,
    Silent,
}

/// The wait that a 429 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedWait {
    None,
    Exact,
    /// Always fifteen minutes.
    Excessive,
}

#[derive(Clone, Copy, Debug)]
struct SimulatedFault {
    from: Millis,
    until: Millis,
    key: Option<usize>,
    model: Option<usize>,
    kind: FaultKind,
}

/// A token bucket that is empty for requests of this size.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    until: Millis,
    size: Size,
}

/// The result of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallResult {
    pub(super) outcome: Outcome,
    /// The pause that the upstream names.
    pub(super) after: Option<Duration>,
    /// The time until the first event or the failure; `None` if neither comes.
    pub(super) first: Option<Millis>,
    /// The time from the first event to the end of the reply, which can be a failure as well.
    pub(super) rest: Millis,
    pub(super) end: Outcome,
}

#[derive(Default)]
pub(super) struct SimulatedUpstream {
    /// By provider, the earliest fault last.
    coming: Vec<Vec<SimulatedFault>>,
    active: Vec<Vec<SimulatedFault>>,
    buckets: Vec<[[Option<Bucket>; MODELS]; KEYS]>,
    /// Faults that have ended.
    past: Vec<Vec<SimulatedFault>>,
    pub(super) faults: usize,
}

impl SimulatedUpstream {
    /// Removes all faults from now on.
    pub(super) fn heal(&mut self) {
        let healthy = Self::healthy();
        (self.coming, self.active, self.buckets) = (healthy.coming, healthy.active, healthy.buckets);
    }

    fn healthy() -> Self {
        let none = || (0..PROVIDERS).map(|_| vec![]).collect();
        let buckets = vec![[[None; MODELS]; KEYS]; PROVIDERS];
        Self { coming: none(), active: none(), buckets, past: none(), faults: 0 }
    }

    /// A day of faults that start and end at random and overlap.
    pub(super) fn random_day(rng: &mut Rng) -> Self {
        let mut upstream = Self::healthy();
        for provider in 0..PROVIDERS {
            let mut faults = scenes(provider);
            for (kind, gap, shortest, longest) in KINDS {
                let mut at = START + (gap as f64 * rng.f64()) as Millis;
                while at < START + DAY {
                    faults.push(random_fault(rng, at, kind, shortest, longest));
                    at += (gap as f64 * (0.2 + 1.6 * rng.f64())) as Millis;
                }
            }
            faults.sort_by_key(|fault| std::cmp::Reverse(fault.from));
            upstream.faults += faults.len();
            upstream.coming[provider] = faults;
        }
        upstream
    }

    fn fault(&mut self, target: CallTarget, now: Millis) -> Option<SimulatedFault> {
        let (coming, active) = (&mut self.coming[target.provider], &mut self.active[target.provider]);
        while coming.last().is_some_and(|fault| fault.from <= now) {
            active.extend(coming.pop());
        }
        self.past[target.provider].extend(active.extract_if(.., |fault| fault.until <= now));
        // A fault closer to the client answers first.
        active
            .iter()
            .filter(|fault| fault.affects(target))
            .max_by_key(|fault| fault.kind.precedence())
            .copied()
    }

    fn bucket(&self, target: CallTarget, size: Size, now: Millis) -> Option<Bucket> {
        let bucket = self.buckets[target.provider][target.key][target.model]?;
        let is_large = size.body * 2 >= bucket.size.body && size.max_tokens * 2 >= bucket.size.max_tokens;
        (bucket.until > now && is_large).then_some(bucket)
    }

    /// The time since when calls succeed, if they do.
    pub(super) fn healthy_since(&mut self, target: CallTarget, size: Size, now: Millis) -> Option<Millis> {
        let past = |upstream: &Self| {
            upstream.past[target.provider]
                .iter()
                .filter(|fault| fault.affects(target))
                .map(|fault| fault.until)
                .max()
        };
        let bucket = |upstream: &Self| {
            upstream.buckets[target.provider][target.key][target.model].map(|bucket| bucket.until.min(now))
        };
        self.serves(target, size, now).then(|| past(self).max(bucket(self)).unwrap_or_default())
    }

    /// Whether a call that starts now succeeds.
    pub(super) fn serves(&mut self, target: CallTarget, size: Size, now: Millis) -> bool {
        self.fault(target, now).is_none() && self.bucket(target, size, now).is_none()
    }

    pub(super) fn call(&mut self, target: CallTarget, size: Size, now: Millis, rng: &mut Rng) -> CallResult {
        let first = 200 + (7_800.0 * rng.f64().powi(3)) as Millis;
        let rest = (52_000.0 * rng.f64().powi(6)) as Millis;
        let answered = Outcome::Answered;
        let failed =
            |outcome, first| CallResult { outcome, after: None, first: Some(first), rest: 0, end: outcome };
        let limited = |wait: Option<Millis>, scope| {
            let wait = wait.map(Duration::from_millis);
            CallResult { after: wait, ..failed(Outcome::RateLimited { wait, scope }, 200) }
        };
        let Some(fault) = self.fault(target, now) else {
            if now < START + DAY && self.bucket(target, size, now).is_none() && rng.f64() < 0.015 {
                let wait = if rng.f64() < 0.8 { rng.u64(500..=4_900) } else { rng.u64(5_500..100_000) };
                let bucket = Bucket { until: now + 200 + wait, size };
                self.buckets[target.provider][target.key][target.model] = Some(bucket);
            }
            return match self.bucket(target, size, now) {
                // The answer takes 200 ms.
                Some(bucket) => limited(Some(bucket.until.saturating_sub(now + 200)), LimitScope::Model),
                None => {
                    CallResult { outcome: answered, after: None, first: Some(first), rest, end: answered }
                }
            };
        };
        let wait = |stated| match stated {
            NamedWait::None => None,
            NamedWait::Exact => Some(fault.until.saturating_sub(now + 200)),
            NamedWait::Excessive => Some(15 * MINUTE),
        };
        match fault.kind {
            FaultKind::Limited(stated) => limited(wait(stated), LimitScope::Model),
            FaultKind::AccountLimited(stated) => limited(wait(stated), LimitScope::Account),
            FaultKind::NoCredit => failed(Outcome::OutOfCredit, 200),
            FaultKind::Rejected => failed(Outcome::KeyRejected, 200),
            FaultKind::Forbidden => failed(Outcome::KeyForbidden, 200),
            FaultKind::ServerError => {
                let after = (rng.f64() < 0.1).then(|| Duration::from_secs(rng.u64(1..15)));
                CallResult { after, ..failed(Outcome::ServerError, first) }
            }
            FaultKind::Overloaded => failed(Outcome::Overloaded, 300),
            FaultKind::MidStream => CallResult {
                outcome: answered,
                after: None,
                first: Some(first),
                rest,
                end: Outcome::BrokenReply,
            },
            FaultKind::Closed => failed(Outcome::BrokenReply, first),
            FaultKind::Unreachable => failed(Outcome::Unreachable, if rng.f64() < 0.5 { 20 } else { 10_000 }),
            FaultKind::Silent => CallResult {
                outcome: Outcome::Silent,
                after: None,
                first: None,
                rest: 0,
                end: Outcome::Silent,
            },
        }
    }
}

impl SimulatedFault {
    fn affects(&self, target: CallTarget) -> bool {
        self.key.is_none_or(|key| key == target.key) && self.model.is_none_or(|model| model == target.model)
    }
}

impl FaultKind {
    fn precedence(self) -> u8 {
        match self {
            Self::Unreachable => 5,
            Self::Silent | Self::Closed => 4,
            Self::Rejected | Self::Forbidden => 3,
            Self::NoCredit => 2,
            Self::Limited(_) | Self::AccountLimited(_) => 1,
            Self::ServerError | Self::Overloaded | Self::MidStream => 0,
        }
    }
}

/// The faults of each provider: kind, mean gap, shortest and longest duration.
const KINDS: [(FaultKind, Millis, Millis, Millis); 14] = [
    (FaultKind::Limited(NamedWait::None), 12 * MINUTE, 2 * SECOND, 4 * MINUTE),
    (FaultKind::Limited(NamedWait::Exact), 15 * MINUTE, 6 * SECOND, 10 * MINUTE),
    (FaultKind::Limited(NamedWait::Excessive), 90 * MINUTE, 20 * SECOND, 4 * MINUTE),
    (FaultKind::AccountLimited(NamedWait::None), 80 * MINUTE, 5 * SECOND, 4 * MINUTE),
    (FaultKind::AccountLimited(NamedWait::Exact), 80 * MINUTE, SECOND, 5 * MINUTE),
    (FaultKind::NoCredit, 150 * MINUTE, 2 * MINUTE, 30 * MINUTE),
    (FaultKind::Rejected, 150 * MINUTE, 20 * SECOND, 20 * MINUTE),
    (FaultKind::Forbidden, 150 * MINUTE, MINUTE, 20 * MINUTE),
    (FaultKind::ServerError, 20 * MINUTE, SECOND, 5 * MINUTE),
    (FaultKind::Overloaded, 30 * MINUTE, SECOND, 4 * MINUTE),
    (FaultKind::MidStream, 40 * MINUTE, 5 * SECOND, 4 * MINUTE),
    (FaultKind::Closed, 40 * MINUTE, SECOND, 3 * MINUTE),
    (FaultKind::Unreachable, 80 * MINUTE, SECOND, 4 * MINUTE),
    (FaultKind::Silent, 100 * MINUTE, 20 * SECOND, 5 * MINUTE),
];

fn random_fault(
    rng: &mut Rng,
    from: Millis,
    kind: FaultKind,
    shortest: Millis,
    longest: Millis,
) -> SimulatedFault {
    let length = shortest + ((longest - shortest) as f64 * rng.f64().powi(2)) as Millis;
    let (key, model) = (rng.usize(0..KEYS), rng.usize(0..MODELS));
    let (key, model) = match kind {
        FaultKind::Limited(_) | FaultKind::Forbidden => (Some(key), Some(model)),
        FaultKind::AccountLimited(_) | FaultKind::NoCredit | FaultKind::Rejected => (Some(key), None),
        FaultKind::ServerError | FaultKind::Overloaded | FaultKind::MidStream => (None, Some(model)),
        FaultKind::Closed | FaultKind::Silent => (None, (rng.f64() < 0.5).then_some(model)),
        FaultKind::Unreachable => (None, None),
    };
    SimulatedFault { from, until: (from + length).min(START + DAY), key, model, kind }
}

/// Faults that rarely happen by chance: every key of a provider, or every provider, at once.
fn scenes(provider: usize) -> Vec<SimulatedFault> {
    let scene = |hour: f64, minutes: u64, model, kind| {
        let from = START + (hour * HOUR as f64) as Millis;
        SimulatedFault { from, until: from + minutes * MINUTE, key: None, model, kind }
    };
    let mut scenes = vec![
        scene(3.0, 6, None, FaultKind::Unreachable),
        scene(6.0, 8, None, FaultKind::Limited(NamedWait::None)),
        scene(9.0, 8, None, FaultKind::Rejected),
        scene(10.5, 10, Some(0), FaultKind::Limited(NamedWait::None)),
        scene(10.5, 10, Some(1), FaultKind::Limited(NamedWait::None)),
        scene(10.5, 10, Some(2), FaultKind::Limited(NamedWait::None)),
        scene(12.0, 10, None, FaultKind::ServerError),
        scene(15.0, 9, None, FaultKind::Limited(NamedWait::Exact)),
        scene(16.5, 1, None, FaultKind::Limited(NamedWait::Excessive)),
        scene(18.0, 10, None, FaultKind::NoCredit),
        scene(20.0, 5, None, FaultKind::Silent),
    ];
    // The day ends during faults.
    let last = [FaultKind::Limited(NamedWait::None), FaultKind::Rejected, FaultKind::Unreachable][provider];
    scenes.push(scene(24.0 - 1.0 / 30.0, 2, None, last));
    scenes
}
