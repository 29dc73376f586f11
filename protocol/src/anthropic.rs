//! The Messages API: requests, events, whole messages and errors.
//!
//! [`event`] is the form in which codecs exchange a reply. `reader` makes events of bytes, `writer` bytes of events, and
//! nothing else does either.

pub mod error;
pub mod event;
pub(crate) mod reader;
pub(crate) mod request;
pub(crate) mod writer;
