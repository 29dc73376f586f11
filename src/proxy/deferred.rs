//! The reply to a client that could not be kept waiting for the upstream's head: pings while the exchange goes on, then
//! its reply, or its failure as an error event.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderMap};
use actix_web::rt::time::Instant;
use actix_web::rt::time::{Interval, interval_at};
use bytes::{Bytes, BytesMut};
use vandamme_actors::converter::ReplyBody;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::{Failure, Reply};

/// The rest of an exchange that panics is caught and counts as its failure.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<Reply, Failure>>>>;

pub(crate) struct LateReply {
    api: Api,
    stage: Stage,
}

enum Stage {
    Waiting { exchange: Pending, pings: Interval },
    Streaming(ReplyBody),
    Last(Bytes),
    Over,
}

impl LateReply {
    /// The first ping goes out at once.
    pub(crate) fn new(api: Api, exchange: Pending, ping_interval: Duration) -> Self {
        let pings = interval_at(Instant::now(), ping_interval);
        Self { api, stage: Stage::Waiting { exchange, pings } }
    }
}

impl Stage {
    fn after(api: Api, outcome: Result<Reply, Failure>) -> Self {
        match outcome {
            Ok(Reply::Streamed { body, .. }) => Self::Streaming(body),
            // A whole reply comes as events by now, unless it has no content.
            Ok(Reply::Whole { headers, body, .. }) if is_events(&headers) => Self::Last(body),
            Ok(Reply::Whole { .. }) => Self::error(
                api,
                ErrorKind::Api,
                "the upstream answered without a stream of events, which the request asked for",
            ),
            Err(failure) => Self::error(api, failure.kind(), &failure.message()),
        }
    }

    fn error(api: Api, kind: ErrorKind, message: &str) -> Self {
        let mut event = BytesMut::new();
        api.error_event(kind, message, &mut event);
        Self::Last(event.freeze())
    }
}

fn is_events(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

impl MessageBody for LateReply {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        loop {
            match &mut this.stage {
                Stage::Waiting { exchange, pings } => {
                    if let Poll::Ready(outcome) = exchange.as_mut().poll(task) {
                        this.stage = Stage::after(this.api, outcome);
                    } else if pings.poll_tick(task).is_ready() {
                        return Poll::Ready(Some(Ok(Bytes::from_static(this.api.keep_alive()))));
                    } else {
                        return Poll::Pending;
                    }
                }
                Stage::Streaming(body) => return body.poll_bytes(task),
                Stage::Last(bytes) => {
                    let bytes = std::mem::take(bytes);
                    this.stage = Stage::Over;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }
}
