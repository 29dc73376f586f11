//! The deadline of one call, and the report to the provider if the call stays silent.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::rt::time::{Instant, Sleep};
use futures_util::future::{Either, select};
use vandamme_actors::provider::Lease;

use super::classify::CallFailure;

/// How long a call may take.
#[derive(Clone, Copy)]
pub(super) struct CallTimeouts {
    /// After this time the provider learns that the call has been silent.
    pub(super) silence: Duration,
    pub(super) whole: Duration,
}

/// The time at which a call must have an outcome.
pub(super) struct Deadline<'d> {
    timer: Pin<&'d mut Sleep>,
    lease: &'d Lease,
    whole: Duration,
    /// What is left after the silence has been reported.
    rest: Duration,
}

impl<'d> Deadline<'d> {
    /// `timer` ends after `patience.silence`, which is reported unless it is the whole time.
    pub(super) fn new(timer: Pin<&'d mut Sleep>, lease: &'d Lease, patience: CallTimeouts) -> Self {
        let CallTimeouts { silence, whole } = patience;
        Self { timer, lease, whole, rest: whole.saturating_sub(silence) }
    }

    /// Polls the timer first, so that an upstream that floods the gateway cannot delay it. The step is pinned by the caller: an
    /// async function holds what it is given twice, and moves it once more.
    pub(super) async fn meet<T>(
        &mut self,
        mut step: Pin<&mut impl Future<Output = Result<T, Box<CallFailure>>>>,
    ) -> Result<T, Box<CallFailure>> {
        loop {
            match select(self.timer.as_mut(), step.as_mut()).await {
                Either::Left(((), _)) if self.rest > Duration::ZERO => {
                    self.lease.report_silence();
                    let end = Instant::now() + std::mem::take(&mut self.rest);
                    self.timer.as_mut().reset(end);
                }
                Either::Left(((), _)) => return Err(Box::new(CallFailure::timeout(self.lease, self.whole))),
                Either::Right((result, _)) => return result,
            }
        }
    }
}
