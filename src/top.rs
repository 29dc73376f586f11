//! The report of `GET /api/ui/top`, which `vdm top` shows. Times are in milliseconds, amounts in millionths of a US dollar.

use serde::{Deserialize, Serialize};

/// The state of a gateway at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TopReport {
    pub(crate) version: String,
    /// The gateway's time, since the Unix epoch.
    pub(crate) now: u64,
    pub(crate) uptime_seconds: u64,
    /// The gateway records no requests (`LOG_REQUEST_METRICS=false`).
    pub(crate) metrics_off: bool,
    pub(crate) recent: RecentSums,
    /// `None` if it is not known.
    pub(crate) today: Option<TodayCost>,
    pub(crate) in_flight: u64,
    /// Newest first; at most [`MOST_ROWS`].
    pub(crate) running: Vec<TopRequest>,
    /// Newest first; at most [`MOST_ROWS`].
    pub(crate) finished: Vec<TopRequest>,
    pub(crate) providers: Vec<TopProvider>,
}

/// The most requests in each list.
pub(crate) const MOST_ROWS: usize = 100;

/// Sums over the requests that ended within the last `seconds`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecentSums {
    pub(crate) seconds: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// With what was read from the cache or written to it.
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cache_read_tokens: u64,
    pub(crate) p95_ms: Option<u64>,
    pub(crate) first_event_p95_ms: Option<u64>,
}

/// The cost since midnight UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TodayCost {
    pub(crate) micro_dollars: u64,
    /// Requests of models without a known price, which the cost does not contain.
    pub(crate) unpriced: u64,
}

/// A request in flight, or one that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopRequest {
    pub(crate) id: String,
    /// When it started, since the Unix epoch.
    pub(crate) started: u64,
    pub(crate) duration_ms: u64,
    /// `None` while it runs.
    pub(crate) status: Option<u16>,
    /// `running`, `succeeded`, `cancelled`, or the error's type.
    pub(crate) outcome: String,
    pub(crate) error: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) requested: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    /// The fingerprint of the provider's key.
    pub(crate) key: Option<String>,
    pub(crate) stream: bool,
    pub(crate) first_event_ms: Option<u64>,
    /// With what was read from the cache or written to it.
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cache_read_tokens: u64,
    /// `None` while it runs, or if the price of its model is not known.
    pub(crate) micro_dollars: Option<u64>,
}

/// One provider with its health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopProvider {
    pub(crate) name: String,
    /// `ok`, `degraded` or `down`
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) keys: usize,
    pub(crate) keys_preferred: usize,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
    /// Within the same time as [`TopReport::recent`].
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) p95_ms: Option<u64>,
}

impl TopRequest {
    /// Whether the request contains this text, given in lower case, in a field that the screen shows.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let fields = [&self.id, &self.requested, &self.provider, &self.model, &self.outcome];
        let optional = [&self.client, &self.key, &self.error].into_iter().flatten();
        fields.into_iter().chain(optional).any(|field| field.to_lowercase().contains(text))
    }
}
