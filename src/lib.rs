//! The edge: HTTP doors, configuration, command line and process.

mod api;
pub mod cli;
pub mod config;
pub mod demo;
mod gateway;
mod process;
mod proxy;
mod serve;
pub mod telemetry;

pub use self::serve::{Ending, Origin, serve};
