//! A streamed reply whose end waits for verdicts, with pings meanwhile.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::rt::time::{Instant, Interval, Sleep, interval_at, sleep};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use vandamme_actors::converter::{HeldRecord, ReplyBody};
use vandamme_actors::ledger::{Cancellation, RequestEnd};
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::settings::{Api, JudgeMode};
use vandamme_protocol::safeguards::JudgedStream;

use super::judging::{Judging, patience};
use super::{Answer, Guard, counted};
use crate::gateway::{Admission, Gateway};
use crate::proxy::reply_stream::CompletedBody;

/// Passes a reply on, and has its calls judged.
pub(super) struct JudgedBody {
    guard: Guard,
    body: ReplyBody,
    stream: JudgedStream,
    /// `None` once the verdicts are taken.
    judging: Option<Judging>,
    held: HeldRecord,
    cancellation: Cancellation,
    stage: Stage,
}

enum Stage {
    Passing,
    Waiting(Box<Wait>),
    Over,
}

/// The wait for verdicts after the upstream's reply has ended.
struct Wait {
    record: Option<RequestRecorder>,
    pings: Interval,
    deadline: Pin<Box<Sleep>>,
    /// The client gets no more verdicts: an operator has cancelled the request, or the gateway stops.
    stopped: LocalBoxFuture<'static, ()>,
}

impl Wait {
    /// Ready when the client must not wait any longer.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        let is_over =
            self.deadline.as_mut().poll(task).is_ready() || self.stopped.poll_unpin(task).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_ping(&mut self, task: &mut Context<'_>) -> Poll<Bytes> {
        ready!(self.pings.poll_tick(task));
        let ping = Api::Messages.keep_alive();
        if let Some(record) = &self.record {
            record.sent(ping.len());
        }
        Poll::Ready(Bytes::from_static(ping))
    }
}

impl JudgedBody {
    pub(super) fn new(
        guard: Guard,
        body: ReplyBody,
        (held, cancellation): (HeldRecord, Cancellation),
    ) -> Self {
        let stream = JudgedStream::new(guard.gateway.live_config().settings.limits.event);
        let judging = Some(guard.judging());
        Self { guard, body, stream, judging, held, cancellation, stage: Stage::Passing }
    }

    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.stage {
                Stage::Passing => {
                    // The verdicts are read when the reply has ended.
                    let _ = self.judging.as_mut().map(|judging| judging.poll(task));
                    let passed = match ready!(self.body.poll_bytes(task)) {
                        Some(Ok(bytes)) => self.pass(bytes, task),
                        None => {
                            self.stage = Stage::Waiting(Box::new(self.wait()));
                            continue;
                        }
                    };
                    if !passed.is_empty() {
                        return Poll::Ready(Some(passed));
                    }
                }
                Stage::Waiting(wait) => {
                    let must_wait = self.guard.answers() && self.stream.is_holding();
                    let judging = self.judging.as_mut().filter(|_| must_wait);
                    let waits = judging.is_some_and(|judging| judging.poll(task).is_pending());
                    if waits && wait.poll(task).is_pending() {
                        return wait.poll_ping(task).map(Some);
                    }
                    return Poll::Ready(self.end().filter(|last| !last.is_empty()));
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }

    /// Passes bytes of the reply on; calls that have become complete are judged.
    fn pass(&mut self, bytes: Bytes, task: &mut Context<'_>) -> Bytes {
        let passed = self.stream.push(bytes);
        let calls = self.stream.take_calls();
        if let Some(judging) = self.judging.as_mut().filter(|_| !calls.is_empty()) {
            judging.add(calls);
            let _ = judging.poll(task);
        }
        passed
    }

    fn wait(&self) -> Wait {
        if let Some(judging) = &self.judging {
            judging.reply_ended();
        }
        let ping = self.guard.gateway.live_config().settings.limits.ping_interval;
        let (gateway, cancellation) = (self.guard.gateway.clone(), self.cancellation.clone());
        let stopped = async move {
            let drained = std::pin::pin!(gateway.must_end_replies());
            let cancelled = std::pin::pin!(cancellation.cancelled());
            futures_util::future::select(drained, cancelled).await;
        };
        Wait {
            record: self.held.take(),
            pings: interval_at(Instant::now() + ping, ping),
            deadline: Box::pin(sleep(patience())),
            stopped: stopped.boxed_local(),
        }
    }

    /// The rest of the reply, with what is known of its calls.
    fn end(&mut self) -> Option<Bytes> {
        let Stage::Waiting(wait) = std::mem::replace(&mut self.stage, Stage::Over) else { return None };
        let mut record = wait.record;
        let was_holding = self.stream.is_holding();
        let judging = self.judging.take()?;
        let is_shadow = was_holding && self.guard.is_shadow();
        let answer = match was_holding && !is_shadow {
            true => self.guard.answer(&judging),
            // Verdicts on a reply that has broken off do not count.
            false => self.guard.unsupported(),
        };
        let Answer { results, counts } = answer;
        let last = self.stream.finish(&results);
        if let Some(record) = &mut record {
            record.record.verdicts = counts;
            if was_holding {
                record.sent(results.len());
            }
        }
        if is_shadow {
            self.guard.shadow(judging, record);
        }
        Some(last)
    }
}

impl CompletedBody for JudgedBody {
    fn poll_bytes(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_next(task)
    }
}

impl Drop for JudgedBody {
    fn drop(&mut self) {
        if let Stage::Waiting(wait) = &mut self.stage
            && let Some(record) = &mut wait.record
        {
            // The client has left before the end of its reply.
            record.record.end = RequestEnd::Cancelled;
        }
    }
}

/// The verdicts of a reply that its client has without them.
pub(super) struct Shadow {
    pub(super) gateway: Arc<Gateway>,
    pub(super) judging: Judging,
    pub(super) record: Option<RequestRecorder>,
    pub(super) _admission: Admission,
}

impl Shadow {
    /// Waits for the verdicts, and records them. A gateway that stops does not wait for them.
    pub(super) async fn finish(self) {
        let Self { gateway, mut judging, mut record, _admission } = self;
        futures_util::future::select(pin!(judging.finished()), pin!(gateway.drains())).await;
        let counts = counted(judging.verdicts(), JudgeMode::Shadow);
        gateway.counters.count_verdicts(counts);
        if let Some(record) = &mut record {
            record.record.verdicts = Some(counts);
        }
    }
}
