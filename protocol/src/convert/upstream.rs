//! Codecs for the APIs that upstreams speak.

pub mod chat;
