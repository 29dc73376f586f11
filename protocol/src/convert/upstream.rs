//! Decoders for the APIs of upstreams, and Messages requests as requests of these upstreams.

mod arguments;
mod blocks;
mod caching;
pub mod chat;
mod citation_marks;
mod conversation;
mod cut;
mod dialect;
mod effort;
mod fingerprint;
mod halves;
mod hosted_search;
pub mod messages;
mod names;
mod reasoning;
pub mod responses;
mod search;
mod settings;
mod strict;
mod tools;
