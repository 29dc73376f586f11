//! Exports traces and metrics as OTLP over HTTP with JSON (opentelemetry.io/docs/specs/otlp). An exporter of our own, because
//! OpenTelemetry's brings sixteen crates and a second HTTP client for one stable format.
//!
//! It runs on a thread of its own, and reads what the ledger publishes: requests never wait for it. What it cannot send in time is
//! dropped and counted.

mod attributes;
mod client;
mod metrics;
mod spans;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_rt::Arbiter;
use actix_web::rt::time::{Instant, sleep_until, timeout};
use futures_util::future::{Either, select};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use vandamme_actors::ledger::FinishedRequest;

use self::client::Client;
use crate::config::OtlpConfig;
use crate::gateway::Gateway;

/// The most spans of one export.
const MOST_SPANS: usize = 512;
/// How long spans wait for others.
const BATCH_DELAY: Duration = Duration::from_secs(2);
/// The longest wait for the last exports when the gateway stops.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// The running exports. Dropping it ends them.
pub(crate) struct Exporter {
    /// `true` orders the last exports.
    stopping: watch::Sender<bool>,
    /// Closed when all exports have ended.
    ended: mpsc::Receiver<()>,
    thread: Arbiter,
}

/// Starts the exports. Every request that ends from now on is exported.
pub(crate) fn start(config: OtlpConfig, gateway: Arc<Gateway>) -> Exporter {
    let config = Arc::new(config);
    let (stopping, stop) = watch::channel(false);
    let (running, ended) = mpsc::channel::<()>(1);
    let thread = Arbiter::new();
    for (what, url) in [("traces", &config.traces), ("metrics", &config.metrics)] {
        if let Some(url) = url {
            log::info!("exporting {what} to {url}");
        }
    }
    let for_spans = Export { config: config.clone(), gateway: gateway.clone(), stop, _running: running };
    let for_metrics = for_spans.clone();
    let finished = gateway.registry.load().finished.subscribe();
    // A client never leaves its thread, so the futures are made there.
    thread.spawn_fn(move || {
        if let Some(client) = for_spans.client(config.traces.clone()) {
            actix_rt::spawn(for_spans.spans(client, finished));
        }
        if let Some(client) = for_metrics.client(config.metrics.clone()) {
            actix_rt::spawn(for_metrics.metrics(client));
        }
    });
    Exporter { stopping, ended, thread }
}

impl Exporter {
    /// Exports what is left, for a few seconds at most.
    pub(crate) async fn flush(mut self) {
        self.stopping.send_replace(true);
        // Nothing is ever sent: the channel closes when the last export has ended.
        if timeout(LAST_WAIT, self.ended.recv()).await.is_err() {
            log::warn!("the last telemetry could not be exported in time");
        }
        self.thread.stop();
    }
}

/// Why a batch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    Full,
    Last,
}

/// What the exports share.
#[derive(Clone)]
struct Export {
    config: Arc<OtlpConfig>,
    gateway: Arc<Gateway>,
    stop: watch::Receiver<bool>,
    _running: mpsc::Sender<()>,
}

impl Export {
    /// A client for this URL; `None` without one.
    fn client(&self, url: Option<String>) -> Option<Client> {
        Some(Client::new(url?, &self.config, self.gateway.clone(), self.stop.clone()))
    }

    /// Exports the requests that end, until the gateway stops.
    async fn spans(mut self, mut client: Client, mut finished: broadcast::Receiver<Arc<FinishedRequest>>) {
        loop {
            let mut spans = Vec::new();
            let batch = self.collect(&mut spans, &mut finished).await;
            let count = spans.len() as u64;
            if count > 0 {
                let sent = client.send(&spans::export(spans, &self.config)).await;
                self.gateway.counters.count_spans(sent.accepted(count), sent.rejected(count));
            }
            if batch == Batch::Last {
                return;
            }
        }
    }

    /// Waits for spans until there are enough, or until the first has waited for long enough.
    async fn collect(
        &mut self,
        spans: &mut Vec<serde_json::Value>,
        finished: &mut broadcast::Receiver<Arc<FinishedRequest>>,
    ) -> Batch {
        let mut until: Option<Instant> = None;
        while spans.len() < MOST_SPANS {
            if self.must_stop() {
                while let Ok(request) = finished.try_recv() {
                    spans.extend(spans::of_request(&request, &self.config, &self.gateway));
                }
                return Batch::Last;
            }
            let far = Instant::now() + Duration::from_secs(3600);
            let waiting = Box::pin(sleep_until(until.unwrap_or(far)));
            let interrupted = select(waiting, Box::pin(self.stop.changed()));
            match select(Box::pin(finished.recv()), interrupted).await {
                Either::Left((Ok(request), _)) => {
                    spans.extend(spans::of_request(&request, &self.config, &self.gateway));
                    if !spans.is_empty() {
                        until.get_or_insert_with(|| Instant::now() + BATCH_DELAY);
                    }
                }
                // The ledger keeps a bounded number of requests for a subscriber that is behind.
                Either::Left((Err(RecvError::Lagged(lost)), _)) => {
                    // Their spans were never built, so only the requests can be counted.
                    self.gateway.counters.count_missed_by_exporter(lost);
                }
                Either::Left((Err(RecvError::Closed), _)) => return Batch::Last,
                Either::Right((Either::Left(_), _)) if until.is_some() => return Batch::Full,
                Either::Right(_) => {}
            }
        }
        Batch::Full
    }

    /// Exports all metrics at the interval, and once more when the gateway stops.
    async fn metrics(mut self, mut client: Client) {
        let started = self.gateway.counters.started;
        loop {
            let due = Box::pin(sleep_until(Instant::now() + self.config.metric_interval));
            drop(select(due, Box::pin(self.stop.changed())).await);
            let is_last = self.must_stop();
            let series = self.gateway.registry.load().series.snapshot();
            if let Some(body) = metrics::export(&series, (started, SystemTime::now()), &self.config) {
                client.send(&body).await;
            }
            if is_last {
                return;
            }
        }
    }

    /// A gateway that is gone is a reason to stop, too.
    fn must_stop(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}
