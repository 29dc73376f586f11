//! The data that a run records about its calls.

use actix_web::http::header::HeaderMap;
use vandamme_actors::excerpt;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::recorder::RequestRecorder;

use super::route_trace::RouteTrace;
use super::target_queue::RunTarget;
use super::upstream_headers::upstream_request_id;
use crate::failure::Failure;

/// The ledger's entry and the client's route trace. Requests that no client waits for have no entry.
pub(super) struct RunRecord<'r> {
    id: &'r str,
    entry: Option<&'r mut RequestRecorder>,
    trace: &'r RouteTrace,
}

impl<'r> RunRecord<'r> {
    pub(super) fn new(id: &'r str, entry: Option<&'r mut RequestRecorder>, trace: &'r RouteTrace) -> Self {
        Self { id, entry, trace }
    }

    /// A target is about to be called.
    pub(super) fn target(&mut self, lease: &Lease) {
        self.trace.call(lease);
        if let Some(entry) = &mut self.entry {
            entry.routed(&lease.provider.name, &lease.model);
        }
    }

    /// A call is sent now.
    pub(super) fn call(&mut self, lease: &Lease) {
        if let Some(entry) = &mut self.entry {
            let provider = &lease.provider;
            entry.call_started(&provider.name, &lease.model, provider.api, lease.key.id());
        }
    }

    /// The calls so far.
    pub(super) fn calls(&self) -> u32 {
        self.entry.as_ref().map_or(0, |entry| entry.record.upstream_calls)
    }

    /// The head of the call's reply has arrived.
    pub(super) fn replied(&self, status: u16) {
        if let Some(entry) = &self.entry {
            entry.call_replied(status);
        }
    }

    /// The reply has these headers, which may name the upstream's own id for the call.
    pub(super) fn headers(&self, headers: &HeaderMap) {
        if let (Some(entry), Some(id)) = (&self.entry, upstream_request_id(headers)) {
            entry.call_identified(id);
        }
    }

    /// The call has failed.
    pub(super) fn call_failed(&self, outcome: Outcome) {
        if let Some(entry) = &self.entry {
            entry.call_ended(outcome);
        }
    }

    /// A target could not serve the request, and the next one is called.
    pub(super) fn fall_back(&mut self, from: &RunTarget<'_>, to: &RunTarget<'_>, failure: &Failure) {
        let (provider, model) = (&from.provider.name, from.model);
        log::info!(
            REQUEST_ID:% = self.id, PROVIDER = provider.as_ref(), MODEL = model;
            "{} falls back from {provider}:{model} to {}:{}: {} {}",
            self.id,
            to.provider.name,
            to.model,
            failure.status(),
            excerpt::one_line(&failure.message(), excerpt::LINE),
        );
        self.trace.left(from, failure);
        if let Some(entry) = &mut self.entry {
            entry.target_failed(provider, model);
        }
    }
}

/// A run without a reply. The code that answers the client closes the ledger's entry, since only it knows the client's status.
pub(crate) struct FailedRun {
    failure: Failure,
    entry: Option<Box<RequestRecorder>>,
}

impl FailedRun {
    pub(super) fn new(failure: Failure, entry: Box<RequestRecorder>) -> Self {
        Self { failure, entry: Some(entry) }
    }

    /// The gateway panicked. The entry has recorded it.
    pub(super) fn panicked() -> Self {
        Self { failure: Failure::Panicked, entry: None }
    }

    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Closes the entry of a client that got the failure as this status, with a body of this size.
    pub(crate) fn close(self, status: u16, size: usize) -> Failure {
        let Self { failure, entry } = self;
        if let Some(mut entry) = entry {
            entry.record.status = status;
            entry.sent(size);
            entry.record.end = failure.end();
        }
        failure
    }
}
