//! One client request, from its model name to its reply:
//! route → lease → upstream request → attempt → classify → retry → converter.
//!
//! A run lives in the client's task. If the client disconnects or an operator cancels the request, the run is dropped in
//! whatever step it is, and its upstream connection is closed.

use std::pin::pin;
use std::sync::Arc;

use actix_web::rt::time::sleep;
use futures_util::future::{Either, select};
use vandamme_actors::converter::{self, RawBody};
use vandamme_actors::ledger::RequestEnd;
use vandamme_actors::outcome::{Outcome, Retry};
use vandamme_actors::provider::{Lease, LeaseRefusal, NoLease};
use vandamme_actors::recorder::{CallRecorder, RequestRecorder};
use vandamme_actors::retry::{Attempts, Fixable, Next};
use vandamme_actors::router::PendingLease;
use vandamme_actors::routing::Route;
use vandamme_actors::secret::KeyId;
use vandamme_protocol::convert::ReplySummary;

use super::attempt::{Answered, Attempt};
use super::classify::CallFailure;
use super::fixups::Fixups;
use super::images::UnseenImages;
use super::lease::{Earlier, Leasing, RoutedRequest};
use super::remedies;
use super::retry::Retries;
use super::run_record::{FailedRun, RunRecord};
use super::target_queue::{RunTarget, TargetQueue};
use super::{ProxyReply, ProxyRequest, ReplyStream, RouteTrace, affinity};
use crate::failure::Failure;
use crate::gateway::{Bound, Gateway};

/// An upstream's answer, and the lease that it came by. Both are large, and returned from step to step.
pub(super) struct Served {
    pub(super) answered: Box<Answered>,
    pub(super) lease: Box<Lease>,
}

/// A run that has an answer, and its line in the ledger.
pub(super) struct Ran {
    pub(super) served: Served,
    pub(super) entry: Box<RequestRecorder>,
}

/// Why a target has not served a request.
enum Unserved {
    /// The target was not called: it is known to fail, and another one is left.
    PassedOver,
    /// Another target may serve the request.
    NextTarget(Failure),
    /// No other target will, or no call is left.
    GiveUp(Failure),
}

impl Unserved {
    fn new(next: Next, failure: Failure) -> Self {
        match next {
            Next::NextTarget => Self::NextTarget(failure),
            Next::SameKey(_) | Next::Fixed | Next::NextKey | Next::GiveUp => Self::GiveUp(failure),
        }
    }
}

/// Serves a client's request. `entry` is its line in the ledger, and `serve` makes its calls: [`serve_request`], or several rounds
/// of it.
pub(super) async fn run(
    gateway: &Arc<Gateway>,
    request: &ProxyRequest,
    mut entry: Box<RequestRecorder>,
    serve: impl AsyncFnOnce(&Arc<Gateway>, &ProxyRequest, RunRecord<'_>) -> Result<Served, Failure>,
) -> Result<Ran, FailedRun> {
    let cancellation = entry.cancellation();
    let outcome = {
        let record = RunRecord::new(&request.id, Some(&mut entry), &request.trace);
        let served = pin!(serve(gateway, request, record));
        let drained = pin!(gateway.must_end_replies());
        let cancelled = pin!(cancellation.cancelled());
        match select(served, select(drained, cancelled)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Either::Left(_), _)) => Err(Failure::Stopping),
            Either::Right((Either::Right(_), _)) => Err(Failure::Cancelled),
        }
    };
    match outcome {
        Ok(served) => Ok(Ran { served, entry }),
        Err(failure) => {
            if let Failure::NoLease(none) = &failure {
                entry.routed(&none.provider.name, &none.model);
                if none.refusal == LeaseRefusal::Busy {
                    gateway.counters.refuse(Bound::ProviderQueue);
                }
            }
            Err(FailedRun::new(failure, entry))
        }
    }
}

