//! The Chat Completions API: OpenAI's wire format, and the variants of vendors that are compatible with it.

pub(crate) mod chunk;
pub mod compact;
pub mod compaction;
pub mod error;
pub mod members;
pub(crate) mod plain_delta;
pub(crate) mod request;
pub mod responses_models;
pub(crate) mod stream;
mod usage;
