//! The clients, and the loop of the proxy run for each request. It follows `src/proxy/run.rs`.

mod facts;
mod leasing;
mod refusals;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::time::{sleep, timeout};
use fastrand::Rng;
use vandamme_protocol::compat::Fixup;

use self::facts::recall_own_facts;
use self::leasing::{Earlier, FirstLease, Leasing, Unleased, describe};
use super::checks::NoteReturned;
use super::upstream::{CallTarget, pick};
use super::{HORIZON, MODELS, PROVIDERS, World};
use crate::clock;
use crate::ledger::RequestEnd;
use crate::outcome::{Outcome, Retry};
use crate::provider::{AffinityHash, Alternatives, Lease, LeaseRefusal, NoLease, Size};
use crate::recorder::RequestRecorder;
use crate::retry::{Attempts, FailedCall, Fixable, Next, RetryContext};
use crate::routing::{Route, Target};
use crate::settings::Metrics;

/// A request of a client.
#[derive(Clone, Debug)]
pub(super) struct ClientRequest {
    number: usize,
    model: Box<str>,
    session: Option<AffinityHash>,
    size: Size,
    streamed: bool,
    disconnects_after: Duration,
    /// The outcome of each call, if the request itself causes it.
    own_fault: Option<Outcome>,
}

/// A reason for no reply.
#[derive(Debug)]
enum Stopped {
    PassedOver,
    NextTarget,
    GiveUp,
}

/// A call that failed.
#[derive(Clone, Copy, Debug)]
struct FailedAttempt {
    target: CallTarget,
    outcome: Outcome,
    is_known_to_fail: bool,
}

/// What one request has tried.
#[derive(Debug, Default)]
struct Tried {
    calls: Vec<FailedAttempt>,
    is_over_budget: bool,
    /// Targets that refused without a call.
    refused: Vec<(usize, Unleased)>,
}

/// The record of a request. Its drop writes it to the ledger and to the checks.
struct CheckedRecord<'w> {
    world: &'w World,
    recorder: RequestRecorder,
}

impl Drop for CheckedRecord<'_> {
    fn drop(&mut self) {
        self.world.checks.borrow_mut().count(&self.recorder.record);
        let end = &self.recorder.record.end;
        if *end == RequestEnd::Cancelled {
            self.world.note(format_args!("{} disconnects", self.recorder.record.request_id));
        }
    }
}

impl ClientRequest {
    fn random(rng: &mut Rng, number: usize) -> Self {
        let provider = pick(rng, &["p", "p", "p", "q", "r", "nobody"]);
        let own_faults = [Outcome::RequestRefused, Outcome::RequestTooLarge, Outcome::LocalFault];
        let is_patient = rng.u8(0..5) > 0;
        Self {
            number,
            model: format!("{provider}:{}", pick(rng, &MODELS)).into(),
            session: rng.bool().then(|| AffinityHash(rng.u64(0..6).wrapping_mul(0x9e37_79b9))),
            size: Size { body: rng.usize(1..10_000), max_tokens: rng.u64(0..4) * 1_000 },
            streamed: rng.bool(),
            disconnects_after: Duration::from_millis(if is_patient { 600_000 } else { rng.u64(0..1_500) }),
            own_fault: (rng.u8(0..12) == 0).then(|| pick(rng, &own_faults)),
        }
    }

    /// A request that any healthy upstream serves.
    pub(super) fn healthy(model: String, session: Option<u64>) -> Self {
        Self {
            number: 0,
            model: model.into(),
            session: session.map(AffinityHash),
            size: Size { body: 1, max_tokens: 1 },
            streamed: false,
            disconnects_after: Duration::from_secs(600),
            own_fault: None,
        }
    }
}

/// Sends one random request at a random time.
pub(super) async fn send_request(world: Rc<World>, number: usize) {
    sleep(Duration::from_millis(world.draw(|rng| rng.u64(0..HORIZON)))).await;
    let request = world.draw(|rng| ClientRequest::random(rng, number));
    world.note(format_args!("request {request:?}"));
    let mut record = start_record(&world, &request);
    let run = Run::new(&world, &request);
    // The client's end drops the run in whatever step it is.
    drop(timeout(request.disconnects_after, run.serve(&mut record)).await);
    drop(record);
    recall_own_facts(&world, number).await;
}

/// Sends this request and returns the number of calls that it took; `Err` if it was not served.
pub(super) async fn first_request(world: &World, request: ClientRequest) -> Result<usize, usize> {
    let mut record = start_record(world, &request);
    Run::new(world, &request).serve(&mut record).await
}

fn start_record<'w>(world: &'w World, request: &ClientRequest) -> CheckedRecord<'w> {
    let id = format!("req_{}", request.number).into();
    let mut recorder = RequestRecorder::open(id, world.registry.clone(), Metrics::Kept);
    recorder.record.request.streamed = request.streamed;
    CheckedRecord { world, recorder }
}

