//! The Messages API in Anthropic's words.

pub mod error;
pub(crate) mod event;
pub(crate) mod request;
pub(crate) mod stream;
