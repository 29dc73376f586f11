//! Encoders for the APIs of clients, and the requests of these clients as Messages requests.

pub mod chat;
pub mod messages;
pub mod responses;
