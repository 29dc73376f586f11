//! Queues requests that wait for a permit, first in, first out, and requests that wait for their session's key, which
//! hold no permit. Both waits are bounded.

use std::collections::VecDeque;
use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler};

use super::health::SessionWait;
use super::lease::Freed;
use super::permits::Permit;
use super::{LeaseKey, LeaseRefusal, Provider, WhenBusy};
use crate::clock::{self, Millis};
use crate::retry::with_jitter;

/// The interval at which waiting requests are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: VecDeque<Waiter>,
    /// Requests that wait for their session's key, and afterwards for a permit.
    held: Vec<HeldRequest>,
    /// A check of the waiting requests is scheduled.
    is_check_scheduled: bool,
}

#[derive(Debug)]
struct Waiter {
    request: LeaseKey,
    patience: SessionWait,
    deadline: Millis,
}

#[derive(Debug)]
struct HeldRequest {
    request: LeaseKey,
    until: Millis,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.held.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len() + self.held.len()
    }
}

impl Provider {
    /// Answers a request, or queues it for a permit.
    pub(super) fn admit(&mut self, request: LeaseKey, patience: SessionWait, context: &mut Context<Self>) {
        if request.reply.is_closed() {
            return;
        }
        if request.held.as_ref().is_some_and(|held| held.belongs_to(&self.permits)) {
            return self.grant(request, None, patience, context);
        }
        // Waiting requests come first.
        self.serve_waiting(context);
        match self.waiting.waiters.is_empty().then(|| self.take_permit()).flatten() {
            Some(permit) => self.grant(request, Some(permit), patience, context),
            None => self.queue(request, patience, context),
        }
    }

    /// Takes a permit. If none is free, the next request to free one notifies this actor.
    fn take_permit(&self) -> Option<Permit> {
        let retry = || {
            self.permits.set_waiting(1);
            // A permit may have been freed in between.
            self.permits.take()
        };
        self.permits.take().or_else(retry)
    }

    fn queue(&mut self, request: LeaseKey, patience: SessionWait, context: &mut Context<Self>) {
        self.waiting.waiters.retain(|waiter| !waiter.request.reply.is_closed());
        if request.when_busy == WhenBusy::Refuse || self.waiting.waiters.len() >= self.limits.provider_queue {
            let LeaseKey { model, reply, .. } = request;
            drop(reply.send(Err(self.refused(model, LeaseRefusal::Busy))));
            return;
        }
        let wait = self.limits.provider_queue_wait;
        self.permits.fast_path.close();
        let deadline = clock::boot() + clock::millis(wait);
        self.waiting.waiters.push_back(Waiter { request, patience, deadline });
        self.schedule_check(context);
    }

    /// Makes a request wait until its session's key is free again, if there is room in the queue; otherwise the request
    /// gets another key now. Its permit serves other requests meanwhile.
    pub(super) fn hold_for_session(
        &mut self,
        request: LeaseKey,
        permit: Option<Permit>,
        until: Millis,
        context: &mut Context<Self>,
    ) {
        self.waiting.held.retain(|held| !held.request.reply.is_closed());
        if self.waiting.held.len() >= self.limits.provider_queue {
            return self.grant(request, permit, SessionWait::HasWaited, context);
        }
        // Jitter keeps the waiting requests from continuing all at once.
        let spread = with_jitter(Duration::from_millis(until.saturating_sub(clock::boot())), fastrand::f64());
        let until = clock::boot() + clock::millis(spread);
        self.permits.fast_path.close();
        self.waiting.held.push(HeldRequest { request, until });
        // This frees the permit for the next waiting request.
        drop(permit);
        self.schedule_check(context);
    }

    fn serve_held(&mut self, context: &mut Context<Self>) {
        let now = clock::boot();
        let (due, held) =
            std::mem::take(&mut self.waiting.held).into_iter().partition(|held| held.until <= now);
        self.waiting.held = held;
        for HeldRequest { request, .. } in due {
            self.admit(request, SessionWait::HasWaited, context);
        }
    }

    /// Schedules a check of the waiting requests, and repeats it while there are any. A permit can become free without
    /// a message to this actor if its lease belonged to the previous incarnation.
    fn schedule_check(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.waiting.is_check_scheduled, true) {
            return;
        }
        context.run_later(CHECK_INTERVAL, |provider, context| {
            provider.waiting.is_check_scheduled = false;
            provider.catch_up();
            provider.waiting.held.retain(|held| !held.request.reply.is_closed());
            provider.serve_held(context);
            provider.serve_waiting(context);
            provider.refuse_expired(clock::boot());
            // The lease of an earlier incarnation does not notify this actor, which would notice that nothing waits.
            provider.permits.set_waiting(provider.waiting.waiters.len());
            if !provider.waiting.is_empty() {
                provider.schedule_check(context);
            }
        });
    }

    /// Refuses requests that have waited too long.
    fn refuse_expired(&mut self, now: Millis) {
        while self.waiting.waiters.front().is_some_and(|waiter| waiter.deadline <= now) {
            if let Some(waiter) = self.waiting.waiters.pop_front() {
                let LeaseKey { model, reply, .. } = waiter.request;
                drop(reply.send(Err(self.refused(model, LeaseRefusal::Busy))));
            }
        }
    }

    pub(super) fn serve_waiting(&mut self, context: &mut Context<Self>) {
        if self.waiting.waiters.is_empty() {
            return;
        }
        while !self.waiting.waiters.is_empty()
            && let Some(permit) = self.permits.take()
            && let Some(waiter) = self.waiting.waiters.pop_front()
        {
            self.grant(waiter.request, Some(permit), waiter.patience, context);
        }
        self.permits.set_waiting(self.waiting.waiters.len());
        self.set_fast_path();
    }
}

impl Handler<Freed> for Provider {
    type Result = ();

    fn handle(&mut self, _: Freed, context: &mut Self::Context) {
        self.catch_up();
        self.serve_waiting(context);
        // A request may have found a permit at its second attempt and not have waited.
        self.permits.set_waiting(self.waiting.waiters.len());
    }
}
