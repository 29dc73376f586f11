//! The loop that the proxy runs for one request: lease, call, report, next. It follows `src/proxy/run.rs` and
//! `src/proxy/target_queue.rs`.

mod lease;

use std::collections::VecDeque;
use std::time::Duration;

use self::lease::{SimulatedLease, SimulatedNoLease};
use super::audit::{AuditedCall, Tried};
use super::clients::ClientRequest;
use super::{CHAINS, MAX_RETRIES, SECOND, World};
use crate::clock::{Millis, millis};
use crate::outcome::Outcome;
use crate::provider::health::Alternatives;
use crate::retry::{Attempts, FailedCall, Fixable, Next, RetryContext, with_jitter};

/// A streamed call that has been silent for this long reports its silence while it continues.
const SILENCE: Millis = 30 * SECOND;
const FIRST_BYTE: Millis = 300 * SECOND;
const WITH_ALTERNATIVE: Millis = 60 * SECOND;

/// The reason why a client has no reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// The client has disconnected.
    Gone,
    /// The reply broke off after its first event.
    Cut,
    Failed(SimulatedFailure),
}

/// The client's answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedFailure {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) should_retry: Option<SimulatedShouldRetry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimulatedShouldRetry {
    Yes,
    No,
}

enum SimulatedStop {
    Here(SimulatedFailure),
    PassedOver,
    Everywhere(SimulatedFailure),
    Gone,
}

#[derive(Default)]
struct SimulatedFallbacks {
    rest: VecDeque<usize>,
    passed_over: VecDeque<usize>,
}

impl SimulatedFallbacks {
    fn left(&self) -> usize {
        self.rest.len() + self.passed_over.len()
    }

    fn next(&mut self) -> Option<(usize, Alternatives)> {
        let Some(next) = self.rest.pop_front() else {
            return Some((self.passed_over.pop_front()?, Alternatives::None));
        };
        Some((next, if self.left() > 0 { Alternatives::Left } else { Alternatives::None }))
    }
}

pub(super) struct Exchange<'x> {
    world: &'x World,
    request: &'x ClientRequest,
    number: u64,
    /// Records the calls for the audit.
    tried: Tried,
}

struct SimulatedCallFailure {
    outcome: Outcome,
    after: Option<Duration>,
}

impl<'x> Exchange<'x> {
    pub(super) fn new(world: &'x World, request: &'x ClientRequest) -> Self {
        Self { world, request, number: world.rng.borrow_mut().u64(..), tried: Tried::default() }
    }

    pub(super) async fn answer(mut self) -> Result<(), Ended> {
        self.world.audit.borrow_mut().count("requests");
        let (lease, rest, end) = self.run().await?;
        // The reply has started successfully, so the probe has succeeded.
        if lease.number > 0 {
            lease.report(Outcome::Answered);
        }
        let now = self.world.time.now();
        self.sleep_until(now + rest).await.map_err(|_| Ended::Gone)?;
        lease.report(end);
        self.world.audit.borrow_mut().count(if end == Outcome::Answered { "served" } else { "cut" });
        if end == Outcome::Answered { Ok(()) } else { Err(Ended::Cut) }
    }

    async fn run(&mut self) -> Result<(SimulatedLease<'x>, Millis, Outcome), Ended> {
        let mut attempts = Attempts::default();
        let mut fallbacks = SimulatedFallbacks {
            rest: CHAINS[self.request.model].iter().copied().collect(),
            ..SimulatedFallbacks::default()
        };
        let mut best: Option<SimulatedFailure> = None;
        let Some(mut target) = fallbacks.next() else { unreachable!("every chain has a target") };
        loop {
            let (provider, alternatives) = target;
            let failure = match self.try_target(provider, alternatives, &mut attempts, &fallbacks).await {
                Ok(answered) => return Ok(answered),
                Err(SimulatedStop::Gone) => return Err(Ended::Gone),
                Err(SimulatedStop::Everywhere(failure)) => {
                    return Err(self.failed(better(best, failure), &attempts));
                }
                Err(SimulatedStop::Here(failure)) => Some(failure),
                Err(SimulatedStop::PassedOver) => {
                    fallbacks.passed_over.push_back(provider);
                    None
                }
            };
            let Some(next) = fallbacks.next() else {
                let last = failure.unwrap_or(BUSY);
                return Err(self.failed(better(best, last), &attempts));
            };
            if let Some(failure) = failure {
                best = Some(better(best, failure));
            }
            target = next;
        }
    }

