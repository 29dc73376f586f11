//! Stores and recalls a fact for each client, as middleware does.

use std::time::Duration;

use crate::clock;
use crate::registry::ScopedSignatures;
use crate::signatures::{CallerId, SignatureScope};
use crate::simulation::{PROVIDERS, World};
use crate::supervisor::ActorName;

/// Facts of another caller are never returned. The caller's own ones are, unless the store was disturbed.
pub(super) async fn recall_own_facts(world: &World, number: usize) {
    let asked = clock::boot();
    let caller = CallerId([u8::try_from(number).unwrap_or_default(); 16]);
    let scope = SignatureScope { caller, provider: PROVIDERS[0].into() };
    let signatures = ScopedSignatures { registry: world.registry.clone(), scope };
    let fact = format!("fact of {number}");
    signatures.keep(vec![("key".to_owned(), fact.clone())]);
    let found = signatures.recall(vec!["key".to_owned()], Duration::from_millis(250)).await;
    world.note(format_args!("client {number} recalls {found:?}"));
    let is_disturbed = world.checks.borrow().is_disturbed(&ActorName::SignatureStore, asked);
    assert!(clock::boot() <= asked + 251, "the signature store delays a request");
    match found.get("key") {
        Some(found) => assert_eq!(*found, fact, "a fact of another caller"),
        None => assert!(is_disturbed, "the fact of client {number} is lost"),
    }
}
