//! Codecs for the APIs that clients speak.

pub mod chat;
