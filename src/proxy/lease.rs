//! The route of a request, and the leases of its targets.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_web::rt::time::{sleep, timeout};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use vandamme_actors::provider::{
    AffinityHash, HeldPermit, Lease, LeaseKey, NoLease, Provider, Size, WhenBusy,
};
use vandamme_actors::router::{self, Destination, Dispatch, PendingLease, Routed};
use vandamme_actors::routing::{RoleRoute, Route, Unroutable};
use vandamme_actors::secret::KeyId;

use super::target_queue::RunTarget;
use super::{Origin, ProxyRequest, Targets};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// The pause before a message to an actor that is being replaced is sent again.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a message is sent.
const TRIES: usize = 3;
/// What a lease may take beyond the wait for a permit: the wait for a session's key, and some slack.
const LEASE_SLACK: Duration = Duration::from_secs(9);

/// Requests leases for one client request. It sends a message again if its actor is replaced meanwhile.
pub(super) struct Leasing<'r> {
    gateway: &'r Gateway,
    request: &'r ProxyRequest,
    session: Option<AffinityHash>,
    size: Size,
    when_busy: WhenBusy,
}

/// A resolved name, and the lease of its first target.
pub(super) struct RoutedRequest {
    pub(super) route: Arc<Route>,
    /// As the router has requested it.
    pub(super) lease: PendingLease,
}

/// What the lease of another key must know of the earlier ones.
pub(super) struct Earlier<'t> {
    pub(super) tried: &'t [KeyId],
    pub(super) held: Option<HeldPermit>,
}

impl<'r> Leasing<'r> {
    pub(super) fn new(
        gateway: &'r Gateway,
        request: &'r ProxyRequest,
        session: Option<AffinityHash>,
    ) -> Self {
        let max_tokens = request.head.max_tokens.unwrap_or_default();
        let size = Size { body: request.body.len(), max_tokens };
        let when_busy = match request.origin {
            Origin::Client => WhenBusy::Queue,
            Origin::Gateway(_) => WhenBusy::Refuse,
        };
        Self { gateway, request, session, size, when_busy }
    }

    /// The route and the first lease, if nothing must be decided; see [`router::route_at_once`].
    pub(super) fn at_once(&self) -> Option<RoutedRequest> {
        let (registry, session, size) = (&self.gateway.registry, self.session, self.size);
        let (route, lease) = match (&self.request.targets, self.role()) {
            (Targets::Resolved(_), _) => return None,
            (Targets::WithFallbacks | Targets::FirstOnly, None) => {
                router::route_at_once(registry, &self.request.head.model, session, size)?
            }
            (Targets::WithFallbacks | Targets::FirstOnly, Some(role)) => {
                let route = role.route.as_ref().ok()?;
                (route.clone(), router::lease_at_once(registry, route, session, size)?)
            }
        };
        Some(RoutedRequest { route, lease: PendingLease::Ready(lease) })
    }

    fn role(&self) -> Option<&RoleRoute> {
        self.request.role.as_ref().map(|decision| &*decision.rule)
    }

    /// Resolves the model name, once for the whole request.
    pub(super) async fn route(&self) -> Result<RoutedRequest, Failure> {
        let (session, size) = (self.session, self.size);
        let destination = self.destination().map_err(Failure::Unroutable)?;
        for _ in 0..TRIES {
            let (reply, answer) = oneshot::channel();
            let destination = destination.clone();
            let dispatch = Dispatch { destination, session, size, when_busy: self.when_busy, reply };
            let sent = router::thread_router(&self.gateway.registry).try_send(dispatch);
            if sent.is_ok()
                && let Some(routed) = self.awaited(answer, pending()).await
            {
                let Routed { route, lease } = routed.map_err(Failure::Unroutable)?;
                return Ok(RoutedRequest { route, lease });
            }
            sleep(PAUSE).await;
        }
        Err(Failure::NoAnswer)
    }

    fn destination(&self) -> Result<Destination, Unroutable> {
        match (&self.request.targets, self.role()) {
            (Targets::Resolved(route), _) => Ok(Destination::Route(route.clone())),
            (Targets::WithFallbacks | Targets::FirstOnly, Some(role)) => {
                role.route.clone().map(Destination::Route)
            }
            (Targets::WithFallbacks | Targets::FirstOnly, None) => {
                Ok(Destination::Name((*self.request.head.model).into()))
            }
        }
    }

    /// The lease of the route's first target.
    pub(super) async fn first(
        &self,
        lease: PendingLease,
        target: &RunTarget<'_>,
    ) -> Result<Box<Lease>, Failure> {
        let answer = match lease {
            PendingLease::Ready(lease) => return Ok(lease),
            PendingLease::Requested { answer, owner: Some(owner) } => {
                Box::pin(self.awaited(answer, self.replaced(target, &owner))).await
            }
            PendingLease::Requested { owner: None, .. } => None,
        };
        match answer {
            Some(answer) => answer.map(Box::new).map_err(Failure::NoLease),
            None => Box::pin(self.lease(target, &Earlier { tried: &[], held: None })).await,
        }
    }

    /// A lease of this target, with a key that was not tried.
    pub(super) async fn lease(
        &self,
        target: &RunTarget<'_>,
        earlier: &Earlier<'_>,
    ) -> Result<Box<Lease>, Failure> {
        for _ in 0..TRIES {
            let registry = self.gateway.registry.load();
            let Some(provider) = registry.provider(&target.provider.name) else {
                // A reload has removed it. An actor that is being replaced would be listed.
                return Err(Failure::NoAnswer);
            };
            let (reply, answer) = oneshot::channel();
            let request = LeaseKey {
                model: target.model.clone(),
                profile: target.profile.cloned(),
                session: self.session,
                size: self.size,
                alternatives: target.alternatives,
                tried: earlier.tried.to_vec(),
                held: earlier.held.clone(),
                when_busy: self.when_busy,
                reply,
            };
            if provider.try_send(request).is_ok()
                && let Some(answer) =
                    self.awaited::<Result<Lease, NoLease>>(answer, self.replaced(target, provider)).await
            {
                return answer.map(Box::new).map_err(Failure::NoLease);
            }
            sleep(PAUSE).await;
        }
        Err(Failure::NoAnswer)
    }

    /// The answer, or `None` if it will not come. A short timer would cost a thread a wake-up (measured), so there is none.
    async fn awaited<T>(
        &self,
        answer: oneshot::Receiver<T>,
        replaced: impl Future<Output = ()>,
    ) -> Option<T> {
        let patience = self.gateway.live_config().settings.limits.provider_queue_wait + LEASE_SLACK;
        match timeout(patience, select(answer.map(Result::ok), Box::pin(replaced))).await {
            Ok(Either::Left((answer, _))) => answer,
            Ok(Either::Right(_)) | Err(_) => None,
        }
    }

    /// Resolves when this provider is gone or has another actor. The replacement of other actors changes nothing: the request
    /// keeps its place in the queue.
    async fn replaced(&self, target: &RunTarget<'_>, owner: &Addr<Provider>) {
        loop {
            let changed = self.gateway.registry.changed();
            if self.gateway.registry.load().provider(&target.provider.name) != Some(owner) {
                return;
            }
            changed.await;
        }
    }
}