    async fn try_target(
        &mut self,
        provider: usize,
        alternatives: Alternatives,
        attempts: &mut Attempts,
        fallbacks: &SimulatedFallbacks,
    ) -> Result<(SimulatedLease<'x>, Millis, Outcome), SimulatedStop> {
        let left = fallbacks.left();
        let mut lease = self.first_lease(provider, alternatives, attempts, left).await?;
        let mut tried = vec![];
        let mut short_waits = 0;
        let mut best: Option<SimulatedFailure> = None;
        loop {
            lease.began = self.world.time.now();
            lease.request = self.number;
            if lease.is_known_to_fail && !fallbacks.rest.is_empty() {
                self.world
                    .audit
                    .borrow_mut()
                    .count("calls known to fail although the next target was not tried");
            }
            let failed = match self.call(&lease).await {
                Ok(answered) => return Ok((lease, answered.0, answered.1)),
                Err(None) => return Err(SimulatedStop::Gone),
                Err(Some(failed)) => failed,
            };
            lease.report(failed.outcome);
            let target = lease.target;
            self.tried.calls.push(AuditedCall {
                target,
                outcome: failed.outcome,
                is_known_to_fail: lease.is_known_to_fail,
            });
            let as_failed = self.as_failed(&lease, &failed);
            let decided = attempts.next(as_failed, left, self.world.fraction());
            let spent = attempts.calls() as usize + left;
            self.world.audit.borrow_mut().check_decision(&as_failed, decided, short_waits, spent);
            let next = self.within_budget(&lease, decided, attempts.elsewhere(left));
            let failure = better(best.take(), self.answer_of(&failed));
            match next {
                Next::SameKey(pause) => {
                    short_waits += u32::from(matches!(failed.outcome, Outcome::RateLimited { .. }));
                    let now = self.world.time.now();
                    self.sleep_until(now + millis(pause)).await?;
                    best = Some(failure);
                }
                Next::Fixed | Next::GiveUp => return Err(SimulatedStop::Everywhere(failure)),
                Next::NextTarget => return Err(SimulatedStop::Here(failure)),
                Next::NextKey => {
                    tried.push(lease.target.key);
                    lease = match self.another(provider, &tried).await? {
                        Some(next) => next,
                        None => return Err(stopped(attempts.elsewhere(left), failure)),
                    };
                    best = Some(failure);
                }
            }
        }
    }

