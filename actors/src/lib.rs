//! Owns all state of the gateway that outlives a request, in actors.
//!
//! | actor | one per | lives on | owns |
//! |---|---|---|---|
//! | [`Supervisor`](supervisor::Supervisor) | process | main | where each actor runs; replaces actors that hang or have stopped |
//! | [`Router`](router::Router) | worker thread | that thread | the resolution of model names by the tables that the supervisor publishes |
//! | [`Provider`](provider::Provider) | provider | an arbiter of its own | keys, models and their health, waiting requests |
//! | [`Upstream`](upstream::Upstream) | provider and worker thread | the worker | the HTTP client, which it lends |
//! | [`Converter`](converter::Converter) | streamed reply | the worker | the upstream body and one state machine |
//! | [`Ledger`](ledger::Ledger) | process | an arbiter of its own | counts of what happened |
//! | [`Catalog`](catalog::Catalog) | process | an arbiter of its own | model lists |
//! | [`SignatureStore`](signatures::SignatureStore) | process | an arbiter of its own | signatures that middleware keeps between requests |
//! | [`credentials`](credentials::Credentials) | cloud identity | a thread of its own | the identity's temporary credential, which it fetches and renews |
//!
//! Messages travel down this table, never up, with two exceptions: a lease reports to its provider, and every part
//! reports to the ledger. No actor waits for the network inside its mailbox.

mod actor_thread;
pub mod catalog;
pub mod certificates;
pub mod clock;
pub mod converter;
pub mod cost;
pub mod credentials;
pub mod excerpt;
pub mod exported_state;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
pub mod history;
pub mod ledger;
pub mod observe;
pub mod openai_endpoint;
pub mod outcome;
mod own_messages;
mod panic_guard;
pub mod provider;
pub mod recorder;
pub mod registry;
pub mod retry;
pub mod roles;
pub mod router;
pub mod routing;
pub mod secret;
pub mod settings;
pub mod signatures;
#[cfg(test)]
mod simulation;
pub mod snapshot;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod upstream;
