//! The Chat Completions API: OpenAI's wire format, and the variants of vendors that are compatible with it.

pub(crate) mod chunk;
pub mod compact;
pub mod error;
pub(crate) mod image_detail;
pub mod members;
pub(crate) mod plain_delta;
pub(crate) mod request;
pub(crate) mod responses_delta;
pub(crate) mod responses_item;
pub mod responses_models;
pub(crate) mod responses_request;
pub(crate) mod responses_stream;
pub(crate) mod responses_tool;
mod responses_usage;
pub(crate) mod stream;
mod usage;
