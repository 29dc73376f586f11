//! The unit tests of the run: of what it counts as lost, doubled, cut off or leaked. The run itself has no test harness.
#![expect(dead_code, reason = "the run is started by main.rs")]

#[path = "unit_tests/client.rs"]
mod client_tests;
#[path = "unit_tests/history.rs"]
mod history_tests;
#[path = "unit_tests/soak.rs"]
mod soak_tests;

mod arguments;
#[path = "../gateway/chunks.rs"]
mod chunks;
mod client;
mod faults;
mod gateway;
mod history;
#[path = "../gateway/listener.rs"]
mod listener;
mod load;
mod modes;
mod order;
mod process_table;
mod soak;
mod upstream;
mod verdict;
mod words;

use std::error::Error;

/// Why a run ends without a verdict.
type Trouble = Box<dyn Error + Send + Sync>;

/// What a run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    Violated,
}
