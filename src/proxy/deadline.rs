//! Until when a call must have come to something, and the report of its silence on the way.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use actix_web::rt::time::{Instant, Sleep};
use futures_util::future::{Either, select};
use vandamme_actors::provider::Lease;

use super::classify::CallFailure;

/// Until when a call must have come to something.
pub(super) struct Deadline<'d> {
    timer: Pin<&'d mut Sleep>,
    lease: &'d Lease,
    whole: Duration,
    /// What is left of it when the timer ends, after a report of the silence so far.
    rest: Duration,
}

impl<'d> Deadline<'d> {
    /// `timer` ends after `silence`, which is reported unless it is the whole time.
    pub(super) fn new(
        timer: Pin<&'d mut Sleep>,
        lease: &'d Lease,
        (silence, whole): (Duration, Duration),
    ) -> Self {
        Self { timer, lease, whole, rest: whole.saturating_sub(silence) }
    }

    /// The timer comes first: an upstream that floods us must not keep it from being looked at.
    pub(super) async fn meet<T>(
        &mut self,
        step: impl Future<Output = Result<T, CallFailure>>,
    ) -> Result<T, CallFailure> {
        let mut step = pin!(step);
        loop {
            match select(self.timer.as_mut(), step.as_mut()).await {
                Either::Left(((), _)) if self.rest > Duration::ZERO => {
                    self.lease.report_silence();
                    let end = Instant::now() + std::mem::take(&mut self.rest);
                    self.timer.as_mut().reset(end);
                }
                Either::Left(((), _)) => return Err(CallFailure::timeout(self.lease, self.whole)),
                Either::Right((result, _)) => return result,
            }
        }
    }
}
