//! The wire, and nothing else: bytes in, bytes out. No clock, no I/O, no actor, no log, no randomness.

pub mod passthrough;
pub mod span;
pub mod sse;
