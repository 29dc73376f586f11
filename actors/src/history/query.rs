//! Questions to the history, and their answers.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vandamme_protocol::vocabulary::Usage;

use super::stored::StoredRequest;
use crate::clock::Millis;
use crate::cost::Cost;
use crate::ledger::Histogram;

/// A property of requests by which usage is grouped or selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    Provider,
    /// The provider's name of the model.
    Model,
    /// The model name that the client sent.
    RequestedModel,
    /// The fingerprint of the provider's key.
    Key,
    /// The name of the client's key.
    Client,
    /// The Claude Code session.
    Session,
    /// What the client called: `messages`, `chat-completions`, `responses`, or an endpoint such as `embeddings`.
    Api,
    /// `stream` or `whole`.
    Delivery,
    /// `succeeded`, `cancelled`, or the error's type.
    End,
    /// The UTC day of the request's end, as `YYYY-MM-DD`.
    Day,
}

/// Which requests a question is about. An empty list of filters selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The requests that ended at this time or later.
    pub since: Millis,
    /// The requests that ended before this time.
    pub until: Millis,
    /// The values that these dimensions must have.
    pub filters: Vec<(Dimension, String)>,
}

/// Asks for sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    pub selection: Selection,
    /// One row for each combination of their values; one row in total without any.
    pub group_by: Vec<Dimension>,
    /// One row for each interval of this length, aligned to the Unix epoch; one row for the whole time without it.
    pub interval: Option<Duration>,
    /// The most groups; the rest, those with the fewest requests, are summed up as one group with the name `(other)`.
    pub groups: usize,
}

/// Sums of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageRow {
    /// The start of the interval.
    pub start: Millis,
    /// The values of [`UsageQuery::group_by`], in its order. Empty for requests that have no such value.
    pub group: Vec<Arc<str>>,
    pub sums: UsageSums,
}

/// Sums over requests that have ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageSums {
    pub requests: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub usage: Usage,
    /// Of the requests whose model has a known price.
    pub cost: Cost,
    /// The requests with tokens whose model has no known price.
    pub unpriced: u64,
    pub tool_calls: u64,
    pub upstream_calls: u64,
    pub request_bytes: u64,
    pub reply_bytes: u64,
    /// The tool use in the histories that clients sent.
    pub tool_uses: u64,
    pub tool_results: u64,
    /// When the first of these requests started; 0 if there are none.
    pub first: Millis,
    /// When the last of these requests ended.
    pub last: Millis,
    /// The sum of the durations.
    pub duration: Duration,
    pub elapsed: Histogram,
    /// Of the requests that had a first event.
    pub first_event: Histogram,
    /// The sum of the times from the first event to the end, of streamed requests that succeeded, and their output tokens: together the speed
    /// of the output.
    pub streaming: Duration,
    pub streamed_output: u64,
}

/// Asks for requests, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestQuery {
    pub selection: Selection,
    /// A text that the request's id, a model, the client, the session or the error contains, ignoring case.
    pub text: Option<String>,
    /// Continues after the page that ended with this cursor.
    pub cursor: Option<u64>,
    pub limit: usize,
}

/// Requests, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPage {
    pub requests: Vec<StoredRequest>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// One session of a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionRow {
    pub session: Arc<str>,
    /// The name of the client's key; empty if it has none.
    pub client: Arc<str>,
    pub sums: UsageSums,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A command without a gateway, or a gateway that is starting.
    #[error("this process keeps no history")]
    NotRunning,
    /// The database cannot be read.
    #[error("the history cannot be read: {0}")]
    Unavailable(String),
    #[error("too many questions to the history at once; try again")]
    Busy,
    #[error("the question to the history took more than {} s; ask for a shorter time or fewer groups", QUESTION_LIMIT.as_secs())]
    TooSlow,
    #[error(
        "the answer has more than {MOST_ROWS} rows; ask for a shorter time, longer intervals or fewer groups"
    )]
    TooLong,
}

/// The longest time for the answer to one question.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// The most rows of an answer.
pub const MOST_ROWS: usize = 20_000;
