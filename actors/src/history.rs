//! History: keeps what happened to requests in a database, and answers questions about it. It runs on two threads of its
//! own, one that writes and one that reads; the request path only adds to a queue in memory.
//!
//! Every request is written twice: as a row with its details, and into sums by hour and [`Dimension`]. The sums outlive the
//! details. If the disk is slower than the requests, details are dropped and counted; the sums stay complete.

mod columns;
mod details;
mod group;
mod handle;
mod numbers;
mod prune;
mod query;
mod queue;
mod reader;
mod row;
mod schema;
mod state;
mod stored;
mod sums;
#[cfg(test)]
mod tests;
mod totals;
mod usage;
mod write;
mod writer;

pub use self::group::{OTHER, STREAM, WHOLE};
pub use self::handle::{HistoryHandle, usage_of_file};
pub use self::prune::Retention;
pub use self::query::{
    Dimension, HistoryError, MOST_ROWS, QUESTION_LIMIT, RequestPage, RequestQuery, Selection, SessionRow,
    UsageQuery, UsageRow, UsageSums,
};
pub use self::state::{HistoryStatus, HistoryStorage};
pub use self::stored::{
    CANCELLED, SUCCEEDED, StoredCacheLoss, StoredCall, StoredRequest, api_name, end_name,
};
pub use self::sums::LEAST_STREAMING;
pub use self::writer::HistorySettings;
