//! The edge: HTTP doors, configuration, command line and process.

pub mod cli;
pub mod config;
pub mod demo;
mod exchange;
mod gateway;
mod http;
mod process;
mod serve;
pub mod telemetry;

pub use self::serve::{Ending, Origin, serve};
