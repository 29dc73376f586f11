//! Decoders for the APIs of upstreams, and Messages requests as requests of these upstreams.

mod caching;
pub mod chat;
mod conversation;
mod dialect;
mod effort;
mod hosted_search;
pub mod messages;
mod names;
mod reasoning;
pub mod responses;
mod settings;
mod strict;
mod tools;
