//! Router: decides which provider gets a request, and hands the request on to it.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Dispatch`] | exchange | through the message's own channel: a lease that the provider offers to everybody, or what it answers, or why there is none |
//!
//! Its tables are an immutable [`Routes`]. They are read from the registry, as the providers' addresses are, so that what a
//! reload has changed holds from the next message on, and a provider started anew is found at once.
//!
//! There is one on each worker thread, since it has nothing of its own but a memory of recent answers and waits for nothing: a message to another thread
//! would cost a wake-up for each request.

#[cfg(test)]
mod agreement;
mod aliases;
mod explain;
mod fallbacks;
mod recent_routes;
mod resolver;
mod routes;

use std::cell::RefCell;

use actix::{Actor, Addr, Context, Handler, Message, Supervised};
use actix_rt::Arbiter;
use tokio::sync::oneshot;

pub use self::explain::{Fit, Kept, Step};
pub use self::fallbacks::LeftOut;
use self::recent_routes::Remembered;
pub use self::routes::{DISCOVERED, Lists, Route, Routes, Target, Unroutable};
use crate::panic_guard;
use crate::provider::{Alternatives, Lease, LeaseKey, NoLease, Session, Size};
use crate::registry::Registry;
use crate::snapshot::Snapshot;

/// One message per request that has just arrived; the gate in front of the doors is the bound that matters.
const MAILBOX: usize = 4096;

thread_local! {
    static ROUTER: RefCell<Option<(Snapshot<Registry>, Addr<Router>)>> = const { RefCell::new(None) };
}

pub struct Router {
    registry: Snapshot<Registry>,
    remembered: Remembered,
}

/// Resolves a model name as the client sent it, and asks the provider found for a lease.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Dispatch {
    pub model: Box<str>,
    /// See [`LeaseKey`].
    pub session: Option<Session>,
    pub size: Size,
    /// Answered by the provider; by the router itself when there is none.
    pub reply: oneshot::Sender<Result<Lease, NoLease>>,
}

/// The router of this thread for this registry, started if there is none or the old one has been given up.
pub fn here(registry: &Snapshot<Registry>) -> Addr<Router> {
    ROUTER.with_borrow_mut(|router| match router {
        Some((its, living)) if its.is(registry) && living.connected() => living.clone(),
        Some(_) | None => router.insert((registry.clone(), start(registry))).1.clone(),
    })
}

fn start(registry: &Snapshot<Registry>) -> Addr<Router> {
    let registry = registry.clone();
    panic_guard::start(&Arbiter::current(), "router", MAILBOX, move || Router {
        registry,
        remembered: Remembered::default(),
    })
}

impl Router {
    fn dispatch(&mut self, Dispatch { model, session, size, reply }: Dispatch) {
        let registry = self.registry.load();
        let Route { provider, model, profile, fallbacks } =
            match self.remembered.resolve(&registry.routes, &model) {
                Ok(route) => route,
                Err(reason) => return drop(reply.send(Err(NoLease::Unroutable(reason)))),
            };
        let Some(handle) = registry.handle(&provider.name) else { return };
        let alternatives = if fallbacks.is_empty() { Alternatives::None } else { Alternatives::Left };
        if let Some(lease) = handle.permits.lend(&model, profile.as_ref(), (session, size)) {
            // One that nobody takes any more reports itself as cancelled.
            return drop(reply.send(Ok(lease.beside(alternatives))));
        }
        // What cannot be delivered is dropped with its reply channel, which the asker sees.
        drop(handle.address.try_send(LeaseKey {
            model,
            profile,
            session,
            size,
            alternatives,
            tried: vec![],
            held: None,
            reply,
        }));
    }
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
