//! From one target to the next: what a request does when its provider cannot serve it, before its first byte.

use std::sync::Arc;
use std::vec::IntoIter;

use vandamme_actors::attempts::{self, Attempts, Next};
use vandamme_actors::excerpt;
use vandamme_actors::provider::{CallOutcome, Lease, NoLease};
use vandamme_actors::router::{Route, Target};
use vandamme_actors::settings::Profile;

use super::call::Answered;
use super::verdict::CallFailure;
use super::{Exchange, Failure, Targets};

/// A model of a provider, under a profile's terms.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) provider: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) profile: Option<Arc<Profile>>,
}

impl Place {
    pub(super) fn of(lease: &Lease) -> Self {
        let (provider, model) = (lease.provider.name.clone(), lease.model.clone());
        Self { provider, model, profile: lease.profile.clone() }
    }
}

/// What whoever keeps a record is told while an exchange goes on.
pub(super) enum Moment<'m> {
    /// A call is about to be made, so many counting this one.
    Call { lease: &'m Lease, number: u32 },
    /// This target could not serve the request, and the next one is asked.
    Left { provider: &'m Arc<str>, model: &'m Arc<str>, failure: &'m Failure },
}

/// Why a target has not served a request.
pub(super) enum Stopped {
    /// Another one may.
    Here { provider: Arc<str>, model: Arc<str>, failure: Failure },
    /// No other will, or the budget is spent.
    Everywhere(Failure),
}

impl Stopped {
    fn at(next: Next, (provider, model): (&Arc<str>, &Arc<str>), failure: Failure) -> Self {
        match next {
            Next::NextTarget => Self::Here { provider: provider.clone(), model: model.clone(), failure },
            Next::SameKey(_) | Next::Edited | Next::NextKey | Next::Give => Self::Everywhere(failure),
        }
    }

    pub(super) fn after(lease: &Lease, next: Next, failure: Failure) -> Self {
        Self::at(next, (&lease.provider.name, &lease.model), failure)
    }

    /// No key was to be had; `asked` is the fallback that was, which a reload may have removed.
    pub(super) fn without_lease(
        none: Option<NoLease>,
        asked: Option<&Place>,
        (attempts, left): (&Attempts, usize),
    ) -> Self {
        let at = match &none {
            Some(NoLease::Refused { provider, model, .. }) => Some((provider.name.clone(), model.clone())),
            Some(NoLease::Unroutable(_)) => None,
            None => asked.map(|place| (place.provider.clone(), place.model.clone())),
        };
        let failure = Failure::NoLease(none);
        match at {
            Some((provider, model)) => Self::at(attempts.elsewhere(left), (&provider, &model), failure),
            None => Self::Everywhere(failure),
        }
    }
}

/// The targets of one request that have not been tried. They are looked up when the first one has failed.
pub(super) struct Fallbacks(Option<IntoIter<Place>>);

impl Fallbacks {
    pub(super) fn unknown() -> Self {
        Self(None)
    }

    pub(super) fn left(&mut self, exchange: &Exchange<'_>) -> usize {
        self.0.get_or_insert_with(|| exchange.fallbacks().into_iter()).len()
    }

    fn next(&mut self) -> Option<Place> {
        self.0.as_mut()?.next()
    }
}

impl Exchange<'_> {
    /// Calls upstreams until one answers or the budget is spent; `note` is told of it as it goes on.
    pub(super) async fn run(&self, mut note: impl FnMut(Moment<'_>)) -> Result<(Answered, Lease), Failure> {
        let mut attempts = Attempts::new(self.client_retries());
        let mut fallbacks = Fallbacks::unknown();
        let mut place = None;
        loop {
            let tried = self.try_target(place.as_ref(), (&mut attempts, &mut fallbacks), &mut note).await;
            let (provider, model, failure) = match tried {
                Ok(answered) => return Ok(answered),
                Err(Stopped::Everywhere(failure)) => return Err(failure),
                Err(Stopped::Here { provider, model, failure }) => (provider, model, failure),
            };
            let Some(next) = fallbacks.next() else { return Err(failure) };
            log::info!(
                "{} falls back from {provider}:{model} to {}:{}: {} {}",
                self.question.id,
                next.provider,
                next.model,
                failure.status(),
                excerpt::one_line(&failure.message(), excerpt::LINE),
            );
            note(Moment::Left { provider: &provider, model: &model, failure: &failure });
            place = Some(next);
        }
    }

    /// Where replies come from when the first target fails.
    fn fallbacks(&self) -> Vec<Place> {
        if self.question.targets == Targets::FirstAlone {
            return vec![];
        }
        let route = self.gateway.roster.load().routes.resolve(&self.question.head.model);
        let Ok(Route { fallbacks, profile, .. }) = route else { return vec![] };
        let place = |Target { provider, model }: Target| Place {
            provider: provider.name.clone(),
            model,
            profile: profile.clone(),
        };
        fallbacks.into_iter().map(place).collect()
    }
}

/// A key that the client itself has shown is the client's own fault.
pub(super) fn retry(lease: &Lease, failed: &CallFailure) -> attempts::Failure {
    match failed.outcome {
        CallOutcome::Rejected { .. } if lease.provider.passthrough => attempts::Failure::Final,
        CallOutcome::Rejected { .. }
        | CallOutcome::Answered
        | CallOutcome::RateLimited { .. }
        | CallOutcome::Overloaded
        | CallOutcome::Failed
        | CallOutcome::Cancelled => failed.retry,
    }
}
