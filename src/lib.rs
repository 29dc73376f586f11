//! The edge: HTTP doors, configuration, command line and process.

pub mod config;
pub mod demo;
mod exchange;
mod gateway;
mod http;
mod process;
mod serve;

pub use self::serve::serve;
