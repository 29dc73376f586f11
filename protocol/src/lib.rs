//! The wire, and nothing else: bytes in, bytes out. No clock, no I/O, no actor, no log, no randomness.

pub mod anthropic;
pub mod bridge;
pub mod content_coding;
pub mod estimate;
pub mod gemini;
pub mod healing;
pub mod http1;
mod json;
pub mod middleware;
pub mod models;
pub mod openai;
pub mod passthrough;
pub mod signature;
pub mod span;
pub mod sse;
pub mod tool_id;
pub mod vocabulary;
