//! Chat Completions in OpenAI's words, and in those of the vendors that claim to be compatible.

pub mod error;
pub(crate) mod stream;
