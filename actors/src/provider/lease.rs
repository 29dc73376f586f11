//! Defines the lease, the right to call one provider once with one key: a guard that always reports how the call ended.

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Message};
use vandamme_protocol::compat::Fixup;

use super::Provider;
use super::health::{AffinityHash, Alternatives, CallReport, Size};
use super::permits::{HeldPermit, LeaseEvent, Permit, Permits};
use crate::clock::{self, Millis};
use crate::excerpt;
use crate::outcome::Outcome;
use crate::secret::{ApiKey, KeyId};
use crate::settings::{Profile, ProviderSettings};

/// Above this number of unread events the router asks the actor, which reads them.
const MAX_UNREAD: usize = 1024;

/// A key of a provider, lent for one request.
#[derive(Debug)]
pub struct Lease {
    pub provider: Arc<ProviderSettings>,
    /// The model's name at that provider.
    pub model: Arc<str>,
    pub key: ApiKey,
    /// The fixups from learned rules for this model.
    pub learned_rules: Option<Arc<[Fixup]>>,
    /// The profile whose timeout and retries apply.
    pub profile: Option<Arc<Profile>>,
    /// No better key was left: the request gets one call.
    pub is_known_to_fail: bool,
    /// Whether another target is left.
    pub alternatives: Alternatives,
    ticket: Ticket,
}

/// The actor that a lease comes from, and the permits that it counts against.
#[derive(Debug)]
pub(crate) struct LeaseSource {
    pub(super) owner: Addr<Provider>,
    pub(super) incarnation: u64,
    pub(super) permits: Arc<Permits>,
}

/// The part of a lease that reports its end.
#[derive(Debug)]
struct Ticket {
    provider: Arc<ProviderSettings>,
    source: LeaseSource,
    stage: LeaseStage,
    permit: Option<Permit>,
    /// The lease is a probe: other requests skip its key, model or host until it reports.
    is_probe: bool,
    /// The contents of the next report, apart from the outcome.
    call: CallInProgress,
}

/// The call in progress.
#[derive(Clone, Debug)]
struct CallInProgress {
    key: KeyId,
    model: Arc<str>,
    began: Millis,
    request: u64,
    size: Size,
    lease: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseStage {
    Unreported,
    Reported,
    Finished,
    /// Another lease reports the call.
    Elsewhere,
}

impl Lease {
    /// A lease by the fast path; `None` if that is closed.
    pub(crate) fn from_fast_path(
        permits: &Arc<Permits>,
        model: &Arc<str>,
        session: Option<AffinityHash>,
        size: Size,
    ) -> Option<Self> {
        let fast_path = &permits.fast_path;
        if permits.unread() > MAX_UNREAD {
            return None;
        }
        let source = fast_path.source();
        let source = source.as_ref().as_ref().filter(|source| permits.is_current(source.incarnation))?;
        if !fast_path.is_open_for(source.incarnation) {
            return None;
        }
        let owner = source.owner()?;
        let permit = permits.take()?;
        let key = fast_path.key(source, session)?;
        let lease_source = LeaseSource { owner, incarnation: source.incarnation, permits: permits.clone() };
        let lease = Self::new(source.settings.clone(), model.clone(), key, size, lease_source);
        Some(lease.with_permit(Some(permit)))
    }

    pub(crate) fn new(
        provider: Arc<ProviderSettings>,
        model: Arc<str>,
        key: ApiKey,
        size: Size,
        source: LeaseSource,
    ) -> Self {
        let call = CallInProgress {
            key: key.id(),
            model: model.clone(),
            began: clock::boot(),
            request: 0,
            size,
            lease: 0,
        };
        let ticket = Ticket {
            provider: provider.clone(),
            source,
            stage: LeaseStage::Unreported,
            permit: None,
            is_probe: false,
            call,
        };
        Self {
            provider,
            model,
            key,
            learned_rules: None,
            profile: None,
            is_known_to_fail: false,
            alternatives: Alternatives::None,
            ticket,
        }
    }

    pub(crate) fn with_fixups(mut self, fixups: Option<Arc<[Fixup]>>) -> Self {
        self.learned_rules = fixups;
        self
    }

    pub(crate) fn with_permit(mut self, permit: Option<Permit>) -> Self {
        self.ticket.permit = permit;
        self
    }

    /// Marks the lease as a probe with this number.
    pub(super) fn with_probe(mut self, lease: u64) -> Self {
        self.ticket.call.lease = lease;
        self.ticket.is_probe = true;
        self
    }

    pub(crate) fn with_profile(mut self, profile: Option<Arc<Profile>>) -> Self {
        self.profile = profile;
        self
    }

    pub(crate) fn with_alternatives(mut self, alternatives: Alternatives) -> Self {
        self.alternatives = alternatives;
        self
    }

    /// The timeout of the profile or the provider, if one is configured.
    pub fn timeout(&self) -> Option<Duration> {
        self.profile.as_ref().and_then(|profile| profile.timeout).or(self.provider.timeout)
    }

