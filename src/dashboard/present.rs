//! The numbers of the last five minutes, as the tiles of the overview and every tick of the stream show them.

use serde::Serialize;
use vandamme_actors::clock::{self, Millis};
use vandamme_actors::history::UsageSums;

use super::units::{Count, Elapsed, Rate, Share};
use crate::gateway::Gateway;
use crate::live::SLOT;

/// The length of the window, in milliseconds.
pub(super) const WINDOW: Millis = 5 * 60_000;

/// Readable numbers. The names are those in `data-live`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Present {
    pub(super) in_flight: String,
    pub(super) requests_per_minute: String,
    pub(super) error_share: String,
    /// The share of requests that failed because of their clients' own mistakes; it is part of the errors.
    pub(super) client_error_share: String,
    pub(super) median: String,
    pub(super) p95: String,
    pub(super) first_event_p95: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) cached: String,
}

impl Present {
    pub(super) fn read(gateway: &Gateway, in_flight: usize) -> Self {
        let (since, until) = bounds(clock::wall());
        gateway.last_hour.read(|window| {
            Self::new(&window.sums(since, until), window.failures.client_errors(since, until), in_flight)
        })
    }

    pub(super) fn new(sums: &UsageSums, client_errors: u64, in_flight: usize) -> Self {
        let usage = sums.usage;
        Self {
            in_flight: Count(in_flight as u64).to_string(),
            requests_per_minute: per_minute(sums).to_string(),
            error_share: Share::of(sums.failed, sums.requests).to_string(),
            client_error_share: Share::of(client_errors, sums.requests).to_string(),
            median: Elapsed(sums.elapsed.quantile(0.5)).to_string(),
            p95: Elapsed(sums.elapsed.quantile(0.95)).to_string(),
            first_event_p95: Elapsed(sums.first_event.quantile(0.95)).to_string(),
            input: Count(usage.prompt_total()).to_string(),
            output: Count(usage.output).to_string(),
            cached: Share::of(usage.cache_read, usage.prompt_total()).to_string(),
        }
    }
}

/// The requests in a minute of the window.
pub(super) fn per_minute(sums: &UsageSums) -> Rate {
    Rate(Some(sums.requests as f64 / (WINDOW / 60_000) as f64))
}

/// The window that ends now. It ends with the current interval, so that the latest request counts at once.
pub(super) fn bounds(now: Millis) -> (Millis, Millis) {
    let until = now - now % SLOT + SLOT;
    (until.saturating_sub(WINDOW), until)
}
