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
use crate::api::{render_error, report, shared};
use crate::failure::busy_wait;
use crate::gateway::{Admission, Gateway};
use crate::request_id::RequestId;

/// The longest that a request has begun or ended before it is told, and the shortest between two looks.
const SLOWEST: Duration = Duration::from_millis(500);
const FASTEST: Duration = Duration::from_millis(50);

const NO_STREAM: Disabled = Disabled {
    disabled: true,
    message: "SSE for active requests is disabled",
    suggestion: "Unset VDM_ACTIVE_REQUESTS_SSE_ENABLED (or set to true)",
};

const HEARTBEAT: &[u8] = b": heartbeat\n\n";

/// One client that watches.
struct Watcher {
    gateway: Arc<Gateway>,
    told: Last,
    heard: Instant,
    /// Nothing follows.
    over: bool,
    _place: Admission,
}

/// What was sent last, and when.
struct Last {
    /// Without durations, in which every two differ.
    rows: Option<Vec<Active>>,
    at: Instant,
}

pub(in crate::api) async fn watch(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = report::turned_away(&request, &gateway, "running requests", &id) {
        return refusal;
    }
    let gateway = shared(&gateway);
    let Some(place) = gateway.watch() else {
        let message = "too many clients watch the running requests";
        let mut response = render_error::error(Api::Messages, ErrorKind::Overloaded, message, id.as_str());
        render_error::retry_after(&mut response, busy_wait());
        return response;
    };
    let now = Instant::now();
    let told = Last { rows: None, at: now };
    let watcher = Watcher { gateway, told, heard: now, over: false, _place: place };
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(stream::unfold(watcher, Watcher::next))
}

impl Watcher {
    /// The next words, and who says the ones after.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while !self.over && self.gateway.accepts_connections() {
            let words = match self.told.rows {
                None => self.look().await,
                Some(_) => {
                    sleep(self.pause()).await;
                    if self.gateway.accepts_connections() { self.look().await } else { None }
                }
            };
            if let Some(words) = words {
                return Some((Ok(words), self));
            }
        }
        None
    }

    fn pause(&self) -> Duration {
        self.gateway.live_config().settings.limits.active_interval.clamp(FASTEST, SLOWEST)
    }

    /// The next event, if there is one.
    async fn look(&mut self) -> Option<Bytes> {
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
        // A ledger that is started anew is asked at the next look.
        let rows = active(&self.gateway).await;
        let limits = &live.settings.limits;
        if let Some(rows) = rows
            && self.told.take(&rows, limits.active_interval)
        {
            let mut told = ActiveReport::rows(&rows, &live.secrets);
            told.timestamp = Some(report::epoch_seconds(clock::wall()));
            return Some(event("update", &told));
        }
        let due = self.heard.elapsed() >= limits.active_heartbeat;
        due.then(|| {
            self.heard = Instant::now();
            Bytes::from_static(HEARTBEAT)
        })
    }
}

impl Last {
    /// Whether these rows are sent: if a request has begun, ended or been sent somewhere, and if `interval` has
    /// passed and a number is another one.
    fn take(&mut self, rows: &[Active], interval: Duration) -> bool {
        let timeless = |row: &Active| Active { elapsed: Duration::ZERO, ..row.clone() };
        let rows: Vec<_> = rows.iter().map(timeless).collect();
        let news = match &self.rows {
            None => true,
            Some(told) => {
                let same = |(one, other): (&Active, &Active)| {
                    let (usage, tool_calls) = (other.usage, other.tool_calls);
                    Active { usage, tool_calls, ..one.clone() } == *other
                };
                told.len() != rows.len()
                    || !told.iter().zip(&rows).all(same)
                    || (*told != rows && self.at.elapsed() >= interval)
            }
        };
        if news {
            *self = Self { rows: Some(rows), at: Instant::now() };
        }
        news
    }
}

fn event(name: &str, data: &impl Serialize) -> Bytes {
    // Nothing in there can fail to be written.
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
    fn time_alone_is_no_news_and_a_begin_or_an_end_is_at_once() {
        let long = Duration::from_secs(3600);
        let mut last = Last { rows: None, at: Instant::now() };
        assert!(last.take(&[], long), "the first is told whatever it is");
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
