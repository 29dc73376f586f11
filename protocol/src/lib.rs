//! Pure protocol code: bytes in, bytes out. No clock, no I/O, no actors, no logging, no randomness.

pub mod anthropic;
pub mod cloud;
pub mod compaction;
pub mod compat;
pub mod content_coding;
pub mod convert;
pub mod fault;
pub mod gemini;
pub mod http1;
mod json;
pub mod middleware;
pub mod models;
pub mod openai;
pub mod reported;
pub mod request;
pub mod responses_websocket;
pub mod safeguards;
mod schema_fit;
pub mod signature;
pub mod sse;
pub mod tokens;
pub mod tool_id;
pub mod trace_context;
pub mod vocabulary;
pub mod web_search;
pub mod wildcard;
