//! The reply to a client that received status 200 before its run had an outcome: pings while the run continues, then the
//! run's reply, or its failure as an error event.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_web::rt::time::Instant;
use actix_web::rt::time::{Interval, interval_at};
use bytes::{Bytes, BytesMut};
use vandamme_actors::recorder::EarlyReply;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::run_record::FailedRun;
use super::start::RunFuture;
use super::{ProxyReply, ReplyForm, ReplyStream};

/// The status that the client has got.
const STATUS: u16 = 200;

pub(crate) struct DeferredReply {
    api: Api,
    early: EarlyReply,
    stage: DeferredStage,
}

enum DeferredStage {
    Waiting { run: RunFuture, pings: Interval },
    Streaming(ReplyStream),
    Last(Bytes),
    Over,
}

impl DeferredReply {
    /// The first ping is sent at once.
    pub(crate) fn new(api: Api, run: RunFuture, early: EarlyReply, ping_interval: Duration) -> Self {
        early.head_sent(STATUS);
        let pings = interval_at(Instant::now(), ping_interval);
        Self { api, early, stage: DeferredStage::Waiting { run, pings } }
    }
}

impl DeferredStage {
    fn after(api: Api, outcome: Result<ProxyReply, FailedRun>) -> Self {
        match outcome {
            Ok(ProxyReply::Streaming { body, .. }) => Self::Streaming(body),
            Ok(ProxyReply::Buffered { form: ReplyForm::Stream, body, .. }) => Self::Last(body),
            // A reply without content (204) has no events.
            Ok(ProxyReply::Raw { .. } | ProxyReply::Buffered { form: ReplyForm::Whole, .. }) => {
                Self::Last(error_event(
                    api,
                    ErrorKind::Api,
                    "the upstream answered without a stream of events, which the request asked for",
                ))
            }
            Err(failed) => {
                let failure = failed.failure();
                let event = error_event(api, failure.kind(), &failure.message_for(api));
                failed.close(STATUS, event.len());
                Self::Last(event)
            }
        }
    }
}

fn error_event(api: Api, kind: ErrorKind, message: &str) -> Bytes {
    let mut event = BytesMut::new();
    api.error_event(kind, message, &mut event);
    event.freeze()
}

impl MessageBody for DeferredReply {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        loop {
            match &mut this.stage {
                DeferredStage::Waiting { run, pings } => {
                    if let Poll::Ready(outcome) = run.as_mut().poll(task) {
                        this.stage = DeferredStage::after(this.api, outcome);
                    } else if pings.poll_tick(task).is_ready() {
                        let ping = this.api.keep_alive();
                        this.early.sent(ping.len());
                        return Poll::Ready(Some(Ok(Bytes::from_static(ping))));
                    } else {
                        return Poll::Pending;
                    }
                }
                DeferredStage::Streaming(body) => return body.poll_bytes(task),
                DeferredStage::Last(bytes) => {
                    let bytes = std::mem::take(bytes);
                    this.stage = DeferredStage::Over;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                DeferredStage::Over => return Poll::Ready(None),
            }
        }
    }
}
