//! Reads a request's body, with a maximum size and a minimum rate.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::rt::time::Instant;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::timeout_at;
use vandamme_actors::settings::Limits;

use super::connection::awaits_continue;

/// How long, and up to which size, a refused body is still read, so that the client receives the reason.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const DRAIN_FACTOR: usize = 2;
/// How often the rate is checked.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    TooLarge,
    TooSlow,
    Broken,
}

/// The whole body. A body of one chunk is not copied.
pub(crate) async fn read(
    payload: &mut Payload,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<Bytes, Unreadable> {
    let declared = declared(headers);
    if declared.is_some_and(|declared| declared > limits.request_body) {
        return Err(Unreadable::TooLarge);
    }
    let started = Instant::now();
    let mut check = started + limits.body_grace;
    let mut single: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut early = without_timer(payload).await;
    loop {
        let received = joined.len() + single.as_ref().map_or(0, Bytes::len);
        let next = match early.take() {
            Some(next) => Ok(next),
            None => timeout_at(check, payload.next()).await,
        };
        let Ok(next) = next else {
            let due = started.elapsed().saturating_sub(limits.body_grace).as_secs().saturating_add(1);
            if (received as u64) < limits.body_min_rate.saturating_mul(due) {
                return Err(Unreadable::TooSlow);
            }
            check = Instant::now() + TICK;
            continue;
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| Unreadable::Broken)?;
        if received + chunk.len() > limits.request_body {
            return Err(Unreadable::TooLarge);
        }
        if received == 0 {
            single = Some(chunk);
            continue;
        }
        if let Some(first) = single.take() {
            joined.reserve(declared.unwrap_or(first.len() * 2));
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(single.unwrap_or_else(|| joined.freeze()))
}

/// The first chunk, if it has arrived together with the head: the HTTP server polls a request once before it reads the body, and
/// again right after. A small request is read without a timer then, which would take 800 instructions.
async fn without_timer(payload: &mut Payload) -> Option<Option<Result<Bytes, PayloadError>>> {
    let mut may_wait = true;
    poll_fn(|task| match payload.poll_next_unpin(task) {
        Poll::Ready(chunk) => Poll::Ready(Some(chunk)),
        Poll::Pending if std::mem::take(&mut may_wait) => {
            task.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Reads the rest and discards it, because closing a connection with unread data can lose the reply. If the client waits
/// for `100 Continue`, it has not sent the body, and nothing is read.
pub(crate) async fn drain(request: &HttpRequest, payload: &mut Payload, limits: &Limits) {
    if awaits_continue(request) {
        return;
    }
    let until = Instant::now() + DRAIN_TIME;
    let mut left = limits.request_body.saturating_mul(DRAIN_FACTOR);
    while let Ok(Some(Ok(chunk))) = timeout_at(until, payload.next()).await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
