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
//! Each worker thread has its own router, since a message to another thread costs a wake-up. A router's only state is a cache.

#[cfg(test)]
mod agreement;

use std::cell::RefCell;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, Supervised};
use actix_rt::Arbiter;
use tokio::sync::oneshot;

use crate::panic_guard;
use crate::provider::{AffinityHash, Alternatives, Lease, LeaseKey, NoLease, Provider, Size};
use crate::registry::Registry;
use crate::routing::{RecentRoutes, Route, Unroutable};
use crate::snapshot::Snapshot;

/// One message per request that has just arrived; admission at the endpoints is the bound that matters.
const MAILBOX: usize = 4096;

thread_local! {
    static ROUTER: RefCell<Option<(Snapshot<Registry>, Addr<Router>)>> = const { RefCell::new(None) };
}

pub struct Router {
    registry: Snapshot<Registry>,
    recent: RecentRoutes,
}

/// Resolves a destination, and asks its provider for a lease.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Dispatch {
    pub destination: Destination,
    /// See [`LeaseKey`].
    pub session: Option<AffinityHash>,
    pub size: Size,
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
    panic_guard::start(&Arbiter::current(), "router", MAILBOX, move || Router {
        registry,
        recent: RecentRoutes::default(),
    })
}

impl Router {
    fn dispatch(&mut self, Dispatch { destination, session, size, reply }: Dispatch) {
        let registry = self.registry.load();
        let route = match destination {
            Destination::Name(model) => self.recent.resolve(&registry.routes, &model),
            Destination::Route(route) => Ok(route),
        };
        let routed = route.map(|route| {
            let lease = request_lease(&registry, &route, session, size);
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
) -> PendingLease {
    let (model, profile) = (&route.model, &route.profile);
    let alternatives = if route.fallbacks.is_empty() { Alternatives::None } else { Alternatives::Left };
    let (reply, answer) = oneshot::channel();
    let Some(handle) = registry.handle(&route.provider.name) else {
        return PendingLease::Requested { answer, owner: None };
    };
    if let Some(lease) = Lease::from_fast_path(&handle.permits, model, session, size) {
        let lease = lease.with_profile(profile.clone()).with_alternatives(alternatives);
        return PendingLease::Ready(Box::new(lease));
    }
    let request = LeaseKey {
        model: model.clone(),
        profile: profile.clone(),
        session,
        size,
        alternatives,
        tried: vec![],
        held: None,
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
