//! The modules of the binary: HTTP endpoints, configuration, command line and process. ARCHITECTURE.md has a map.

mod access_keys;
mod api;
mod caller;
pub mod cli;
pub mod config;
mod dashboard;
pub mod demo;
mod failure;
mod gateway;
mod live;
mod login;
mod master;
mod metrics;
mod models;
mod money;
mod otlp;
mod probe;
mod process;
mod proxy;
mod request_id;
mod serve;
mod single_flight;
pub mod telemetry;
mod terminal;
mod timestamp;
mod top;
mod usage_report;
