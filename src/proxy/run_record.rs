//! The data that a run records about its calls.

use actix_web::http::header::HeaderMap;
use vandamme_actors::excerpt;
use vandamme_actors::ledger::ImageCounts;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::recorder::{CallRecorder, RequestRecorder};
use vandamme_actors::settings::Api;

use super::images::DescribedRequest;
use super::route_trace::RouteTrace;
use super::target_queue::RunTarget;
use super::upstream_headers::upstream_request_id;
use crate::failure::Failure;
use crate::image_descriptions::NotDescribed;

/// The ledger's entry and the client's route trace.
pub(super) struct RunRecord<'r> {
    id: &'r str,
    entry: LedgerEntry<'r>,
    trace: &'r RouteTrace,
}

/// What records the calls of a run.
enum LedgerEntry<'r> {
    /// Requests that no client waits for have no entry.
    None,
    Request(&'r mut RequestRecorder),
    /// The entry is with the reply, which this run continues.
    LaterRound(&'r CallRecorder),
}

impl<'r> RunRecord<'r> {
    pub(super) fn new(id: &'r str, entry: Option<&'r mut RequestRecorder>, trace: &'r RouteTrace) -> Self {
        Self { id, entry: entry.map_or(LedgerEntry::None, LedgerEntry::Request), trace }
    }

    /// The record of a run that continues a reply.
    pub(super) fn of_later_round(
        id: &'r str,
        calls: Option<&'r CallRecorder>,
        trace: &'r RouteTrace,
    ) -> Self {
        Self { id, entry: calls.map_or(LedgerEntry::None, LedgerEntry::LaterRound), trace }
    }

    /// Records the calls of later rounds.
    pub(super) fn later_calls(&self) -> Option<CallRecorder> {
        match &self.entry {
            LedgerEntry::None => None,
            LedgerEntry::Request(entry) => Some(entry.later_calls()),
            LedgerEntry::LaterRound(calls) => Some((*calls).clone()),
        }
    }

    /// A target is about to be called.
    pub(super) fn target(&mut self, lease: &Lease) {
        self.trace.call(lease);
        if let LedgerEntry::Request(entry) = &mut self.entry {
            entry.routed(&lease.provider.name, &lease.model);
        }
    }

    /// Texts take the place of images for this target.
    pub(super) fn described(
        &mut self,
        DescribedRequest { described, failed, failure, .. }: &DescribedRequest,
    ) {
        if let Some(NotDescribed(reason)) = failure {
            let images = described + failed;
            log::warn!(REQUEST_ID:% = self.id; "{} {failed} of {images} images are not described: {reason}", self.id);
        }
        if let LedgerEntry::Request(entry) = &mut self.entry {
            entry.record.images = ImageCounts { described: *described, failed: *failed };
        }
    }

    /// A call is sent now.
    pub(super) fn call(&mut self, lease: &Lease, upstream_api: Api) {
        let (provider, key) = (&lease.provider, lease.key.id());
        match &mut self.entry {
            LedgerEntry::None => {}
            LedgerEntry::Request(entry) => {
                entry.call_started(&provider.name, &lease.model, upstream_api, key);
            }
            LedgerEntry::LaterRound(calls) => calls.call_started(&provider.name, &lease.model, key),
        }
    }

    /// The calls so far.
    pub(super) fn calls(&self) -> u32 {
        match &self.entry {
            LedgerEntry::None => 0,
            LedgerEntry::Request(entry) => entry.record.upstream_calls,
            LedgerEntry::LaterRound(calls) => calls.calls(),
        }
    }

    /// The head of the call's reply has arrived.
    pub(super) fn replied(&self, status: u16) {
        match &self.entry {
            LedgerEntry::None => {}
            LedgerEntry::Request(entry) => entry.call_replied(status),
            LedgerEntry::LaterRound(calls) => calls.call_replied(status),
        }
    }

    /// The reply has these headers, which may name the upstream's own id for the call.
    pub(super) fn headers(&self, headers: &HeaderMap) {
        let Some(id) = upstream_request_id(headers) else { return };
        match &self.entry {
            LedgerEntry::None => {}
            LedgerEntry::Request(entry) => entry.call_identified(id),
            LedgerEntry::LaterRound(calls) => calls.call_identified(id),
        }
    }

    /// The call has failed.
    pub(super) fn call_failed(&self, outcome: Outcome) {
        match &self.entry {
            LedgerEntry::None => {}
            LedgerEntry::Request(entry) => entry.call_ended(outcome),
            LedgerEntry::LaterRound(calls) => calls.call_ended(outcome),
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
        if let LedgerEntry::Request(entry) = &mut self.entry {
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
