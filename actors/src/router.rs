//! Router: resolves a model name once, and asks the provider found for a lease.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Dispatch`] | proxy run | [`Routed`] through the message's own channel, or why the name leads nowhere |
//!
//! The answer holds the whole route, fallbacks included, so that a reload during a request cannot mix two configurations.
//!
//! The router's tables are an immutable [`Routes`](crate::routing::Routes). The router reads them from the registry, as it reads the providers'
//! addresses. A reload therefore applies from the next message on, and a restarted provider is found at once.
//!
//! Each worker thread has its own router, since a message to another thread costs a wake-up. A router's only state is a cache,
//! which it shares with the requests of its thread: [`route_at_once`] takes a known route and a lease from the provider's fast
//! path without a message. There is nothing to decide then, and the message and its answer cost the thread two more turns.

#[cfg(test)]
mod agreement;

use std::cell::RefCell;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, Supervised};
use actix_rt::Arbiter;
use tokio::sync::oneshot;

use crate::panic_guard;
use crate::provider::{
    AffinityHash, Alternatives, Lease, LeaseKey, NoLease, Permits, Provider, Size, WhenBusy,
};
use crate::registry::Registry;
use crate::routing::{RecentRoutes, Route, Unroutable};
use crate::snapshot::Snapshot;

/// One message per request that has just arrived; admission at the endpoints is the bound that matters.
const MAILBOX: usize = 4096;

thread_local! {
    static ROUTER: RefCell<Option<(Snapshot<Registry>, Addr<Router>)>> = const { RefCell::new(None) };
    /// The routes that the routers of this thread have resolved.
    static RECENT: RefCell<RecentRoutes> = RefCell::default();
}

pub struct Router {
    registry: Snapshot<Registry>,
}

/// Resolves a destination, and asks its provider for a lease.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Dispatch {
    pub destination: Destination,
    /// See [`LeaseKey`].
    pub session: Option<AffinityHash>,
    pub size: Size,
    pub when_busy: WhenBusy,
    pub reply: oneshot::Sender<Result<Routed, Unroutable>>,
}

/// What a request is for.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A model name as the client sent it.
    Name(Box<str>),
    /// A route that the caller has resolved.
    Route(Arc<Route>),
}

/// A resolved name, and the lease of its first target.
#[derive(Debug)]
pub struct Routed {
    pub route: Arc<Route>,
    pub lease: PendingLease,
}

/// A lease from the provider's fast path, or the answer that the provider's actor will send.
#[derive(Debug)]
pub enum PendingLease {
    Ready(Box<Lease>),
    Requested {
        answer: oneshot::Receiver<Result<Lease, NoLease>>,
        /// The actor that was asked; `None` if the provider is gone. When it has been replaced, no answer will come.
        owner: Option<Addr<Provider>>,
    },
}

impl PendingLease {
    /// The provider's answer; `None` if the provider's actor has stopped without one.
    pub async fn answer(self) -> Option<Result<Lease, NoLease>> {
        match self {
            Self::Ready(lease) => Some(Ok(*lease)),
            Self::Requested { answer, .. } => answer.await.ok(),
        }
    }
}

/// The router of this thread for this registry. Starts one if there is none or the old one has stopped.
pub fn thread_router(registry: &Snapshot<Registry>) -> Addr<Router> {
    ROUTER.with_borrow_mut(|router| match router {
        Some((its, living)) if its.is(registry) && living.connected() => living.clone(),
        Some(_) | None => router.insert((registry.clone(), start(registry))).1.clone(),
    })
}

fn start(registry: &Snapshot<Registry>) -> Addr<Router> {
    let registry = registry.clone();
    panic_guard::start(&Arbiter::current(), "router", MAILBOX, move || Router { registry })
}

/// The route of a name that this thread's router has resolved before, with a lease from the fast path. `None` if the router must
/// decide: the name is new, the tables have changed, or the fast path is closed.
pub fn route_at_once(
    registry: &Snapshot<Registry>,
    model: &str,
    session: Option<AffinityHash>,
    size: Size,
) -> Option<(Arc<Route>, Box<Lease>)> {
    let registry = registry.load();
    let route = RECENT.with_borrow_mut(|recent| recent.known(&registry.routes, model))?;
    let lease = fast_lease(&registry, &route, session, size)?;
    Some((route, lease))
}

/// A lease of a route that the caller has resolved, from the fast path; `None` if the provider must decide.
pub fn lease_at_once(
    registry: &Snapshot<Registry>,
    route: &Route,
    session: Option<AffinityHash>,
    size: Size,
) -> Option<Box<Lease>> {
    fast_lease(&registry.load(), route, session, size)
}

fn fast_lease(
    registry: &Registry,
    route: &Route,
    session: Option<AffinityHash>,
    size: Size,
) -> Option<Box<Lease>> {
    let permits = &registry.handle(&route.provider.name)?.permits;
    from_fast_path(permits, route, session, size).map(Box::new)
}

fn from_fast_path(
    permits: &Arc<Permits>,
    route: &Route,
    session: Option<AffinityHash>,
    size: Size,
) -> Option<Lease> {
    let lease = Lease::from_fast_path(permits, &route.model, session, size)?;
    Some(lease.with_profile(route.profile.clone()).with_alternatives(alternatives(route)))
}

fn alternatives(route: &Route) -> Alternatives {
    if route.fallbacks.is_empty() { Alternatives::None } else { Alternatives::Left }
}

impl Router {
    fn dispatch(&self, Dispatch { destination, session, size, when_busy, reply }: Dispatch) {
        let registry = self.registry.load();
        let route = match destination {
            Destination::Name(model) => {
                RECENT.with_borrow_mut(|recent| recent.resolve(&registry.routes, &model))
            }
            Destination::Route(route) => Ok(route),
        };
        let routed = route.map(|route| {
            let lease = request_lease(&registry, &route, session, size, when_busy);
            Routed { route, lease }
        });
        // If the client has disconnected, the lease reports itself as cancelled.
        drop(reply.send(routed));
    }
}

/// A lease of the route's first target. A request that cannot be delivered is dropped with its channel, which the caller sees.
fn request_lease(
    registry: &Registry,
    route: &Route,
    session: Option<AffinityHash>,
    size: Size,
    when_busy: WhenBusy,
) -> PendingLease {
    let (reply, answer) = oneshot::channel();
    let Some(handle) = registry.handle(&route.provider.name) else {
        return PendingLease::Requested { answer, owner: None };
    };
    if let Some(lease) = from_fast_path(&handle.permits, route, session, size) {
        return PendingLease::Ready(Box::new(lease));
    }
    let request = LeaseKey {
        model: route.model.clone(),
        profile: route.profile.clone(),
        session,
        size,
        alternatives: alternatives(route),
        tried: vec![],
        held: None,
        when_busy,
        reply,
    };
    drop(handle.address.try_send(request));
    PendingLease::Requested { answer, owner: Some(handle.address.clone()) }
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Supervised for Router {}

impl Handler<Dispatch> for Router {
    type Result = ();

    fn handle(&mut self, dispatch: Dispatch, _: &mut Self::Context) {
        if !dispatch.reply.is_closed() {
            self.dispatch(dispatch);
        }
    }
}
