//! What the gateway counts outside of the ledger: refusals by limits, and reloads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A limit that refuses requests or connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    InFlight,
    RequestBody,
    BodyMinRate,
    ProviderQueue,
    Connections,
    ConnectionsPerAddress,
}

/// Counters that only grow, each updated independently.
pub(crate) struct Counters {
    /// When this process started to serve.
    pub(crate) started: SystemTime,
    refused: [AtomicU64; Bound::ALL.len()],
    exported_spans: AtomicU64,
    dropped_spans: AtomicU64,
    missed_by_exporter: AtomicU64,
    reloaded: AtomicU64,
    not_reloaded: AtomicU64,
    /// Milliseconds since the Unix epoch.
    last_reload: AtomicU64,
}

/// The reloads so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReloadCounts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Since the Unix epoch; the start, if there was no reload.
    pub(crate) last_success: Duration,
}

impl Bound {
    pub(crate) const ALL: [Self; 6] = [
        Self::InFlight,
        Self::RequestBody,
        Self::BodyMinRate,
        Self::ProviderQueue,
        Self::Connections,
        Self::ConnectionsPerAddress,
    ];

    /// The key under `[limits]`.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::RequestBody => "request-body",
            Self::BodyMinRate => "body-min-rate",
            Self::ProviderQueue => "provider-queue",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections-per-address",
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let started = SystemTime::now();
        Self {
            started,
            refused: Default::default(),
            exported_spans: AtomicU64::new(0),
            dropped_spans: AtomicU64::new(0),
            missed_by_exporter: AtomicU64::new(0),
            reloaded: AtomicU64::new(0),
            not_reloaded: AtomicU64::new(0),
            last_reload: AtomicU64::new(millis(started)),
        }
    }
}

impl Counters {
    pub(crate) fn refuse(&self, bound: Bound) {
        self.refused[bound as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, bound: Bound) -> u64 {
        self.refused[bound as usize].load(Ordering::Relaxed)
    }

    /// Counts spans that a collector has accepted, and those that were dropped.
    pub(crate) fn count_spans(&self, exported: u64, dropped: u64) {
        self.exported_spans.fetch_add(exported, Ordering::Relaxed);
        self.dropped_spans.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Counts requests that the exporter of spans has missed.
    pub(crate) fn count_missed_by_exporter(&self, requests: u64) {
        self.missed_by_exporter.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn missed_by_exporter(&self) -> u64 {
        self.missed_by_exporter.load(Ordering::Relaxed)
    }

    /// The spans so far: exported, dropped.
    pub(crate) fn spans(&self) -> [u64; 2] {
        [&self.exported_spans, &self.dropped_spans].map(|count| count.load(Ordering::Relaxed))
    }

    /// Counts a reload, whatever its result.
    pub(crate) fn count_reload<T, E>(&self, reload: &Result<T, E>) {
        if reload.is_ok() {
            self.last_reload.store(millis(SystemTime::now()), Ordering::Relaxed);
            self.reloaded.fetch_add(1, Ordering::Relaxed);
        } else {
            self.not_reloaded.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn reloads(&self) -> ReloadCounts {
        ReloadCounts {
            succeeded: self.reloaded.load(Ordering::Relaxed),
            failed: self.not_reloaded.load(Ordering::Relaxed),
            last_success: Duration::from_millis(self.last_reload.load(Ordering::Relaxed)),
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
