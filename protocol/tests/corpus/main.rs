//! Traffic as the vendors send it, one fact a file, held against what a client is to see of it.
//!
//! `UPDATE_SNAPSHOTS=1` writes the snapshots anew; look at every line that changes.

#![expect(clippy::unwrap_used, reason = "a broken grammar fails its test, which is what it is for")]

#[path = "../grammar/stream.rs"]
mod grammar;
#[path = "../properties/reply.rs"]
mod reply;

mod errors;
mod fixtures;
mod streams;
mod wholes;
