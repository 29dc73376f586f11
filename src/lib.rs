//! The binary crate's rooms: HTTP endpoints, configuration, command line and process.

mod access_keys;
mod api;
mod caller;
pub mod cli;
pub mod config;
pub mod demo;
mod failure;
mod gateway;
mod models;
mod probe;
mod process;
mod proxy;
mod request_id;
mod serve;
mod single_flight;
pub mod telemetry;
mod terminal;
mod timestamp;

pub use self::serve::{Ending, Origin, serve};