/// Calls the target of this lease for another round of a web search. `calls` records the round's calls.
pub(super) async fn call_again(
    gateway: &Arc<Gateway>,
    request: &ProxyRequest,
    lease: Box<Lease>,
    calls: Option<&CallRecorder>,
) -> Result<Served, Failure> {
    let (provider, model) = (lease.provider.clone(), lease.model.clone());
    let route = Route { provider, model, profile: lease.profile.clone(), fallbacks: Vec::new() };
    let mut targets = TargetQueue::new(&route, &request.targets);
    let Some(target) = targets.take_next() else { return Err(Failure::NoAnswer) };
    let run = ProxyRun::new(gateway, request);
    // The client has its headers, so nothing is traced.
    let trace = RouteTrace::default();
    let mut record = RunRecord::of_later_round(&request.id, calls, &trace);
    // The first round has asked for descriptions; this one holds a permit, for which a describing call might wait.
    let described = UnseenImages::new(gateway, request, &target).and_then(|images| images.request());
    let request = described.as_ref().map_or(request, |described| &described.request);
    let mut attempts = Attempts::default();
    let called = run.call_target(request, &target, lease, &targets, &mut attempts, &mut record).await;
    called.map_err(|unserved| match unserved {
        Unserved::PassedOver => Failure::NoAnswer,
        Unserved::NextTarget(failure) | Unserved::GiveUp(failure) => failure,
    })
}

/// Calls upstreams until one answers or no call is left.
pub(super) async fn serve_request(
    gateway: &Arc<Gateway>,
    request: &ProxyRequest,
    mut record: RunRecord<'_>,
) -> Result<Served, Failure> {
    let run = ProxyRun::new(gateway, request);
    let served = run.try_targets(&mut record).await;
    if served.is_err() {
        run.retries.note_failure();
    }
    served
}

/// The last step: hands the answer to the client, and to the converter if more of it will come.
pub(super) fn reply(gateway: &Arc<Gateway>, ran: Ran) -> ProxyReply {
    let Ran { served: Served { answered, mut lease }, mut entry } = ran;
    match *answered {
        Answered::Opened { headers, opened } => {
            entry.record.status = 200;
            lease.reply_started();
            let body = converter::start(*opened, &gateway.live_config().settings.limits, *entry, *lease);
            ProxyReply::Streaming { headers, body: ReplyStream::Plain(body) }
        }
        Answered::Raw { status, headers, reply } => {
            entry.record.status = status;
            lease.reply_started();
            let stopping = gateway.clone();
            let must_end = Box::pin(async move { stopping.must_end_replies().await });
            let limits = &gateway.live_config().settings.limits;
            let body = RawBody::start(*reply, limits, *entry, *lease, must_end);
            ProxyReply::Raw { status, headers, body: Box::new(body) }
        }
        Answered::Buffered { status, headers, form, body, closing } => {
            lease.finish(Outcome::Answered);
            record_buffered(&mut entry, closing, status, body.len());
            ProxyReply::Buffered { status, headers, form, body }
        }
    }
}

/// Completes the record of a reply that the gateway has in full.
pub(super) fn record_buffered(entry: &mut RequestRecorder, closing: ReplySummary, status: u16, size: usize) {
    entry.call_ended(Outcome::Answered);
    entry.first_event();
    entry.sent(size);
    entry.record.status = status;
    entry.record.stop_reason = closing.stop_reason.map(|reason| reason.anthropic().into());
    entry.record.usage = closing.usage.unwrap_or_default();
    entry.record.reported = closing.reported;
    entry.record.tool_calls = closing.tool_calls;
    entry.record.end = RequestEnd::Succeeded;
}

struct ProxyRun<'r> {
    gateway: &'r Arc<Gateway>,
    request: &'r ProxyRequest,
    leasing: Leasing<'r>,
    retries: Retries<'r>,
    /// Marks the reports of this request's calls, so that the provider counts them as one.
    number: u64,
}

