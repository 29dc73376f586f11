//! What the gateway counts outside of the ledger: refusals by limits, reloads, and its web searches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vandamme_actors::ledger::VerdictCounts;
use vandamme_protocol::web_search::Service;

/// The outcomes of a judge.
pub(crate) const VERDICTS: [&str; 3] = ["not_flagged", "flagged", "unavailable"];

/// A limit that refuses requests or connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    InFlight,
    RequestBody,
    BodyMinRate,
    ProviderQueue,
    Connections,
    ConnectionsPerAddress,
    WebSockets,
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
    /// Those that clients got, then those that were recorded only.
    verdicts: [[AtomicU64; VERDICTS.len()]; 2],
    /// In the order of [`Service::ALL`].
    web_searches: [AtomicU64; Service::ALL.len()],
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
    pub(crate) const ALL: [Self; 7] = [
        Self::InFlight,
        Self::RequestBody,
        Self::BodyMinRate,
        Self::ProviderQueue,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::WebSockets,
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
            Self::WebSockets => "websockets",
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
            verdicts: Default::default(),
            web_searches: Default::default(),
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

    pub(crate) fn count_verdicts(&self, counts: VerdictCounts) {
        let numbers = [counts.not_flagged, counts.flagged, counts.unavailable];
        for (counter, number) in self.verdicts[usize::from(counts.shadow)].iter().zip(numbers) {
            counter.fetch_add(number.into(), Ordering::Relaxed);
        }
    }

    /// The verdicts so far in the order of [`VERDICTS`]: those that clients got, then those that were recorded only.
    pub(crate) fn verdicts(&self) -> [[u64; VERDICTS.len()]; 2] {
        self.verdicts.each_ref().map(|mode| mode.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Counts a search that this service has answered.
    pub(crate) fn count_web_search(&self, service: Service) {
        for (counter, _) in self.web_searches.iter().zip(Service::ALL).filter(|(_, of)| *of == service) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The searches so far, of each service with one.
    pub(crate) fn web_searches(&self) -> impl Iterator<Item = (Service, u64)> {
        let counts = self.web_searches.iter().map(|count| count.load(Ordering::Relaxed));
        Service::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0)
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
