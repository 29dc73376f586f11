//! The life of one request: route → lease → send → first event → converter. It runs in the request's own task, so that
//! a client that leaves drops it, and with it the upstream's connection, in every phase.

mod address;
mod affinity;
mod attempt;
mod buffered;
mod classify;
mod count_tokens;
mod deadline;
mod deferred;
mod dropped;
mod empty;
mod failure;
mod fallbacks;
mod fixups;
mod leasing;
mod list_models;
mod middleware;
mod probe;
mod route_trace;
mod translation;
mod upstream_body;
mod upstream_request;

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::sleep;
use bytes::Bytes;
use futures_util::future::{Either, select};
use vandamme_actors::clock;
use vandamme_actors::converter::{self, ReplyBody};
use vandamme_actors::ledger::{Asked, End, Entry};
use vandamme_actors::outcome::{Outcome, Retry};
use vandamme_actors::provider::{Alternatives, Lease, NoLease, Session};
use vandamme_actors::retry::{Attempts, Failed, Fixable, Next, Standing};
use vandamme_actors::settings::Api;
use vandamme_protocol::request::{Head, Streaming};

use self::attempt::Answered;
use self::classify::CallFailure;
pub(crate) use self::count_tokens::{Count, count};
pub(crate) use self::deferred::LateReply;
pub(crate) use self::failure::{Answer, Failure, Relayed, ShouldRetry};
use self::fallbacks::{Fallbacks, Moment, Place, Stopped};
use self::fixups::Healing;
pub(crate) use self::list_models::{Flights, Listed, Remembered, last, models, reached, remembered, written};
pub(crate) use self::probe::{Trial, Verdict, trial, trial_of};
pub(crate) use self::route_trace::Trail;
use crate::api::caller;
use crate::gateway::Gateway;

/// What a client asks, read as far as the gateway must.
pub(crate) struct Question {
    pub(crate) id: Arc<str>,
    /// The API that the client came by, in which it is answered.
    pub(crate) api: Api,
    pub(crate) endpoint: Endpoint,
    pub(crate) targets: Targets,
    pub(crate) body: Bytes,
    pub(crate) head: Head<'static>,
    /// As the client sent them.
    pub(crate) headers: HeaderMap,
    pub(crate) query: String,
    /// Where it came from.
    pub(crate) peer: Option<IpAddr>,
    /// Set when the client has been answered 200 before the upstream was known to be willing.
    pub(crate) committed: Rc<Cell<bool>>,
    /// What the client is told about its way.
    pub(crate) trail: Trail,
}

impl Question {
    /// As the ledger knows it.
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            model: (*self.head.model).into(),
            streamed: self.head.delivery == Streaming::Yes,
            tools: self.head.tools,
            messages: self.head.messages,
            size: self.body.len(),
        }
    }
}

/// Who may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Targets {
    /// Where its name leads, else the fallbacks of that.
    WithFallbacks,
    /// Nobody else: the question is about that provider.
    FirstAlone,
}

/// What is wanted of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A model's reply to it.
    Reply,
    /// How many tokens it has.
    Count,
    /// Nothing: it asks which models this provider has.
    Models(Arc<str>),
}

impl Endpoint {
    /// What a call shows. Only a model's reply shows how a provider and its keys' limits are: other endpoints have limits of their
    /// own (platform.claude.com/docs/en/build-with-claude/token-counting), and many providers lack them. A rejected key is
    /// rejected everywhere.
    fn shown(&self, outcome: Outcome) -> Outcome {
        match (self, outcome) {
            (Self::Reply, _) | (_, Outcome::Answered | Outcome::KeyRejected) => outcome,
            (Self::Count | Self::Models(_), _) => Outcome::Cancelled,
        }
    }
}

/// What the client gets.
pub(crate) enum Reply {
    Streamed { headers: HeaderMap, body: ReplyBody },
    Whole { status: u16, headers: HeaderMap, body: Bytes },
}

