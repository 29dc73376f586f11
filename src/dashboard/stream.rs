//! `GET /api/ui/stream`: what happens, as server-sent events for one open page.
//!
//! | Event | When | Data |
//! |---|---|---|
//! | `tick` | when its numbers have changed, at most once a second | [`Tick`] |
//! | `start` | a request has begun | [`RequestRow`] |
//! | `end` | a request has ended | [`RequestRow`] |
//! | `log` | the log has new records, which `/api/ui/logs?after=` has | `{latest}` |
//! | `gap` | requests in between are no longer known; the page should be fetched again | `{}` |
//!
//! It polls the ledger and the last hour in memory, so requests send no notifications, and without an open page there is no cost.

mod row;
mod tick;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::rt::time::{Instant, sleep};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;

use self::row::RequestRow;
use self::tick::Tick;
use super::gather;
use super::respond;
use super::viewer::{Permission, Viewer};
use crate::gateway::{Admission, Gateway};
use crate::telemetry::recent::latest_record;

/// The interval between two polls, and so the longest delay of an event.
const POLL: Duration = Duration::from_millis(500);
/// The shortest interval between two ticks.
const TICK: Duration = Duration::from_millis(990);
/// The interval after which a silent stream sends a comment, so that proxies keep it open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a browser connects again, in milliseconds: after a restart another process answers at once.
const RETRY: &str = "retry: 1000\n";

/// One open page.
struct Follower {
    gateway: Arc<Gateway>,
    permission: Permission,
    /// The next finished request.
    position: u64,
    gap: bool,
    /// The requests in flight that were sent.
    started: HashSet<Arc<str>>,
    /// The number of the latest log record that was announced.
    logged: u64,
    tick: String,
    ticked: Option<Instant>,
    sent: Instant,
    is_new: bool,
    _place: Admission,
}

/// `GET /api/ui/stream`
pub(crate) async fn follow(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    viewer: web::ReqData<Viewer>,
) -> HttpResponse {
    let gateway = gateway.into_inner();
    let Some(place) = gateway.watch() else {
        let error = json!({"error": "too many pages are open; close some of them"});
        return respond::json(&request, StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    let permission = Permission::new(&request, &gateway, viewer.has_session.then_some(viewer.level));
    let live = &gateway.last_hour;
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let known = last.map(|last| position(last, live.since()));
    let (position, gap) = match known {
        None => (live.position(), false),
        Some(Some(position)) => (position, false),
        // Of an earlier process.
        Some(None) => (live.position(), true),
    };
    let follower = Follower {
        gateway,
        permission,
        position,
        gap,
        started: HashSet::new(),
        logged: *latest_record().borrow(),
        tick: String::new(),
        ticked: None,
        sent: Instant::now(),
        is_new: true,
        _place: place,
    };
    respond::with_policy(StatusCode::OK)
        // After a restart, the browser must not connect again to the process that ended the stream.
        .force_close()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(stream::unfold(follower, Follower::next))
}

/// The position in the id of an event, if this process has sent it.
fn position(id: &str, since: u64) -> Option<u64> {
    let (process, position) = id.split_once('-')?;
    (process.parse() == Ok(since)).then(|| position.parse().ok()).flatten()
}

impl Follower {
    /// The next bytes, and the state after them.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while self.gateway.accepts_connections() {
            if !std::mem::take(&mut self.is_new) {
                sleep(POLL).await;
            }
            if !self.permission.holds(&self.gateway) {
                break;
            }
            let events = self.poll().await;
            if !events.is_empty() {
                self.sent = Instant::now();
                return Some((Ok(events.into()), self));
            }
            if self.sent.elapsed() >= HEARTBEAT {
                self.sent = Instant::now();
                return Some((Ok(Bytes::from_static(b": still here\n\n")), self));
            }
        }
        None
    }

    /// The events since the last poll. Their number is bounded by the requests in flight and by those that are kept.
    async fn poll(&mut self) -> String {
        let live = self.gateway.live_config();
        let secrets = &live.secrets;
        let mut out = String::new();
        let news = self.gateway.last_hour.news(self.position);
        self.position = news.position;
        let id = format!("{}-{}", self.gateway.last_hour.since(), self.position);
        if std::mem::take(&mut self.gap) || news.gap {
            event(&mut out, &id, "gap", &json!({}));
        }
        let active = gather::active(&self.gateway).await;
        for active in active.iter().flatten().filter(|active| !self.started.contains(&active.request_id)) {
            event(&mut out, &id, "start", &RequestRow::started(active, secrets));
        }
        for finished in &news.requests {
            event(&mut out, &id, "end", &RequestRow::ended(finished, secrets));
        }
        if let Some(active) = &active {
            self.started = active.iter().map(|active| active.request_id.clone()).collect();
        }
        let latest = *latest_record().borrow();
        if std::mem::replace(&mut self.logged, latest) != latest {
            event(&mut out, &id, "log", &json!({"latest": latest}));
        }
        if self.ticked.is_none_or(|ticked| ticked.elapsed() >= TICK) {
            let tick = Tick::read(&self.gateway, active.as_deref().unwrap_or_default());
            let tick = serde_json::to_string(&tick).unwrap_or_default();
            if tick != self.tick {
                let retry = if self.ticked.is_none() { RETRY } else { "" };
                out.push_str(&format!("{retry}id: {id}\nevent: tick\ndata: {tick}\n\n"));
                self.tick = tick;
                self.ticked = Some(Instant::now());
            }
        }
        out
    }
}

fn event(out: &mut String, id: &str, name: &str, data: &impl Serialize) {
    // Serialising these values cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    out.push_str(&format!("id: {id}\nevent: {name}\ndata: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a stream resumes after the last event, if this process has sent it.
    #[test]
    fn a_stream_resumes_only_in_the_process_that_sent_the_event() {
        assert_eq!(position("17-4", 17), Some(4));
        for other in ["16-4", "17", "17-", "x-4", "17--4", ""] {
            assert_eq!(position(other, 17), None, "{other}");
        }
    }
}