impl<'r> ProxyRun<'r> {
    fn new(gateway: &'r Arc<Gateway>, request: &'r ProxyRequest) -> Self {
        let session = affinity::session(request);
        Self {
            gateway,
            request,
            leasing: Leasing::new(gateway, request, session),
            retries: Retries { gateway, request, session },
            number: fastrand::u64(..),
        }
    }

    /// Resolves the name once, and calls its targets one after the other.
    async fn try_targets(&self, record: &mut RunRecord<'_>) -> Result<Served, Failure> {
        let RoutedRequest { route, lease } = match self.leasing.at_once() {
            Some(routed) => routed,
            // Boxed, like the other steps that few requests take: every function above moves the largest of its futures.
            None => Box::pin(self.leasing.route()).await?,
        };
        let mut targets = TargetQueue::new(&route, &self.request.targets);
        let mut attempts = Attempts::default();
        let mut first = Some(lease);
        let mut best: Option<Failure> = None;
        while let Some(target) = targets.take_next() {
            let described = match UnseenImages::new(self.gateway, self.request, &target) {
                Some(images) => Box::pin(self.described(images, &mut first, record)).await,
                None => None,
            };
            let request = described.as_deref().unwrap_or(self.request);
            let leased = match first.take() {
                Some(lease) => self.leasing.first(lease, &target).await,
                None => Box::pin(self.leasing.lease(&target, &Earlier { tried: &[], held: None })).await,
            };
            let called = match leased {
                Ok(lease) => self.call_target(request, &target, lease, &targets, &mut attempts, record).await,
                Err(failure) => Err(without_lease(failure, attempts.elsewhere(targets.left()))),
            };
            match called {
                Ok(served) => return Ok(served),
                Err(Unserved::PassedOver) => targets.pass_over(target),
                Err(Unserved::GiveUp(failure)) => return Err(failure.or_earlier(best)),
                Err(Unserved::NextTarget(failure)) => {
                    let Some(next) = targets.peek() else { return Err(failure.or_earlier(best)) };
                    record.fall_back(&target, &next, &failure);
                    best = Some(failure.or_earlier(best));
                }
            }
        }
        Err(Failure::NoAnswer.or_earlier(best))
    }

    /// The request with descriptions in the place of its images, which the target cannot see. `first` is returned while
    /// images are described, because the describing model may be the same provider's.
    async fn described(
        &self,
        mut images: UnseenImages<'_>,
        first: &mut Option<PendingLease>,
        record: &mut RunRecord<'_>,
    ) -> Option<Box<ProxyRequest>> {
        if images.must_wait() {
            drop(first.take());
            images.describe(self.gateway).await;
        }
        let described = images.request()?;
        record.described(&described);
        Some(described.request)
    }

    /// Calls one target until it answers or nothing is left to try there.
    async fn call_target(
        &self,
        request: &ProxyRequest,
        target: &RunTarget<'_>,
        lease: Box<Lease>,
        targets: &TargetQueue<'_>,
        attempts: &mut Attempts,
        record: &mut RunRecord<'_>,
    ) -> Result<Served, Unserved> {
        let left = targets.left();
        let mut lease = self
            .with_client_key(lease)
            .map_err(|failure| Unserved::new(attempts.elsewhere(left), failure))?;
        attempts.start_target(lease.max_retries());
        if !may_begin(&lease, attempts, left) {
            return Err(Unserved::new(attempts.elsewhere(left), Failure::NoAnswer));
        }
        let (mut sent, mut fixups, mut tried) = (None, Fixups::default(), vec![]);
        let mut best: Option<Failure> = None;
        loop {
            record.target(&lease);
            lease.begin_call(self.number);
            let attempt = Attempt::new(self.gateway, request, &lease, targets.alternatives(&lease));
            let failed = match attempt.call(&mut sent, &fixups, record).await {
                Ok(answered) => {
                    fixups.prove(&lease);
                    return Ok(Served { answered, lease });
                }
                Err(failed) => *failed,
            };
            if failed.is_sent {
                record.call_failed(failed.outcome);
            }
            self.report(&mut lease, &failed, attempts.calls() + 1);
            if failed.can_fix == Fixable::Yes {
                // The upstream names something new, so the earlier fixups have helped.
                fixups.prove(&lease);
            }
            let next = self.retries.next(&lease, &failed, attempts, left);
            let CallFailure { answer, named, refusal, outcome, .. } = failed;
            let answer = remedies::naming_key(&lease, outcome, answer);
            let failure = Failure::Upstream(Box::new(answer)).or_earlier(best.take());
            match next {
                Next::SameKey(pause) => {
                    sleep(pause).await;
                    best = Some(failure);
                }
                Next::Fixed => {
                    fixups.learn(named, &refusal, &request.body);
                    sent = None;
                }
                Next::NextTarget | Next::GiveUp => return Err(Unserved::new(next, failure)),
                Next::NextKey => {
                    tried.push(lease.key.id());
                    lease = match Box::pin(self.with_another_key(target, lease, &tried)).await {
                        Some(lease) => lease,
                        None => return Err(Unserved::new(attempts.elsewhere(left), failure)),
                    };
                    best = Some(failure);
                }
            }
        }
    }