/// Answers `question`; `entry` is its line in the ledger.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    question: Question,
    mut entry: Entry,
) -> Result<Reply, Failure> {
    let exchange = Exchange::new(&gateway, &question);
    let note = |moment: Moment<'_>| match moment {
        Moment::Call { lease, number } => {
            question.trail.call(lease);
            entry.routed(&lease.provider.name, &lease.model);
            entry.record.key = Some(lease.key.id());
            entry.record.upstream_calls = number;
        }
        Moment::Left { provider, model, failure } => {
            question.trail.left((provider, model), failure);
            entry.left(provider, model);
        }
    };
    let outcome = {
        let (run, end) = (pin!(exchange.run(note)), pin!(gateway.drained()));
        match select(run, end).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => Err(Failure::Stopping),
        }
    };
    match outcome {
        Ok((answered, lease)) => Ok(exchange.deliver(answered, lease, entry)),
        Err(failure) => {
            if let Failure::NoLease(Some(NoLease::Refused { provider, model, .. })) = &failure {
                entry.routed(&provider.name, model);
            }
            let record = &mut entry.record;
            record.status = if question.committed.get() { 200 } else { failure.status() };
            record.end = End::Failed { kind: failure.kind().anthropic(), message: failure.message() };
            Err(failure)
        }
    }
}

struct Exchange<'x> {
    gateway: &'x Arc<Gateway>,
    question: &'x Question,
    session: Option<Session>,
    /// By which the reports of its calls are recognised as one request's.
    number: u64,
}

impl<'x> Exchange<'x> {
    fn new(gateway: &'x Arc<Gateway>, question: &'x Question) -> Self {
        Self { gateway, question, session: affinity::session(question), number: fastrand::u64(..) }
    }
}

