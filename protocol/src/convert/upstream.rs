//! Decoders for the APIs of upstreams, and Messages requests as requests of these upstreams.

pub mod chat;
pub mod messages;
pub mod responses;
