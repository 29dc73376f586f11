//! Decoders for the APIs of upstreams, and Messages requests as requests of these upstreams.

mod arguments;
mod blocks;
pub mod chat;
mod citation_marks;
mod cut;
mod fingerprint;
mod halves;
pub mod messages;
pub mod responses;
mod search;
