//! Encoders for the APIs of clients, and the requests of these clients as Messages requests.

mod call_ids;
pub mod chat;
mod custom;
pub mod messages;
mod request;
pub mod responses;