struct Run<'r> {
    world: &'r World,
    request: &'r ClientRequest,
    leasing: Leasing<'r>,
    /// Marks the reports of this request's calls.
    id: u64,
    tried: Tried,
    reloads: u64,
}

impl<'r> Run<'r> {
    fn new(world: &'r World, request: &'r ClientRequest) -> Self {
        let id = world.draw(|rng| rng.u64(1..));
        let (leasing, reloads) = (Leasing { world, request }, world.reloads.get());
        Self { world, request, leasing, id, tried: Tried::default(), reloads }
    }

    fn note(&self, event: std::fmt::Arguments<'_>) {
        self.world.note(format_args!("req_{} {event}", self.request.number));
    }

    async fn serve(mut self, record: &mut CheckedRecord<'_>) -> Result<usize, usize> {
        let (route, lease) = match self.leasing.route().await {
            Ok(routed) => routed,
            Err(error) => {
                let is_unroutable = matches!(error, Unleased::Unroutable);
                assert!(is_unroutable, "the router does not answer");
                self.note(format_args!("is unroutable"));
                record.recorder.record.end = failed();
                return Err(0);
            }
        };
        let served = self.try_targets(&route, lease, record).await;
        let calls = self.tried.calls.len();
        if served.is_err() {
            record.recorder.record.end = failed();
            self.note(format_args!("is refused"));
            if self.reloads == self.world.reloads.get() {
                self.check_refusal(&route);
            }
            return Err(calls);
        }
        Ok(calls + 1)
    }

    async fn try_targets(
        &mut self,
        route: &Route,
        lease: FirstLease,
        record: &mut CheckedRecord<'_>,
    ) -> Result<(), Stopped> {
        let own = Target { provider: route.provider.clone(), model: route.model.clone() };
        let mut rest: VecDeque<_> = std::iter::once(own).chain(route.fallbacks.iter().cloned()).collect();
        let mut passed_over = VecDeque::new();
        let mut attempts = Attempts::default();
        let mut first = Some(lease);
        loop {
            let is_fresh = !rest.is_empty();
            let Some(target) = rest.pop_front().or_else(|| passed_over.pop_front()) else {
                return Err(Stopped::GiveUp);
            };
            let left = rest.len() + passed_over.len();
            let alternatives = if left > 0 && is_fresh { Alternatives::Left } else { Alternatives::None };
            let leased = match first.take() {
                Some(lease) => self.leasing.first(lease, &target, alternatives).await,
                None => {
                    let earlier = Earlier { tried: &[], held: None };
                    self.leasing.lease(&target, alternatives, &earlier).await
                }
            };
            let called = match leased {
                Ok(lease) => self.call_target(&target, lease, left, &mut attempts, record).await,
                Err(error) => {
                    Err(self.without_lease(&target, alternatives, &error, attempts.elsewhere(left)))
                }
            };
            match called {
                Ok(()) => return Ok(()),
                Err(Stopped::PassedOver) => passed_over.push_back(target),
                Err(Stopped::GiveUp) => return Err(Stopped::GiveUp),
                Err(Stopped::NextTarget) => {
                    self.note(format_args!("goes to the next target"));
                    record.recorder.target_failed(&target.provider.name, &target.model);
                }
            }
        }
    }

    fn without_lease(
        &mut self,
        target: &Target,
        alternatives: Alternatives,
        error: &Unleased,
        elsewhere: Next,
    ) -> Stopped {
        self.note(format_args!("gets no lease of {}: {}", target.provider.name, describe(error)));
        self.check_no_lease(target, &[], error);
        if matches!(error, Unleased::Refused(NoLease { refusal: LeaseRefusal::PassedOver, .. })) {
            assert_eq!(alternatives, Alternatives::Left, "the last target is passed over");
            return Stopped::PassedOver;
        }
        self.tried.refused.push((provider_number(target), error.clone()));
        stopped(elsewhere)
    }

    async fn call_target(
        &mut self,
        target: &Target,
        mut lease: Lease,
        left: usize,
        attempts: &mut Attempts,
        record: &mut CheckedRecord<'_>,
    ) -> Result<(), Stopped> {
        let _returned = NoteReturned::new(self.world, target);
        attempts.start_target(lease.max_retries());
        if attempts.calls() == 0 || !lease.is_known_to_fail {
            lease.count_request();
        } else if !lease.draw_retry() && left > 0 {
            self.tried.is_over_budget = true;
            return Err(stopped(attempts.elsewhere(left)));
        }
        let mut tried = vec![];
        loop {
            record.recorder.routed(&lease.provider.name, &lease.model);
            lease.begin_call(self.id);
            let outcome = self.call(target, &lease).await;
            if outcome == Outcome::Answered {
                return self.reply(lease, record).await;
            }
            lease.report(outcome, outcome.label());
            let failed = FailedAttempt {
                target: self.call_target_of(target, &lease),
                outcome,
                is_known_to_fail: lease.is_known_to_fail,
            };
            self.tried.calls.push(failed);
            assert!(self.tried.calls.len() <= 6, "a seventh call");
            match self.next(&lease, outcome, left, attempts) {
                Next::SameKey(pause) => {
                    self.note(format_args!("repeats its call"));
                    sleep(pause).await;
                }
                Next::Fixed => unreachable!("nothing can be fixed"),
                next @ (Next::NextTarget | Next::GiveUp) => return Err(stopped(next)),
                Next::NextKey => {
                    tried.push(lease.key.id());
                    let next = self.another_key(target, lease, &tried).await;
                    lease = next.ok_or_else(|| stopped(attempts.elsewhere(left)))?;
                    self.note(format_args!("gets another key"));
                }
            }
        }
    }

