//! Injects faults for the supervision tests. The module exists only with the feature `faults`, never in a released
//! binary.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};

use crate::catalog::Catalog;
use crate::ledger::Ledger;
use crate::provider::Provider;
use crate::registry::Registry;
use crate::router::{self, Router};
use crate::signatures::SignatureStore;
use crate::snapshot::Snapshot;
use crate::supervisor::ActorName;

/// The fault that an actor performs when it handles this message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum InjectedFault {
    Panic,
    /// Block the actor's thread for this long.
    Hang(Duration),
}

static CONVERTER: AtomicBool = AtomicBool::new(false);

/// Makes the next converter on any thread panic on its first chunk.
pub fn arm_converter() {
    CONVERTER.store(true, Ordering::SeqCst);
}

pub(crate) fn converter() {
    assert!(!CONVERTER.swap(false, Ordering::SeqCst), "injected converter panic");
}

/// Sends the fault to the actor with this name. Returns `false` if there is no such provider.
pub fn inject(registry: &Registry, name: &ActorName, fault: InjectedFault) -> bool {
    match name {
        ActorName::Ledger => registry.ledger.do_send(fault),
        ActorName::Catalog => registry.catalog.do_send(fault),
        ActorName::SignatureStore => registry.signatures.do_send(fault),
        ActorName::Provider(name) => {
            let Some(provider) = registry.provider(name) else { return false };
            provider.do_send(fault);
        }
    }
    true
}

/// Sends the fault to the router of this thread.
pub fn inject_into_router(registry: &Snapshot<Registry>, fault: InjectedFault) {
    router::thread_router(registry).do_send(fault);
}

fn perform<A: Actor<Context = Context<A>>>(fault: InjectedFault, context: &mut Context<A>) {
    #[cfg(test)]
    if crate::clock::virtual_time::now().is_some() {
        return perform_in_virtual_time(fault, context);
    }
    #[cfg(not(test))]
    let _ = context;
    match fault {
        InjectedFault::Panic => panic!("injected panic"),
        InjectedFault::Hang(time) => std::thread::sleep(time),
    }
}

/// A hung actor handles no message and no timer; the simulation's thread continues. The panic is not printed.
#[cfg(test)]
fn perform_in_virtual_time<A: Actor<Context = Context<A>>>(fault: InjectedFault, context: &mut Context<A>) {
    use actix::AsyncContext as _;

    match fault {
        InjectedFault::Panic => std::panic::resume_unwind(Box::new("injected panic")),
        InjectedFault::Hang(time) => context.wait(actix::fut::wrap_future(tokio::time::sleep(time))),
    }
}

impl Handler<InjectedFault> for Router {
    type Result = ();

    fn handle(&mut self, fault: InjectedFault, context: &mut Self::Context) {
        perform(fault, context);
    }
}

impl Handler<InjectedFault> for Ledger {
    type Result = ();

    fn handle(&mut self, fault: InjectedFault, context: &mut Self::Context) {
        perform(fault, context);
    }
}

impl Handler<InjectedFault> for Catalog {
    type Result = ();

    fn handle(&mut self, fault: InjectedFault, context: &mut Self::Context) {
        perform(fault, context);
    }
}

impl Handler<InjectedFault> for SignatureStore {
    type Result = ();

    fn handle(&mut self, fault: InjectedFault, context: &mut Self::Context) {
        perform(fault, context);
    }
}

impl Handler<InjectedFault> for Provider {
    type Result = ();

    fn handle(&mut self, fault: InjectedFault, context: &mut Self::Context) {
        perform(fault, context);
    }
}
