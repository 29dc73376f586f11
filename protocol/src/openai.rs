//! Chat Completions in OpenAI's words, and in those of the vendors that claim to be compatible.

pub(crate) mod chunk;
pub mod error;
pub(crate) mod request;
pub(crate) mod stream;
