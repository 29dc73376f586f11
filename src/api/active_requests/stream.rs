//! `GET /metrics/active-requests/stream`: the requests in flight as server-sent events. It polls the ledger. Requests
//! therefore send no notifications, and without a client there is no cost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::rt::time::{Instant, sleep};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use vandamme_actors::clock;
use vandamme_actors::ledger::Active;
use vandamme_actors::settings::{Api, Metrics};
use vandamme_protocol::vocabulary::ErrorKind;

use super::{ActiveReport, Disabled, NO_METRICS, active};
use crate::api::{render_error, report, session, shared};
use crate::dashboard::Permission;
use crate::failure::busy_wait;
use crate::gateway::{Admission, Gateway};
use crate::request_id::RequestId;

/// The interval between two polls of the ledger, and so the longest delay of an event.
const SLOWEST: Duration = Duration::from_millis(500);
const FASTEST: Duration = Duration::from_millis(50);

const NO_STREAM: Disabled = Disabled {
    disabled: true,
    message: "SSE for active requests is disabled",
    suggestion: "Unset VDM_ACTIVE_REQUESTS_SSE_ENABLED (or set to true)",
};

/// Numbers of the same requests are sent once a second at most, and at most at this rate, in bytes a second: a watcher learns of starts
/// and ends at once, and need not pay for numbers of many requests.
const SLOWEST_NUMBERS: Duration = Duration::from_secs(1);
const NUMBERS_RATE: f64 = 1000.0;

const HEARTBEAT: &[u8] = b": heartbeat\n\n";

/// One client that watches.
struct Watcher {
    gateway: Arc<Gateway>,
    permission: Permission,
    reported: Last,
    heard: Instant,
    /// The stream has ended.
    over: bool,
    _place: Admission,
}

/// The rows that were sent last, and when.
struct Last {
    /// Without durations, which always differ.
    rows: Option<Vec<Active>>,
    at: Instant,
    /// The size of the last event, in bytes.
    size: usize,
}

pub(in crate::api) async fn watch(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = report::turned_away(&request, &gateway, "running requests", &id) {
        return refusal;
    }
    let gateway = shared(&gateway);
    let permission = Permission::new(&request, &gateway, session::level(&request, &gateway));
    let Some(place) = gateway.watch() else {
        let message = "too many clients watch the running requests";
        let mut response = render_error::error(Api::Messages, ErrorKind::Overloaded, message, id.as_str());
        render_error::retry_after(&mut response, busy_wait());
        return response;
    };
    let now = Instant::now();
    let reported = Last { rows: None, at: now, size: 0 };
    let watcher = Watcher { gateway, permission, reported, heard: now, over: false, _place: place };
    HttpResponse::Ok()
        // After a restart, the client must not connect again to the process that ended the stream.
        .force_close()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(stream::unfold(watcher, Watcher::next))
}

impl Watcher {
    /// The next bytes, and the state after them.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while !self.over && self.may_continue() {
            let words = match self.reported.rows {
                None => self.next_event().await,
                Some(_) => {
                    sleep(self.pause()).await;
                    if self.may_continue() { self.next_event().await } else { None }
                }
            };
            if let Some(words) = words {
                return Some((Ok(words), self));
            }
        }
        None
    }

    /// Whether this process takes connections, and the client may still read.
    fn may_continue(&self) -> bool {
        self.gateway.accepts_connections() && self.permission.holds(&self.gateway)
    }

    fn pause(&self) -> Duration {
        self.gateway.live_config().settings.limits.active_interval.clamp(FASTEST, SLOWEST)
    }

    /// The next event, if there is one.
    async fn next_event(&mut self) -> Option<Bytes> {
        let live = self.gateway.live_config();
        let why = match (live.settings.request_metrics, live.settings.active_stream) {
            (Metrics::Off, _) => Some(NO_METRICS),
            (Metrics::Kept, false) => Some(NO_STREAM),
            (Metrics::Kept, true) => None,
        };
        if let Some(why) = why {
            self.over = true;
            return Some(event("disabled", &why));
        }
        // If the ledger is restarting, the next poll queries it.
        let rows = active(&self.gateway).await;
        let limits = &live.settings.limits;
        if let Some(rows) = rows
            && self.reported.take(&rows, self.reported.pause(limits.active_interval))
        {
            let mut reported = ActiveReport::rows(&rows, &live.secrets);
            reported.timestamp = Some(report::epoch_seconds(clock::wall()));
            let event = event("update", &reported);
            self.reported.size = event.len();
            return Some(event);
        }
        let due = self.heard.elapsed() >= limits.active_heartbeat;
        due.then(|| {
            self.heard = Instant::now();
            Bytes::from_static(HEARTBEAT)
        })
    }
}

impl Last {
    /// How long numbers wait after the last event.
    fn pause(&self, interval: Duration) -> Duration {
        let rated = Duration::from_secs_f64(self.size as f64 / NUMBERS_RATE);
        interval.max(SLOWEST_NUMBERS).max(rated)
    }

    /// Whether to send these rows: at once if a request has begun, ended or changed its target, and after `interval` if
    /// another number has changed.
    fn take(&mut self, rows: &[Active], interval: Duration) -> bool {
        let timeless = |row: &Active| {
            let mut row = Active { elapsed: Duration::ZERO, ..row.clone() };
            row.calls.iter_mut().for_each(|call| call.elapsed = Duration::ZERO);
            row
        };
        let rows: Vec<_> = rows.iter().map(timeless).collect();
        let news = match &self.rows {
            None => true,
            Some(reported) => {
                let same = |(one, other): (&Active, &Active)| {
                    let Active { provider, model, request, .. } = other;
                    one.request_id == other.request_id
                        && (&one.provider, &one.model, &one.request) == (provider, model, request)
                };
                reported.len() != rows.len()
                    || !reported.iter().zip(&rows).all(same)
                    || (*reported != rows && self.at.elapsed() >= interval)
            }
        };
        if news {
            *self = Self { rows: Some(rows), at: Instant::now(), ..*self };
        }
        news
    }
}

fn event(name: &str, data: &impl Serialize) -> Bytes {
    // Serialising these values cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use vandamme_protocol::vocabulary::Usage;

    use super::*;

    fn row(id: &str, elapsed: u64, input: u64) -> Active {
        Active {
            request_id: id.into(),
            elapsed: Duration::from_millis(elapsed),
            usage: Usage { input, ..Usage::default() },
            ..Active::default()
        }
    }

    #[test]
    fn passing_time_sends_no_event_and_a_start_or_an_end_sends_one_at_once() {
        let long = Duration::from_secs(3600);
        let mut last = Last { rows: None, at: Instant::now(), size: 0 };
        assert!(last.take(&[], long), "the first is reported whatever it is");
        assert!(!last.take(&[], Duration::ZERO));
        assert!(last.take(&[row("a", 1, 0)], long));
        assert!(!last.take(&[row("a", 9, 0)], Duration::ZERO));
        assert!(!last.take(&[row("a", 9, 5)], long), "numbers wait for the interval");
        assert!(last.take(&[row("a", 9, 5)], Duration::ZERO));
        assert!(last.take(&[row("b", 1, 0)], long));
        let sent = Active { provider: "p".into(), ..row("b", 1, 0) };
        assert!(last.take(&[sent], long), "it has been sent somewhere");
        assert!(last.take(&[], long));
    }
}