    /// A lease for this target within the budget.
    async fn first_lease(
        &mut self,
        provider: usize,
        alternatives: Alternatives,
        attempts: &mut Attempts,
        left: usize,
    ) -> Result<SimulatedLease<'x>, SimulatedStop> {
        let lease = match self.lease(provider, alternatives, &[]).await {
            Ok(lease) => lease,
            Err(SimulatedNoLease::Gone) => return Err(SimulatedStop::Gone),
            Err(SimulatedNoLease::PassedOver) => return Err(SimulatedStop::PassedOver),
            Err(SimulatedNoLease::RateLimited(wait)) => {
                self.tried.waits.push(provider);
                return Err(stopped(attempts.elsewhere(left), self.rate_limited(wait)));
            }
            Err(SimulatedNoLease::AllTried) => return Err(stopped(attempts.elsewhere(left), BUSY)),
        };
        attempts.start_target(MAX_RETRIES);
        let now = self.world.time.now();
        if attempts.calls() == 0 {
            self.world.providers[provider].budget.count_request(now);
            self.world.audit.borrow_mut().count_first_call(provider, now);
        } else if !lease.draw_retry() {
            self.tried.is_over_budget = true;
            return Err(stopped(attempts.elsewhere(left), BUSY));
        }
        Ok(lease)
    }

    async fn another(
        &mut self,
        provider: usize,
        tried: &[usize],
    ) -> Result<Option<SimulatedLease<'x>>, SimulatedStop> {
        match self.lease(provider, Alternatives::None, tried).await {
            Ok(lease) => return Ok(Some(lease)),
            Err(SimulatedNoLease::Gone) => return Err(SimulatedStop::Gone),
            Err(SimulatedNoLease::RateLimited(_)) => self.tried.waits.push(provider),
            Err(SimulatedNoLease::PassedOver | SimulatedNoLease::AllTried) => {}
        }
        Ok(None)
    }

    fn as_failed(&self, lease: &SimulatedLease<'_>, failed: &SimulatedCallFailure) -> FailedCall {
        let SimulatedCallFailure { outcome, after } = *failed;
        let (now, length) = (self.world.time.now(), self.request.size.body);
        let is_client_retry =
            self.request.session.is_some_and(|session| self.world.recent.contains(session.0, length, now));
        let request = RetryContext {
            is_client_retry,
            is_known_to_fail: lease.is_known_to_fail,
            has_session: self.request.session.is_some(),
        };
        let retry = outcome.treatment().retry;
        FailedCall { outcome, retry, after, can_fix: Fixable::No, request }
    }

    fn within_budget(&mut self, lease: &SimulatedLease<'_>, next: Next, otherwise: Next) -> Next {
        match next {
            Next::SameKey(_) | Next::NextKey if !lease.draw_retry() => {
                self.tried.is_over_budget = true;
                otherwise
            }
            Next::SameKey(_) | Next::NextKey | Next::Fixed | Next::NextTarget | Next::GiveUp => next,
        }
    }

    /// The rest of the reply and its end; or the failure of the call, unless the client has disconnected.
    async fn call(
        &self,
        lease: &SimulatedLease<'_>,
    ) -> Result<(Millis, Outcome), Option<SimulatedCallFailure>> {
        let (world, began) = (self.world, lease.began);
        world.audit.borrow_mut().count_call(lease.target, self.request.size, began, &self.tried);
        let shown = {
            let (upstream, rng) = (&mut world.upstream.borrow_mut(), &mut world.rng.borrow_mut());
            upstream.call(lease.target, self.request.size, began, rng)
        };
        let first = shown.first.unwrap_or(Millis::MAX);
        let patience = match lease.alternatives {
            Alternatives::Left => WITH_ALTERNATIVE,
            Alternatives::None => FIRST_BYTE,
        };
        if first > SILENCE {
            self.sleep_until(began + SILENCE).await.map_err(|_| None)?;
            lease.report(Outcome::Silent);
        }
        self.sleep_until(began + first.min(patience)).await.map_err(|_| None)?;
        if first > patience {
            return Err(Some(SimulatedCallFailure { outcome: Outcome::Silent, after: None }));
        }
        let outcome = match (shown.outcome, self.request.own_fault) {
            (Outcome::Answered, Some(own)) => own,
            (shown, _) => shown,
        };
        if outcome == Outcome::Answered {
            return Ok((shown.rest, shown.end));
        }
        Err(Some(SimulatedCallFailure { outcome, after: shown.after }))
    }

    /// Fails if the client disconnects before `at`.
    async fn sleep_until(&self, at: Millis) -> Result<(), SimulatedStop> {
        let disconnects_at = self.request.disconnects_at;
        self.world.time.sleep_until(at.min(disconnects_at)).await;
        if disconnects_at <= at { Err(SimulatedStop::Gone) } else { Ok(()) }
    }

    fn failed(&self, failure: SimulatedFailure, attempts: &Attempts) -> Ended {
        let (world, now) = (self.world, self.world.time.now());
        if let Some(session) = self.request.session {
            world.recent.note(session.0, self.request.size.body, now);
        }
        let upstream = &mut world.upstream.borrow_mut();
        world.audit.borrow_mut().check_refusal(self.request, &self.tried, attempts.calls(), &mut |target| {
            upstream.serves(target, self.request.size, now)
        });
        Ended::Failed(failure)
    }

    fn rate_limited(&self, wait: Duration) -> SimulatedFailure {
        let wait = with_jitter(wait, self.world.fraction()).as_secs_f64().ceil() as u64;
        let should_retry = (wait > 60).then_some(SimulatedShouldRetry::No);
        SimulatedFailure { status: 429, retry_after: Some(wait), should_retry }
    }

    fn answer_of(&self, failed: &SimulatedCallFailure) -> SimulatedFailure {
        let after = failed.after.map(|after| after.as_secs_f64().ceil() as u64);
        let (status, retry_after, should_retry) = match failed.outcome {
            Outcome::RateLimited { wait: None, .. } => {
                (429, Some(1 + self.world.pick(5) as u64), Some(SimulatedShouldRetry::Yes))
            }
            Outcome::RateLimited { .. } => {
                (429, after, after.is_some_and(|after| after > 60).then_some(SimulatedShouldRetry::No))
            }
            Outcome::OutOfCredit => (402, None, Some(SimulatedShouldRetry::No)),
            Outcome::KeyRejected => (401, None, None),
            Outcome::KeyForbidden => (403, None, None),
            Outcome::Overloaded => (529, after, None),
            Outcome::ServerError => (500, after, None),
            Outcome::BrokenReply | Outcome::ReplyTooLarge | Outcome::SendAborted | Outcome::Unreachable => {
                (502, after, None)
            }
            Outcome::Silent => (504, None, None),
            Outcome::LocalFault => (503, Some(1), None),
            Outcome::Answered
            | Outcome::RequestRefused
            | Outcome::RequestTooLarge
            | Outcome::NotServedHere
            | Outcome::TryAgain
            | Outcome::Cancelled
            | Outcome::NotCounted => (400, None, None),
        };
        SimulatedFailure { status, retry_after, should_retry }
    }
}

/// The answer when one of the gateway's own bounds is reached.
const BUSY: SimulatedFailure = SimulatedFailure { status: 503, retry_after: Some(1), should_retry: None };

fn stopped(next: Next, failure: SimulatedFailure) -> SimulatedStop {
    match next {
        Next::NextTarget => SimulatedStop::Here(failure),
        Next::SameKey(_) | Next::Fixed | Next::NextKey | Next::GiveUp => SimulatedStop::Everywhere(failure),
    }
}

fn better(one: Option<SimulatedFailure>, other: SimulatedFailure) -> SimulatedFailure {
    let rank = |failure: &SimulatedFailure| match failure.status {
        429 => (0, failure.retry_after.unwrap_or_default()),
        500..=599 => (1, 0),
        402 => (2, 0),
        403 => (3, 0),
        401 => (4, 0),
        _ => (5, 0),
    };
    one.filter(|one| rank(one) < rank(&other)).unwrap_or(other)
}
