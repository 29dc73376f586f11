//! The unit tests of the benchmark: of its command line, its statistics and its tables. The benchmark itself has no
//! test harness.
#![expect(dead_code, reason = "the benchmark is started by main.rs")]

#[path = "unit_tests/arguments.rs"]
mod arguments_tests;
#[path = "unit_tests/comparison.rs"]
mod comparison_tests;

mod arguments;
mod bare;
mod chunks;
mod connection;
mod contender;
mod listener;
mod load;
mod meter;
mod nginx;
mod process;
mod replies;
mod requests;
mod rows;
mod stage;
mod table;
mod upstream;

use std::error::Error;

/// The reason why the benchmark ends without a table.
type Trouble = Box<dyn Error + Send + Sync>;
