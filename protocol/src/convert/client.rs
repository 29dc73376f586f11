//! Encoders for the APIs of clients, and the requests of these clients as Messages requests.

mod call_ids;
pub mod chat;
mod custom;
pub mod messages;
mod request;
pub mod responses;

/// The refusal of a model that gives no reason, where a client takes an empty one for none.
const NO_EXPLANATION: &str = "The model refused to answer and gave no reason.";