    /// A lease of the same target with a key that was not tried, if the budget allows its call.
    async fn with_another_key(
        &self,
        target: &RunTarget<'_>,
        lease: Box<Lease>,
        tried: &[KeyId],
    ) -> Option<Box<Lease>> {
        let target = RunTarget { alternatives: lease.alternatives, ..*target };
        let earlier = Earlier { tried, held: lease.held() };
        let next = self.leasing.lease(&target, &earlier).await.ok()?;
        (next.draw_retry() || !next.is_known_to_fail).then(|| Box::new(next.after(*lease)))
    }

    /// With the client's own key, if the provider requires it.
    fn with_client_key(&self, mut lease: Box<Lease>) -> Result<Box<Lease>, Failure> {
        if lease.provider.passthrough {
            let key = self.request.client_key(&lease.provider, &self.gateway.live_config());
            lease.key = key.ok_or_else(|| Failure::NoClientKey(lease.provider.name.clone()))?.key;
        }
        Ok(lease)
    }

    /// Reports a failed call to the provider and the log. Failures of the gateway's keys are logged as warnings, those of client
    /// keys as info.
    fn report(&self, lease: &mut Lease, failed: &CallFailure, call: u32) {
        let (id, provider, model) = (&self.request.id, &lease.provider.name, &lease.model);
        let summary = failed.answer.summary();
        let is_ours = failed.retry == Retry::NextKey && !lease.provider.passthrough;
        let level = if failed.outcome == Outcome::LocalFault {
            // Every request fails so until somebody raises a limit of this machine.
            log::Level::Error
        } else if is_ours {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        if failed.is_sent {
            let key = lease.key.id();
            log::log!(
                level, REQUEST_ID:% = id, PROVIDER = provider.as_ref(), MODEL = model, KEY:% = key;
                "{id} call {call} to {provider}:{model} with key {key} failed: {summary}"
            );
        } else {
            log::info!(
                REQUEST_ID:% = id, PROVIDER = provider.as_ref(), MODEL = model;
                "{id} not sent to {provider}:{model}: {summary}"
            );
        }
        lease.report(self.request.upstream_call.reported(failed.outcome), &failed.answer.fault.message);
    }
}

/// Counts the target's first call. A target that is known to fail draws on the retry budget if others were called before it;
/// without budget it is left out while another target is left.
fn may_begin(lease: &Lease, attempts: &Attempts, left: usize) -> bool {
    if attempts.calls() == 0 || !lease.is_known_to_fail {
        lease.count_request();
        return true;
    }
    lease.draw_retry() || left == 0
}

/// A target without a lease: `elsewhere` is where the request goes instead.
fn without_lease(failure: Failure, elsewhere: Next) -> Unserved {
    if matches!(failure, Failure::NoLease(NoLease { refusal: LeaseRefusal::PassedOver, .. })) {
        return Unserved::PassedOver;
    }
    Unserved::new(elsewhere, failure)
}