impl Exchange<'_> {
    /// Calls one target until it answers, or nothing is left to be tried there: the router's for `None`.
    async fn try_target(
        &self,
        target: Option<(&Place, Alternatives)>,
        (attempts, fallbacks): (&mut Attempts, &mut Fallbacks),
        note: &mut impl FnMut(Moment<'_>),
    ) -> Result<(Answered, Lease), Stopped> {
        let place = target.map(|(place, _)| place);
        let alternatives = target.map(|(_, alternatives)| alternatives).unwrap_or_default();
        let mut lease = self.first_lease(place, alternatives, (attempts, fallbacks)).await?;
        attempts.start_target(lease.max_retries());
        if attempts.calls() == 0 || !lease.is_known_to_fail {
            lease.count_request();
        } else if !lease.draw_retry() && fallbacks.left(self) > 0 {
            let failure = Failure::NoLease(None);
            return Err(Stopped::after(&lease, attempts.elsewhere(fallbacks.left(self)), failure));
        }
        let mut tried = vec![];
        let mut healing = Healing::default();
        let mut best: Option<Failure> = None;
        loop {
            note(Moment::Call { lease: &lease, number: attempts.calls() + 1 });
            lease.begin_call(self.number);
            let patience = self.patience(&lease, fallbacks.beside(&lease));
            let failed = match self.call(&lease, &healing, patience).await {
                Ok(answered) => {
                    healing.prove(&lease);
                    return Ok((answered, lease));
                }
                Err(failed) => failed,
            };
            self.log(&lease, &failed, attempts.calls() + 1);
            lease.report(self.question.endpoint.shown(failed.outcome), &failed.answer.fault.message);
            if failed.can_fix == Fixable::Yes {
                // It names something new, so what was learnt before has helped.
                healing.prove(&lease);
            }
            let left = fallbacks.left(self);
            let failed_call = self.as_failed(&lease, &failed);
            let decided = attempts.next(failed_call, left, fastrand::f64());
            let next = self.within_budget(&lease, decided, (failed_call, attempts.elsewhere(left)));
            let (named, refusal) = (failed.named, failed.refusal);
            let failure = fallbacks::better(best.take(), Failure::Upstream(Box::new(failed.answer)));
            match next {
                Next::SameKey(pause) => {
                    sleep(pause).await;
                    best = Some(failure);
                }
                Next::Fixed => healing.learn(named, (&refusal, &self.question.body)),
                Next::NextTarget | Next::GiveUp => return Err(Stopped::after(&lease, next, failure)),
                Next::NextKey => {
                    tried.push(lease.key.id());
                    match self.another(&lease, &tried).await {
                        Ok(next) if next.draw_retry() || !next.is_known_to_fail => lease = next.after(lease),
                        Ok(_) | Err(_) => {
                            return Err(Stopped::after(&lease, attempts.elsewhere(left), failure));
                        }
                    }
                    best = Some(failure);
                }
            }
        }
    }

    /// A lease of this target, with the key that its provider takes.
    async fn first_lease(
        &self,
        place: Option<&Place>,
        alternatives: Alternatives,
        (attempts, fallbacks): (&Attempts, &mut Fallbacks),
    ) -> Result<Lease, Stopped> {
        match self.lease(place, alternatives, (&[], None)).await {
            Ok(mut lease) => match self.sign(&mut lease) {
                Ok(()) => Ok(lease),
                Err(failure) => {
                    Err(Stopped::after(&lease, attempts.elsewhere(fallbacks.left(self)), failure))
                }
            },
            Err(none) => Err(Stopped::without_lease(none, place, (attempts, fallbacks.left(self)))),
        }
    }

    fn as_failed(&self, lease: &Lease, failed: &CallFailure) -> Failed {
        let CallFailure { outcome, retry, after, can_fix, .. } = *failed;
        // A key that the client itself sent has no other beside it; if it is rejected, that is the client's answer.
        let is_rejected = matches!(outcome, Outcome::KeyRejected | Outcome::KeyForbidden);
        let retry = match (retry == Retry::NextKey && lease.provider.passthrough, is_rejected) {
            (false, _) => retry,
            (true, false) => Retry::NextTarget,
            (true, true) => Retry::No,
        };
        let length = self.question.body.len();
        let is_client_retry = self
            .session
            .is_some_and(|session| self.gateway.failures.contains(session.0, length, clock::boot()));
        let request = Standing {
            is_client_retry,
            is_known_to_fail: lease.is_known_to_fail,
            has_session: self.session.is_some(),
        };
        Failed { outcome, retry, after, can_fix, request }
    }

    /// Every further call draws on the provider's budget. Without budget there is no repeat of what has just failed; another key
    /// that is not known to fail is called anyway.
    fn within_budget(&self, lease: &Lease, next: Next, (failed, otherwise): (Failed, Next)) -> Next {
        match next {
            Next::SameKey(_) if !lease.draw_retry() => {
                // A session would have waited for its own key.
                let has_others = failed.retry == Retry::NextKey && !failed.request.is_known_to_fail;
                if has_others { Next::NextKey } else { otherwise }
            }
            Next::SameKey(_) | Next::NextKey | Next::Fixed | Next::NextTarget | Next::GiveUp => next,
        }
    }

    /// Gives the lease the client's own key, if the provider takes its clients' keys.
    fn sign(&self, lease: &mut Lease) -> Result<(), Failure> {
        if lease.provider.passthrough {
            let terms = self.gateway.terms();
            let key = caller::own_key(&self.question.headers, &terms.gateway_keys);
            lease.key = key.ok_or_else(|| Failure::NoClientKey(lease.provider.name.clone()))?.key;
        }
        Ok(())
    }

    fn deliver(&self, answered: Answered, mut lease: Lease, mut entry: Entry) -> Reply {
        match answered {
            Answered::Opened { headers, opened } => {
                entry.record.status = 200;
                lease.begun();
                let body = converter::start(*opened, &self.gateway.terms().settings.limits, entry, lease);
                Reply::Streamed { headers, body }
            }
            Answered::Whole { status, headers, body, closing } => {
                lease.finish(Outcome::Answered);
                entry.record.status = status;
                entry.record.usage = closing.usage.unwrap_or_default();
                entry.record.tool_calls = closing.tool_calls;
                entry.record.end = End::Succeeded;
                Reply::Whole { status, headers, body }
            }
        }
    }

    /// A key of ours that is refused or limited is the operator's business; one that a client brought is not.
    fn log(&self, lease: &Lease, failed: &CallFailure, call: u32) {
        let is_ours = failed.retry == Retry::NextKey && !lease.provider.passthrough;
        let level = if is_ours { log::Level::Warn } else { log::Level::Info };
        log::log!(
            level,
            "{} call {call} to {}:{} with key {} failed: {}",
            self.question.id,
            lease.provider.name,
            lease.model,
            lease.key.id(),
            failed.answer.summary(),
        );
    }
}
