//! Faults on purpose, for the tests of supervision: only with the feature `faults`, never in a shipped binary.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Handler, Message};

use crate::catalog::Catalog;
use crate::ledger::Ledger;
use crate::provider::Provider;
use crate::registry::Roster;
use crate::router::{self, Router};
use crate::signatures::Thoughts;
use crate::snapshot::Snapshot;
use crate::supervisor::Name;

/// What is to happen to an actor when it handles this message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum Misfortune {
    Panic,
    /// It blocks its thread.
    Hang(Duration),
}

static CONVERTER: AtomicBool = AtomicBool::new(false);

/// The next converter on any thread panics as it takes its first piece.
pub fn arm_converter() {
    CONVERTER.store(true, Ordering::SeqCst);
}

pub(crate) fn converter() {
    assert!(!CONVERTER.swap(false, Ordering::SeqCst), "a converter was told to panic");
}

/// Sends the misfortune to the actor of that name; `false` when there is none.
pub fn strike(roster: &Roster, name: &Name, misfortune: Misfortune) -> bool {
    match name {
        Name::Ledger => roster.ledger.do_send(misfortune),
        Name::Catalog => roster.catalog.do_send(misfortune),
        Name::Thoughts => roster.thoughts.do_send(misfortune),
        Name::Provider(name) => {
            let Some(provider) = roster.provider(name) else { return false };
            provider.do_send(misfortune);
        }
    }
    true
}

/// Sends the misfortune to the router of this thread.
pub fn strike_router(roster: &Snapshot<Roster>, misfortune: Misfortune) {
    router::here(roster).do_send(misfortune);
}

fn suffer(misfortune: Misfortune) {
    match misfortune {
        Misfortune::Panic => panic!("an actor was told to panic"),
        Misfortune::Hang(time) => std::thread::sleep(time),
    }
}

impl Handler<Misfortune> for Router {
    type Result = ();

    fn handle(&mut self, misfortune: Misfortune, _: &mut Self::Context) {
        suffer(misfortune);
    }
}

impl Handler<Misfortune> for Ledger {
    type Result = ();

    fn handle(&mut self, misfortune: Misfortune, _: &mut Self::Context) {
        suffer(misfortune);
    }
}

impl Handler<Misfortune> for Catalog {
    type Result = ();

    fn handle(&mut self, misfortune: Misfortune, _: &mut Self::Context) {
        suffer(misfortune);
    }
}

impl Handler<Misfortune> for Thoughts {
    type Result = ();

    fn handle(&mut self, misfortune: Misfortune, _: &mut Self::Context) {
        suffer(misfortune);
    }
}

impl Handler<Misfortune> for Provider {
    type Result = ();

    fn handle(&mut self, misfortune: Misfortune, _: &mut Self::Context) {
        suffer(misfortune);
    }
}
