//! Requests routes and leases as the proxy run does. It follows `src/proxy/lease.rs`.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_rt::time::{sleep, timeout};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::ClientRequest;
use crate::clock::{self, Millis};
use crate::provider::{Alternatives, HeldPermit, Lease, LeaseKey, LeaseRefusal, NoLease, Provider};
use crate::router::{self, Destination, Dispatch, PendingLease, Routed};
use crate::routing::{Route, Target, Unroutable};
use crate::secret::KeyId;
use crate::simulation::World;
use crate::simulation::operator::QUEUE_WAIT;
use crate::supervisor::ActorName;

const PAUSE: Duration = Duration::from_millis(250);
const TRIES: usize = 3;
/// The longest time until an answer: a wait for the session's key with jitter, and the wait for a permit. Both end at
/// a check of the waiting requests.
const ANSWERED_WITHIN: Duration = Duration::from_millis(6_000 + 2 * 50).saturating_add(QUEUE_WAIT);

/// A reason for no lease.
#[derive(Clone, Debug)]
pub(super) enum Unleased {
    Unroutable,
    Refused(NoLease),
    /// The actors were disturbed during every try.
    NoAnswer,
}

pub(super) struct Leasing<'r> {
    pub(super) world: &'r World,
    pub(super) request: &'r ClientRequest,
}

/// What the lease of another key must know of the earlier ones.
pub(super) struct Earlier<'t> {
    pub(super) tried: &'t [KeyId],
    pub(super) held: Option<HeldPermit>,
}

pub(super) struct FirstLease {
    pending: PendingLease,
    asked: Millis,
}

impl Leasing<'_> {
    pub(super) async fn route(&self) -> Result<(Arc<Route>, FirstLease), Unleased> {
        let registry = &self.world.registry;
        let ClientRequest { model, session, size, .. } = self.request;
        if let Some((route, lease)) = router::route_at_once(registry, model, *session, *size) {
            return Ok((route, FirstLease { pending: PendingLease::Ready(lease), asked: clock::boot() }));
        }
        for _ in 0..TRIES {
            let asked = clock::boot();
            let (reply, answer) = oneshot::channel();
            let dispatch = Dispatch {
                destination: Destination::Name((*self.request.model).into()),
                session: self.request.session,
                size: self.request.size,
                when_busy: crate::provider::WhenBusy::Queue,
                reply,
            };
            let sent = router::thread_router(registry).try_send(dispatch);
            if sent.is_ok()
                && let Some(routed) = self.awaited(answer, pending()).await
            {
                assert_eq!(clock::boot(), asked, "the router takes time");
                let Routed { route, lease } = routed.map_err(|_: Unroutable| Unleased::Unroutable)?;
                return Ok((route, FirstLease { pending: lease, asked }));
            }
            sleep(PAUSE).await;
        }
        Err(Unleased::NoAnswer)
    }

    pub(super) async fn first(
        &self,
        lease: FirstLease,
        target: &Target,
        alternatives: Alternatives,
    ) -> Result<Lease, Unleased> {
        let FirstLease { pending, asked } = lease;
        let (answer, owner) = match pending {
            PendingLease::Ready(lease) => {
                self.world.checks.borrow().check_enabled(&lease, asked);
                return Ok(*lease);
            }
            PendingLease::Requested { answer, owner: Some(owner) } => {
                (self.awaited(answer, self.replaced(target, &owner)).await, Some(owner))
            }
            PendingLease::Requested { owner: None, .. } => (None, None),
        };
        if let Some(answer) = answer {
            self.check_enabled(&answer, asked);
            return answer.map_err(Unleased::Refused);
        }
        if let Some(owner) = owner {
            self.check_loss(target, &owner, asked);
        }
        self.lease(target, alternatives, &Earlier { tried: &[], held: None }).await
    }

    pub(super) async fn lease(
        &self,
        target: &Target,
        alternatives: Alternatives,
        earlier: &Earlier<'_>,
    ) -> Result<Lease, Unleased> {
        for _ in 0..TRIES {
            let (registry, asked) = (self.world.registry.load(), clock::boot());
            let Some(provider) = registry.provider(&target.provider.name) else {
                return Err(Unleased::NoAnswer);
            };
            let (reply, answer) = oneshot::channel();
            let request = LeaseKey {
                model: target.model.clone(),
                profile: None,
                session: self.request.session,
                size: self.request.size,
                alternatives,
                tried: earlier.tried.to_vec(),
                held: earlier.held.clone(),
                when_busy: crate::provider::WhenBusy::Queue,
                reply,
            };
            if provider.try_send(request).is_ok()
                && let Some(answer) =
                    self.awaited::<Result<Lease, NoLease>>(answer, self.replaced(target, provider)).await
            {
                self.check_enabled(&answer, asked);
                return answer.map_err(Unleased::Refused);
            }
            self.check_loss(target, provider, asked);
            sleep(PAUSE).await;
        }
        Err(Unleased::NoAnswer)
    }

    fn check_enabled(&self, answer: &Result<Lease, NoLease>, asked: Millis) {
        if let Ok(lease) = answer {
            self.world.checks.borrow().check_enabled(lease, asked);
        }
    }

    /// The answer; `None` if its sender is gone or its actor has been replaced. Any other request gets its answer.
    async fn awaited<T>(
        &self,
        answer: oneshot::Receiver<T>,
        replaced: impl Future<Output = ()>,
    ) -> Option<T> {
        match timeout(ANSWERED_WITHIN, select(answer.map(Result::ok), Box::pin(replaced))).await {
            Ok(Either::Left((answer, _))) => answer,
            Ok(Either::Right(_)) => None,
            Err(_elapsed) => panic!("{:?} has no answer after {ANSWERED_WITHIN:?}", self.request),
        }
    }

    async fn replaced(&self, target: &Target, owner: &Addr<Provider>) {
        loop {
            let changed = self.world.registry.changed();
            if self.is_replaced(target, owner) {
                return;
            }
            changed.await;
        }
    }

    fn is_replaced(&self, target: &Target, owner: &Addr<Provider>) -> bool {
        self.world.registry.load().provider(&target.provider.name) != Some(owner)
    }

    /// Only a fault of the provider's actor, its removal or its replacement loses a request.
    fn check_loss(&self, target: &Target, owner: &Addr<Provider>, asked: Millis) {
        let actor = ActorName::Provider(target.provider.name.clone());
        let is_replaced = self.is_replaced(target, owner);
        let is_disturbed = self.world.checks.borrow().is_disturbed(&actor, asked);
        assert!(is_replaced || is_disturbed, "{actor} loses {:?}", self.request);
    }
}

pub(super) fn describe(error: &Unleased) -> &'static str {
    match error {
        Unleased::Unroutable => "unroutable",
        Unleased::NoAnswer => "no answer",
        Unleased::Refused(none) => match none.refusal {
            LeaseRefusal::RateLimited { .. } => "rate limited by the upstream's wait",
            LeaseRefusal::PassedOver => "passed over",
            LeaseRefusal::AllTried => "all tried",
            LeaseRefusal::Disabled => "all keys are disabled",
            LeaseRefusal::Busy => "busy",
        },
    }
}