    /// The most repeats on one key.
    pub fn max_retries(&self) -> u32 {
        let own = self.profile.as_ref().and_then(|profile| profile.max_retries);
        own.unwrap_or(self.provider.max_retries)
    }

    /// Records the start of a call for this client request.
    pub fn begin_call(&mut self, request: u64) {
        self.ticket.call.began = clock::boot();
        self.ticket.call.request = request;
    }

    /// Counts a call that is not a retry. The retry budget grows with these calls.
    pub fn count_request(&self) {
        self.ticket.source.permits.budget().count_request(clock::boot());
    }

    /// Takes one retry from the provider's budget. Returns `false` if the budget is used up.
    pub fn draw_retry(&self) -> bool {
        self.ticket.source.permits.budget().draw(clock::boot())
    }

    /// Records that a reply has started successfully. If the lease is a probe, the probe has succeeded; the reply may
    /// take long.
    pub fn reply_started(&mut self) {
        if self.ticket.is_probe {
            self.report(Outcome::Answered, "");
        }
    }

    /// Reports an intermediate result and keeps the lease. `message` is the upstream's error, without secrets.
    pub fn report(&mut self, outcome: Outcome, message: &str) {
        if self.ticket.stage != LeaseStage::Elsewhere {
            self.ticket.stage = LeaseStage::Reported;
        }
        self.ticket.report(outcome, message);
    }

    /// Reports that the call has been silent for long. The call continues.
    pub fn report_silence(&self) {
        self.ticket.report(Outcome::Silent, "no answer yet");
    }

    /// Reports which fixups made a refused request acceptable.
    pub fn learn(&self, fixups: Vec<Fixup>) {
        let (provider, model) = (self.provider.clone(), self.model.clone());
        self.ticket.source.permits.report(LeaseEvent::LearnedRule { provider, model, fixups });
    }

    /// The proof of this lease's permit, for the next lease of the same request. Without it, requests that need another
    /// key would wait for one another while all permits are taken.
    pub fn held(&self) -> Option<HeldPermit> {
        self.ticket.permit.as_ref().map(Permit::held)
    }

    /// Takes over the permit of the previous lease, unless this lease has its own.
    #[must_use]
    pub fn after(mut self, mut before: Self) -> Self {
        if self.ticket.permit.is_none() {
            self.ticket.permit = before.ticket.permit.take();
        }
        self
    }

    /// A lease of the same key that holds no permit and reports nothing to the provider. A reply that consists of several calls
    /// keeps it, while the original lease is passed from call to call.
    #[must_use]
    pub fn of_the_whole_reply(&self) -> Self {
        let LeaseSource { owner, incarnation, permits } = &self.ticket.source;
        let source =
            LeaseSource { owner: owner.clone(), incarnation: *incarnation, permits: permits.clone() };
        let size = self.ticket.call.size;
        let mut lease = Self::new(self.provider.clone(), self.model.clone(), self.key.clone(), size, source);
        lease.ticket.stage = LeaseStage::Elsewhere;
        lease
    }

    /// Ends the lease with this outcome.
    pub fn finish(self, outcome: Outcome) {
        self.finish_with(outcome, "");
    }

    /// Ends the lease with this outcome and the upstream's error, without secrets.
    pub fn finish_with(mut self, outcome: Outcome, message: &str) {
        self.ticket.finish(outcome, message);
    }
}

impl Ticket {
    fn report(&self, outcome: Outcome, message: &str) {
        if self.stage == LeaseStage::Elsewhere {
            return;
        }
        let outcome = if self.provider.passthrough { outcome.without_key() } else { outcome };
        let CallInProgress { key, model, began, request, size, lease } = self.call.clone();
        let message =
            if outcome.is_adverse() { excerpt::one_line(message, excerpt::LINE).into() } else { "".into() };
        let report =
            CallReport { outcome, key, model, began, at: clock::boot(), request, size, lease, message };
        let (provider, incarnation) = (self.provider.clone(), self.source.incarnation);
        self.source.permits.report(LeaseEvent::Report { provider, incarnation, report });
    }

    fn finish(&mut self, outcome: Outcome, message: &str) {
        if self.stage == LeaseStage::Elsewhere {
            return;
        }
        self.stage = LeaseStage::Finished;
        self.report(outcome, message);
        self.free();
    }

    /// Frees the permit before it sends the message, since the message makes the provider look for free permits.
    fn free(&mut self) {
        self.permit.take();
        if self.source.permits.has_waiters() {
            // Bounded by the requests in flight; it must never block.
            self.source.owner.do_send(Freed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.stage {
            LeaseStage::Finished | LeaseStage::Elsewhere => {}
            LeaseStage::Unreported => self.finish(Outcome::Cancelled, ""),
            LeaseStage::Reported => self.free(),
        }
    }
}

/// Notifies a provider that a permit has been freed.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Freed;
