//! The edge.
pub mod demo;