    /// The next step, within the provider's budget. It follows `src/proxy/retry.rs`.
    fn next(&mut self, lease: &Lease, outcome: Outcome, left: usize, attempts: &mut Attempts) -> Next {
        let request = RetryContext {
            is_client_retry: false,
            is_known_to_fail: lease.is_known_to_fail,
            has_session: self.request.session.is_some(),
        };
        let retry = outcome.treatment().retry;
        let failed = FailedCall { outcome, retry, after: None, can_fix: Fixable::No, request };
        let next = attempts.next(failed, left, self.world.draw(Rng::f64));
        if !matches!(next, Next::SameKey(_)) || lease.draw_retry() {
            return next;
        }
        self.tried.is_over_budget = true;
        if retry == Retry::NextKey && !lease.is_known_to_fail {
            Next::NextKey
        } else {
            attempts.elsewhere(left)
        }
    }

    async fn another_key(
        &mut self,
        target: &Target,
        lease: Lease,
        tried: &[crate::secret::KeyId],
    ) -> Option<Lease> {
        let earlier = Earlier { tried, held: lease.held() };
        match self.leasing.lease(target, lease.alternatives, &earlier).await {
            Ok(next) => {
                assert!(!tried.contains(&next.key.id()), "a key that has been tried");
                let has_budget = next.draw_retry() || !next.is_known_to_fail;
                self.tried.is_over_budget |= !has_budget;
                has_budget.then(|| next.after(lease))
            }
            Err(error) => {
                self.note(format_args!("gets no lease of another key: {}", describe(&error)));
                self.check_no_lease(target, tried, &error);
                self.tried.refused.push((provider_number(target), error));
                None
            }
        }
    }

    fn call_target_of(&self, target: &Target, lease: &Lease) -> CallTarget {
        let model = MODELS.iter().position(|model| **model == *lease.model).expect("a known model");
        CallTarget { provider: provider_number(target), key: lease.key.id(), model }
    }

    /// Sends a call to the script.
    async fn call(&self, target: &Target, lease: &Lease) -> Outcome {
        let called = self.call_target_of(target, lease);
        sleep(Duration::from_millis(self.world.draw(|rng| rng.u64(0..100)))).await;
        let scripted = self.world.upstream.borrow().outcome(called, clock::boot());
        let outcome = self.request.own_fault.unwrap_or(scripted);
        if outcome == Outcome::Silent {
            sleep(Duration::from_millis(300)).await;
            lease.report_silence();
            sleep(Duration::from_millis(700)).await;
        }
        let (provider, key) = (&target.provider.name, lease.key.id());
        self.note(format_args!("calls {provider} with {key}: {}", outcome.label()));
        outcome
    }

    /// The rest of a reply, which can break off.
    async fn reply(&self, mut lease: Lease, record: &mut CheckedRecord<'_>) -> Result<(), Stopped> {
        lease.reply_started();
        let (provider, key, model) = (lease.provider.name.clone(), lease.key.id(), lease.model.clone());
        self.world.checks.borrow_mut().note_success(&provider, key, &model);
        if self.world.draw(|rng| rng.u8(0..8)) == 0 {
            let name = format!("param_{}", self.world.draw(|rng| rng.u8(0..4)));
            lease.learn(Fixup::param(&name).into_iter().collect());
        }
        sleep(Duration::from_millis(self.world.draw(|rng| rng.u64(0..1_500)))).await;
        let is_cut = self.request.number > 0 && self.world.draw(|rng| rng.u8(0..15)) == 0;
        record.recorder.record.usage.output = 10;
        if is_cut {
            lease.finish(Outcome::BrokenReply);
            record.recorder.record.end = failed();
        } else {
            lease.finish(Outcome::Answered);
            self.world.checks.borrow_mut().note_success(&provider, key, &model);
            record.recorder.record.end = RequestEnd::Succeeded;
        }
        self.note(format_args!("is served"));
        Ok(())
    }
}

fn failed() -> RequestEnd {
    RequestEnd::Failed { kind: "api_error", message: String::new() }
}

fn stopped(next: Next) -> Stopped {
    match next {
        Next::NextTarget => Stopped::NextTarget,
        Next::SameKey(_) | Next::Fixed | Next::NextKey | Next::GiveUp => Stopped::GiveUp,
    }
}

fn provider_number(target: &Target) -> usize {
    PROVIDERS.iter().position(|name| **name == *target.provider.name).expect("a known provider")
}
