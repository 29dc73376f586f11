//! Checks whether a request that failed could have been served.

use super::super::clients::ClientRequest;
use super::super::upstream::CallTarget;
use super::super::{CHAINS, KEYS};
use super::{Audit, Tried};
use crate::outcome::Retry;

impl Audit {
    /// Checks a request that failed for good: no target of its chain would have served it, or the design allows the
    /// failure.
    pub(in super::super) fn check_refusal(
        &mut self,
        request: &ClientRequest,
        tried: &Tried,
        calls: u32,
        serves: &mut dyn FnMut(CallTarget) -> bool,
    ) {
        self.count("refused");
        if tried.calls.is_empty() {
            self.count("refused without a call");
        }
        if request.own_fault.is_some() {
            return self.count("refused: the request's own fault");
        }
        let mut reason = "refused: no target works";
        for &provider in CHAINS[request.model] {
            let has_failed = |called: &&super::AuditedCall| called.target.provider == provider;
            let mut failed = tried.calls.iter().filter(has_failed);
            // The failure is not about the key.
            if failed.clone().any(|called| called.outcome.treatment().retry != Retry::NextKey) {
                continue;
            }
            let is_known_to_fail = failed.any(|called| called.is_known_to_fail);
            for key in 0..KEYS {
                let target = CallTarget { provider, key, model: request.model };
                if tried.calls.iter().any(|called| called.target == target) || !serves(target) {
                    continue;
                }
                reason = match () {
                    () if calls >= 6 => "refused: six calls were made",
                    () if tried.is_over_budget => "refused: the retry budget is used up",
                    () if tried.waits.contains(&provider) => "refused: the upstream's own wait",
                    () if is_known_to_fail => "refused: one call for what is known to fail",
                    () => panic!("{target:?} would have served {request:?}, which tried {tried:?}"),
                };
            }
        }
        if tried.calls.is_empty() && reason == "refused: no target works" {
            // The request would have failed anyway.
            assert!(!tried.waits.is_empty() || tried.is_over_budget, "refused without a call: {request:?}");
        }
        self.count(reason);
    }
}
