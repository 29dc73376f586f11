//! Who waits for a permit: first come, first served, and not for ever.

use std::collections::VecDeque;
use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler};

use super::lease::{Freed, Permit};
use super::{LeaseKey, Provider, Refusal};
use crate::clock::{self, Millis};

/// How often those who wait are looked after.
const TEND: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: VecDeque<Waiter>,
    /// They will be looked after.
    tended: bool,
}

#[derive(Debug)]
struct Waiter {
    request: LeaseKey,
    deadline: Millis,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }
}

impl Provider {
    /// Answers a request, or lets it wait for a permit.
    pub(super) fn enter(&mut self, request: LeaseKey, context: &mut Context<Self>) {
        if request.reply.is_closed() {
            return;
        }
        if request.held.as_ref().is_some_and(|held| held.is_of(&self.permits)) {
            return self.grant(request, None, context);
        }
        // Who comes now must not overtake those who wait.
        self.serve_waiting(context);
        match self.waiting.is_empty().then(|| self.permit()).flatten() {
            Some(permit) => self.grant(request, Some(permit), context),
            None => self.queue(request, context),
        }
    }

    /// Whoever gives one back while there is none is asked to say so.
    fn permit(&self) -> Option<Permit> {
        let awaits = || {
            self.permits.await_freed(1);
            // It may have been given back in between.
            self.permits.take()
        };
        self.permits.take().or_else(awaits)
    }

    fn queue(&mut self, request: LeaseKey, context: &mut Context<Self>) {
        self.waiting.waiters.retain(|waiter| !waiter.request.reply.is_closed());
        if self.waiting.len() >= self.limits.provider_queue {
            let LeaseKey { model, reply, .. } = request;
            drop(reply.send(Err(self.refused(model, Refusal::Busy))));
            return;
        }
        let wait = self.limits.provider_queue_wait;
        self.permits.counter.fall();
        self.waiting.waiters.push_back(Waiter { request, deadline: clock::now() + clock::millis(wait) });
        self.tend(context);
    }

    /// Looks after those who wait, as long as somebody does. A permit may come free without a word to this actor, when
    /// its lease was its predecessor's.
    fn tend(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.waiting.tended, true) {
            return;
        }
        context.run_later(TEND, |provider, context| {
            provider.waiting.tended = false;
            provider.catch_up();
            provider.serve_waiting(context);
            provider.dismiss(clock::now());
            if !provider.waiting.is_empty() {
                provider.tend(context);
            }
        });
    }

    /// Sends those away who have waited too long.
    fn dismiss(&mut self, now: Millis) {
        while self.waiting.waiters.front().is_some_and(|waiter| waiter.deadline <= now) {
            if let Some(waiter) = self.waiting.waiters.pop_front() {
                let LeaseKey { model, reply, .. } = waiter.request;
                drop(reply.send(Err(self.refused(model, Refusal::Busy))));
            }
        }
    }

    pub(super) fn serve_waiting(&mut self, context: &mut Context<Self>) {
        if self.waiting.is_empty() {
            return;
        }
        while !self.waiting.is_empty()
            && let Some(permit) = self.permits.take()
            && let Some(waiter) = self.waiting.waiters.pop_front()
        {
            self.grant(waiter.request, Some(permit), context);
        }
        self.permits.await_freed(self.waiting.len());
        self.settle();
    }
}

impl Handler<Freed> for Provider {
    type Result = ();

    fn handle(&mut self, _: Freed, context: &mut Self::Context) {
        self.catch_up();
        self.serve_waiting(context);
        // Somebody may have got one at the second look, and not have waited.
        self.permits.await_freed(self.waiting.len());
    }
}
