//! From one target to the next: what a request does when its provider cannot serve it, before its first byte.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec::IntoIter;

use vandamme_actors::clock;
use vandamme_actors::excerpt;
use vandamme_actors::provider::{Alternatives, Lease, NoLease, Refusal};
use vandamme_actors::retry::{Attempts, Next};
use vandamme_actors::router::{Route, Target};
use vandamme_actors::settings::Profile;

use super::attempt::Answered;
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
    /// The call was not made: the request cannot be translated for its target. `number` calls were made before.
    NotSent { number: u32 },
    /// This target could not serve the request, and the next one is asked.
    Left { provider: &'m Arc<str>, model: &'m Arc<str>, failure: &'m Failure },
}

/// Why a target has not served a request.
pub(super) enum Stopped {
    /// Another one may.
    Here { place: Place, failure: Failure },
    /// It was not called, since it is known to fail and another target is left.
    PassedOver(Place),
    /// No other will, or the budget is spent.
    Everywhere(Failure),
}

impl Stopped {
    pub(super) fn after(lease: &Lease, next: Next, failure: Failure) -> Self {
        match next {
            Next::NextTarget => Self::Here { place: Place::of(lease), failure },
            Next::SameKey(_) | Next::Fixed | Next::NextKey | Next::GiveUp => Self::Everywhere(failure),
        }
    }

    /// There was no key; `asked` is the target that was asked, which a reload may have removed.
    pub(super) fn without_lease(
        none: Option<NoLease>,
        asked: Option<&Place>,
        (attempts, left): (&Attempts, usize),
    ) -> Self {
        let profile = asked.and_then(|place| place.profile.clone());
        let place = match &none {
            Some(NoLease::Refused { provider, model, refusal }) => {
                let place = Place { provider: provider.name.clone(), model: model.clone(), profile };
                if *refusal == Refusal::PassedOver {
                    return Self::PassedOver(place);
                }
                Some(place)
            }
            Some(NoLease::Unroutable(_)) => None,
            None => asked.cloned(),
        };
        let failure = Failure::NoLease(none);
        match (place, attempts.elsewhere(left)) {
            (Some(place), Next::NextTarget) => Self::Here { place, failure },
            (Some(_) | None, _) => Self::Everywhere(failure),
        }
    }
}

/// The targets of one request that have not been called. They are looked up when the first one has failed.
#[derive(Default)]
pub(super) struct Fallbacks {
    rest: Option<IntoIter<Place>>,
    /// Known to fail: they are asked when nothing better is left.
    passed_over: VecDeque<Place>,
}

impl Fallbacks {
    pub(super) fn left(&mut self, exchange: &Exchange<'_>) -> usize {
        let rest = self.rest.get_or_insert_with(|| exchange.fallbacks().into_iter()).len();
        rest + self.passed_over.len()
    }

    /// Whether another target may serve the request if this one does not, including those that are known to fail.
    pub(super) fn beside(&self, lease: &Lease) -> Alternatives {
        if self.passed_over.is_empty() { lease.alternatives } else { Alternatives::Left }
    }

    /// The next target to be asked, and whether others are left behind it.
    fn next(&mut self, exchange: &Exchange<'_>) -> Option<(Place, Alternatives)> {
        self.left(exchange);
        let next = self.rest.as_mut().and_then(Iterator::next);
        let Some(next) = next else { return Some((self.passed_over.pop_front()?, Alternatives::None)) };
        let alternatives = if self.left(exchange) > 0 { Alternatives::Left } else { Alternatives::None };
        Some((next, alternatives))
    }
}

impl Exchange<'_> {
    /// Calls upstreams until one answers or the attempts are used up. `note` hears of each call.
    pub(super) async fn run(&self, mut note: impl FnMut(Moment<'_>)) -> Result<(Answered, Lease), Failure> {
        let mut attempts = Attempts::default();
        let mut fallbacks = Fallbacks::default();
        let mut target: Option<(Place, Alternatives)> = None;
        let mut best: Option<Failure> = None;
        loop {
            let asked = target.as_ref().map(|(place, alternatives)| (place, *alternatives));
            let tried = self.try_target(asked, (&mut attempts, &mut fallbacks), &mut note).await;
            let (place, failure) = match tried {
                Ok(answered) => return Ok(answered),
                Err(Stopped::Everywhere(failure)) => return Err(self.failed(better(best, failure))),
                Err(Stopped::Here { place, failure }) => (place, Some(failure)),
                Err(Stopped::PassedOver(place)) => {
                    fallbacks.passed_over.push_back(place.clone());
                    (place, None)
                }
            };
            let Some((next, alternatives)) = fallbacks.next(self) else {
                let last = failure.unwrap_or(Failure::NoLease(None));
                return Err(self.failed(better(best, last)));
            };
            if let Some(failure) = failure {
                log::info!(
                    "{} falls back from {}:{} to {}:{}: {} {}",
                    self.question.id,
                    place.provider,
                    place.model,
                    next.provider,
                    next.model,
                    failure.status(),
                    excerpt::one_line(&failure.message(), excerpt::LINE),
                );
                note(Moment::Left { provider: &place.provider, model: &place.model, failure: &failure });
                best = Some(better(best, failure));
            }
            target = Some((next, alternatives));
        }
    }

    /// A repeat of this request within a minute is the client's retry.
    fn failed(&self, failure: Failure) -> Failure {
        if let Some(session) = self.session {
            self.gateway.failures.note(session.0, self.question.body.len(), clock::boot());
        }
        failure
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

/// The failure that the client gets.
pub(super) fn better(one: Option<Failure>, other: Failure) -> Failure {
    match one {
        Some(one) if one.rank() < other.rank() => one,
        Some(_) | None => other,
    }
}
