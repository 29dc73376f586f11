//! The history of requests: what is asked of it.

mod query;

pub use self::query::{Dimension, RequestQuery, Selection, UsageQuery, UsageRow, UsageSums};
