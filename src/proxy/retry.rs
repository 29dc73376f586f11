//! What follows a failed call: the retry policy, applied to this request and within the provider's budget.

use vandamme_actors::clock;
use vandamme_actors::outcome::{Outcome, Retry};
use vandamme_actors::provider::{AffinityHash, Lease};
use vandamme_actors::retry::{Attempts, FailedCall, Next, RetryContext};

use super::ProxyRequest;
use super::classify::CallFailure;
use crate::gateway::Gateway;

/// The request that retries are decided for.
pub(super) struct Retries<'r> {
    pub(super) gateway: &'r Gateway,
    pub(super) request: &'r ProxyRequest,
    pub(super) session: Option<AffinityHash>,
}

impl Retries<'_> {
    /// The next step. `left` targets have not been called.
    pub(super) fn next(
        &self,
        lease: &Lease,
        failed: &CallFailure,
        attempts: &mut Attempts,
        left: usize,
    ) -> Next {
        let failed = self.policy_input(lease, failed);
        let next = attempts.next(failed, left, fastrand::f64());
        within_budget(lease, next, failed, attempts.elsewhere(left))
    }

    /// Whether the client repeats a request that failed within the last minute.
    fn is_client_retry(&self) -> bool {
        let Some(session) = self.session else { return false };
        self.gateway.failures.contains(session.0, self.request.body.len(), clock::boot())
    }

    /// Notes that the request failed, so that its repeat is recognised.
    pub(super) fn note_failure(&self) {
        if let Some(session) = self.session {
            self.gateway.failures.note(session.0, self.request.body.len(), clock::boot());
        }
    }

    fn policy_input(&self, lease: &Lease, failed: &CallFailure) -> FailedCall {
        let CallFailure { outcome, retry, after, can_fix, .. } = *failed;
        // A client that sent its own key has no other one. If the key is rejected, the client gets the answer.
        let is_rejected = matches!(outcome, Outcome::KeyRejected | Outcome::KeyForbidden);
        let retry = match (retry == Retry::NextKey && lease.provider.passthrough, is_rejected) {
            (false, _) => retry,
            (true, false) => Retry::NextTarget,
            (true, true) => Retry::No,
        };
        let request = RetryContext {
            is_client_retry: self.is_client_retry(),
            is_known_to_fail: lease.is_known_to_fail,
            has_session: self.session.is_some(),
        };
        FailedCall { outcome, retry, after, can_fix, request }
    }
}

/// Every further call draws on the provider's budget. Without budget the failed call is not repeated. Another key that is not
/// known to fail is called anyway.
fn within_budget(lease: &Lease, next: Next, failed: FailedCall, otherwise: Next) -> Next {
    match next {
        Next::SameKey(_) if !lease.draw_retry() => {
            // A session would have waited for its own key.
            let has_others = failed.retry == Retry::NextKey && !failed.request.is_known_to_fail;
            if has_others { Next::NextKey } else { otherwise }
        }
        Next::SameKey(_) | Next::NextKey | Next::Fixed | Next::NextTarget | Next::GiveUp => next,
    }
}
